//! HTTP for everything that this provider asks: one client, and the two shapes in which Azure's own
//! libraries want it.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::http as identity;
use azure_core_021 as legacy;
use reqwest::header::HeaderMap;
use reqwest::{Method, Url};
use skyfleet_core::{Clock, Error, ErrorKind, Result, settings};

use crate::error::{ArmError, unanswered};

/// How long one call may take, from the first byte out to the last byte in.
const CALL: Duration = Duration::from_secs(60);

/// The only socket of this provider. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Transport {
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
}

/// What came back: of any status.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The refusal, where it is one.
    pub(crate) fn refusal(&self) -> Option<ArmError> {
        let header = |name: &str| self.header(name).map(str::to_owned);
        (self.status >= 400).then(|| ArmError::answered(self.status, header, &self.body))
    }
}

impl Transport {
    /// `near` is for a cloud that is simulated on this computer: then no certificates are needed,
    /// and no proxy is asked.
    ///
    /// # Errors
    /// `Unavailable` when the machine cannot make an HTTP client.
    pub(crate) fn new(near: bool, clock: Arc<dyn Clock>) -> Result<Self> {
        let builder = reqwest::Client::builder().timeout(CALL).redirect(reqwest::redirect::Policy::none());
        let builder = if near { builder.no_proxy().tls_certs_only([]) } else { builder };
        let http = builder.build().map_err(|error| {
            let message = "no HTTPS client can be made; are certificates installed (on Debian: the package \
                           ca-certificates)?";
            Error::new(ErrorKind::Unavailable, message).because(error)
        })?;
        Ok(Self { http, clock })
    }

    /// One request.
    ///
    /// # Errors
    /// `InvalidConfig` for a URL to which nothing is sent, `Unavailable` when nothing came back.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: Url,
        headers: impl IntoIterator<Item = (String, String)>,
        body: Vec<u8>,
    ) -> Result<Answer> {
        confidential(&url)?;
        let mut ask = self.http.request(method, url);
        for (name, value) in headers {
            ask = ask.header(name, value);
        }
        // Whoever waits for an answer over a socket only seems idle.
        let _hold = self.clock.hold();
        let answer = ask.body(body).send().await.map_err(unanswered)?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await.map_err(unanswered)?.to_vec();
        Ok(Answer { status, headers, body })
    }
}

/// Over a network only what is encrypted: tokens are in it. This machine hears it in the open, and
/// its own link, where a machine's identity is asked for.
fn confidential(url: &Url) -> Result<()> {
    let own_link = url.host_str().and_then(|host| host.parse().ok());
    let own_link = own_link.is_some_and(|address: Ipv4Addr| address.is_link_local());
    if url.scheme() == "https" || own_link || settings::is_near(url.as_str()) {
        return Ok(());
    }
    let host = url.host_str().unwrap_or_default();
    let message = format!("{host} is another machine: take https, requests are not sent there in the open");
    Err(Error::new(ErrorKind::InvalidConfig, message).with("key", "providers.azure.endpoint_url"))
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

/// For the generated client: a refusal becomes its error, with everything that Azure said inside.
#[async_trait]
impl legacy::HttpClient for Transport {
    async fn execute_request(&self, request: &legacy::Request) -> legacy::Result<legacy::Response> {
        use legacy::error::{Error as Legacy, ErrorKind as Kind};
        let unread =
            |error: Box<dyn std::error::Error + Send + Sync>| Legacy::new(Kind::DataConversion, error);
        let method =
            Method::from_bytes(request.method().as_ref().as_bytes()).map_err(|e| unread(e.into()))?;
        let url = Url::parse(request.url().as_str()).map_err(|error| unread(error.into()))?;
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| (name.as_str().to_owned(), value.as_str().to_owned()));
        let legacy::Body::Bytes(body) = request.body() else {
            return Err(Legacy::message(Kind::Other, "no call of this provider streams its body"));
        };
        let answer = self.send(method, url, headers.collect::<Vec<_>>(), body.to_vec()).await;
        let answer = answer.map_err(|error| Legacy::new(Kind::Io, error))?;
        let status = legacy::StatusCode::try_from(answer.status)
            .map_err(|_| Legacy::message(Kind::DataConversion, "an answer with no status of HTTP"))?;
        if let Some(refusal) = answer.refusal() {
            let kind = Kind::HttpResponse { status, error_code: Some(refusal.code.clone()) };
            return Err(Legacy::new(kind, refusal));
        }
        let mut headers = legacy::headers::Headers::new();
        for (name, value) in &answer.headers {
            if let Ok(value) = value.to_str() {
                headers.insert(name.as_str().to_owned(), value.to_owned());
            }
        }
        let body = Box::pin(legacy::BytesStream::new(answer.body));
        Ok(legacy::Response::new(status, headers, body))
    }
}

/// For azure_identity. Its authorities must be https; one that is on this computer is reached in
/// place of Microsoft's, under the same path.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) transport: Transport,
    /// `AZURE_AUTHORITY_HOST`, where it is on this computer.
    pub(crate) near: Option<Url>,
}

#[async_trait]
impl identity::HttpClient for Login {
    async fn execute_request(
        &self,
        request: &identity::Request,
    ) -> azure_core::Result<identity::AsyncRawResponse> {
        use azure_core::error::{Error as Core, ErrorKind as Kind};
        let method = Method::from_bytes(request.method().as_str().as_bytes());
        let method = method.map_err(|error| Core::new(Kind::DataConversion, error))?;
        let mut url =
            Url::parse(request.url().as_str()).map_err(|error| Core::new(Kind::DataConversion, error))?;
        if let Some(near) = self.near.as_ref().filter(|_| !settings::is_near(url.as_str())) {
            let mut instead = near.clone();
            instead.set_path(url.path());
            instead.set_query(url.query());
            url = instead;
        }
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| (name.as_str().to_owned(), value.as_str().to_owned()));
        let identity::Body::Bytes(body) = request.body() else {
            return Err(Core::with_message(Kind::Other, "no token is asked for with a stream"));
        };
        let answer = self.transport.send(method, url, headers.collect::<Vec<_>>(), body.to_vec()).await;
        let answer = answer.map_err(|error| Core::new(Kind::Io, error))?;
        let mut headers = identity::headers::Headers::new();
        for (name, value) in &answer.headers {
            if let Ok(value) = value.to_str() {
                headers.insert(name.as_str().to_owned(), value.to_owned());
            }
        }
        let status = identity::StatusCode::from(answer.status);
        Ok(identity::AsyncRawResponse::from_bytes(status, headers, answer.body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_to_another_machine_in_the_open() {
        for url in ["http://10.0.0.1/", "http://management.azure.com/", "http://127.0.0.1.example.com/"] {
            let refused = confidential(&Url::parse(url).unwrap()).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidConfig, "{url}");
        }
        for url in
            ["https://management.azure.com/", "http://127.0.0.1:4703/", "http://169.254.169.254/metadata"]
        {
            assert!(confidential(&Url::parse(url).unwrap()).is_ok(), "{url}");
        }
    }
}
