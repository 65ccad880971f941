//! Operations: what Compute Engine does after it has answered.

use std::time::Duration;

use google_cloud_compute_v1::model::Operation;
use google_cloud_compute_v1::model::operation::Status;
use skyfleet_core::{Clock, Error, ErrorKind, Result, Zone};

use super::Client;
use super::pages::{PAGE, until_next_minute};
use crate::error::Told;
use crate::whereabouts::{Place, Whereabouts};

/// How often to look: at first and at most. An instance takes seconds, a thousand a minute.
const LOOK: Duration = Duration::from_secs(1);
const LOOK_MAX: Duration = Duration::from_secs(5);
/// How long an operation may take before nobody waits for it any more. It goes on even so, and the
/// same call under the same id finds it again.
const PATIENCE: Duration = Duration::from_secs(900);

/// What an operation says of its failure; empty when it went well.
pub(crate) fn told(operation: &Operation) -> Vec<Told> {
    let id = operation.id.map(|id| id.to_string()).or_else(|| operation.name.clone()).unwrap_or_default();
    let errors = operation.error.iter().flat_map(|error| &error.errors);
    errors.map(|error| Told::read(&id, error)).collect()
}

pub(crate) fn is_done(operation: &Operation) -> bool {
    operation.status == Some(Status::Done)
}

impl Client {
    /// Waits until an operation is over, however it went.
    ///
    /// A look that fails is no failure of the operation: whoever would begin it again would have it
    /// twice (Karpenter's provider for Google Cloud, issue 268).
    pub(crate) async fn finished(
        &self,
        name: &'static str,
        project: &str,
        begun: Operation,
    ) -> Result<Operation> {
        let clock: &dyn Clock = &**self.clock();
        let end = clock.now() + PATIENCE;
        let (mut operation, mut breath) = (begun, LOOK);
        while !is_done(&operation) {
            if clock.now() >= end {
                return Err(unfinished(name, &operation));
            }
            clock.sleep(breath).await;
            breath = (breath * 3 / 2).min(LOOK_MAX);
            match self.operation(name, project, &operation).await {
                Ok(seen) => operation = seen,
                Err(error) if error.kind() == ErrorKind::RateLimited => {
                    breath = until_next_minute(clock.now());
                }
                Err(error) if error.kind() == ErrorKind::Unavailable => {
                    tracing::debug!(%error, "an operation could not be looked at");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(operation)
    }

    /// Waits until an operation is over.
    ///
    /// # Errors
    /// What it says of its failure.
    pub(crate) async fn succeeded(&self, name: &'static str, project: &str, begun: Operation) -> Result<()> {
        let over = self.finished(name, project, begun).await?;
        match told(&over).first() {
            None => Ok(()),
            Some(told) => Err(told.error().at(name)),
        }
    }

    /// An operation as it is now.
    async fn operation(&self, name: &'static str, project: &str, known: &Operation) -> Result<Operation> {
        let lost =
            || Error::new(ErrorKind::Unexpected, "Compute Engine began an operation without a name").at(name);
        let at = known.self_link.as_deref().and_then(Whereabouts::parse).ok_or_else(lost)?;
        match at.place {
            Place::Zone(zone) => {
                let ask = self.zone_operations().await?.get().set_project(project).set_zone(zone.as_str());
                self.send(name, ask.set_operation(at.name).send()).await
            }
            Place::Region(region) => {
                let ask =
                    self.region_operations().await?.get().set_project(project).set_region(region.as_str());
                self.send(name, ask.set_operation(at.name).send()).await
            }
            Place::Global => {
                let ask = self.global_operations().await?.get().set_project(project);
                self.send(name, ask.set_operation(at.name).send()).await
            }
        }
    }

    /// The operations of a zone that pass a filter.
    pub(crate) async fn operations_in(
        &self,
        name: &'static str,
        zone: &Zone,
        filter: &str,
    ) -> Result<Vec<Operation>> {
        let request = self.zone_operations().await?.list().set_project(self.project().await?);
        let request = request.set_zone(zone.as_str()).set_filter(filter).set_max_results(PAGE);
        let ask = |token| request.clone().set_page_token(token).send();
        let pages = self.pages(name, ask, |page| page.next_page_token.clone()).await?;
        Ok(pages.into_iter().flat_map(|page| page.items).collect())
    }

    /// The operations of the whole project that pass a filter, in no order.
    pub(crate) async fn operations_of(&self, name: &'static str, filter: &str) -> Result<Vec<Operation>> {
        let request = self.global_operations().await?.aggregated_list().set_project(self.project().await?);
        let request = request.set_filter(filter).set_max_results(PAGE);
        let ask = |token| request.clone().set_page_token(token).send();
        let pages = self.pages(name, ask, |page| page.next_page_token.clone()).await?;
        let scopes = pages.into_iter().flat_map(|page| page.items);
        Ok(scopes.flat_map(|(_, scope)| scope.operations).collect())
    }
}

fn unfinished(name: &'static str, operation: &Operation) -> Error {
    let id = operation.name.as_deref().unwrap_or_default();
    let message = format!("the operation {id} is not over after {} s", PATIENCE.as_secs());
    Error::new(ErrorKind::Unavailable, message).with("request_id", id).at(name)
}
