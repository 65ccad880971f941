//! The system of machines: who may log in, and what it runs first.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{member, required, unsimulated};
use crate::azure::error::{coded, invalid};
use crate::refusal::Refusal;

/// The longest custom data and user data, encoded: 65,535 bytes. Azure documentation, "Custom data
/// and cloud-init on Azure Virtual Machines".
const ENCODED_MAX: usize = 87_380;

/// Names that nobody may have who logs in. Azure documentation, "Frequently asked questions about
/// Virtual Machines": these are some of them.
const RESERVED: [&str; 12] = [
    "administrator",
    "admin",
    "user",
    "user1",
    "test",
    "root",
    "console",
    "david",
    "guest",
    "john",
    "owner",
    "support",
];

/// The system of machines.
#[derive(Clone, Debug)]
pub(crate) struct Os {
    /// The name of a machine for itself; of several what it begins with, and nothing where they are
    /// called as they are named.
    pub(crate) computer: Option<String>,
    /// Whether it is the beginning of the names of several.
    pub(crate) several: bool,
    /// `osProfile` as it is told: without the computer's name, without secrets and custom data.
    pub(crate) told: Map<String, Value>,
    /// What runs at the first start.
    pub(crate) script: String,
    /// As the caller wrote it: told when it is asked for.
    pub(crate) user_data: Option<String>,
}

/// Reads `osProfile` and `userData`; `computer` is the member with the name.
///
/// # Errors
/// For what is missing or malformed; `NotImplemented` for Windows.
pub(crate) fn read(profile: &Value, computer: &str) -> Result<Os, Refusal> {
    let os = &profile["osProfile"];
    if !os.is_object() {
        return Err(required("osProfile"));
    }
    if !os["windowsConfiguration"].is_null() {
        return Err(unsimulated("Windows"));
    }
    let user = member::text(os, "adminUsername")?.filter(|user| !user.is_empty());
    let user = user.ok_or_else(|| required("adminUsername"))?;
    let plain = user.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if !plain || user.len() > 64 || RESERVED.contains(&user.to_lowercase().as_str()) {
        let message = "The Admin Username specified is not allowed.";
        return Err(invalid("adminUsername", message));
    }
    login(os, user)?;
    let name = member::text(os, computer)?.filter(|name| !name.is_empty());
    if let Some(name) = name {
        let fits = name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c));
        if !fits {
            return Err(invalid(computer, "It has at most 64 letters, digits, hyphens and full stops."));
        }
    }
    let custom = data(os, "customData", "Custom data in OSProfile")?;
    let user_data = data(profile, "userData", "User data")?;
    // cloud-init documentation, "Azure datasource": the user data count where there are no custom data.
    let script = custom.as_ref().or(user_data.as_ref()).map_or("", |data| data.1.as_str()).to_owned();
    let told = json!({
        "adminUsername": user,
        "linuxConfiguration": told(&os["linuxConfiguration"])?,
        "secrets": [],
        "allowExtensionOperations": member::flag(os, "allowExtensionOperations")?.unwrap_or(true),
        "requireGuestProvisionSignal": true,
    });
    Ok(Os {
        computer: name.map(str::to_owned),
        several: computer != "computerName",
        told: told.as_object().cloned().unwrap_or_default(),
        script,
        user_data: user_data.map(|(text, _)| text.to_owned()),
    })
}

fn told(linux: &Value) -> Result<Value, Refusal> {
    let mut told = linux.as_object().cloned().unwrap_or_default();
    for (name, otherwise) in [("disablePasswordAuthentication", false), ("provisionVMAgent", true)] {
        told.insert(name.to_owned(), member::flag(linux, name)?.unwrap_or(otherwise).into());
    }
    Ok(told.into())
}

/// Whether somebody can log in at all.
fn login(os: &Value, user: &str) -> Result<(), Refusal> {
    let linux = &os["linuxConfiguration"];
    let path = format!("/home/{user}/.ssh/authorized_keys");
    let keys = member::list(&linux["ssh"], "publicKeys")?;
    for key in keys {
        if member::text(key, "path")?.is_some_and(|given| given != path) {
            let message = format!(
                "Destination path for SSH public keys is currently limited to its default value {path} due to a known \
                 issue in Linux provisioning agent."
            );
            return Err(invalid("linuxConfiguration.ssh.publicKeys.path", &message));
        }
        let material = member::text(key, "keyData")?.unwrap_or_default();
        let mut words = material.split_whitespace();
        let kind = words.next().unwrap_or_default();
        if !["ssh-rsa", "ssh-ed25519"].contains(&kind) || words.next().is_none() {
            let message = "It must be a public key in the format of OpenSSH: ssh-rsa or ssh-ed25519.";
            return Err(invalid("linuxConfiguration.ssh.publicKeys.keyData", message));
        }
    }
    let no_password = member::flag(linux, "disablePasswordAuthentication")?.unwrap_or(false);
    let password = member::text(os, "adminPassword")?;
    // Where nobody logs in by it, it may be anything: Apache Libcloud's driver sends one beside a key.
    if let Some(password) = password.filter(|_| !no_password) {
        let kinds: [fn(char) -> bool; 4] = [
            |c| c.is_ascii_lowercase(),
            |c| c.is_ascii_uppercase(),
            |c| c.is_ascii_digit(),
            |c| !c.is_ascii_alphanumeric(),
        ];
        let of = kinds.iter().filter(|is| password.chars().any(is)).count();
        if !(6..=72).contains(&password.chars().count()) || of < 3 {
            let message = "The supplied password must be between 6-72 characters long and must satisfy at least 3 of \
                           password complexity requirements from the following: Contains an uppercase character, \
                           Contains a lowercase character, Contains a numeric digit, Contains a special character.";
            return Err(invalid("adminPassword", message));
        }
    }
    if keys.is_empty() && (no_password || password.is_none()) {
        let message = "Authentication using either SSH or by user name and password must be enabled in Linux profile. \
                       For more information, see https://aka.ms/linuxprofile.";
        return Err(coded(400, "InvalidParameter", message));
    }
    Ok(())
}

/// Data in Base64: as written, and decoded.
fn data<'v>(of: &'v Value, name: &str, called: &str) -> Result<Option<(&'v str, String)>, Refusal> {
    let Some(text) = member::text(of, name)?.filter(|text| !text.is_empty()) else { return Ok(None) };
    let decoded = STANDARD.decode(text).ok().filter(|_| text.len() <= ENCODED_MAX);
    let decoded = decoded.ok_or_else(|| {
        let message = format!(
            "{called} must be in Base64 encoding and with a maximum length of {ENCODED_MAX} characters."
        );
        invalid(name, &message)
    })?;
    Ok(Some((text, String::from_utf8_lossy(&decoded).into_owned())))
}
