//! `/metadata/identity/oauth2/token`: tokens for the identities of the machine. Azure documentation,
//! "How to use managed identities for Azure resources on an Azure VM to acquire an access token".

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::azure::operation::guid;
use crate::kernel::Kernel;
use crate::server::imds::azure::machine::Machine;
use crate::server::imds::azure::{Told, digest};

/// How long a token holds, in seconds: a day, as those of managed identities do.
const TOKEN_S: i64 = 86_400;

/// What may name one of several identities.
const NAMES: [&str; 3] = ["client_id", "object_id", "msi_res_id"];

pub(crate) fn answer(
    kernel: &Kernel,
    machine: &Machine,
    query: &BTreeMap<String, String>,
    token: Option<&str>,
) -> Told {
    let refuse = |why: &str| {
        let told = json!({ "error": "invalid_request", "error_description": why });
        Told::No(StatusCode::BAD_REQUEST, told.to_string())
    };
    let Some(resource) = query.get("resource").filter(|text| !text.is_empty()) else {
        return refuse("Required audience parameter not specified");
    };
    let identity = machine.details.identity.clone().unwrap_or_default();
    let asked = NAMES.iter().find_map(|name| Some((*name, query.get(*name)?.as_str())));
    let Some(own) = own(&identity, asked) else { return refuse("Identity not found") };
    let now = kernel.now().as_second();
    let client = match asked {
        Some(("client_id", id)) => id.to_owned(),
        _ => guid(kernel.seed ^ 0x6d73_6900, digest(&[&machine.vm_id, &own])),
    };
    let made = || format!("sim.{:016x}.token", digest(&[&machine.vm_id, &own, resource]));
    Told::Json(json!({
        "access_token": token.map_or_else(made, str::to_owned),
        "client_id": client,
        "expires_in": TOKEN_S.to_string(),
        "expires_on": (now + TOKEN_S).to_string(),
        "ext_expires_in": TOKEN_S.to_string(),
        "not_before": now.to_string(),
        "resource": resource,
        "token_type": "Bearer",
    }))
}

/// Which of the machine's identities is meant: its own one, or one that was given to it.
fn own(identity: &Value, asked: Option<(&str, &str)>) -> Option<String> {
    let kinds = identity["type"].as_str().unwrap_or_default().to_lowercase();
    let given: Vec<&String> =
        identity["userAssignedIdentities"].as_object().into_iter().flat_map(|given| given.keys()).collect();
    match asked {
        Some(("msi_res_id", id)) => {
            given.iter().find(|one| one.eq_ignore_ascii_case(id)).map(|one| one.to_lowercase())
        }
        // What they are called elsewhere is not known here.
        Some((_, id)) => (!given.is_empty() && !id.is_empty()).then(|| id.to_lowercase()),
        None if kinds.contains("systemassigned") => Some("system".to_owned()),
        // The only one is meant; of several one must be named.
        None => match given[..] {
            [only] => Some(only.to_lowercase()),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_identities_one_must_be_named() {
        let both = json!({ "type": "UserAssigned", "userAssignedIdentities": { "/A": {}, "/b": {} } });
        let one = json!({ "type": "UserAssigned", "userAssignedIdentities": { "/A": {} } });
        assert_eq!(own(&both, None), None);
        assert_eq!(own(&both, Some(("msi_res_id", "/B"))), Some("/b".to_owned()));
        assert_eq!(own(&both, Some(("msi_res_id", "/c"))), None);
        assert_eq!(own(&one, None), Some("/a".to_owned()));
        assert_eq!(own(&json!({ "type": "SystemAssigned" }), None), Some("system".to_owned()));
        assert_eq!(own(&Value::Null, None), None);
        assert_eq!(own(&Value::Null, Some(("client_id", "1"))), None);
    }
}
