use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use skyfleet_core::{Error, ErrorKind, Result};

/// What an instance runs at its first boot.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UserData {
    /// The scripts, in their order; at least one.
    pub(super) scripts: Vec<Script>,
    /// What is not run, and why, for the console.
    pub(super) skipped: Vec<String>,
}

/// One script and the command that its first line names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) interpreter: Vec<String>,
    pub(super) text: String,
}

impl UserData {
    /// Reads user data as cloud-init does: one script, which begins with `#!`, or a MIME multipart
    /// archive of such scripts. Other parts are skipped.
    ///
    /// # Errors
    /// `InvalidRequest` when there is no script in it that this computer can run.
    pub(super) fn read(text: &str) -> Result<Self> {
        let mut read = Self { scripts: Vec::new(), skipped: Vec::new() };
        if let Some(entity) = Entity::read(text).filter(|entity| entity.boundary().is_some()) {
            read.add(&entity)?;
        } else {
            read.scripts.push(script(text)?);
        }
        match (read.scripts.is_empty(), read.skipped.is_empty()) {
            (false, _) => Ok(read),
            (true, true) => bad("the user data is a multipart archive without a part"),
            (true, false) => {
                bad(&format!("the user data is an archive without a script: {}", read.skipped.join("; ")))
            }
        }
    }

    fn add(&mut self, entity: &Entity<'_>) -> Result<()> {
        if let Some(boundary) = entity.boundary() {
            for part in parts(entity.body, &boundary) {
                match Entity::read(part) {
                    Some(part) => self.add(&part)?,
                    None => self.skipped.push("a part without a Content-Type is not run".to_owned()),
                }
            }
            return Ok(());
        }
        let kind = entity.kind();
        match entity.decoded() {
            Ok(text) if text.starts_with("#!") => self.scripts.push(script(&text)?),
            Ok(_) => self.skipped.push(format!("a part of the type {kind} is not run: it is no script")),
            Err(why) => self.skipped.push(format!("a part of the type {kind} is not run: {why}")),
        }
        Ok(())
    }
}

/// A MIME entity: headers, an empty line, a body (RFC 2045).
struct Entity<'a> {
    /// With the names in lower case and folded lines joined.
    headers: Vec<(String, String)>,
    body: &'a str,
}

impl<'a> Entity<'a> {
    /// `None` for a text that does not begin as one.
    fn read(text: &'a str) -> Option<Self> {
        let text = text.trim_start_matches(['\r', '\n']);
        let (mut headers, mut rest) = (Vec::<(String, String)>::new(), text);
        while !rest.is_empty() {
            let (line, next) = rest.split_once('\n').unwrap_or((rest, ""));
            rest = next;
            let line = line.trim_end_matches('\r');
            if line.is_empty() {
                break;
            }
            match (headers.last_mut(), line.starts_with([' ', '\t'])) {
                (Some((_, value)), true) => value.push_str(line),
                (None, true) => return None,
                (_, false) => {
                    let (name, value) = line.split_once(':')?;
                    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
                        return None;
                    }
                    headers.push((name.to_lowercase(), value.trim().to_owned()));
                }
            }
        }
        let is_mime = headers.iter().any(|(name, _)| name == "content-type");
        is_mime.then_some(Self { headers, body: rest })
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// `text/x-shellscript`.
    fn kind(&self) -> String {
        let value = self.header("content-type").unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_lowercase()
    }

    /// What divides the parts of a multipart entity.
    fn boundary(&self) -> Option<String> {
        let value = self.header("content-type").filter(|_| self.kind().starts_with("multipart/"))?;
        let (_, boundary) = value
            .split(';')
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))?;
        Some(boundary.trim().trim_matches('"').to_owned()).filter(|boundary| !boundary.is_empty())
    }

    fn decoded(&self) -> std::result::Result<String, String> {
        let encoding = self.header("content-transfer-encoding").unwrap_or("7bit").to_lowercase();
        match encoding.as_str() {
            "7bit" | "8bit" | "binary" => Ok(self.body.to_owned()),
            "base64" => {
                let text: String = self.body.split_ascii_whitespace().collect();
                let bytes = STANDARD.decode(text).map_err(|error| format!("bad base64: {error}"))?;
                String::from_utf8(bytes).map_err(|error| error.to_string())
            }
            other => Err(format!("its encoding {other:?} is not known")),
        }
    }
}

/// The parts between the lines that divide them, without the line end before each (RFC 2046).
fn parts<'a>(body: &'a str, boundary: &str) -> Vec<&'a str> {
    let (mut parts, mut begin, mut at) = (Vec::new(), None, 0);
    for line in body.split_inclusive('\n') {
        let (from, word) = (at, line.trim_end());
        at += line.len();
        let Some(rest) = word.strip_prefix("--").and_then(|rest| rest.strip_prefix(boundary)) else {
            continue;
        };
        if !rest.is_empty() && rest != "--" {
            continue;
        }
        if let Some(begin) = begin {
            let part = &body[begin..from];
            let part = part.strip_suffix('\n').unwrap_or(part);
            parts.push(part.strip_suffix('\r').unwrap_or(part));
        }
        begin = (rest != "--").then_some(at);
    }
    parts
}

/// One script, its line ends those of this system, as cloud-init makes them.
fn script(text: &str) -> Result<Script> {
    let text = text.replace("\r\n", "\n");
    Ok(Script { interpreter: interpreter(&text)?, text })
}

/// The command that a script's first line names.
fn interpreter(text: &str) -> Result<Vec<String>> {
    let first = text.lines().next().unwrap_or_default();
    let Some(line) = first.strip_prefix("#!") else {
        return bad(&format!(
            "the user data is no script: a process-backed instance needs a first line like #!/bin/sh, this \
             one begins with {:?}",
            first.chars().take(40).collect::<String>()
        ));
    };
    let mut words = line.trim().splitn(2, char::is_whitespace).map(str::trim);
    let program = words.next().unwrap_or_default();
    if !Path::new(program).is_file() {
        return bad(&format!(
            "the user data asks for the interpreter {program:?}, which this machine has not"
        ));
    }
    Ok([program].into_iter().chain(words).filter(|word| !word.is_empty()).map(str::to_owned).collect())
}

fn bad<T>(what: &str) -> Result<T> {
    Err(Error::new(ErrorKind::InvalidRequest, what).with("key", "user_data"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(read: &UserData) -> Vec<&str> {
        read.scripts.iter().map(|script| script.text.as_str()).collect()
    }

    #[test]
    fn the_scripts_of_a_multipart_archive_come_in_their_order_and_the_rest_is_named() {
        let base64 = STANDARD.encode("#!/bin/sh\necho three\n");
        let archive = format!(
            "Content-Type: multipart/mixed;\n boundary=\"==x==\"\nMIME-Version: 1.0\n\npreamble\n\
             --==x==\nContent-Type: text/x-shellscript; charset=\"us-ascii\"\n\n#!/bin/sh\necho one\n\n\
             --==x==\nContent-Type: text/cloud-config\n\n#cloud-config\npackages: [jq]\n\
             --==x==\nContent-Type: text/plain\n\n#!/bin/sh -e\necho two\n--==x=\n\
             --==x==\nContent-Type: text/x-shellscript\nContent-Transfer-Encoding: base64\n\n{base64}\n\
             --==x==--\nepilogue\n"
        );
        for archive in [archive.clone(), archive.replace('\n', "\r\n")] {
            let read = UserData::read(&archive).unwrap();
            let wanted =
                ["#!/bin/sh\necho one\n", "#!/bin/sh -e\necho two\n--==x=", "#!/bin/sh\necho three\n"];
            assert_eq!(texts(&read), wanted);
            assert_eq!(read.scripts[1].interpreter, ["/bin/sh", "-e"]);
            assert_eq!(read.skipped.len(), 1);
            assert!(read.skipped[0].contains("text/cloud-config"), "{:?}", read.skipped);
        }
    }

    #[test]
    fn a_script_that_looks_like_headers_further_down_is_one_script() {
        let text = "#!/bin/sh\ncat <<EOF\nContent-Type: multipart/mixed; boundary=b\nEOF\n";
        assert_eq!(texts(&UserData::read(text).unwrap()), [text]);
    }

    #[test]
    fn an_archive_that_cannot_run_is_refused_by_what_is_in_it() {
        let head = "Content-Type: multipart/mixed; boundary=b\n\n";
        let part = |kind: &str, body: &str| format!("{head}--b\nContent-Type: {kind}\n\n{body}\n--b--\n");
        for (text, reason) in [
            (head.to_owned(), "without a part"),
            (part("text/cloud-config", "a: b"), "text/cloud-config"),
            (part("text/x-shellscript", "#!/no/such/shell"), "/no/such/shell"),
            (
                part("text/x-shellscript", "x")
                    .replace("script\n", "script\nContent-Transfer-Encoding: base64\n"),
                "base64",
            ),
            ("Content-Type: text/plain\n\nhello".to_owned(), "no script"),
        ] {
            let error = UserData::read(&text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}
