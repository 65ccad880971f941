//! `/metadata/attested/document`: what the machine can show to others. Azure documentation, "Azure
//! Instance Metadata Service for virtual machines", attested data.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use skyfleet_core::Timestamp;

use crate::kernel::Kernel;
use crate::server::imds::azure::Told;
use crate::server::imds::azure::machine::Machine;

/// How long it may be relied upon.
const HOLDS: Duration = Duration::from_secs(6 * 3_600);

/// The longest nonce: ten digits. The time of the question stands in for one that is missing.
const NONCE_MAX: usize = 10;

/// The document, in the form in which signed ones come. It is not signed here: nobody could check it.
pub(crate) fn answer(kernel: &Kernel, machine: &Machine, nonce: Option<&str>) -> Told {
    let now = kernel.now();
    if let Some(nonce) = nonce
        && (nonce.len() > NONCE_MAX || !nonce.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return Told::bad("The nonce is invalid: it has at most ten digits");
    }
    let image = |member: &str| machine.details.disk.image.get(member).and_then(Value::as_str);
    let nonce = nonce.map_or_else(|| now.strftime("%Y%m%d%H").to_string(), str::to_owned);
    let document = json!({
        "licenseType": "",
        "nonce": nonce,
        "plan": { "name": "", "product": "", "publisher": "" },
        "sku": image("sku").unwrap_or_default(),
        "subscriptionId": machine.id.subscription,
        "timeStamp": { "createdOn": shown(now), "expiresOn": shown(now + HOLDS) },
        "vmId": machine.vm_id,
    });
    let signature = STANDARD.encode(content(document.to_string().as_bytes()));
    Told::Json(json!({ "encoding": "pkcs7", "signature": signature }))
}

/// `09/19/26 18:29:47 -0000`.
fn shown(at: Timestamp) -> String {
    at.strftime("%m/%d/%y %H:%M:%S -0000").to_string()
}

/// Data as a PKCS #7 content (RFC 2315, section 7): `SEQUENCE { OID data, [0] { OCTET STRING } }`.
fn content(data: &[u8]) -> Vec<u8> {
    const OID_DATA: [u8; 11] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
    let inner = tagged(0xa0, &tagged(0x04, data));
    tagged(0x30, &[&OID_DATA[..], &inner].concat())
}

/// A tag, a length and a value in DER.
fn tagged(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len().to_be_bytes();
    let mut out = vec![tag];
    match u8::try_from(value.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let digits: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
            out.push(0x80 | u8::try_from(digits.len()).unwrap_or(8));
            out.extend(digits);
        }
    }
    out.extend(value);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_der_has_them() {
        assert_eq!(tagged(4, b"ab"), [4, 2, b'a', b'b']);
        assert_eq!(tagged(4, &[0; 200])[..3], [4, 0x81, 200]);
        assert_eq!(tagged(4, &[0; 300])[..4], [4, 0x82, 1, 44]);
    }
}
