use std::env;
use std::sync::Arc;

use futures::future::join_all;
use futures::{FutureExt, Stream};
use skyfleet_core::{Clock, Error, ErrorKind, FleetName, MachineNotice, Owner, Result};

use crate::cloud::clock;
use crate::http::{AT, Service};
use crate::identity::About;
use crate::notices::stream_of;
use crate::{Cloud, Identity, aws, azure, gcp};

/// Where whoever runs the code of a job says which slot of its fleet the machine holds.
/// `skyfleet-batch` does.
const SLOT: &str = "SKYFLEET_SLOT";

/// The machine that this program runs on.
#[derive(Clone, Debug)]
pub struct Machine {
    service: Service,
    clock: Arc<dyn Clock>,
    about: About,
}

impl Machine {
    /// Finds out of which cloud the machine is, and what it is. Where the variables of the clouds'
    /// own SDKs name a metadata service ([`Cloud::endpoint`]), only that one is asked; else all of
    /// them are at once, except for those whose SDKs are told not to ask
    /// (`AWS_EC2_METADATA_DISABLED`, `NO_GCE_CHECK`). It takes two seconds at most where nobody
    /// answers.
    ///
    /// # Errors
    /// `NotFound` on what is no machine of a cloud that is known, `Unexpected` where the service
    /// answers with what it never should, `InvalidConfig` for a variable that names no service.
    pub async fn find() -> Result<Self> {
        let named = Cloud::ALL.into_iter().filter_map(|cloud| Some((cloud, cloud.named()?)));
        let mut places: Vec<(Cloud, String)> = named.collect();
        if places.is_empty() {
            let asked = Cloud::ALL.into_iter().filter(|cloud| !cloud.is_shunned());
            places = asked.map(|cloud| (cloud, cloud.usual().to_owned())).collect();
        }
        Self::among(&places).await
    }

    /// The machine whose metadata service of this cloud is at an endpoint, by a clock of the caller's.
    ///
    /// # Errors
    /// As [`Machine::find`], and `Unavailable` when the service does not answer.
    pub async fn at(cloud: Cloud, endpoint: &str, clock: Arc<dyn Clock>) -> Result<Self> {
        let service = Service::new(endpoint)?;
        let (asked, time) = (service.clone(), clock.clone());
        let about = match cloud {
            Cloud::Aws => aws::Metadata::new(asked, time).about().await?,
            Cloud::Gcp => gcp::Metadata::new(asked, time).about().await?,
            Cloud::Azure => azure::Metadata::new(asked, time).about().await?,
        };
        Ok(Self { service, clock, about })
    }

    /// The first of these that answers as a service of its cloud does.
    async fn among(places: &[(Cloud, String)]) -> Result<Self> {
        let asked = places.iter().map(|(cloud, endpoint)| {
            Self::at(*cloud, endpoint, clock(endpoint)).map(|found| found.map_err(|error| (*cloud, error)))
        });
        let mut none = Error::new(ErrorKind::NotFound, "this is no machine of a cloud that is known").at(AT);
        for found in join_all(asked).await {
            match found {
                Ok(machine) => return Ok(machine),
                Err((_, error)) if error.kind() == ErrorKind::InvalidConfig => return Err(error),
                // Each cloud's service is at the same address on its own machines: what one of them
                // calls strange, another one says every day.
                Err((cloud, error)) if places.len() == 1 && error.kind() == ErrorKind::Unexpected => {
                    return Err(error.with("cloud", cloud));
                }
                Err((cloud, error)) => none = none.with(word_of(cloud), error.message()),
            }
        }
        Err(none)
    }

    /// What it is.
    pub fn identity(&self) -> &Identity {
        &self.about.identity
    }

    /// Whose fleet it is of; `None` on a machine that no fleet of skyfleet launched.
    pub fn owner(&self) -> Option<&Owner> {
        self.about.owner.as_ref()
    }

    /// The fleet that it is of; `None` on a machine that no fleet of skyfleet launched.
    pub fn fleet(&self) -> Option<&FleetName> {
        self.about.fleet.as_ref()
    }

    /// The slot of its fleet that it holds, from 0: a replacement holds the slot of what it
    /// replaces, and so finds what that one saved. No cloud knows it, since a fleet gives out its
    /// slots once it sees what it has bought; whoever runs the code of the job says it in
    /// `SKYFLEET_SLOT`, as `skyfleet-batch` does. `None` where nobody did.
    pub fn slot(&self) -> Option<u32> {
        slot(&env::var(SLOT).ok()?)
    }

    /// The time that its cloud lives by: the machine's own, unless the cloud is simulated. Deadlines
    /// are told by it.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// What it is told about its own end, as it happens, each with its deadline. Ends after the
    /// notice.
    ///
    /// | cloud | how | how long before the end |
    /// |---|---|---|
    /// | EC2 | asked every five seconds | two minutes, after advice perhaps |
    /// | Compute Engine | one question that is answered when there is news | 30 s |
    /// | Azure | asked every second; events of other machines are left out | 30 s, often less |
    pub fn notices(&self) -> impl Stream<Item = MachineNotice> + Send + use<> {
        stream_of(self.about.identity.cloud, self.service.clone(), self.clock.clone())
    }
}

fn slot(text: &str) -> Option<u32> {
    text.trim().parse().ok()
}

/// The cloud's name, as the name of a fact.
fn word_of(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::Aws => "aws",
        Cloud::Gcp => "gcp",
        Cloud::Azure => "azure",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_a_number() {
        assert_eq!((slot("7"), slot(" 0\n")), (Some(7), Some(0)));
        for text in ["", "-1", "x", "4294967296"] {
            assert_eq!(slot(text), None, "{text}");
        }
    }

    #[tokio::test]
    async fn where_nobody_answers_is_no_machine() {
        // Nobody listens at the discard port.
        let places = Cloud::ALL.map(|cloud| (cloud, "http://127.0.0.1:9".to_owned()));
        let error = Machine::among(&places).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert!(error.fact("azure").is_some(), "{error}");
        let error = Machine::among(&[(Cloud::Aws, "https://127.0.0.1:9".to_owned())]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
    }
}
