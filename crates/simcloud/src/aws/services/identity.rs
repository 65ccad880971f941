use serde::Serialize;

use crate::aws::{ACCOUNT, Request};
use crate::refusal::Refusal;

/// STS `GetCallerIdentity`, in the AWS Query protocol: another envelope than EC2's.
pub(crate) fn caller(request: &Request<'_>) -> Result<String, Refusal> {
    let identity = request.call(0, |_, _| {
        Ok(Identity {
            arn: format!("arn:aws:iam::{ACCOUNT}:user/skyfleet"),
            user_id: "AIDASKYFLEETSIMULATED",
            account: ACCOUNT,
        })
    })?;
    let result = quick_xml::se::to_string_with_root("GetCallerIdentityResult", &identity)
        .map_err(|error| Refusal::State { message: format!("the answer cannot be written: {error}") })?;
    Ok(format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">{result}\
         <ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></GetCallerIdentityResponse>",
        request.request_id()
    ))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Identity {
    arn: String,
    user_id: &'static str,
    account: &'static str,
}

#[cfg(test)]
mod tests {
    use crate::aws::trial::Trial;

    #[test]
    fn a_caller_learns_its_account_in_the_envelope_of_sts() {
        let answer = Trial::new().ask("GetCallerIdentity", "").unwrap();
        assert!(answer.starts_with("<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:"), "{answer}");
    }
}
