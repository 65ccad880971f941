//! Who calls: credentials from Google's own chain.

use std::env;
use std::fmt;

use google_cloud_auth::credentials::{self, CacheableResource, Credentials, CredentialsProvider, EntityTag};
use google_cloud_auth::errors::CredentialsError;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, HeaderValue};
use skyfleet_core::{Error, ErrorKind, Result};

/// gcloud's own variable for a token that somebody else got.
const TOKEN: &str = "CLOUDSDK_AUTH_ACCESS_TOKEN";

/// Those given, else a token of the environment, else the application default credentials.
pub(super) fn found(given: Option<Credentials>) -> Result<Credentials> {
    if let Some(given) = given {
        return Ok(given);
    }
    if let Some(token) = env::var(TOKEN).ok().filter(|token| !token.trim().is_empty()) {
        return bearer(token.trim()).map_err(|error| error.with("variable", TOKEN));
    }
    credentials::Builder::default().build().map_err(|error| {
        let told = error.to_string();
        if error.is_loading() {
            missing().because(error)
        } else {
            let message = format!("the application default credentials cannot be read: {told}");
            Error::new(ErrorKind::Unauthenticated, message).because(error)
        }
    })
}

/// Credentials that are one access token: nothing renews it.
///
/// # Errors
/// `Unauthenticated` when a header cannot hold the text.
pub fn bearer(token: &str) -> Result<Credentials> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
        Error::new(
            ErrorKind::Unauthenticated,
            "an access token is one line of plain letters, and this is none",
        )
    })?;
    value.set_sensitive(true);
    let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
    Ok(Credentials::from(Bearer { headers, tag: EntityTag::new() }))
}

pub(super) fn missing() -> Error {
    Error::new(
        ErrorKind::Unauthenticated,
        "no Google credentials were found; log in with `gcloud auth application-default login`, or set \
         GOOGLE_APPLICATION_CREDENTIALS to a key file",
    )
}

struct Bearer {
    headers: HeaderMap,
    tag: EntityTag,
}

/// Without the token.
impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bearer").finish_non_exhaustive()
    }
}

impl CredentialsProvider for Bearer {
    async fn headers(
        &self,
        extensions: Extensions,
    ) -> std::result::Result<CacheableResource<HeaderMap>, CredentialsError> {
        if extensions.get::<EntityTag>() == Some(&self.tag) {
            return Ok(CacheableResource::NotModified);
        }
        Ok(CacheableResource::New { entity_tag: self.tag.clone(), data: self.headers.clone() })
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_token_is_sent_and_never_shown() {
        let bearer = bearer("ya29.hush").unwrap();
        let CacheableResource::New { data, .. } = bearer.headers(Extensions::new()).await.unwrap() else {
            panic!("the first question has an answer")
        };
        assert_eq!(data[AUTHORIZATION], "Bearer ya29.hush");
        assert!(!format!("{bearer:?} {data:?}").contains("hush"), "{bearer:?} {data:?}");
    }

    #[test]
    fn a_text_that_no_header_holds_is_no_token() {
        let error = bearer("a\nb").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
        assert!(!format!("{error:?}").contains("a\nb"));
    }
}
