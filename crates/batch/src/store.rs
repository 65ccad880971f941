use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::TryStreamExt;
use opendal::Operator;
use skyfleet_core::{Clock, Error, ErrorKind, Result, SystemClock};

mod address;

use address::{local_path, open_remote, refusal, without_query};

/// A folder in an object store: on this machine, or behind S3, Cloud Storage or Blob Storage.
///
/// Cheap to clone. Credentials come from each cloud's own standard chain; machines never get any,
/// they get signed URLs.
#[derive(Clone)]
pub struct Store {
    operator: Operator,
    /// The URL without its query.
    label: String,
    /// The folder, when it is on this machine.
    local: Option<PathBuf>,
}

/// What an address of a machine is made of, as far as a machine needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// A path, or a signed URL.
    pub(crate) place: String,
    /// What a request to it must send: `name: value`.
    pub(crate) headers: Vec<String>,
}

/// How much of an input is in memory while it is uploaded.
const CHUNK: usize = 8 << 20;

impl Store {
    /// Opens a store by its URL: a path or `file:///path`, `s3://bucket/prefix?region=…`,
    /// `gs://bucket/prefix`, `az://container/prefix?account_name=…`. A local folder is made when
    /// it is not there; nothing is sent to a remote one.
    ///
    /// Query keys are OpenDAL's for the service, except for secrets, which are refused: those come
    /// from the environment. Blob Storage signs URLs by a SAS token only, in
    /// `AZURE_STORAGE_SAS_TOKEN`; every machine then sees what that token allows.
    ///
    /// # Errors
    /// `InvalidConfig` for a scheme that is not known or not in this build, for a query key that
    /// the store does not have, and for a local folder that cannot be made.
    pub fn open(url: &str) -> Result<Self> {
        Self::connect(url).map_err(|e| e.with("key", "store").with("store", without_query(url)))
    }

    /// As [`Store::open`], for a folder that must be there.
    pub(crate) fn open_existing(url: &str) -> Result<Self> {
        let local = local_path(url).map_err(|e| e.with("input", without_query(url)))?;
        if let Some(path) = local {
            match std::fs::metadata(&path) {
                Ok(found) if found.is_dir() => {}
                Ok(_) => {
                    return Err(
                        refusal("the input is a file; a folder of files is needed").with("input", url)
                    );
                }
                Err(e) => {
                    return Err(refusal("the input folder cannot be read")
                        .with("input", url)
                        .with("reason", e));
                }
            }
        }
        Self::connect(url).map_err(|e| e.with("input", without_query(url)))
    }

    fn connect(url: &str) -> Result<Self> {
        if url.chars().any(char::is_control) {
            return Err(refusal("it has a control character in it"));
        }
        let label = without_query(url).trim_end_matches('/').to_owned();
        if let Some(path) = local_path(url)? {
            let path = std::path::absolute(path).map_err(|e| refusal(e.to_string()))?;
            let text = path.to_str().ok_or_else(|| refusal("the path is not UTF-8"))?;
            let operator = Operator::new(opendal::services::Fs::default().root(text))
                .map_err(|e| refusal("the folder cannot be made or opened").because(e))?;
            return Ok(Self { operator, label, local: Some(path) });
        }
        let (scheme, _) = url.split_once("://").expect("what is no path has a scheme");
        let operator = open_remote(scheme, url)?;
        Ok(Self { operator, label, local: None })
    }

    /// Reads one object.
    ///
    /// # Errors
    /// `NotFound` when it is not there.
    pub async fn read(&self, path: &str) -> Result<Vec<u8>> {
        let found = self.again("read", path, || self.operator.read(path)).await?;
        Ok(found.to_vec())
    }

    /// Whether it is a folder of this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.local.is_some()
    }

    /// The URL of something in it, for people.
    pub(crate) fn url_of(&self, path: &str) -> String {
        format!("{}/{path}", self.label)
    }

    /// Writes one object, whole or not at all.
    pub(crate) async fn write(&self, path: &str, text: impl Into<Vec<u8>>) -> Result<()> {
        let bytes = opendal::Buffer::from(text.into());
        if self.is_local() {
            let part = format!("{path}.part");
            self.again("write", path, || self.operator.write(&part, bytes.clone())).await?;
            return self.again("rename", path, || self.operator.rename(&part, path)).await;
        }
        self.again("write", path, || self.operator.write(path, bytes.clone())).await.map(drop)
    }

    /// Proves that a folder can be written, read and deleted; it must be empty.
    pub(crate) async fn probe(&self, folder: &str) -> Result<()> {
        let proof = async {
            let path = format!("{folder}/probe");
            self.write(&path, "probe").await?;
            self.read(&path).await?;
            self.delete_all(&format!("{folder}/")).await
        };
        proof.await.map_err(|e| e.with("key", "store"))
    }

    /// Makes a folder, where there is such a thing.
    pub(crate) async fn make_folder(&self, folder: &str) -> Result<()> {
        if self.is_local() {
            self.again("make", folder, || self.operator.create_dir(folder)).await?;
        }
        Ok(())
    }

    /// The names of what lies directly in a folder. A local one must be there.
    pub(crate) async fn names_in(&self, folder: &str) -> Result<Vec<String>> {
        let found = self.again("list", folder, || self.operator.list(folder)).await?;
        if found.is_empty() && self.is_local() {
            // OpenDAL lists a folder that is gone as an empty one.
            self.again("find", folder, || self.operator.stat(folder)).await?;
        }
        Ok(found.iter().filter(|e| e.metadata().is_file()).map(|e| e.name().to_owned()).collect())
    }

    /// Whether there is anything at all below a folder.
    pub(crate) async fn has_any(&self, folder: &str) -> Result<bool> {
        let look = async || -> opendal::Result<bool> {
            let mut lister = self.operator.lister_with(folder).recursive(true).await?;
            while let Some(entry) = lister.try_next().await? {
                if entry.metadata().is_file() {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        match look().await {
            Err(e) if e.kind() == opendal::ErrorKind::NotFound => Ok(false),
            found => found.map_err(|e| self.error("list", folder, e)),
        }
    }

    /// Every file, at any depth, in the order of the names.
    pub(crate) async fn all_files(&self) -> Result<Vec<String>> {
        let found = self.again("list", "", || self.operator.list_with("").recursive(true)).await?;
        let mut names: Vec<String> =
            found.iter().filter(|e| e.metadata().is_file()).map(|e| e.path().to_owned()).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Moves an object; `false` when it is not there. Where the store cannot rename, it is copied,
    /// and the original stays.
    pub(crate) async fn publish(&self, from: &str, to: &str) -> Result<bool> {
        let done = if self.operator.info().capability().rename {
            self.again("rename", from, || self.operator.rename(from, to)).await
        } else {
            self.again("copy", from, || self.operator.copy(from, to)).await.map(drop)
        };
        match done {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
            done => done.map(|()| true),
        }
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<()> {
        self.again("delete", path, || self.operator.delete(path)).await
    }

    pub(crate) async fn delete_all(&self, folder: &str) -> Result<()> {
        self.again("delete", folder, || self.operator.delete_with(folder).recursive(true)).await
    }

    /// Copies an object of another store into this one, in pieces.
    pub(crate) async fn copy_from(&self, other: &Self, from: &str, to: &str) -> Result<()> {
        let copy = async || -> opendal::Result<()> {
            let mut source =
                other.operator.reader_with(from).chunk(CHUNK).await?.into_bytes_stream(..).await?;
            let mut target = self.operator.writer_with(to).chunk(CHUNK).await?;
            loop {
                match source.try_next().await {
                    Ok(Some(bytes)) => target.write(bytes).await?,
                    Ok(None) => break,
                    Err(e) => {
                        return Err(opendal::Error::new(opendal::ErrorKind::Unexpected, e.to_string()));
                    }
                }
            }
            target.close().await.map(drop)
        };
        copy().await.map_err(|e| self.error("upload", to, e))
    }

    /// Where a machine reads an object.
    pub(crate) async fn location(&self, path: &str, lifetime: Duration) -> Result<Location> {
        if let Some(folder) = &self.local {
            return Ok(Location::local(folder, path));
        }
        self.signable()?;
        let signed = self.again("sign", path, || self.operator.presign_read(path, lifetime)).await?;
        Ok(Location { place: signed.uri().to_string(), headers: Vec::new() })
    }

    /// Where a machine writes an object.
    pub(crate) async fn target(&self, path: &str, lifetime: Duration) -> Result<Location> {
        if let Some(folder) = &self.local {
            return Ok(Location::local(folder, path));
        }
        self.signable()?;
        let signed = self.again("sign", path, || self.operator.presign_write(path, lifetime)).await?;
        // curl itself sends the host and the length; only the service's own headers are left.
        let own = |(name, value): (_, &str)| format!("{name}: {value}");
        let headers = signed.header().iter().filter(|(name, _)| name.as_str().starts_with("x-"));
        let headers = headers.filter_map(|(name, value)| Some((name, value.to_str().ok()?))).map(own);
        Ok(Location { place: signed.uri().to_string(), headers: headers.collect() })
    }

    fn signable(&self) -> Result<()> {
        let can = self.operator.info().capability();
        if can.presign_read && can.presign_write {
            return Ok(());
        }
        let fix = if self.label.starts_with("az:") { ": set AZURE_STORAGE_SAS_TOKEN" } else { "" };
        Err(refusal(format!(
            "this store cannot sign URLs with the credentials at hand, and machines need them{fix}"
        ))
        .with("key", "store")
        .with("store", &self.label))
    }

    /// Repeats what failed for a moment: three times, after 0.5, 1 and 2 s. A folder of this
    /// machine does not fail for a moment.
    async fn again<T, F: IntoFuture<Output = opendal::Result<T>>>(
        &self,
        what: &'static str,
        path: &str,
        attempt: impl Fn() -> F,
    ) -> Result<T> {
        let mut wait = Duration::from_millis(500);
        for _ in 0..if self.is_local() { 0 } else { 3 } {
            match attempt().await {
                Err(e) if e.is_temporary() => SystemClock.sleep(wait).await,
                done => return done.map_err(|e| self.error(what, path, e)),
            }
            wait *= 2;
        }
        attempt().await.map_err(|e| self.error(what, path, e))
    }

    fn error(&self, what: &'static str, path: &str, error: opendal::Error) -> Error {
        let kind = match error.kind() {
            opendal::ErrorKind::NotFound => ErrorKind::NotFound,
            opendal::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
            opendal::ErrorKind::ConfigInvalid => ErrorKind::InvalidConfig,
            opendal::ErrorKind::RateLimited => ErrorKind::RateLimited,
            _ if error.is_temporary() => ErrorKind::Unavailable,
            _ => ErrorKind::Unexpected,
        };
        let reason = std::error::Error::source(&error).map(ToString::to_string);
        let error = Error::new(kind, format!("the store failed to {what}: {}", error.message()))
            .with("object", self.url_of(path));
        match reason {
            Some(reason) if self.is_local() => error.with("reason", reason),
            _ => error,
        }
    }
}

impl Location {
    fn local(folder: &Path, path: &str) -> Self {
        let place = folder.join(path).to_str().expect("a store's path is UTF-8").to_owned();
        Self { place, headers: Vec::new() }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.label).finish()
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str, part: &str) {
        let error = Store::open(url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{url}");
        assert!(error.to_string().contains(part), "{url}: {error}");
    }

    #[test]
    fn a_url_that_cannot_work_says_why() {
        refused("", "empty");
        refused("ftp://host/dir", "no known scheme");
        refused("gcs://bucket", "\"gs\" is meant");
        refused("file://relative/dir", "file:///path");
        refused("file:///dir?region=x", "no query");
        #[cfg(not(feature = "s3"))]
        refused("s3://bucket/prefix?region=us-east-1", "feature \"s3\"");
        #[cfg(not(feature = "gcs"))]
        refused("gs://bucket", "feature \"gcs\"");
        #[cfg(not(feature = "azblob"))]
        refused("az://container", "feature \"azblob\"");
    }

    #[cfg(feature = "s3")]
    #[test]
    fn a_remote_url_is_read_strictly_and_shows_no_secret() {
        refused("s3://bucket/prefix?regoin=us-east-1", "nearest is \"region\"");
        refused("s3://bucket?secret_access_key=hush", "environment");
        let error = Store::open("s3://bucket?secret_access_key=hush").unwrap_err();
        assert!(!format!("{error:?}").contains("hush"));
        let store = Store::open("s3://bucket/prefix/?region=us-east-1").unwrap();
        assert_eq!(store.url_of("job"), "s3://bucket/prefix/job");
    }

    #[test]
    fn a_folder_below_a_file_cannot_be_made() {
        let file = tempfile::NamedTempFile::new().unwrap();
        refused(&format!("{}/results", file.path().display()), "cannot be made");
    }

    #[tokio::test]
    async fn what_is_written_is_read_listed_moved_and_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("file://{}/a%20b", folder.path().display())).unwrap();
        assert!(folder.path().join("a b").is_dir());
        assert!(!store.has_any("job/").await.unwrap());
        store.make_folder("job/signs/").await.unwrap();
        assert!(store.names_in("job/signs/").await.unwrap().is_empty());
        store.write("job/signs/1.1", "x").await.unwrap();
        store.write("job/signs/0.1", "y").await.unwrap();
        let mut names = store.names_in("job/signs/").await.unwrap();
        names.sort();
        assert_eq!(names, ["0.1", "1.1"]);
        assert!(store.publish("job/signs/0.1", "job/results/a/status").await.unwrap());
        assert!(!store.publish("job/signs/0.1", "job/results/a/status").await.unwrap());
        assert_eq!(store.read("job/results/a/status").await.unwrap(), b"y");
        assert_eq!(store.all_files().await.unwrap(), ["job/results/a/status", "job/signs/1.1"]);
        store.delete_all("job/").await.unwrap();
        assert!(!store.has_any("").await.unwrap());
        assert_eq!(store.read("job/results/a/status").await.unwrap_err().kind(), ErrorKind::NotFound);
    }
}
