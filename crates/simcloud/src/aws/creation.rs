use std::collections::BTreeMap;

use crate::aws::error::{coded, invalid};
use crate::aws::query::Node;
use crate::aws::state::State;
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::rules::mix;
use crate::seed::digest;

/// An id in EC2's shape that was never given before in this world: `lt-0123456789abcdef0`.
pub(crate) fn new_id(kernel: &Kernel, state: &mut State, prefix: &str) -> String {
    state.ids_given += 1;
    let seeded = mix(kernel.seed ^ digest(&[prefix.as_bytes()]));
    format!("{prefix}-0{:016x}", mix(state.ids_given ^ seeded))
}

/// An id in EC2's shape that is the same in every world, for what an account has from the start.
pub(crate) fn fixed_id(prefix: &str, of: &[&str]) -> String {
    let parts: Vec<&[u8]> = of.iter().flat_map(|part| [part.as_bytes(), b"/"]).collect();
    format!("{prefix}-0{:016x}", mix(digest(&parts)))
}

/// Whether a text has the shape of an id with this prefix: eight or seventeen hexadecimal digits.
pub(crate) fn is_id(prefix: &str, text: &str) -> bool {
    let digits = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-'));
    digits.is_some_and(|digits| {
        matches!(digits.len(), 8 | 17) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// The tags of an action that makes one thing and tags nothing else.
///
/// # Errors
/// `InvalidParameterValue` for another type of resource; those of [`check_tags`].
pub(crate) fn tags_at_creation(
    request: &Node<'_>,
    resource_type: &str,
) -> Result<BTreeMap<String, String>, Refusal> {
    for specification in request.list("TagSpecification") {
        let given = specification.required("ResourceType")?;
        if given != resource_type {
            let message = format!("'{given}' is not a valid taggable resource type for this operation.");
            return Err(coded(400, "InvalidParameterValue", message));
        }
    }
    let tags = request.tags_of(resource_type)?;
    check_tags(&tags)?;
    Ok(tags)
}

/// EC2 user guide, "Tag restrictions": at most 50, and `aws:` belongs to AWS.
///
/// # Errors
/// `TagLimitExceeded`, `InvalidParameterValue`.
pub(crate) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), Refusal> {
    if tags.len() > 50 {
        return Err(coded(400, "TagLimitExceeded", "The maximum number of tags for a resource is 50."));
    }
    if let Some(key) = tags.keys().find(|key| key.to_lowercase().starts_with("aws:")) {
        let message = format!("Tag keys starting with 'aws:' are reserved for internal use: '{key}'");
        return Err(coded(400, "InvalidParameterValue", message));
    }
    Ok(())
}

/// What was made under a client token: what was asked for, and the id of what came of it.
#[derive(Debug, Default)]
pub(crate) struct Tokens(BTreeMap<(String, String), (u64, String)>);

impl Tokens {
    /// The id that the same request with this token was given before.
    ///
    /// # Errors
    /// `IdempotentParameterMismatch` when it was another request; a token of more than 64
    /// characters.
    pub(crate) fn known(
        &self,
        region: &str,
        token: Option<&str>,
        asked: u64,
    ) -> Result<Option<&str>, Refusal> {
        let Some(token) = token else { return Ok(None) };
        if token.chars().count() > 64 || !token.is_ascii() {
            return Err(invalid("ClientToken", token, "at most 64 ASCII characters"));
        }
        match self.0.get(&(region.to_owned(), token.to_owned())) {
            None => Ok(None),
            Some((before, id)) if *before == asked => Ok(Some(id)),
            Some(_) => Err(Refusal::TokenReused { token: token.to_owned() }),
        }
    }

    /// Remembers what came of a request.
    pub(crate) fn keep(&mut self, region: &str, token: Option<&str>, asked: u64, id: &str) {
        if let Some(token) = token {
            self.0.insert((region.to_owned(), token.to_owned()), (asked, id.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::query::Query;

    #[test]
    fn ids_have_ec2s_shape() {
        assert!(is_id("vpc", &fixed_id("vpc", &["us-east-1"])));
        assert_ne!(fixed_id("vpc", &["us-east-1"]), fixed_id("vpc", &["us-east-2"]));
        assert!(is_id("sg", "sg-01234567") && !is_id("sg", "sg-0123456") && !is_id("sg", "lt-01234567"));
        assert!(!is_id("sg", "sg-0123456g"));
    }

    #[test]
    fn only_the_thing_itself_is_tagged_and_aws_keeps_its_own_keys() {
        let query = |form: &str| Query::parse(form.as_bytes());
        let good = query("TagSpecification.1.ResourceType=key-pair&TagSpecification.1.Tag.1.Key=a");
        assert_eq!(tags_at_creation(&good.root(), "key-pair").unwrap().len(), 1);
        assert!(tags_at_creation(&good.root(), "launch-template").is_err());
        let reserved = query("TagSpecification.1.ResourceType=key-pair&TagSpecification.1.Tag.1.Key=aws:x");
        assert!(tags_at_creation(&reserved.root(), "key-pair").is_err());
    }

    #[test]
    fn a_token_stands_for_one_request() {
        let mut tokens = Tokens::default();
        assert_eq!(tokens.known("r", Some("t"), 1), Ok(None));
        tokens.keep("r", Some("t"), 1, "lt-1");
        assert_eq!(tokens.known("r", Some("t"), 1), Ok(Some("lt-1")));
        assert_eq!(tokens.known("other", Some("t"), 2), Ok(None));
        assert_eq!(tokens.known("r", Some("t"), 2), Err(Refusal::TokenReused { token: "t".to_owned() }));
    }
}
