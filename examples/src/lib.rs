//! Runnable examples of skyfleet; see the files beside this folder.
