//! What a machine is given to run at its first boot: a timer of ours that ends it at its expiry,
//! then the user's own script, unchanged. EC2 has no expiry of its own; this one works when every
//! client is dead.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// The most bytes of user data that EC2 takes, before base64 (EC2 user guide, "User data").
const WHOLE_MAX: usize = 16 * 1_024;

/// The most bytes that are left for the user's script.
pub(crate) const BYTES_MAX: usize = WHOLE_MAX - OVERHEAD;

/// Our part and the frame around both: held against the real frame by a test.
const OVERHEAD: usize = 1_024;

/// Reads the expiry from the instance's tags and waits for it in the background. The instance's
/// launch template makes a shutdown a termination. `shutdown` is called by its bare name, so that
/// a machine that is only played can have a harmless one.
const TIMER: &str = r#"#!/bin/sh
# skyfleet: ends this machine when its tag skyfleet-expires says so.
m=${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}
m=${m%/}/latest
t=$(curl -sf -m 9 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$m/api/token")
e=$(curl -sf -m 9 -H "X-aws-ec2-metadata-token: $t" "$m/meta-data/tags/instance/skyfleet-expires")
case $e in ''|*[!0-9]*) exit 0 ;; esac
s=$((e - $(date +%s)))
[ "$s" -gt 0 ] || s=0
nohup sh -c "sleep $s && shutdown -h now" >/dev/null 2>&1 </dev/null &
"#;

/// The user data of a machine, as EC2 takes it: cloud-init runs the parts in their order.
pub(crate) fn encoded(script: &str) -> String {
    BASE64_STANDARD.encode(whole(script))
}

fn whole(script: &str) -> String {
    let mut boundary = "=skyfleet=".to_owned();
    while script.contains(&boundary) {
        boundary.push('=');
    }
    let mut text = format!(
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"{boundary}\"\n\n\
         --{boundary}\nContent-Type: text/x-shellscript; charset=\"utf-8\"\n\n{TIMER}"
    );
    if !script.is_empty() {
        let kind = kind(script);
        text.push_str(&format!("\n--{boundary}\nContent-Type: {kind}; charset=\"utf-8\"\n"));
        text.push_str(&format!("Content-Transfer-Encoding: 8bit\n\n{script}"));
    }
    text.push_str(&format!("\n--{boundary}--\n"));
    text
}

/// cloud-init looks at the first line of what is `text/plain`, as it does at user data without a
/// frame; a script needs no second look.
fn kind(script: &str) -> &'static str {
    if script.starts_with("#!") { "text/x-shellscript" } else { "text/plain" }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of a message, as a reader of MIME takes them: the line break before a boundary
    /// belongs to the boundary.
    fn parts(whole: &str) -> Vec<&str> {
        let boundary = whole.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap();
        let end = format!("\n--{boundary}--");
        let body = &whole[..whole.rfind(&end).unwrap()];
        body.split(&format!("\n--{boundary}\n"))
            .skip(1)
            .map(|part| part.split_once("\n\n").unwrap().1)
            .collect()
    }

    #[test]
    fn the_users_script_arrives_unchanged_behind_our_timer() {
        for script in [
            "#!/bin/sh\nprintf 'ü' > /tmp/x\n",
            "#cloud-config\na: b",
            "#!/bin/sh\r\nx\n\n",
            "#!/bin/sh\n--=skyfleet=--\n",
        ] {
            let decoded = BASE64_STANDARD.decode(encoded(script)).unwrap();
            let whole = String::from_utf8(decoded).unwrap();
            assert_eq!(parts(&whole), [TIMER, script]);
        }
        assert_eq!(parts(&whole("")), [TIMER]);
    }

    #[test]
    fn the_longest_script_fits() {
        for start in ["#!/bin/sh\n", "#cloud-config\n"] {
            let script = format!("{start}{}", "#".repeat(BYTES_MAX - start.len()));
            let bytes = whole(&script).len();
            assert!(bytes <= WHOLE_MAX, "{bytes}");
        }
    }
}
