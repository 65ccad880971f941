//! Runnable examples of skyfleet. Each is one file beside this one:
//!
//! | example | shows |
//! |---|---|
//! | `portable_batch` | the main job: words counted on spot instances, two of them preempted |
//! | `swap_provider` | one program, three clouds, one value changed |
//! | `custom_provider` | a third party's provider; `cellar/` is all of its crate |
