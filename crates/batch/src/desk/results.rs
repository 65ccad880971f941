//! What comes in: signs, results.

use futures::{StreamExt, TryStreamExt, stream};
use skyfleet_core::Result;

use super::{Desk, Ended, REQUESTS};
use crate::board::Verdict;
use crate::protocol::{Sign, Status};
use crate::{JobEvent, TaskReport, TaskState};

impl Desk {
    /// Looks for signs, and takes them in.
    pub(super) async fn collect(&mut self) -> Result<()> {
        if self.known.is_empty() {
            return Ok(());
        }
        let folder = format!("{}/control/signs/", self.job);
        let mut ended = Vec::new();
        for name in self.store.names_in(&folder).await? {
            if self.litter.contains(&name) {
                continue;
            }
            match Sign::parse(&name) {
                Some(Sign::Hello(number)) => {
                    self.greet(number);
                    self.litter.insert(name);
                }
                Some(Sign::Ended { index, attempt }) => ended.push((index, attempt)),
                None => {}
            }
        }
        ended.sort_unstable();
        ended.retain(|sign| !self.unpublished.iter().any(|known| (known.index, known.attempt) == *sign));
        let store = &self.store;
        let read = |(index, attempt): (u32, u32)| {
            let path = format!("{folder}{}", Sign::Ended { index, attempt }.name());
            async move {
                let bytes = store.read(&path).await?;
                Ok::<_, skyfleet_core::Error>((index, attempt, bytes))
            }
        };
        let read: Vec<_> = stream::iter(ended.into_iter().map(read)).buffered(REQUESTS).try_collect().await?;
        for (index, attempt, bytes) in read {
            self.take_in(index, attempt, &Status::parse(&String::from_utf8_lossy(&bytes))?);
        }
        Ok(())
    }

    fn greet(&mut self, number: u32) {
        let instance =
            self.absent.iter().find(|(_, absent)| absent.number == number).map(|(id, _)| id.clone());
        if let Some(instance) = instance {
            self.absent.remove(&instance);
            self.roster_changed = true;
            self.events.push(JobEvent::WorkerReady { instance });
        }
    }

    fn take_in(&mut self, index: u32, attempt: u32, status: &Status) {
        let failure = status.failure(self.task_timeout);
        let verdict = self.board.end(index, attempt, failure.is_none());
        match verdict {
            Verdict::Done | Verdict::Failed => {
                let done = verdict == Verdict::Done;
                self.unpublished.push(Ended { index, attempt, done, status: *status });
                return;
            }
            Verdict::Retry => {
                let reason = failure.unwrap_or_default();
                self.events.push(JobEvent::TaskRetried { index, attempt, reason });
            }
            Verdict::Ignored => {}
        }
        self.litter.insert(Sign::Ended { index, attempt }.name());
    }

    /// Puts what counts where people look for it.
    pub(super) async fn publish(&mut self) -> Result<()> {
        let (store, job) = (&self.store, &self.job);
        let mut published = Vec::new();
        let mut failed = None;
        let work = self.unpublished.iter().map(|ended| {
            let report = self.report_of(ended);
            async move {
                let from = format!("{job}/control/attempts/{}.{}", ended.index, ended.attempt);
                for part in ["stdout", "stderr", "output"] {
                    if part != "output" || ended.status.has_output {
                        store
                            .publish(&format!("{from}/{part}"), &format!("{job}/{}/{part}", report.folder))
                            .await?;
                    }
                }
                let status = serde_json::to_vec_pretty(&report).expect("a report is plain data");
                store.write(&format!("{job}/{}/status.json", report.folder), status).await?;
                Ok::<_, skyfleet_core::Error>(report)
            }
        });
        let mut work = stream::iter(work.collect::<Vec<_>>()).buffered(REQUESTS);
        while let Some(done) = work.next().await {
            match done {
                Ok(report) => published.push(report),
                Err(error) => failed = Some(error),
            }
        }
        drop(work);
        for report in published {
            self.count(report);
        }
        failed.map_or(Ok(()), Err)
    }

    fn report_of(&self, ended: &Ended) -> TaskReport {
        let Ended { index, attempt, done, ref status } = *ended;
        TaskReport {
            state: if done { TaskState::Done } else { TaskState::Failed },
            attempts: self.board.attempts(index),
            counted: Some(attempt),
            instance: self.runners[index as usize].get(attempt as usize - 1).cloned(),
            exit_code: status.exit,
            reason: status.failure(self.task_timeout),
            took: status.took,
            has_output: status.has_output,
            ..self.reports[index as usize].clone()
        }
    }

    fn count(&mut self, report: TaskReport) {
        let (index, attempt) = (report.index, report.counted.unwrap_or_default());
        self.finished += 1;
        let finished = self.finished;
        self.events.push(match &report.reason {
            None => JobEvent::TaskDone { index, attempt, took: report.took, finished },
            Some(reason) => JobEvent::TaskFailed { index, attempt, reason: reason.clone(), finished },
        });
        self.unpublished.retain(|ended| ended.index != index);
        self.litter.insert(Sign::Ended { index, attempt }.name());
        self.reports[index as usize] = report;
    }

    /// Deletes the signs that are dealt with.
    pub(super) async fn tidy(&mut self) -> Result<()> {
        let (store, job) = (&self.store, &self.job);
        let names: Vec<String> = self.litter.iter().cloned().collect();
        let delete = |name: String| async move {
            store.delete(&format!("{job}/control/signs/{name}")).await.map(|()| name)
        };
        let deleted: Vec<String> =
            stream::iter(names.into_iter().map(delete)).buffered(REQUESTS).try_collect().await?;
        for name in deleted {
            self.litter.remove(&name);
        }
        Ok(())
    }
}
