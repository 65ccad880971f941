//! Resource Graph: questions about everything at once, in a part of the Kusto query language. Azure
//! documentation, "Azure Resource Graph".
//!
//! | file | what is in it |
//! |---|---|
//! | `words` | a query as words |
//! | `expression` | what is computed of a row |
//! | `operator` | functions, and comparisons |
//! | `query` | tables and what is done with them |
//! | `tables` | `Resources`, `ResourceContainers`, `SpotResources` |

mod expression;
mod operator;
mod query;
pub(crate) mod tables;
mod words;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::azure::error::{coded, invalid};
use crate::azure::method::Method;
use crate::azure::{Answer, Request};
use crate::refusal::Refusal;
use query::{Query, Table};

pub(crate) const METHODS: &[Method] = &[Method {
    id: "resourceGraph.POST",
    verb: "POST",
    path: "providers/Microsoft.ResourceGraph/resources",
    answer: ask,
}];

/// The most rows of an answer, and how many there are when nobody says. Azure documentation, "Working
/// with large Azure resource data sets".
const PAGE: usize = 1_000;

/// From this version on rows are objects unless somebody says otherwise. Resource Graph API reference.
const OBJECTS_SINCE: &str = "2021-03-01";

#[derive(Debug, Deserialize)]
struct Body {
    query: Option<String>,
    #[serde(default)]
    subscriptions: Option<Vec<String>>,
    #[serde(default)]
    options: Option<Options>,
    #[serde(default)]
    facets: Option<Vec<Value>>,
}

#[derive(Debug, Default, Deserialize)]
struct Options {
    #[serde(rename = "$skipToken")]
    token: Option<String>,
    #[serde(rename = "$top")]
    top: Option<usize>,
    #[serde(rename = "$skip")]
    skip: Option<usize>,
    #[serde(rename = "resultFormat")]
    format: Option<String>,
}

fn ask(request: &Request<'_>) -> Result<Answer, Refusal> {
    let body = Body::deserialize(request.body)
        .map_err(|error| coded(400, "BadRequest", format!("The request content is invalid: {error}.")))?;
    if body.facets.is_some_and(|facets| !facets.is_empty()) {
        return Err(coded(501, "NotImplemented", "Facets are not simulated."));
    }
    let text = body.query.unwrap_or_default();
    let query = Query::parse(&text).map_err(wrong)?;
    let options = body.options.unwrap_or_default();
    let most = match options.top {
        None => PAGE,
        Some(top) if (1..=PAGE).contains(&top) => top,
        Some(_) => return Err(invalid("$top", &format!("It must be from 1 to {PAGE}."))),
    };
    let skip = match &options.token {
        Some(token) => options.skip.map_or_else(|| read_token(token), Ok)?,
        None => options.skip.unwrap_or(0),
    };
    let objects = match options.format.as_deref() {
        Some("objectArray") => true,
        Some("table") => false,
        Some(_) => return Err(invalid("resultFormat", "It must be table or objectArray.")),
        None => request.option("api-version").unwrap_or_default() >= OBJECTS_SINCE,
    };
    let (table, quota) = request.look("global", |kernel, state| {
        let table = tables::read(kernel, state, query.table, body.subscriptions.as_deref());
        let left = kernel.limits.remaining(request.method, "global", kernel.now());
        let quota = left.into_iter().find(|(limit, _)| limit.starts_with("Microsoft.ResourceGraph"));
        Ok((query.run(table).map_err(wrong)?, quota.map_or(0, |(_, left)| left)))
    })?;
    let total = table.rows.len();
    let end = skip.saturating_add(most).min(total);
    let page: Vec<Vec<Value>> = table.rows.get(skip.min(total)..end).unwrap_or_default().to_vec();
    let mut shown = json!({
        "totalRecords": total,
        "count": page.len(),
        "resultTruncated": if end < total { "true" } else { "false" },
        "facets": [],
    });
    // "The query must project the id field for pagination to work."
    if end < total && !query.limits() && table.columns.iter().any(|column| column == "id") {
        shown["$skipToken"] = URL_SAFE_NO_PAD.encode(format!("skip:{end}")).into();
    }
    shown["data"] = if objects { as_objects(&table, page) } else { as_table(&table, page) };
    let headers = [
        ("x-ms-user-quota-remaining", quota.to_string()),
        ("x-ms-user-quota-resets-after", "00:00:05".to_owned()),
    ];
    Ok(Answer::ok(&shown)?.with(headers))
}

fn wrong(what: String) -> Refusal {
    let message = format!(
        "InvalidQuery: Query is invalid. Please refer to the documentation for the Azure Resource Graph service and \
         fix the error before retrying: {what}."
    );
    coded(400, "BadRequest", message)
}

fn read_token(token: &str) -> Result<usize, Refusal> {
    let text = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let skip = text.as_deref().and_then(|text| text.strip_prefix("skip:")?.parse().ok());
    skip.ok_or_else(|| invalid("$skipToken", "It is none of this service."))
}

fn as_objects(table: &Table, rows: Vec<Vec<Value>>) -> Value {
    let rows = rows.into_iter().map(|row| {
        let members = table.columns.iter().cloned().zip(row);
        Value::Object(members.collect::<Map<_, _>>())
    });
    rows.collect()
}

fn as_table(table: &Table, rows: Vec<Vec<Value>>) -> Value {
    let columns = table.columns.iter().enumerate().map(|(at, name)| {
        let kind = match rows.iter().map(|row| &row[at]).find(|value| !value.is_null()) {
            Some(Value::Object(_) | Value::Array(_)) => "object",
            Some(Value::Number(number)) if number.is_f64() => "number",
            Some(Value::Number(_)) => "integer",
            Some(Value::Bool(_)) => "boolean",
            _ => "string",
        };
        json!({ "name": name, "type": kind })
    });
    json!({ "columns": columns.collect::<Vec<_>>(), "rows": rows })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::trial::Trial;

    const PATH: &str = "/providers/Microsoft.ResourceGraph/resources?api-version=2021-03-01";

    fn post(trial: &Trial, body: Value) -> (u16, Value) {
        let said = trial.ask("POST", PATH, body);
        (said.status, said.body)
    }

    fn rows(trial: &Trial, query: &str) -> Vec<Value> {
        let (status, shown) = post(trial, json!({ "query": query }));
        assert_eq!(status, 200, "{query}: {shown}");
        assert_eq!(shown["count"], shown["data"].as_array().unwrap().len());
        shown["data"].as_array().unwrap().clone()
    }

    fn with_things() -> Trial {
        let trial = Trial::with_group();
        let inside = "/resourceGroups/g/providers/Microsoft";
        for (name, owner) in [("a", "ada"), ("b", "bob"), ("c", "ada")] {
            let disk = json!({ "location": "eastus", "tags": { "skyfleet-owner": owner },
                "properties": { "diskSizeGB": 32, "creationData": { "createOption": "Empty" } } });
            trial.done("PUT", &format!("{inside}.Compute/disks/{name}"), disk);
        }
        let group = json!({ "location": "westus2", "tags": { "skyfleet-owner": "ada" } });
        trial.done("PUT", &format!("{inside}.Network/networkSecurityGroups/n"), group);
        trial
    }

    #[test]
    fn what_carries_a_tag_is_one_question() {
        let trial = with_things();
        let found = rows(
            &trial,
            "Resources | where tags['skyfleet-owner'] == 'ada' | project id, type, location | order by id asc",
        );
        let shown: Vec<_> = found.iter().map(|row| (&row["type"], &row["location"])).collect();
        let (disk, group) =
            (json!("microsoft.compute/disks"), json!("microsoft.network/networksecuritygroups"));
        let (east, west) = (json!("eastus"), json!("westus2"));
        assert_eq!(shown, [(&disk, &east), (&disk, &east), (&group, &west)]);
        assert!(
            found[0]["id"]
                .as_str()
                .unwrap()
                .ends_with("/resourceGroups/g/providers/Microsoft.Compute/disks/a")
        );
        let counted = rows(
            &trial,
            "resources\n| where type =~ 'Microsoft.Compute/disks' // all of them\n| summarize n = count() by owner = \
             tostring(tags['skyfleet-owner']) | order by owner asc",
        );
        assert_eq!(counted, [json!({ "owner": "ada", "n": 2 }), json!({ "owner": "bob", "n": 1 })]);
        let sizes = rows(&trial, "Resources | where properties.diskSizeGB >= 32 | count");
        assert_eq!(sizes, [json!({ "Count": 3 })]);
        let groups = rows(
            &trial,
            "ResourceContainers | where type == 'microsoft.resources/subscriptions/resourcegroups' | project name",
        );
        assert_eq!(groups, [json!({ "name": "g" })]);
        let (_, elsewhere) = post(&trial, json!({ "query": "Resources", "subscriptions": ["other"] }));
        assert_eq!(elsewhere["totalRecords"], 0);
    }

    #[test]
    fn answers_are_up_to_a_minute_behind() {
        let trial = with_things();
        let ask = || rows(&trial, "Resources | where name == 'd' or name == 'a' | project name").len();
        assert_eq!(ask(), 1);
        let inside = "/resourceGroups/g/providers/Microsoft.Compute/disks";
        let body = json!({ "location": "eastus", "properties": { "diskSizeGB": 1 } });
        trial.done("PUT", &format!("{inside}/d"), body);
        assert_eq!(ask(), 1, "the new one is not there yet");
        trial.wait(60);
        assert_eq!(ask(), 2);
        trial.done("DELETE", &format!("{inside}/a"), Value::Null);
        assert_eq!(ask(), 2, "the old one is there still");
        trial.wait(60);
        assert_eq!(ask(), 1);
    }

    #[test]
    fn pages_go_on_by_token_where_the_id_is_shown() {
        let trial = with_things();
        let ask = |query: &str, token: Value| {
            let body = json!({ "query": query, "options": { "$top": 3, "$skipToken": token } });
            post(&trial, body).1
        };
        let query = "Resources | project id, name | order by name asc";
        let first = ask(query, Value::Null);
        assert_eq!((&first["totalRecords"], &first["resultTruncated"]), (&json!(4), &json!("true")));
        let last = ask(query, first["$skipToken"].clone());
        assert_eq!((&last["data"][0]["name"], last.get("$skipToken")), (&json!("n"), None));
        assert!(ask("Resources | project name", Value::Null).get("$skipToken").is_none());
        let options = json!({ "resultFormat": "table", "$skip": 3 });
        let (_, table) = post(&trial, json!({ "query": query, "options": options }));
        assert_eq!(table["data"]["columns"][1], json!({ "name": "name", "type": "string" }));
        assert_eq!(table["data"]["rows"][0][1], "n");
    }

    #[test]
    fn spot_machines_have_prices_of_three_months_and_a_rate_of_evictions() {
        let trial = Trial::new();
        let prices = rows(
            &trial,
            "SpotResources | where type =~ 'microsoft.compute/skuspotpricehistory/ostype/location' | where sku.name \
             in~ ('Standard_D2s_v5', 'Standard_D4s_v5') | where properties.osType =~ 'linux' | where location in~ \
             ('eastus', 'westus2') | project skuName = tostring(sku.name), osType = tostring(properties.osType), \
             location, latest = todouble(properties.spotPrices[0].priceUSD), all = properties.spotPrices | order by \
             latest asc",
        );
        assert_eq!(prices.len(), 4);
        let offer = skyfleet_core::OfferId {
            zone: "eastus-1".into(),
            instance_type: "Standard_D2s_v5".into(),
            market: skyfleet_core::Market::Spot,
        };
        let sold = trial.face.look(|kernel, _| kernel.price(&offer)).unwrap();
        let one = prices
            .iter()
            .find(|row| row["skuName"] == "standard_d2s_v5" && row["location"] == "eastus")
            .unwrap();
        assert_eq!((one["latest"].as_f64().unwrap() * 1e6).round() as i64, sold.micros());
        let history = one["all"].as_array().unwrap();
        assert!(history.len() > 5, "{history:?}");
        let dates: Vec<&str> = history.iter().map(|step| step["effectiveDate"].as_str().unwrap()).collect();
        assert!(dates.is_sorted_by(|a, b| a > b), "the latest first: {dates:?}");

        let rates = rows(
            &trial,
            "SpotResources | where type =~ 'microsoft.compute/skuspotevictionrate/location' | project skuName = \
             tostring(sku.name), location, rate = tostring(properties.evictionRate)",
        );
        let rate = |name: &str| rates.iter().find(|row| row["skuName"] == name).unwrap()["rate"].clone();
        assert_eq!(rate("standard_d2s_v5"), "0-5");
        assert_ne!(rate("standard_nd96asr_v4"), "0-5");
    }

    #[test]
    fn what_is_no_query_or_not_simulated_is_refused() {
        let trial = Trial::new();
        for query in [
            "",
            "Nowhere",
            "Resources | where colour == 'red'",
            "Resources | join kind=inner (Resources) on id",
            "Resources | mv-expand tags",
            "Resources | where name =",
            "Resources | where name == 'a",
            "Resources | project",
            "Resources | take many",
            "Resources | where has_any(name, 'a')",
            "Resources where name == 'a'",
            "Resources | summarize max(name) by type",
        ] {
            let (status, said) = post(&trial, json!({ "query": query }));
            assert_eq!((status, &said["error"]["code"]), (400, &json!("BadRequest")), "{query}: {said}");
        }
        for options in [json!({ "$top": 0 }), json!({ "resultFormat": "csv" }), json!({ "$skipToken": "x" })]
        {
            let body = json!({ "query": "Resources", "options": options });
            assert_eq!(post(&trial, body.clone()).0, 400, "{body}");
        }
        assert_eq!(post(&trial, json!({ "query": "Resources", "facets": [{}] })).0, 501);
    }
}
