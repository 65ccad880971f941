//! Whether the roles of a caller let an action through.

use serde_json::Value;

/// Whether one of the roles has the action, and does not take it away again (Azure documentation,
/// "Understand Azure role definitions": `*` stands for any letters, case does not matter).
pub(super) fn allows(roles: &[Value], action: &str) -> bool {
    let names = |role: &Value, key: &str| {
        let patterns =
            role.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        patterns.into_iter().any(|pattern| matches(pattern, action))
    };
    roles.iter().any(|role| names(role, "actions") && !names(role, "notActions"))
}

fn matches(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    // The first part stands at the beginning, the last one at the end, the others in their order.
    let Some(mut rest) = parts.next().and_then(|first| action.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_star_is_any_letters() {
        let action = "Microsoft.Compute/virtualMachines/write";
        for (pattern, fits) in [
            ("*", true),
            ("Microsoft.Compute/*", true),
            ("microsoft.compute/virtualmachines/WRITE", true),
            ("*/write", true),
            ("Microsoft.Compute/*/write", true),
            ("Microsoft.Compute/*/*", true),
            ("*/read", false),
            ("Microsoft.Network/*", false),
            ("Microsoft.Compute/virtualMachines", false),
            ("Microsoft.Compute/virtualMachines/write/*/x", false),
            ("", false),
        ] {
            assert_eq!(matches(pattern, action), fits, "{pattern}");
        }
    }

    #[test]
    fn what_one_role_takes_away_another_may_give() {
        let contributor = json!({ "actions": ["*"], "notActions": ["Microsoft.Authorization/*/Write"] });
        let reader = json!({ "actions": ["*/read"] });
        let write = "Microsoft.Authorization/roles/write";
        assert!(!allows(&[contributor.clone(), reader.clone()], write));
        assert!(allows(&[contributor, json!({ "actions": [write] })], write));
        assert!(allows(&[reader], "Microsoft.Compute/skus/read") && !allows(&[], "x/y/z"));
    }
}
