//! What the caller may do: everything. Authorization API reference, "Permissions".

use serde_json::json;

use crate::azure::method::Method;
use crate::azure::{Answer, Request, groups};
use crate::refusal::Refusal;

pub(crate) const METHODS: &[Method] = &[
    Method {
        id: "permissions.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/providers/Microsoft.Authorization/permissions",
        answer: list,
    },
    Method {
        id: "permissions.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Authorization/permissions",
        answer: list,
    },
];

/// The role "Owner" of a subscription. Azure documentation, "Azure built-in roles".
fn list(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.look("global", |_, state| match request.part("group") {
        "" => Ok(()),
        _ => groups::find(state, request).map(drop),
    })?;
    let owner = json!({ "actions": ["*"], "notActions": [], "dataActions": [], "notDataActions": [] });
    Answer::ok(&json!({ "value": [owner] }))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::azure::trial::Trial;

    #[test]
    fn the_caller_owns_the_subscription_and_its_groups() {
        let trial = Trial::with_group();
        let path = "providers/Microsoft.Authorization/permissions?api-version=2022-04-01";
        for scope in ["", "/resourceGroups/g"] {
            assert_eq!(trial.get(&format!("{scope}/{path}"))["value"][0]["actions"], json!(["*"]));
        }
        assert_eq!(trial.refusal("GET", &format!("/resourceGroups/h/{path}"), Value::Null).0, 404);
    }
}
