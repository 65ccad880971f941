use axum::http::request::Parts;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The signature of a request to AWS, Signature Version 4, in the `Authorization` header or in the
/// query of a presigned URL ("Create a signed AWS API request", IAM user guide).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Signature<'a> {
    /// Who signed.
    pub(crate) key_id: &'a str,
    /// The scope: day, region and service.
    date: &'a str,
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    /// The names of the headers that are signed, in their order.
    headers: &'a str,
    signature: &'a str,
    /// Whether it stands in the query.
    presigned: bool,
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

impl<'a> Signature<'a> {
    /// Reads it out of a request; `parameter` looks up the query and the form. `None` when there is
    /// none that has the documented shape.
    pub(crate) fn read(head: &'a Parts, parameter: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        let header = head.headers.get("authorization").and_then(|value| value.to_str().ok());
        if let Some(fields) = header.and_then(|value| value.trim().strip_prefix(ALGORITHM)) {
            let field = |name: &str| {
                let of = |field: &'a str| field.trim().strip_prefix(name)?.strip_prefix('=');
                fields.split(',').find_map(of)
            };
            return Self::scoped(field("Credential")?, field("SignedHeaders")?, field("Signature")?, false);
        }
        let signature = parameter("X-Amz-Signature")?;
        Self::scoped(parameter("X-Amz-Credential")?, parameter("X-Amz-SignedHeaders")?, signature, true)
    }

    fn scoped(credential: &'a str, headers: &'a str, signature: &'a str, presigned: bool) -> Option<Self> {
        // A key id may hold slashes, so the scope is read from its end.
        let mut parts = credential.trim().rsplitn(5, '/');
        let (end, service, region, date) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let key_id = parts.next()?;
        (end == "aws4_request").then_some(Self {
            key_id,
            date,
            region,
            service,
            headers,
            signature,
            presigned,
        })
    }

    /// Whether the secret makes this signature of this request. The time of the signature is not
    /// compared with any clock: the simulated one may be years away from the caller's.
    pub(crate) fn is_by(&self, secret: &str, head: &Parts, body: &[u8]) -> bool {
        let moment = match self.presigned {
            true => query_of(head).find(|(name, _)| name == "X-Amz-Date").map(|(_, value)| value),
            false => head.headers.get("x-amz-date").and_then(|value| value.to_str().ok()).map(str::to_owned),
        };
        let Some(moment) = moment else { return false };
        let scope = format!("{}/{}/{}/aws4_request", self.date, self.region, self.service);
        let asked = hex(&Sha256::digest(self.canonical(head, body)));
        let text = format!("{ALGORITHM}\n{moment}\n{scope}\n{asked}");
        let key = [self.date, self.region, self.service, "aws4_request"]
            .into_iter()
            .fold(format!("AWS4{secret}").into_bytes(), |key, part| mac(&key, part));
        hex(&mac(&key, &text)) == self.signature
    }

    /// The request in the form that is signed.
    fn canonical(&self, head: &Parts, body: &[u8]) -> String {
        let mut query: Vec<(String, String)> = query_of(head)
            .filter(|(name, _)| name != "X-Amz-Signature")
            .map(|(name, value)| (encoded(&name), encoded(&value)))
            .collect();
        query.sort();
        let query: Vec<String> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let headers: String = self
            .headers
            .split(';')
            .map(|name| {
                let values = head.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
                let folded = values.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "));
                format!("{name}:{}\n", folded.collect::<Vec<_>>().join(","))
            })
            .collect();
        let payload = match head.headers.get("x-amz-content-sha256").and_then(|value| value.to_str().ok()) {
            Some("UNSIGNED-PAYLOAD") => "UNSIGNED-PAYLOAD".to_owned(),
            _ => hex(&Sha256::digest(body)),
        };
        let (method, path) = (&head.method, encoded_path(head.uri.path()));
        format!("{method}\n{path}\n{}\n{headers}\n{}\n{payload}", query.join("&"), self.headers)
    }
}

fn query_of(head: &Parts) -> impl Iterator<Item = (String, String)> {
    form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned()
}

/// A path as it is signed: each segment encoded once more, as every service but S3 has it.
fn encoded_path(path: &str) -> String {
    match path {
        "" => "/".to_owned(),
        _ => path.split('/').map(encoded).collect::<Vec<_>>().join("/"),
    }
}

/// Percent encoding with the unreserved characters of RFC 3986 left alone.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// HMAC-SHA256.
pub(crate) fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    /// The worked example of the documentation ("Signature Version 4 signing process", AWS general
    /// reference), with its published signature.
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const CREDENTIAL: &str = "AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request";
    const PUBLISHED: &str = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";

    fn example(query: &str, signature: &str) -> Parts {
        let authorization = format!(
            "{ALGORITHM} Credential={CREDENTIAL}, SignedHeaders=content-type;host;x-amz-date, Signature={signature}"
        );
        let request = Request::get(format!("https://iam.amazonaws.com/?{query}"))
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
            .header("host", "iam.amazonaws.com")
            .header("x-amz-date", "20150830T123600Z")
            .header("authorization", authorization);
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_documented_example_has_its_published_signature() {
        let head = example("Action=ListUsers&Version=2010-05-08", PUBLISHED);
        let signature = Signature::read(&head, |_| None).unwrap();
        assert_eq!(
            (signature.key_id, signature.region, signature.service),
            ("AKIDEXAMPLE", "us-east-1", "iam")
        );
        assert!(signature.is_by(SECRET, &head, b""));
        assert!(!signature.is_by("another", &head, b""));
        assert!(!signature.is_by(SECRET, &head, b"another body"));
        let changed = example("Action=DeleteUser&Version=2010-05-08", PUBLISHED);
        assert!(!Signature::read(&changed, |_| None).unwrap().is_by(SECRET, &changed, b""));
    }

    #[test]
    fn a_presigned_request_is_checked_by_its_query() {
        let url = |signature: &str| {
            format!(
                "http://h/?Action=X&X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential=AK%2F20260101%2Feu-west-1%2Fec2%2Faws4_request\
                 &X-Amz-Date=20260101T000000Z&X-Amz-SignedHeaders=host&X-Amz-Signature={signature}"
            )
        };
        let head = |signature: &str| {
            Request::get(url(signature)).header("host", "h").body(()).unwrap().into_parts().0
        };
        let canonical = format!(
            "GET\n/\nAction=X&X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential=AK%2F20260101%2Feu-west-1%2Fec2%2Faws4_request\
             &X-Amz-Date=20260101T000000Z&X-Amz-SignedHeaders=host\nhost:h\n\nhost\n{}",
            hex(&Sha256::digest(b""))
        );
        let text = format!(
            "{ALGORITHM}\n20260101T000000Z\n20260101/eu-west-1/ec2/aws4_request\n{}",
            hex(&Sha256::digest(canonical))
        );
        let key = ["20260101", "eu-west-1", "ec2", "aws4_request"]
            .into_iter()
            .fold(b"AWS4secret".to_vec(), |key, part| mac(&key, part));
        let head = head(&hex(&mac(&key, &text)));
        let query: Vec<(String, String)> = query_of(&head).collect();
        let look = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let signature = Signature::read(&head, look).unwrap();
        assert_eq!((signature.region, signature.service), ("eu-west-1", "ec2"));
        assert!(signature.is_by("secret", &head, b"") && !signature.is_by("Secret", &head, b""));
    }

    #[test]
    fn what_has_another_shape_is_no_signature() {
        for header in ["", "Basic abc", "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=1"]
        {
            let head = Request::get("/").header("authorization", header).body(()).unwrap().into_parts().0;
            assert_eq!(Signature::read(&head, |_| None), None);
        }
    }
}
