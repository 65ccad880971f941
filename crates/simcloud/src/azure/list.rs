//! Lists: `{"value": […], "nextLink": …}`.

use serde_json::{Value, json};

use crate::azure::error::coded;
use crate::azure::id::Id;
use crate::azure::request::{Answer, Request};
use crate::refusal::Refusal;

/// The page of a list that a request wants: at most `most` items, after those of the page before.
/// The items are in the order of their `name`, which is the order of the pages: a list may change
/// between two.
///
/// # Errors
/// `InvalidSkipToken` for a token that is none.
pub(crate) fn page(request: &Request<'_>, items: Vec<Value>, most: usize) -> Result<Answer, Refusal> {
    let key = |item: Value| {
        let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default().to_lowercase();
        ((text("name"), text("id")), item)
    };
    cut(request, items.into_iter().map(key).collect(), most, |item| Some(item.clone()))
}

/// The same of items that are shown only where they are on the page.
///
/// # Errors
/// Those of [`page`].
pub(crate) fn page_of<T>(
    request: &Request<'_>,
    items: Vec<(Id, T)>,
    most: usize,
    show: impl Fn(&T) -> Option<Value>,
) -> Result<Answer, Refusal> {
    let key = |(id, item): (Id, T)| ((id.name().to_lowercase(), id.key()), item);
    cut(request, items.into_iter().map(key).collect(), most, show)
}

fn cut<T>(
    request: &Request<'_>,
    mut items: Vec<((String, String), T)>,
    most: usize,
    show: impl Fn(&T) -> Option<Value>,
) -> Result<Answer, Refusal> {
    items.sort_by(|a, b| a.0.cmp(&b.0));
    if let Some(token) = request.option("$skiptoken") {
        let after = token
            .split_once('!')
            .ok_or_else(|| coded(400, "InvalidSkipToken", format!("The skip token '{token}' is invalid.")))?;
        let after = (after.0.to_owned(), after.1.to_owned());
        items.retain(|(key, _)| *key > after);
    }
    let more = items.len() > most;
    items.truncate(most);
    let last = items.last().filter(|_| more).map(|(key, _)| key.clone());
    let shown: Vec<Value> = items.iter().filter_map(|(_, item)| show(item)).collect();
    let mut page = json!({ "value": shown });
    if let Some((name, id)) = last {
        page["nextLink"] = next(request, &format!("{name}!{id}")).into();
    }
    Answer::ok(&page)
}

/// The same request, after a token.
fn next(request: &Request<'_>, token: &str) -> String {
    let head = request.head;
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in head.query.iter().filter(|(name, _)| *name != "$skiptoken") {
        query.append_pair(name, value);
    }
    query.append_pair("$skiptoken", token);
    format!("{}{}?{}", head.base, head.path, query.finish())
}
