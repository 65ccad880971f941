"""What a walk of answers found: shared by the walkers of the clouds."""


class Findings:
    """Everything in the answers that is not as the vendor's description says."""

    def __init__(self):
        self.problems = []
        # The call whose answer is walked.
        self._call = ""

    def verdict(self):
        """All problems, each once, for people."""
        return "answers that are not as the vendor says:\n" + "\n".join(dict.fromkeys(self.problems))

    def _problem(self, path, what):
        self.problems.append(f"{self._call}{path}: {what}")
