//! Resource Manager as it is: one call, all pages of a list.

use reqwest::Method;
use serde_json::Value;
use skyfleet_core::{Error, ErrorKind, Result, Retry};

use super::{Answer, Client, credentials, endpoint};

/// How many times a page is asked for before its throttle is everybody's problem: some minutes.
const PATIENCE: u32 = 6;

/// One call: `operation` is what errors call it.
#[derive(Clone, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) operation: &'static str,
    pub(crate) method: Method,
    /// Below the endpoint; or a link that Azure gave.
    pub(crate) path: String,
    /// `api-version`; empty for a link, which has one.
    pub(crate) version: &'a str,
    pub(crate) body: Option<&'a Value>,
}

impl<'a> Call<'a> {
    pub(crate) fn get(operation: &'static str, path: String, version: &'a str) -> Self {
        Self { operation, method: Method::GET, path, version, body: None }
    }

    pub(crate) fn with(
        method: Method,
        operation: &'static str,
        path: String,
        version: &'a str,
        body: &'a Value,
    ) -> Self {
        Self { operation, method, path, version, body: Some(body) }
    }

    pub(crate) fn delete(operation: &'static str, path: String, version: &'a str) -> Self {
        Self { operation, method: Method::DELETE, path, version, body: None }
    }
}

impl Client {
    /// One call, whatever is said to it.
    ///
    /// # Errors
    /// Of its way there and back: no token, no answer.
    pub(crate) async fn ask(&self, call: &Call<'_>) -> Result<Answer> {
        let at = |error: Error| error.at(call.operation);
        let mut url = self.url(&call.path).map_err(at)?;
        // A token is for Resource Manager alone, wherever a link may lead.
        let home = self.url("/").map_err(at)?;
        if url.origin() != home.origin() {
            let message = format!(
                "a link of Azure leads to {}, away from {}: it is not followed",
                url.host_str().unwrap_or_default(),
                endpoint(self.settings())
            );
            return Err(at(Error::new(ErrorKind::Unexpected, message)));
        }
        if !call.version.is_empty() {
            url.query_pairs_mut().append_pair("api-version", call.version);
        }
        let credential = self.credential().await.map_err(at)?;
        let token = credentials::token(&**credential).await.map_err(at)?;
        let mut headers = vec![("authorization".to_owned(), format!("Bearer {}", token.secret()))];
        let mut body = Vec::new();
        if let Some(value) = call.body {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
            body = value.to_string().into_bytes();
        }
        let transport = self.transport().await.map_err(at)?;
        transport.send(call.method.clone(), url, headers, body).await.map_err(at)
    }

    /// One call, and what it answers.
    ///
    /// # Errors
    /// What Azure says against it.
    pub(crate) async fn call(&self, call: &Call<'_>) -> Result<Answer> {
        let answer = self.ask(call).await?;
        match answer.refusal() {
            Some(refusal) => Err(refusal.error().at(call.operation)),
            None => Ok(answer),
        }
    }

    /// The body of an answer.
    ///
    /// # Errors
    /// Those of [`Client::call`]; `Unavailable` for an answer that is cut short.
    pub(crate) async fn value(&self, call: &Call<'_>) -> Result<Value> {
        let answer = self.call(call).await?;
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.body).map_err(|error| {
            let message = "an answer of Azure cannot be read: it is no JSON";
            Error::new(ErrorKind::Unavailable, message).because(error).at(call.operation)
        })
    }

    /// What is there: `None` when it is not.
    ///
    /// # Errors
    /// Those of [`Client::value`] but `NotFound`.
    pub(crate) async fn found(&self, call: &Call<'_>) -> Result<Option<Value>> {
        match self.value(call).await {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All items of a list: `value`, and those behind each `nextLink`.
    ///
    /// The first page answers a throttle at once, so that whoever asked can decide. Later pages wait
    /// as long as it takes: to begin again from the first would only ask for more.
    ///
    /// # Errors
    /// Those of [`Client::value`].
    pub(crate) async fn list(
        &self,
        operation: &'static str,
        path: String,
        version: &str,
    ) -> Result<Vec<Value>> {
        let (mut items, mut begun) = (Vec::new(), false);
        let mut call = Call::get(operation, path, version);
        loop {
            let mut page = self.patiently(&call, begun).await?;
            if let Some(Value::Array(more)) = page.get_mut("value").map(Value::take) {
                items.extend(more);
            }
            match page.get("nextLink").and_then(Value::as_str).filter(|link| !link.is_empty()) {
                Some(link) => call = Call::get(operation, link.to_owned(), ""),
                None => return Ok(items),
            }
            begun = true;
        }
    }

    /// The body of an answer; `patient` waits for a throttle to pass, for some minutes.
    ///
    /// # Errors
    /// Those of [`Client::value`].
    pub(crate) async fn patiently(&self, call: &Call<'_>, patient: bool) -> Result<Value> {
        for _ in 1..PATIENCE {
            match self.value(call).await {
                Err(error) if patient && error.kind() == ErrorKind::RateLimited => {
                    let hint = if let Retry::After(Some(hint)) = error.retry() { hint } else { LOOK };
                    self.clock().sleep(hint).await;
                }
                answer => return answer,
            }
        }
        self.value(call).await
    }
}

/// How long to wait after a throttle that does not say it.
const LOOK: std::time::Duration = std::time::Duration::from_secs(10);
