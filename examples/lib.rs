//! Runnable examples of skyfleet. Each is one file beside this one:
//!
//! | example | shows |
//! |---|---|
//! | `portable_batch` | the main job: words counted on spot instances, two of them preempted |
//! | `swap_provider` | one program, three clouds, one value changed |
//! | `checkpoint` | a job's code that saves its work when its machine will be taken back, on any cloud |
//! | `custom_provider` | a third party's provider; `cellar/` is all of its crate |
