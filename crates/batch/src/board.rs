//! Which task is where. Pure: no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use skyfleet_core::InstanceId;

/// Who does what, and what is done: counts each task exactly once, whatever arrives.
///
/// Every change costs O(log n) in the number of tasks and instances.
#[derive(Debug)]
pub(crate) struct Board {
    tasks: Vec<Task>,
    retries: u32,
    unfinished: usize,
    /// Tasks that nobody holds: new ones, then those that failed and may try again.
    queue: VecDeque<u32>,
    /// Tasks whose instance ended, by its slot: its next instance takes them first.
    returned: BTreeMap<u32, VecDeque<u32>>,
    hands: BTreeMap<InstanceId, Hand>,
    /// Who may get more: by how much each holds, then by slot.
    open: BTreeSet<(usize, u32, InstanceId)>,
}

/// How many tasks an instance holds at most: one that it does, and one that waits, so that it
/// does not stand still while its result is noticed.
const HELD_MAX: usize = 2;

#[derive(Debug, Default)]
struct Task {
    attempt: u32,
    failures: u32,
    holder: Option<InstanceId>,
    finished: bool,
}

#[derive(Debug)]
struct Hand {
    slot: u32,
    held: Vec<u32>,
    leaving: bool,
}

/// A task that was just given to an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dealt {
    pub(crate) index: u32,
    pub(crate) attempt: u32,
    pub(crate) instance: InstanceId,
}

/// What the end of an attempt means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It succeeded, and is the one that counts.
    Done,
    /// It failed, and will be tried again.
    Retry,
    /// It failed for the last time.
    Failed,
    /// Another attempt counts, or will.
    Ignored,
}

impl Board {
    pub(crate) fn new(tasks: u32, retries: u32) -> Self {
        Self {
            tasks: (0..tasks).map(|_| Task::default()).collect(),
            retries,
            unfinished: tasks as usize,
            queue: (0..tasks).collect(),
            returned: BTreeMap::new(),
            hands: BTreeMap::new(),
            open: BTreeSet::new(),
        }
    }

    /// How many tasks are not finished.
    pub(crate) fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// How many tasks nobody holds.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len() + self.returned.values().map(VecDeque::len).sum::<usize>()
    }

    /// How many instances hold nothing.
    pub(crate) fn idle(&self) -> usize {
        self.open.range(..(1, 0, InstanceId::from(""))).count()
    }

    /// How many times a task was dealt.
    pub(crate) fn attempts(&self, index: u32) -> u32 {
        self.tasks[index as usize].attempt
    }

    /// What an instance holds now, oldest first.
    pub(crate) fn held(&self, instance: &InstanceId) -> &[u32] {
        self.hands.get(instance).map_or(&[], |hand| &hand.held)
    }

    /// An instance is up. One that is known already stays as it is.
    pub(crate) fn join(&mut self, instance: &InstanceId, slot: u32) {
        if !self.hands.contains_key(instance) {
            self.hands.insert(instance.clone(), Hand { slot, held: Vec::new(), leaving: false });
            self.open.insert((0, slot, instance.clone()));
        }
    }

    /// An instance will be taken back: it gets nothing more.
    pub(crate) fn notice(&mut self, instance: &InstanceId) {
        if let Some(hand) = self.hands.get_mut(instance) {
            hand.leaving = true;
            self.open.remove(&(hand.held.len(), hand.slot, instance.clone()));
        }
    }

    /// An instance ended. What it held waits for the slot's next one; returns it, with the attempt
    /// that was cut off.
    pub(crate) fn leave(&mut self, instance: &InstanceId) -> Vec<(u32, u32)> {
        let Some(hand) = self.hands.remove(instance) else { return Vec::new() };
        self.open.remove(&(hand.held.len(), hand.slot, instance.clone()));
        for &index in &hand.held {
            self.tasks[index as usize].holder = None;
            self.returned.entry(hand.slot).or_default().push_back(index);
        }
        hand.held.iter().map(|&index| (index, self.tasks[index as usize].attempt)).collect()
    }

    /// An attempt ended, with success or without.
    pub(crate) fn end(&mut self, index: u32, attempt: u32, success: bool) -> Verdict {
        let Some(task) = self.tasks.get_mut(index as usize) else { return Verdict::Ignored };
        // A failure counts only while its instance is sure to live: one that goes down kills its
        // command, which is not the command's fault.
        let sure = |holder: &InstanceId| self.hands.get(holder).is_some_and(|hand| !hand.leaving);
        let blamed = task.attempt == attempt && task.holder.as_ref().is_some_and(sure);
        if task.finished || attempt == 0 || attempt > task.attempt {
            return Verdict::Ignored;
        }
        if success {
            task.finished = true;
            self.unfinished -= 1;
            self.release(index);
            return Verdict::Done;
        }
        if task.attempt != attempt || task.holder.is_none() {
            return Verdict::Ignored;
        }
        task.failures += u32::from(blamed);
        let last = task.failures > self.retries;
        task.finished = last;
        self.unfinished -= usize::from(last);
        self.release(index);
        if last {
            return Verdict::Failed;
        }
        self.queue.push_back(index);
        Verdict::Retry
    }

    /// Takes a task out of wherever it is.
    fn release(&mut self, index: u32) {
        let Some(holder) = self.tasks[index as usize].holder.take() else {
            // An earlier attempt's result came while the task waited for its next one.
            self.queue.retain(|&i| i != index);
            self.returned.values_mut().for_each(|waiting| waiting.retain(|&i| i != index));
            self.returned.retain(|_, waiting| !waiting.is_empty());
            return;
        };
        let hand = self.hands.get_mut(&holder).expect("who holds a task is known");
        let before = (hand.held.len(), hand.slot, holder.clone());
        hand.held.retain(|&i| i != index);
        self.open.remove(&before);
        if !hand.leaving {
            self.open.insert((hand.held.len(), hand.slot, holder));
        }
    }

    /// Gives out what can be given out: one task to everybody, and a second one while more tasks
    /// wait than there are instances. (Near the end a task that waits behind another one would
    /// only make the job longer.)
    pub(crate) fn deal(&mut self) -> Vec<Dealt> {
        let mut dealt = Vec::new();
        let mut waiting = self.waiting();
        while let Some((held, slot, instance)) = self.open.first().cloned() {
            let depth = if waiting > self.hands.len() { HELD_MAX } else { 1 };
            if held >= depth {
                break;
            }
            let Some(index) = self.next_for(slot) else { break };
            waiting -= 1;
            let task = &mut self.tasks[index as usize];
            task.attempt += 1;
            task.holder = Some(instance.clone());
            dealt.push(Dealt { index, attempt: task.attempt, instance: instance.clone() });
            self.hands.get_mut(&instance).expect("who is open is known").held.push(index);
            self.open.pop_first();
            self.open.insert((held + 1, slot, instance));
        }
        dealt
    }

    /// The slot's own unfinished work, then new work, then what waits for another slot's instance.
    fn next_for(&mut self, slot: u32) -> Option<u32> {
        if let Some(index) = self.pop_returned(slot) {
            return Some(index);
        }
        if let Some(index) = self.queue.pop_front() {
            return Some(index);
        }
        let (&other, _) = self.returned.first_key_value()?;
        self.pop_returned(other)
    }

    fn pop_returned(&mut self, slot: u32) -> Option<u32> {
        let waiting = self.returned.get_mut(&slot)?;
        let index = waiting.pop_front();
        if waiting.is_empty() {
            self.returned.remove(&slot);
        }
        index
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(n: u32) -> InstanceId {
        InstanceId::from(format!("i-{n}"))
    }

    fn dealt(board: &mut Board) -> Vec<(u32, u32, String)> {
        board.deal().into_iter().map(|d| (d.index, d.attempt, d.instance.to_string())).collect()
    }

    #[test]
    fn everybody_gets_one_before_anybody_gets_two() {
        let mut board = Board::new(10, 0);
        board.join(&id(0), 0);
        board.join(&id(1), 1);
        let given = dealt(&mut board);
        let who: Vec<_> = given.iter().map(|(index, _, instance)| (*index, instance.as_str())).collect();
        assert_eq!(who, [(0, "i-0"), (1, "i-1"), (2, "i-0"), (3, "i-1")]);
    }

    #[test]
    fn nothing_waits_behind_another_task_near_the_end() {
        let mut board = Board::new(3, 0);
        board.join(&id(0), 0);
        board.join(&id(1), 1);
        assert_eq!(dealt(&mut board).len(), 2);
        assert_eq!((board.waiting(), board.idle()), (1, 0));
    }

    #[test]
    fn a_cut_off_task_goes_to_the_slots_next_instance() {
        let mut board = Board::new(9, 0);
        board.join(&id(0), 0);
        board.join(&id(1), 1);
        dealt(&mut board);
        assert_eq!(board.leave(&id(1)), [(1, 1), (3, 1)]);
        board.join(&id(7), 1);
        assert_eq!(dealt(&mut board), [(1, 2, "i-7".into()), (3, 2, "i-7".into())]);
    }

    #[test]
    fn a_cut_off_task_goes_to_whoever_idles_when_nothing_else_is_left() {
        let mut board = Board::new(2, 0);
        board.join(&id(0), 0);
        board.join(&id(1), 1);
        dealt(&mut board);
        assert_eq!(board.end(0, 1, true), Verdict::Done);
        board.leave(&id(1));
        assert_eq!(dealt(&mut board), [(1, 2, "i-0".into())]);
    }

    #[test]
    fn the_first_result_counts_and_the_other_is_ignored() {
        let mut board = Board::new(1, 0);
        board.join(&id(0), 0);
        dealt(&mut board);
        board.leave(&id(0));
        board.join(&id(1), 0);
        assert_eq!(dealt(&mut board), [(0, 2, "i-1".into())]);
        assert_eq!(board.end(0, 1, true), Verdict::Done, "the instance had finished before it went");
        assert_eq!(board.end(0, 2, true), Verdict::Ignored);
        assert_eq!((board.unfinished(), board.idle()), (0, 1));
    }

    #[test]
    fn a_late_result_takes_the_task_out_of_the_queue() {
        let mut board = Board::new(1, 0);
        board.join(&id(0), 0);
        dealt(&mut board);
        board.leave(&id(0));
        assert_eq!(board.end(0, 1, true), Verdict::Done);
        board.join(&id(1), 0);
        assert!(dealt(&mut board).is_empty());
    }

    #[test]
    fn a_task_fails_after_its_retries_and_not_before() {
        let mut board = Board::new(1, 2);
        board.join(&id(0), 0);
        for (attempt, verdict) in [(1, Verdict::Retry), (2, Verdict::Retry), (3, Verdict::Failed)] {
            assert_eq!(dealt(&mut board), [(0, attempt, "i-0".into())]);
            assert_eq!(board.end(0, attempt, false), verdict);
        }
        assert_eq!(board.unfinished(), 0);
    }

    #[test]
    fn a_failure_on_a_machine_that_goes_down_is_not_the_commands_fault() {
        let mut board = Board::new(1, 0);
        board.join(&id(0), 0);
        dealt(&mut board);
        board.notice(&id(0));
        assert_eq!(board.end(0, 1, false), Verdict::Retry);
        assert!(dealt(&mut board).is_empty(), "who leaves gets nothing more");
        board.join(&id(1), 1);
        assert_eq!(dealt(&mut board), [(0, 2, "i-1".into())]);
        board.leave(&id(1));
        assert_eq!(board.end(0, 2, false), Verdict::Ignored);
        board.join(&id(2), 1);
        assert_eq!(dealt(&mut board), [(0, 3, "i-2".into())]);
    }

    #[test]
    fn a_status_that_nobody_can_have_written_changes_nothing() {
        let mut board = Board::new(1, 0);
        for (index, attempt) in [(0, 0), (0, 1), (5, 1)] {
            assert_eq!(board.end(index, attempt, true), Verdict::Ignored);
        }
        assert_eq!((board.unfinished(), board.waiting()), (1, 1));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Join(u32),
        Notice(u32),
        Leave(u32),
        /// The n-th of all attempts so far ends.
        End(usize, bool),
        Deal,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..12_u32).prop_map(Step::Join),
            (0..12_u32).prop_map(Step::Notice),
            (0..12_u32).prop_map(Step::Leave),
            (0..200_usize, proptest::bool::weighted(0.7)).prop_map(|(n, success)| Step::End(n, success)),
            Just(Step::Deal),
        ]
    }

    proptest! {
        #[test]
        fn each_task_is_counted_exactly_once_whatever_happens(
            tasks in 1..20_u32,
            retries in 0..3_u32,
            steps in proptest::collection::vec(step(), 0..300),
        ) {
            let mut board = Board::new(tasks, retries);
            let mut counted = vec![0; tasks as usize];
            let mut attempts: Vec<(u32, u32)> = Vec::new();
            let mut end = |board: &mut Board, index: u32, attempt: u32, success: bool| {
                if let Verdict::Done | Verdict::Failed = board.end(index, attempt, success) {
                    counted[index as usize] += 1;
                }
            };
            for step in steps {
                match step {
                    Step::Join(n) => board.join(&id(n), n % 4),
                    Step::Notice(n) => board.notice(&id(n)),
                    Step::Leave(n) => drop(board.leave(&id(n))),
                    Step::End(n, success) => {
                        if let Some(&(index, attempt)) = attempts.get(n) {
                            end(&mut board, index, attempt, success);
                        }
                    }
                    Step::Deal => attempts.extend(board.deal().into_iter().map(|d| (d.index, d.attempt))),
                }
                let mut held: Vec<u32> = board.hands.values().flat_map(|hand| hand.held.clone()).collect();
                held.sort_unstable();
                prop_assert!(held.windows(2).all(|pair| pair[0] != pair[1]), "held twice: {held:?}");
                prop_assert_eq!(held.len() + board.waiting(), board.unfinished());
            }
            board.join(&id(99), 99);
            while board.unfinished() > 0 {
                attempts.extend(board.deal().into_iter().map(|d| (d.index, d.attempt)));
                for &(index, attempt) in &attempts {
                    end(&mut board, index, attempt, true);
                }
            }
            prop_assert!(counted.iter().all(|&n| n == 1), "{counted:?}");
        }
    }
}
