use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::aws::error::coded;
use crate::aws::page::Page;
use crate::aws::price_list::{SERVICE, attribute_names, products};
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
