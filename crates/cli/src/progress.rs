//! The moving bar of `skyfleet run`: on standard error, and only for a person.

use std::collections::BTreeSet;

use indicatif::{ProgressBar, ProgressStyle};
use skyfleet::EventKind;
use skyfleet_batch::JobEvent;
use skyfleet_core::InstanceId;

use crate::output;

/// Draws how far a job is.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    up: BTreeSet<InstanceId>,
    preempted: u32,
    failed: u32,
}

impl Progress {
    /// A bar for so many tasks; nothing at all when nobody looks.
    pub(crate) fn new(tasks: usize) -> Self {
        let bar =
            if output::stderr_is_lively() { ProgressBar::new(tasks as u64) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} tasks  {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar, up: BTreeSet::new(), preempted: 0, failed: 0 }
    }

    /// Takes an event in.
    pub(crate) fn show(&mut self, event: &JobEvent) {
        match event {
            JobEvent::TaskDone { finished, .. } => self.bar.set_position(u64::from(*finished)),
            JobEvent::TaskFailed { finished, .. } => {
                self.failed += 1;
                self.bar.set_position(u64::from(*finished));
            }
            JobEvent::Fleet { happened } => match &happened.kind {
                EventKind::Running { instance, .. } => {
                    self.up.insert(instance.clone());
                }
                EventKind::Preempted { instance, .. } => {
                    self.preempted += 1;
                    self.up.remove(instance);
                }
                EventKind::Lost { instance, .. } => {
                    self.up.remove(instance);
                }
                _ => return,
            },
            _ => return,
        }
        let mut message = format!("{} instances", self.up.len());
        if self.preempted > 0 {
            message.push_str(&format!(", {} preempted", self.preempted));
        }
        if self.failed > 0 {
            message.push_str(&format!(", {} tasks failed", self.failed));
        }
        self.bar.set_message(message);
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
