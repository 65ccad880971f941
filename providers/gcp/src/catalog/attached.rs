//! The names of N1 machines with GPUs attached: Compute Engine has none for them, and sells them
//! all the same.

use std::fmt;

use skyfleet_core::TypeName;

use super::accelerator::Accelerator;

/// GPUs that are attached to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attached {
    pub(crate) accelerator: &'static Accelerator,
    pub(crate) count: u32,
}

/// What of a machine type's name the API knows: the machine type, and the accelerators to be
/// attached to it.
///
/// `n1-standard-4` is itself, `n1-standard-4+T4` is one with one T4, `n1-standard-8+2xV100` one with
/// two V100s. `None` for a name with a `+` that makes no sense.
pub(crate) fn split(name: &TypeName) -> Option<(&str, Option<Attached>)> {
    let Some((machine, gpus)) = name.as_str().split_once('+') else {
        return Some((name.as_str(), None));
    };
    let (count, model) = match gpus.split_once('x') {
        Some((count, model)) => (count.parse().ok().filter(|count| *count > 1)?, model),
        None => (1, gpus),
    };
    let accelerator = Accelerator::attachable().find(|known| known.model == model)?;
    let known = accelerator.attach.iter().any(|(fit, _)| *fit == count);
    (known && machine.starts_with("n1-")).then_some((machine, Some(Attached { accelerator, count })))
}

/// The other way round: how a machine with GPUs attached is called.
pub(crate) fn join(machine: &str, attached: Attached) -> TypeName {
    TypeName::from(format!("{machine}+{attached}"))
}

impl Attached {
    /// The name of a machine that an instance shows: its type, and what is attached to it.
    pub(crate) fn of(accelerator: &str, count: u32) -> Option<Self> {
        Some(Self { accelerator: Accelerator::named(accelerator)?, count })
    }
}

impl fmt::Display for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            1 => f.write_str(self.accelerator.model),
            count => write!(f, "{count}x{}", self.accelerator.model),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_split_into_what_the_api_knows_and_joined_again() {
        for (name, machine, accelerator, count) in [
            ("n1-standard-4+T4", "n1-standard-4", "nvidia-tesla-t4", 1),
            ("n1-highmem-8+2xV100", "n1-highmem-8", "nvidia-tesla-v100", 2),
            ("n1-standard-96+4xT4", "n1-standard-96", "nvidia-tesla-t4", 4),
        ] {
            let name = TypeName::from(name);
            let (found, attached) = split(&name).unwrap();
            let attached = attached.unwrap();
            assert_eq!((found, attached.accelerator.name, attached.count), (machine, accelerator, count));
            assert_eq!(join(machine, attached), name);
            assert_eq!(Attached::of(accelerator, count), Some(attached));
        }
    }

    #[test]
    fn a_machine_without_gpus_is_itself_and_nonsense_is_nothing() {
        let plain = TypeName::from("n2-standard-2");
        assert_eq!(split(&plain), Some(("n2-standard-2", None)));
        for name in [
            "n1-standard-4+",
            "n1-standard-4+L4",
            "n1-standard-4+1xT4",
            "n1-standard-4+3xT4",
            "n2-standard-4+T4",
        ] {
            assert_eq!(split(&TypeName::from(name)), None, "{name}");
        }
    }
}
