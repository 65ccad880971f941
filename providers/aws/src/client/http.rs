//! reqwest as the HTTP stack below the AWS SDKs.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use reqwest::redirect::Policy;
use skyfleet_core::{Error, ErrorKind, Result};
use tokio::sync::OnceCell;

/// How long it may take to reach a server.
const CONNECT: Duration = Duration::from_secs(5);

/// reqwest as the SDK's HTTP client: the one stack that the providers of all clouds share, where
/// the SDK's own would be a second one.
///
/// # Errors
/// `Unavailable` when no HTTP client can be made at all.
pub(crate) fn http_client() -> Result<SharedHttpClient> {
    Ok(SharedHttpClient::new(Http { far: Arc::default(), near: near_client()? }))
}

/// A client for servers on this machine and its own link: without proxy and without encryption.
fn near_client() -> Result<reqwest::Client> {
    build(builder().no_proxy().tls_certs_only([]))
}

fn builder() -> reqwest::ClientBuilder {
    // A signature is for one address: following a redirect could only hand it to somebody else.
    reqwest::Client::builder().connect_timeout(CONNECT).redirect(Policy::none())
}

fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client> {
    builder.build().map_err(|error| {
        Error::new(ErrorKind::Unavailable, "no HTTPS client can be made; are certificates installed (on Debian: the package ca-certificates)?")
            .because(error)
    })
}

#[derive(Clone, Debug)]
struct Http {
    /// For AWS itself, through the proxy that the environment names. Made by the first request to
    /// it: that reads the certificates of the machine.
    far: Arc<OnceCell<reqwest::Client>>,
    /// For what no proxy can reach: a server on this machine, and the metadata service.
    near: reqwest::Client,
}

impl Http {
    async fn client(&self, scheme: Option<&str>, host: &str) -> Result<&reqwest::Client> {
        if scheme == Some("http") && is_near(host) {
            return Ok(&self.near);
        }
        self.far.get_or_try_init(async || build(builder())).await
    }
}

impl HttpClient for Http {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Http {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let http = self.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let (head, body) = request.into_parts();
            let body =
                body.bytes().ok_or_else(|| ConnectorError::user("the body is a stream".into()))?.to_vec();
            let client = http.client(head.uri.scheme_str(), head.uri.host().unwrap_or_default()).await;
            let client = client.map_err(|error| ConnectorError::io(error.into()))?;
            let request = client.request(head.method, head.uri.to_string()).headers(head.headers).body(body);
            let mut answer = request.send().await.map_err(failed)?;
            let status = answer.status().as_u16();
            let headers = std::mem::take(answer.headers_mut());
            let body = SdkBody::from(answer.bytes().await.map_err(failed)?);
            let status =
                status.try_into().map_err(|_| ConnectorError::other("no HTTP status".into(), None))?;
            let mut answer = HttpResponse::new(status, body);
            for (name, value) in &headers {
                if let Ok(value) = value.to_str() {
                    answer.headers_mut().append(name.as_str().to_owned(), value.to_owned());
                }
            }
            Ok(answer)
        })
    }
}

fn failed(error: reqwest::Error) -> ConnectorError {
    let (timeout, error) = (error.is_timeout(), error.without_url());
    if timeout { ConnectorError::timeout(error.into()) } else { ConnectorError::io(error.into()) }
}

/// Whether a host is on this machine or on its own link, as the metadata service is.
fn is_near(host: &str) -> bool {
    match host.trim_matches(['[', ']']).parse() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local(),
        Err(_) => host == "localhost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_goes_around_the_proxy() {
        for near in [
            "127.0.0.1",
            "127.0.3.9",
            "[::1]",
            "localhost",
            "169.254.169.254",
            "169.254.170.2",
            "[fd00:ec2::254]",
        ] {
            assert!(is_near(near), "{near}");
        }
        for far in ["ec2.us-east-1.amazonaws.com", "10.0.0.1", "8.8.8.8", ""] {
            assert!(!is_near(far), "{far}");
        }
    }
}
