use std::collections::BTreeSet;

use skyfleet_core::{Error, ErrorKind, Result};

use crate::Store;

/// How many times the command runs, and over what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tasks {
    /// So many times, without inputs.
    Count(u32),
    /// Once per file below a folder, recursively, in the order of their names. The folder is a path
    /// or a store URL.
    ///
    /// A local folder is read in place when the store is local too, and uploaded first when it is
    /// remote.
    Objects(String),
}

/// What the tasks of a job are.
#[derive(Debug)]
pub(crate) struct TaskList {
    /// The name of each: of its folder below `results`.
    pub(crate) names: Vec<String>,
    /// Where the inputs lie, under the same names; `None` without inputs.
    pub(crate) inputs: Option<Store>,
}

impl Tasks {
    /// Names them all.
    pub(crate) async fn list(&self) -> Result<TaskList> {
        match self {
            Self::Count(0) => Err(refusal("a job needs at least one task").with("key", "tasks")),
            Self::Count(count) => {
                let width = (count - 1).to_string().len();
                let names = (0..*count).map(|i| format!("{i:0width$}")).collect();
                Ok(TaskList { names, inputs: None })
            }
            Self::Objects(url) => {
                let store = Store::open_existing(url)?;
                let names = store.all_files().await.map_err(|e| e.with("input", &store))?;
                check(&names).map_err(|e| e.with("input", &store))?;
                Ok(TaskList { names, inputs: Some(store) })
            }
        }
    }
}

fn check(names: &[String]) -> Result<()> {
    if names.is_empty() {
        return Err(refusal("the input folder has no file in it"));
    }
    if u32::try_from(names.len()).is_err() {
        return Err(refusal("the input folder has more files than tasks can be counted"));
    }
    // The names go to the machines line by line.
    if let Some(name) = names.iter().find(|name| name.chars().any(char::is_control)) {
        return Err(refusal(format!("the name {name:?} has a control character in it: rename the file")));
    }
    // Only an object store can have both `a` and `a/b`; a folder of results cannot.
    let all: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    for name in names {
        let parents = name.match_indices('/').map(|(at, _)| &name[..at]);
        if let Some(parent) = parents.into_iter().find(|parent| all.contains(parent)) {
            return Err(refusal(format!(
                "{parent:?} is an object and also the folder of {name:?}: their results cannot lie side by side"
            )));
        }
    }
    Ok(())
}

fn refusal(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidConfig, message)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn counted_tasks_have_names_that_sort_as_they_count() {
        let list = Tasks::Count(12).list().await.unwrap();
        assert_eq!((list.names[0].as_str(), list.names[11].as_str()), ("00", "11"));
        assert!(Tasks::Count(0).list().await.is_err());
    }

    #[tokio::test]
    async fn a_folder_is_listed_to_its_depth_in_order() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("b/c")).unwrap();
        for name in ["z.txt", "b/c/two words", "a"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let list = Tasks::Objects(folder.path().to_str().unwrap().into()).list().await.unwrap();
        assert_eq!(list.names, ["a", "b/c/two words", "z.txt"]);
    }

    #[tokio::test]
    async fn a_folder_that_gives_no_task_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let refused = async |name: &str, part: &str| {
            let path = folder.path().join(name);
            let error = Tasks::Objects(path.to_str().unwrap().into()).list().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(error.to_string().contains(part), "{name}: {error}");
            assert!(error.to_string().contains(name), "{error}");
        };
        fs::create_dir(folder.path().join("empty")).unwrap();
        refused("empty", "no file in it").await;
        refused("nowhere", "cannot be read").await;
        assert!(!folder.path().join("nowhere").exists(), "looking for it has made it");
        fs::write(folder.path().join("a file"), "").unwrap();
        refused("a file", "a folder of files is needed").await;
        fs::create_dir(folder.path().join("odd")).unwrap();
        fs::write(folder.path().join("odd/two\nlines"), "").unwrap();
        refused("odd", "control character").await;
    }

    #[test]
    fn an_object_cannot_be_another_ones_folder() {
        let names = ["a", "a!", "a/b"].map(str::to_owned);
        assert!(check(&names).unwrap_err().to_string().contains("\"a/b\""));
    }
}
