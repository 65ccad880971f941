use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde::Deserialize;

use crate::kernel::{Kernel, Setup};
use crate::ledger::{LineKind, Of};

/// The format of a file that holds a world: another one is refused by name, not misread.
pub(crate) const FORMAT: u32 = 3;

/// What every format has, or the first one lacks.
#[derive(Deserialize)]
struct Head {
    #[serde(default = "first")]
    format: u32,
}

fn first() -> u32 {
    1
}

/// A map whose keys are no text, as a list of pairs.
pub(crate) mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        output: S,
    ) -> Result<S::Ok, S::Error> {
        output.collect_seq(map)
    }

    pub(crate) fn deserialize<'de, K, V, D>(input: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(input)?.into_iter().collect())
    }
}

/// The file in which worlds of several processes are one.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    /// The file as it was when it was last read or written here.
    seen: Mutex<Option<Stamp>>,
}

/// Tells one version of the file from another: each is a new file.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: SystemTime,
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let data = fs::metadata(path)?;
        Ok(Self { inode: data.ino(), length: data.len(), modified: data.modified()? })
    }
}

impl StateFile {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), seen: Mutex::default() }
    }

    /// Keeps other processes out until the file is dropped. The lock is on a file beside it, as
    /// the file itself is replaced.
    pub(crate) fn lock(&self) -> io::Result<File> {
        let lock = File::options().create(true).truncate(false).write(true).open(self.beside("lock"))?;
        lock.lock()?;
        Ok(lock)
    }

    /// The world in the file, if there is one, and if another process wrote it since it was last
    /// read or written here.
    pub(crate) fn load(&self) -> io::Result<Option<Kernel>> {
        let stamp = match Stamp::of(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            stamp => Some(stamp?),
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == stamp {
            return Ok(None);
        }
        let bytes = fs::read(&self.path)?;
        let kernel = serde_json::from_slice::<Kernel>(&bytes);
        let format = match &kernel {
            Ok(kernel) => kernel.format,
            Err(_) => serde_json::from_slice::<Head>(&bytes).map_or(FORMAT, |head| head.format),
        };
        if format != FORMAT {
            let message = format!(
                "it is of format {format}, this version reads format {FORMAT}; with a new file the world begins anew"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        *seen = stamp;
        Ok(Some(kernel?))
    }

    /// Writes the world; a reader sees the old file or the new one, never a part.
    pub(crate) fn save(&self, kernel: &Kernel) -> io::Result<()> {
        let new = self.beside("new");
        fs::write(&new, serde_json::to_vec(kernel)?)?;
        fs::rename(&new, &self.path)?;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(Stamp::of(&self.path)?);
        Ok(())
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".");
        name.push(ending);
        name.into()
    }
}

impl Kernel {
    /// Takes over what was read from a file: the setup stays, the indexes are made anew.
    pub(crate) fn adopt(&mut self, mut read: Self) {
        std::mem::swap(&mut read.setup, &mut self.setup);
        *self = read;
        for (m, machine) in (0u32..).zip(&self.machines) {
            self.by_id.insert(machine.id.clone(), m);
        }
        for lot in 0..self.lots.len() as u32 {
            self.index_lot(lot);
        }
        for (number, thing) in (0u32..).zip(&self.things) {
            self.by_thing.insert(thing.id.clone(), number);
        }
        for line in self.retagged.keys() {
            let line = &self.lines[*line as usize];
            if let (LineKind::Instance, Of::Machine(m)) = (line.kind, line.of) {
                self.mixed.insert(self.machines[m as usize].lot);
            }
        }
    }

    /// An empty world of the same seed.
    pub(crate) fn reset(&mut self) {
        let setup = std::mem::replace(&mut self.setup, Setup::blank());
        *self = Self::new(setup, self.seed, self.now);
    }
}
