//! What the watch for preemptions asks AWS.

use aws_config::Region as SdkRegion;
use aws_sdk_ec2::types::{Filter, SpotInstanceRequest};
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message};
use skyfleet_core::{Region, Result};

use super::Client;
use super::pages::Pages;

const PAGE: i32 = 1_000;
/// The most messages that SQS gives or takes in one call (SQS API reference).
pub(crate) const MESSAGES_MAX: usize = 10;
const OPERATION: &str = "aws.preemptions";

impl Client {
    /// The spot requests that pass all filters, from all pages.
    pub(crate) async fn spot_requests(
        &self,
        operation: &'static str,
        region: &Region,
        filters: Vec<Filter>,
        mut take: impl FnMut(SpotInstanceRequest),
    ) -> Result<()> {
        let ec2 = self.ec2(region).await?;
        let request = ec2.describe_spot_instance_requests().set_filters(Some(filters)).max_results(PAGE);
        let ask = |token| request.clone().set_next_token(token).send();
        let mut pages = Pages::new(self, operation, region);
        pages
            .all(ask, |page| {
                page.spot_instance_requests.unwrap_or_default().into_iter().for_each(&mut take);
                page.next_token
            })
            .await
    }

    /// Some messages of a queue. They stay there, and nobody else sees them for a while.
    pub(crate) async fn messages(&self, queue: &str) -> Result<Vec<Message>> {
        let (sqs, region) = self.sqs(queue).await?;
        let ask = sqs.receive_message().queue_url(queue).max_number_of_messages(MESSAGES_MAX as i32);
        Ok(self.send(OPERATION, &region, ask.send()).await?.messages.unwrap_or_default())
    }

    /// Takes messages out of a queue for good, by their receipts.
    pub(crate) async fn delete_messages(&self, queue: &str, receipts: &[String]) -> Result<()> {
        let (sqs, region) = self.sqs(queue).await?;
        for some in receipts.chunks(MESSAGES_MAX) {
            let entry = |(number, receipt): (usize, &String)| {
                let entry = DeleteMessageBatchRequestEntry::builder().id(number.to_string());
                entry.receipt_handle(receipt).build().ok()
            };
            let entries = some.iter().enumerate().filter_map(entry).collect();
            let ask = sqs.delete_message_batch().queue_url(queue).set_entries(Some(entries));
            self.send(OPERATION, &region, ask.send()).await?;
        }
        Ok(())
    }

    async fn sqs(&self, queue: &str) -> Result<(aws_sdk_sqs::Client, Region)> {
        let region = match queue_region(queue) {
            Some(region) => region,
            None => self.home().await?,
        };
        let config = aws_sdk_sqs::config::Builder::from(self.sdk().await?);
        let config = config.region(SdkRegion::new(region.as_str().to_owned())).build();
        Ok((aws_sdk_sqs::Client::from_conf(config), region))
    }
}

/// The region of `https://sqs.eu-west-1.amazonaws.com/123456789012/name`.
fn queue_region(url: &str) -> Option<Region> {
    let host = url.split("://").nth(1)?.split('/').next()?;
    let mut parts = host.split('.');
    (parts.next()? == "sqs").then(|| parts.next()).flatten().map(Region::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_asked_in_its_own_region() {
        let region = queue_region("https://sqs.eu-west-1.amazonaws.com/123456789012/spot");
        assert_eq!(region, Some("eu-west-1".into()));
        assert_eq!(queue_region("http://127.0.0.1:4566/000000000000/spot"), None);
    }
}
