use std::error::Error as StdError;
use std::fmt;

/// What an error says, link by link, and nothing else of it: the errors of cloud SDKs also hold
/// requests, headers and credentials, which are nothing to keep or to show. For
/// [`Error::because`](crate::Error::because).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain(Vec<String>);

impl Chain {
    /// The words of an error and of its sources, each said once.
    pub fn of(error: &(dyn StdError + 'static)) -> Self {
        let links = std::iter::successors(Some(error), |link: &&(dyn StdError + 'static)| (*link).source());
        let mut links: Vec<String> = links.map(ToString::to_string).collect();
        links.dedup();
        Self(links)
    }

    /// What the last source says: why it really happened.
    pub fn root(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(": "))
    }
}

impl StdError for Chain {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, ErrorKind};

    #[test]
    fn a_chain_says_every_link_once_and_has_no_sources_of_its_own() {
        let root = std::io::Error::other("the cable is cut");
        let error = Error::new(ErrorKind::Unavailable, "no answer").because(root);
        let chain = Chain::of(&error);
        assert_eq!(chain.root(), "the cable is cut");
        assert!(chain.to_string().ends_with(": the cable is cut"), "{chain}");
        assert!(chain.source().is_none());
    }
}
