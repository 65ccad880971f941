//! Who calls: a credential of azure_identity, and how the generated client gets at it.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::http::{ClientOptions, RetryOptions, Transport as Pipe};
use azure_core_021 as legacy;
use azure_identity::{
    ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions,
    DeveloperToolsCredential, ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId,
    WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use reqwest::Url;
use skyfleet_core::{Chain, Clock, Error, ErrorKind, Result, settings};

use super::transport::{Login, Transport};

/// What the token is for, wherever the endpoint is.
pub(crate) const SCOPE: &str = "https://management.azure.com/.default";

const AUTHORITY: &str = "AZURE_AUTHORITY_HOST";

/// Those given, else by the environment as azure-identity's default chain reads it: a client secret,
/// a federated token, the identity of the machine, what the developer's tools are logged in as.
/// `AZURE_TOKEN_CREDENTIALS` leaves out the machine (`dev`) or the tools (`prod`), or names one.
///
/// # Errors
/// `Unauthenticated`, with what is missing.
pub(super) fn found(transport: &Transport) -> Result<Arc<dyn TokenCredential>> {
    let wanted = word("AZURE_TOKEN_CREDENTIALS").map(|wanted| wanted.to_ascii_lowercase());
    let (tenant, client) = (word("AZURE_TENANT_ID"), word("AZURE_CLIENT_ID"));
    let options = options(transport, word(AUTHORITY));
    if !wanted.as_deref().is_some_and(is_developers) {
        if let (Some(tenant), Some(client), Some(secret)) = (&tenant, &client, word("AZURE_CLIENT_SECRET")) {
            let options = Some(ClientSecretCredentialOptions { client_options: options });
            let found = ClientSecretCredential::new(tenant, client.clone(), Secret::new(secret), options);
            return Ok(found.map_err(unusable)?);
        }
        if let Some(file) = word("AZURE_FEDERATED_TOKEN_FILE") {
            let found = WorkloadIdentityCredential::new(Some(WorkloadIdentityCredentialOptions {
                credential_options: ClientAssertionCredentialOptions { client_options: options },
                client_id: client,
                tenant_id: tenant,
                token_file_path: Some(PathBuf::from(file)),
            }));
            return Ok(found.map_err(unusable)?);
        }
        // A service that gives its programs an identity says so (App Service, Functions); a machine
        // does not, and asking its metadata service takes seconds where there is none.
        if wanted.is_some() || word("IDENTITY_ENDPOINT").is_some() || word("MSI_ENDPOINT").is_some() {
            let found = ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
                user_assigned_id: client.map(UserAssignedId::ClientId),
                client_options: options,
            }));
            return Ok(found.map_err(unusable)?);
        }
    }
    Ok(DeveloperToolsCredential::new(None).map_err(unusable)?)
}

/// A client secret as a credential, with the identity service at an address of one's own: that of a
/// simulated cloud may be http, which azure_identity by itself refuses.
///
/// # Errors
/// `Unauthenticated` when the words are none of a credential.
pub fn client_secret(
    tenant: &str,
    client: &str,
    secret: &str,
    authority: Option<&str>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn TokenCredential>> {
    let transport = Transport::new(authority.is_some_and(settings::is_near), clock)?;
    let client_options = options(&transport, authority.map(str::to_owned));
    let options = Some(ClientSecretCredentialOptions { client_options });
    let secret = Secret::new(secret.to_owned());
    Ok(ClientSecretCredential::new(tenant, client.to_owned(), secret, options).map_err(unusable)?)
}

/// The provider's own HTTP, and no retries: the layers own them all.
fn options(transport: &Transport, authority: Option<String>) -> ClientOptions {
    let near =
        authority.as_deref().filter(|told| settings::is_near(told)).and_then(|told| Url::parse(told).ok());
    let cloud = match (&near, authority) {
        // Microsoft's name stands in for it until the request goes out.
        (Some(_), _) => Some(Arc::new(CloudConfiguration::AzurePublic)),
        (None, Some(told)) => {
            let mut other = CustomConfiguration::default();
            other.authority_host = told;
            Some(Arc::new(CloudConfiguration::Custom(other)))
        }
        (None, None) => None,
    };
    let login = Login { transport: transport.clone(), near };
    ClientOptions {
        transport: Some(Pipe::new(Arc::new(login))),
        retry: RetryOptions::none(),
        cloud,
        ..ClientOptions::default()
    }
}

/// Whether a word means the tools of a developer.
fn is_developers(wanted: &str) -> bool {
    wanted == "dev"
        || ["cli", "powershell", "developer", "visualstudio"].iter().any(|tool| wanted.contains(tool))
}

fn word(variable: &str) -> Option<String> {
    env::var(variable).ok().filter(|value| !value.trim().is_empty())
}

fn unusable(error: azure_core::Error) -> Error {
    Error::new(
        ErrorKind::Unauthenticated,
        "the Azure credentials of the environment cannot be used; see its cause",
    )
    .because(Chain::of(&error))
}

/// A token for Resource Manager.
///
/// # Errors
/// `Unauthenticated` when nobody gives one; `Unavailable` when nobody answers.
pub(super) async fn token(credential: &dyn TokenCredential) -> Result<Secret> {
    // The credentials' futures are large, and every caller would carry them.
    let given = Box::pin(credential.get_token(&[SCOPE], None)).await;
    given.map(|given| given.token).map_err(|error| {
        if lost(&error) {
            let chain = Chain::of(&error);
            let message = format!("the identity service of Azure cannot be reached: {}", chain.root());
            return Error::new(ErrorKind::Unavailable, message).because(chain);
        }
        let told = error.to_string();
        let told = told.lines().next().unwrap_or_default();
        let message = format!(
            "Azure gives no token to these credentials; log in with `az login`, or set AZURE_TENANT_ID, \
             AZURE_CLIENT_ID and AZURE_CLIENT_SECRET: {told}"
        );
        Error::new(ErrorKind::Unauthenticated, message).because(Chain::of(&error))
    })
}

/// Whether a token is missing because nothing came back, or the service itself failed.
fn lost(error: &azure_core::Error) -> bool {
    use azure_core::error::ErrorKind::{HttpResponse, Io};
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(core) = error.downcast_ref::<azure_core::Error>() {
            match core.kind() {
                Io => return true,
                HttpResponse { status, .. } => return u16::from(*status) >= 500 || u16::from(*status) == 429,
                _ => {}
            }
        }
        next = error.source();
    }
    false
}

/// The same credential, as the generated client wants it.
#[derive(Debug)]
pub(super) struct Bridge(pub(super) Arc<dyn TokenCredential>);

#[async_trait]
impl legacy::auth::TokenCredential for Bridge {
    async fn get_token(&self, _: &[&str]) -> legacy::Result<legacy::auth::AccessToken> {
        let given = token(&*self.0).await;
        let given = given.map_err(|error| legacy::Error::new(legacy::error::ErrorKind::Credential, error))?;
        // It is asked for again before each call: the credential keeps it as long as it holds.
        let expires = azure_core::time::OffsetDateTime::now_utc() + azure_core::time::Duration::minutes(5);
        Ok(legacy::auth::AccessToken::new(given.secret().to_owned(), expires))
    }

    async fn clear_cache(&self) -> legacy::Result<()> {
        Ok(())
    }
}
