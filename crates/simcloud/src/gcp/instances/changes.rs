//! What can be changed in an instance: labels, metadata, network tags.

use std::sync::Arc;

use crate::gcp::blueprint::properties::{MetadataSpec, TagsSpec};
use crate::gcp::error::{coded, invalid};
use crate::gcp::instances::ending::about;
use crate::gcp::instances::{existing_named, item, named};
use crate::gcp::request::{Answer, Request};
use crate::gcp::{blueprint, labels as all_labels, url};
use crate::refusal::Refusal;

pub(crate) fn labels(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change(0, |kernel, state| {
        let view = named(kernel, state, request)?;
        let labels = all_labels::changed(request.body, &view.tags)?;
        kernel.retag(&view.id, |tags| tags.clone_from(&labels));
        Ok(about("setLabels", &view))
    })
}

pub(crate) fn metadata(request: &Request<'_>) -> Result<Answer, Refusal> {
    let spec: MetadataSpec = request.read()?;
    let new = Arc::new(blueprint::metadata(&spec)?);
    request.change(0, |kernel, state| {
        let view = named(kernel, state, request)?;
        check_print(spec.fingerprint.as_deref(), &state.launched.metadata(&view).fingerprint)?;
        state.launched.own_mut(view.number).metadata = Some(new);
        Ok(about("setMetadata", &view))
    })
}

pub(crate) fn tags(request: &Request<'_>) -> Result<Answer, Refusal> {
    let spec: TagsSpec = request.read()?;
    if let Some(bad) = spec.items.iter().find(|tag| !url::is_name(tag)) {
        let why = "Must be a match of regex '(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'";
        return Err(invalid("resource.items", bad, why));
    }
    request.change(0, |kernel, state| {
        let view = named(kernel, state, request)?;
        let now = item::tags_fingerprint(&state.launched.network_tags(&view));
        check_print(spec.fingerprint.as_deref(), &now)?;
        state.launched.own_mut(view.number).tags = Some(Arc::new(spec.items));
        Ok(about("setTags", &view))
    })
}

/// The parameter of the query is true unless it says otherwise. Discovery document,
/// `instances.setDeletionProtection`.
pub(crate) fn protection(request: &Request<'_>) -> Result<Answer, Refusal> {
    let yes: bool = request.parsed("deletionProtection")?.unwrap_or(true);
    request.change(0, |kernel, state| {
        let view = existing_named(kernel, state, request, "resource")?;
        state.launched.own_mut(view.number).protected = Some(yes);
        Ok(about("setDeletionProtection", &view))
    })
}

/// Whoever changes metadata or tags says which he saw.
fn check_print(given: Option<&str>, now: &str) -> Result<(), Refusal> {
    if given == Some(now) {
        return Ok(());
    }
    Err(coded(412, "conditionNotMet", "Supplied fingerprint does not match current metadata fingerprint."))
}
