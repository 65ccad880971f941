//! Lists: filter, order and pages, of one collection or over all zones and regions.

use std::cmp::Ordering;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::gcp::error::invalid;
use crate::gcp::filter::Filter;
use crate::gcp::request::Request;
use crate::gcp::url::Scope;
use crate::kernel::Kernel;
use crate::refusal::Refusal;

/// The largest page, and the usual one. Discovery document, `maxResults`.
const PAGE_MAX: usize = 500;

/// Which items of a list a request wants: `filter`, `orderBy`, `maxResults`, `pageToken`.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) filter: Filter,
    newest_first: bool,
    most: usize,
    /// The place of the last item of the page before.
    after: Option<Place>,
}

/// Where an item stands: its scope, its time if the list is by time, its name. A list may change
/// between two pages, and this stays true.
type Place = (String, String, String);

impl Wanted {
    /// # Errors
    /// `invalid` for a filter, an order, a size or a token that is none.
    pub(crate) fn read(request: &Request<'_>) -> Result<Self, Refusal> {
        let filter = Filter::parse(request.option("filter").unwrap_or_default())?;
        let newest_first = match request.option("orderBy") {
            None | Some("name") => false,
            Some("creationTimestamp desc") => true,
            Some(other) => {
                return Err(invalid("orderBy", other, "Only name and creationTimestamp desc are supported."));
            }
        };
        let most = match request.option("maxResults") {
            None => PAGE_MAX,
            Some(text) => match text.parse() {
                Ok(0) => PAGE_MAX,
                Ok(most) if most <= PAGE_MAX => most,
                _ => {
                    let why = format!("Values must be within the range: [0, {PAGE_MAX}]");
                    return Err(invalid("maxResults", text, &why));
                }
            },
        };
        let after = request.option("pageToken").map(read_token).transpose()?;
        Ok(Self { filter, newest_first, most, after })
    }

    /// The page of a collection: `path` is its own, `zones/z/instances`.
    pub(crate) fn page(
        &self,
        items: impl Iterator<Item = Value>,
        kind: &str,
        path: &str,
        request: &Request<'_>,
    ) -> Value {
        let (found, next) = self.take(items.map(|item| (String::new(), item)));
        let mut page = frame(kind, path, next, request);
        if !found.is_empty() {
            page.insert("items".to_owned(), found.into_iter().map(|(_, item)| item).collect());
        }
        Value::Object(page)
    }

    /// The page of a collection over many scopes: each scope has its items in `field`, or says that
    /// it has none.
    pub(crate) fn aggregated(
        &self,
        items: impl Iterator<Item = (Scope, Value)>,
        scopes: &[Scope],
        kind: &str,
        field: &str,
        request: &Request<'_>,
    ) -> Value {
        let (found, next) = self.take(items.map(|(scope, item)| (scope.to_string(), item)));
        gathered(found, next, scopes, kind, field, request)
    }

    /// As [`Wanted::page`], for long lists: items come with their names, and are only shown as far
    /// as the page needs them.
    pub(crate) fn page_of<T>(
        &self,
        items: Vec<(String, T)>,
        show: impl Fn(&T) -> Value,
        kind: &str,
        path: &str,
        request: &Request<'_>,
    ) -> Value {
        let items = items.into_iter().map(|(name, item)| (String::new(), name, item));
        let (found, next) = self.take_shown(items.collect(), show);
        let mut page = frame(kind, path, next, request);
        if !found.is_empty() {
            page.insert("items".to_owned(), found.into_iter().map(|(_, item)| item).collect());
        }
        Value::Object(page)
    }

    /// As [`Wanted::aggregated`], for long lists.
    pub(crate) fn aggregated_of<T>(
        &self,
        items: Vec<(Scope, String, T)>,
        show: impl Fn(&T) -> Value,
        scopes: &[Scope],
        (kind, field): (&str, &str),
        request: &Request<'_>,
    ) -> Value {
        let items = items.into_iter().map(|(scope, name, item)| (scope.to_string(), name, item));
        let (found, next) = self.take_shown(items.collect(), show);
        gathered(found, next, scopes, kind, field, request)
    }

    fn take_shown<T>(
        &self,
        mut items: Vec<(String, String, T)>,
        show: impl Fn(&T) -> Value,
    ) -> (Vec<(String, Value)>, Option<String>) {
        if self.newest_first {
            return self.take(items.iter().map(|(scope, _, item)| (scope.clone(), show(item))));
        }
        items.sort_unstable_by(|(scope_a, name_a, _), (scope_b, name_b, _)| {
            scope_a.cmp(scope_b).then_with(|| name_a.cmp(name_b))
        });
        let from = self.after.as_ref().map_or(0, |(after, _, last)| {
            items.partition_point(|(scope, name, _)| (scope, name) <= (after, last))
        });
        let mut found: Vec<(Place, Value)> = Vec::new();
        for (scope, name, item) in &items[from..] {
            let shown = show(item);
            if self.filter.matches(&shown) {
                found.push(((scope.clone(), String::new(), name.clone()), shown));
                // One more than the page holds says that there is another page.
                if found.len() > self.most {
                    break;
                }
            }
        }
        self.cut(found)
    }

    fn take(&self, items: impl Iterator<Item = (String, Value)>) -> (Vec<(String, Value)>, Option<String>) {
        let mut found: Vec<(Place, Value)> = items
            .filter(|(_, item)| self.filter.matches(item))
            .map(|(scope, item)| (self.place(scope, &item), item))
            .filter(|(place, _)| self.after.as_ref().is_none_or(|after| self.compare(after, place).is_lt()))
            .collect();
        found.sort_by(|(a, _), (b, _)| self.compare(a, b));
        self.cut(found)
    }

    /// The page, and the token of the next one.
    fn cut(&self, mut found: Vec<(Place, Value)>) -> (Vec<(String, Value)>, Option<String>) {
        let more = found.len() > self.most;
        found.truncate(self.most);
        let next = found.last().filter(|_| more).map(|(place, _)| token(place));
        (found.into_iter().map(|((scope, ..), item)| (scope, item)).collect(), next)
    }

    fn place(&self, scope: String, item: &Value) -> Place {
        let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let time = match self.newest_first {
            true => ["creationTimestamp", "insertTime"].map(text).into_iter().find(|time| !time.is_empty()),
            false => None,
        };
        (scope, time.unwrap_or_default(), text("name"))
    }

    fn compare(&self, (scope_a, time_a, name_a): &Place, (scope_b, time_b, name_b): &Place) -> Ordering {
        scope_a.cmp(scope_b).then_with(|| time_b.cmp(time_a)).then_with(|| name_a.cmp(name_b))
    }
}

/// All zones in scope.
pub(crate) fn zones(kernel: &Kernel) -> Vec<Scope> {
    let zones = kernel.catalog().zones().iter().filter(|spec| kernel.in_scope(&spec.region));
    zones.map(|spec| Scope::Zone(spec.zone.clone())).collect()
}

/// All regions in scope.
pub(crate) fn regions(kernel: &Kernel) -> Vec<Scope> {
    kernel.regions().into_iter().map(Scope::Region).collect()
}

fn gathered(
    found: Vec<(String, Value)>,
    next: Option<String>,
    scopes: &[Scope],
    kind: &str,
    field: &str,
    request: &Request<'_>,
) -> Value {
    let mut by_scope: Map<String, Value> = Map::new();
    for (scope, item) in found {
        let there = by_scope.entry(scope).or_insert_with(|| json!({ field: [] }));
        if let Some(Value::Array(there)) = there.get_mut(field) {
            there.push(item);
        }
    }
    for scope in scopes {
        by_scope.entry(scope.to_string()).or_insert_with(|| nothing(scope));
    }
    let mut page = frame(kind, &format!("aggregated/{field}"), next, request);
    page.insert("items".to_owned(), Value::Object(by_scope));
    Value::Object(page)
}

fn frame(kind: &str, path: &str, next: Option<String>, request: &Request<'_>) -> Map<String, Value> {
    let mut page = Map::new();
    page.insert("kind".to_owned(), kind.into());
    page.insert("id".to_owned(), format!("projects/{}/{path}", request.project()).into());
    page.insert("selfLink".to_owned(), request.link(path).into());
    if let Some(next) = next {
        page.insert("nextPageToken".to_owned(), next.into());
    }
    page
}

fn nothing(scope: &Scope) -> Value {
    json!({ "warning": {
        "code": "NO_RESULTS_ON_PAGE",
        "message": format!("There are no results for scope '{scope}' on this page."),
        "data": [{ "key": "scope", "value": scope.to_string() }],
    } })
}

fn token((scope, time, name): &Place) -> String {
    URL_SAFE_NO_PAD.encode(format!("{scope}\n{time}\n{name}"))
}

fn read_token(text: &str) -> Result<Place, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let read = bytes.and_then(|text| {
        let mut parts = text.splitn(3, '\n').map(str::to_owned);
        Some((parts.next()?, parts.next()?, parts.next()?))
    });
    read.ok_or_else(|| invalid("pageToken", text, "The token is none of this list."))
}
