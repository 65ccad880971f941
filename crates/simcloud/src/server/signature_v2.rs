use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::server::signature::{encoded, mac};

/// Whether the secret makes the signature of a request that is signed by Signature Version 2: older
/// clients sign so, and EC2 still takes it in its older regions ("Signature Version 2 signing
/// process", AWS general reference). Such a request says nothing about its region.
pub(crate) fn is_by(secret: &str, head: &Parts, body: &[u8]) -> bool {
    let query = head.uri.query().unwrap_or_default();
    let mut signature = None;
    let mut asked: Vec<(String, String)> = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()).chain(form_urlencoded::parse(body)) {
        match name.as_ref() {
            "Signature" => signature = Some(value.into_owned()),
            _ => asked.push((encoded(&name), encoded(&value))),
        }
    }
    asked.sort();
    let asked: Vec<String> = asked.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let host = head.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    let text = format!("{}\n{}\n{}\n{}", head.method, host.to_lowercase(), head.uri.path(), asked.join("&"));
    signature.is_some_and(|signature| STANDARD.encode(mac(secret.as_bytes(), &text)) == signature)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[test]
    fn the_documented_example_has_its_published_signature() {
        // The worked example of the documentation, an EMR request.
        let url = "http://elasticmapreduce.amazonaws.com/?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Action=DescribeJobFlows\
                   &SignatureMethod=HmacSHA256&SignatureVersion=2&Timestamp=2011-10-03T15%3A19%3A30&Version=2009-03-31\
                   &Signature=i91nKc4PWAt0JJIdXwz9HxZCJDdiy6cf%2FMj6vPxyYIs%3D";
        let head = |url: &str| {
            let request =
                Request::get(url).header("host", "elasticmapreduce.amazonaws.com").body(()).unwrap();
            request.into_parts().0
        };
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        assert!(is_by(secret, &head(url), b""));
        assert!(!is_by("another", &head(url), b""));
        assert!(!is_by(secret, &head(&url.replace("DescribeJobFlows", "RunJobFlow")), b""));
        assert!(!is_by(secret, &head("http://h/?Action=X"), b""));
    }
}
