use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::aws::error::coded;
use crate::aws::page::Page;
use crate::aws::services::price_list::{SERVICE, attribute_names, products};
use crate::kernel::Kernel;
use crate::refusal::Refusal;

/// Price List `GetProducts`.
pub(crate) fn get_products(kernel: &Kernel, body: &Value) -> Result<Value, Refusal> {
    check_service(body)?;
    check_format(body)?;
    let page = page(body, 100)?;
    let none = Vec::new();
    let filters = body["Filters"].as_array().unwrap_or(&none);
    if filters.len() > 50 {
        return Err(invalid("At most 50 filters can be used in one request."));
    }
    let mut wanted = Vec::new();
    for product in products(kernel) {
        let matches: Vec<bool> =
            filters.iter().map(|filter| product.matches(filter)).collect::<Result<_, _>>()?;
        if matches.into_iter().all(|matches| matches) {
            wanted.push(product);
        }
    }
    let (page, next) = page.cut(wanted);
    let told: Vec<String> = page.iter().map(|product| product.told()).collect();
    Ok(with_token(json!({ "FormatVersion": FORMAT, "PriceList": told }), next))
}

/// Price List `DescribeServices`: only EC2 has prices here.
pub(crate) fn describe_services(kernel: &Kernel, body: &Value) -> Result<Value, Refusal> {
    if body["ServiceCode"].is_string() {
        check_service(body)?;
    }
    check_format(body)?;
    page(body, 100)?;
    let names = attribute_names(&products(kernel));
    Ok(json!({
        "FormatVersion": FORMAT,
        "Services": [{ "ServiceCode": SERVICE, "AttributeNames": names }],
    }))
}

/// Price List `GetAttributeValues`.
pub(crate) fn get_attribute_values(kernel: &Kernel, body: &Value) -> Result<Value, Refusal> {
    check_service(body)?;
    let page = page(body, 10_000)?;
    let name = body["AttributeName"].as_str().unwrap_or_default();
    let products = products(kernel);
    if !attribute_names(&products).contains(name) {
        return Err(invalid(&format!("{SERVICE} has no attribute {name:?}.")));
    }
    let values: BTreeSet<&str> = products.iter().filter_map(|product| product.attribute(name)).collect();
    let (page, next) = page.cut(values);
    let told: Vec<Value> = page.into_iter().map(|value| json!({ "Value": value })).collect();
    Ok(with_token(json!({ "AttributeValues": told }), next))
}

const FORMAT: &str = "aws_v1";

fn invalid(message: &str) -> Refusal {
    coded(400, "InvalidParameterException", message)
}

fn check_service(body: &Value) -> Result<(), Refusal> {
    match body["ServiceCode"].as_str() {
        Some(SERVICE) => Ok(()),
        Some(other) => {
            Err(invalid(&format!("The service code {other:?} is not one of the Price List here: {SERVICE}.")))
        }
        None => Err(invalid("The request needs a ServiceCode.")),
    }
}

fn check_format(body: &Value) -> Result<(), Refusal> {
    match body["FormatVersion"].as_str() {
        None | Some(FORMAT) => Ok(()),
        Some(other) => Err(invalid(&format!("The format version {other:?} is not {FORMAT}."))),
    }
}

/// Which stretch of a list a request of a JSON service wants.
fn page(body: &Value, most: usize) -> Result<Page, Refusal> {
    let asked = match body["MaxResults"].as_u64() {
        None if body["MaxResults"].is_null() => most,
        Some(asked) if (1..=most as u64).contains(&asked) => asked as usize,
        _ => return Err(invalid(&format!("MaxResults must be a number from 1 to {most}."))),
    };
    let from = match body["NextToken"].as_str().filter(|token| !token.is_empty()) {
        None => 0,
        Some(token) => {
            let message = "The pagination token is invalid.";
            Page::after(token).ok_or_else(|| coded(400, "InvalidNextTokenException", message))?
        }
    };
    Ok(Page { from, most: asked })
}

fn with_token(mut answer: Value, next: Option<String>) -> Value {
    if let Some(next) = next {
        answer["NextToken"] = next.into();
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::services::answer_json;
    use crate::aws::trial::Trial;

    fn ask(trial: &Trial, operation: &str, body: &Value) -> Result<Value, Refusal> {
        let target = format!("AWSPriceListService.{operation}");
        answer_json(&trial.face, &target, "us-east-1", body.to_string().as_bytes())
    }

    fn filters(terms: &[(&str, &str)]) -> Value {
        let told = terms.iter();
        told.map(|(field, value)| json!({ "Type": "TERM_MATCH", "Field": field, "Value": value })).collect()
    }

    #[test]
    fn the_price_of_a_type_stands_where_the_real_list_has_it() {
        let trial = Trial::new();
        let terms = [
            ("ServiceCode", "AmazonEC2"),
            ("regionCode", "eu-west-1"),
            ("preInstalledSw", "NA"),
            ("operatingSystem", "Linux"),
            ("capacitystatus", "Used"),
            ("marketoption", "OnDemand"),
            ("tenancy", "Shared"),
            ("productFamily", "Compute Instance"),
            ("instanceType", "m7g.large"),
        ];
        let body = json!({ "ServiceCode": "AmazonEC2", "Filters": filters(&terms), "MaxResults": 100 });
        let answer = ask(&trial, "GetProducts", &body).unwrap();
        let list = answer["PriceList"].as_array().unwrap();
        assert_eq!(list.len(), 1);
        let product: Value = serde_json::from_str(list[0].as_str().unwrap()).unwrap();
        let term = product["terms"]["OnDemand"].as_object().unwrap().values().next().unwrap();
        let dimension = term["priceDimensions"].as_object().unwrap().values().next().unwrap();
        assert_eq!(
            (&dimension["unit"], &dimension["pricePerUnit"]["USD"]),
            (&json!("Hrs"), &json!("0.0910000000"))
        );
        assert_eq!(trial.face.world.calls()["GetProducts"].calls, 1);
    }

    #[test]
    fn the_list_comes_in_pages_that_cover_it() {
        let trial = Trial::new();
        let mut body =
            json!({ "ServiceCode": "AmazonEC2", "Filters": filters(&[("capacitystatus", "Used")]) });
        let mut seen = BTreeSet::new();
        let mut pages = 0;
        loop {
            let answer = ask(&trial, "GetProducts", &body).unwrap();
            pages += 1;
            for product in answer["PriceList"].as_array().unwrap() {
                let product: Value = serde_json::from_str(product.as_str().unwrap()).unwrap();
                assert!(seen.insert(product["product"]["sku"].as_str().unwrap().to_owned()));
            }
            if answer["NextToken"].is_null() {
                break;
            }
            body["NextToken"] = answer["NextToken"].clone();
        }
        assert!(pages > 1 && seen.len() > 100, "{pages} {}", seen.len());
        for (change, code) in [
            (json!({ "ServiceCode": "AmazonS3" }), "InvalidParameterException"),
            (json!({ "ServiceCode": "AmazonEC2", "MaxResults": 101 }), "InvalidParameterException"),
            (json!({ "ServiceCode": "AmazonEC2", "NextToken": "x" }), "InvalidNextTokenException"),
            (
                json!({ "ServiceCode": "AmazonEC2", "Filters": [{ "Type": "LIKE", "Field": "a", "Value": "b" }] }),
                "InvalidParameterException",
            ),
        ] {
            let refusal = ask(&trial, "GetProducts", &change).unwrap_err();
            assert!(matches!(&refusal, Refusal::Coded { code: said, .. } if said == code), "{refusal:?}");
        }
    }

    #[test]
    fn a_disk_costs_in_the_list_what_it_costs_in_the_ledger() {
        let trial = Trial::new();
        let body = json!({ "ServiceCode": "AmazonEC2", "Filters": filters(&[("volumeApiName", "gp3"), ("regionCode", "us-east-1")]) });
        let answer = ask(&trial, "GetProducts", &body).unwrap();
        assert!(answer["PriceList"][0].as_str().unwrap().contains("\"USD\":\"0.0800000000\""), "{answer}");
        let values = json!({ "ServiceCode": "AmazonEC2", "AttributeName": "volumeApiName" });
        assert_eq!(
            ask(&trial, "GetAttributeValues", &values).unwrap()["AttributeValues"],
            json!([{ "Value": "gp3" }])
        );
        let services = ask(&trial, "DescribeServices", &json!({})).unwrap();
        assert_eq!(services["Services"][0]["ServiceCode"], "AmazonEC2");
    }
}
