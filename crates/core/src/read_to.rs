//! How far a reader of preemptions has come, as a text that survives it: for providers whose cloud
//! tells of each preemption by the instance and the time of its notice.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{Cursor, Error, ErrorKind, InstanceId, Result, Timestamp};

/// What a reader has been told: everything up to a moment, and of the time after it each instance
/// by name. What the cloud shows late, with a time of its own that lies back, is then not lost.
///
/// As text: `<word>;<moment>;<instance>:<notice>[+];…` with seconds of Unix time; `+` says that the
/// end was told too. The word is the provider's own, `aws1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadTo {
    word: &'static str,
    horizon: Timestamp,
    known: BTreeMap<InstanceId, Known>,
}

/// An instance of which a notice was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The time of the notice, in whole seconds.
    pub notice: Timestamp,
    /// Nothing more will come: its end was told, or it is not one to tell.
    pub over: bool,
}

/// How late a cloud may show a notice. Their answers are seconds behind; this is more.
const LATE: Duration = Duration::from_secs(3_600);

impl ReadTo {
    /// Reads a cursor that begins with the provider's word.
    ///
    /// # Errors
    /// `InvalidRequest` for one that is not this provider's.
    pub fn parse(word: &'static str, cursor: &Cursor) -> Result<Self> {
        if *cursor == Cursor::start() {
            return Ok(Self { word, horizon: Timestamp::MIN, known: BTreeMap::new() });
        }
        let read = || {
            let mut parts = cursor.as_str().split(';');
            let head = (parts.next()? == word).then(|| parts.next()).flatten()?;
            let horizon = if head == "-" { Timestamp::MIN } else { second(head)? };
            let known = |part: &str| {
                let (id, rest) = part.split_once(':')?;
                let (notice, over) = rest.strip_suffix('+').map_or((rest, false), |rest| (rest, true));
                Some((InstanceId::from(id), Known { notice: second(notice)?, over }))
            };
            Some(Self { word, horizon, known: parts.map(known).collect::<Option<_>>()? })
        };
        read().ok_or_else(|| {
            Error::new(ErrorKind::InvalidRequest, "the cursor is not of this provider").with("cursor", cursor)
        })
    }

    /// The cursor that says so.
    pub fn cursor(&self) -> Cursor {
        let horizon = match self.horizon == Timestamp::MIN {
            true => "-".to_owned(),
            false => self.horizon.as_second().to_string(),
        };
        let mut text = format!("{};{horizon}", self.word);
        for (id, Known { notice, over }) in &self.known {
            let over = if *over { "+" } else { "" };
            text.push_str(&format!(";{id}:{}{over}", notice.as_second()));
        }
        Cursor::new(text)
    }

    /// The moment up to which everything was told: what is asked next need not go further back.
    pub fn horizon(&self) -> Timestamp {
        self.horizon
    }

    /// What was told of an instance, by the time of its notice.
    pub fn of(&self, id: &InstanceId, notice: Timestamp) -> Option<Known> {
        let old = (notice <= self.horizon).then_some(Known { notice, over: true });
        self.known.get(id).copied().or(old)
    }

    /// The instances whose end is still to come.
    pub fn pending(&self) -> impl Iterator<Item = (&InstanceId, Timestamp)> {
        self.known.iter().filter(|(_, known)| !known.over).map(|(id, known)| (id, known.notice))
    }

    /// Notes what is told of an instance now.
    pub fn note(&mut self, id: InstanceId, known: Known) {
        self.known.insert(id, known);
    }

    /// Moves the moment on by what was told, and drops the names before it.
    pub fn tidy(&mut self) {
        if let Some(newest) = self.known.values().map(|known| known.notice).max() {
            self.read_until(newest);
        }
    }

    /// Everything was read that the cloud showed until then, also where that was nothing: moves the
    /// moment on, and drops the names before it.
    pub fn read_until(&mut self, then: Timestamp) {
        let before = then - LATE;
        self.horizon = self.horizon.max(Timestamp::from_second(before.as_second()).unwrap_or(before));
        let horizon = self.horizon;
        self.known.retain(|_, known| !known.over || known.notice > horizon);
    }
}

fn second(text: &str) -> Option<Timestamp> {
    Timestamp::from_second(text.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORD: &str = "aws1";

    fn start() -> ReadTo {
        ReadTo::parse(WORD, &Cursor::start()).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn who_read_everything_need_not_read_it_again() {
        let mut place = start();
        place.tidy();
        assert_eq!(place.horizon(), Timestamp::MIN, "nothing was told");
        place.read_until(at(10_000));
        assert_eq!(place.horizon(), at(6_400), "what shows late is still read");
        place.read_until(at(5_000));
        assert_eq!(place.horizon(), at(6_400));
    }

    #[test]
    fn a_place_survives_as_text() {
        let mut place = start();
        assert_eq!(ReadTo::parse(WORD, &place.cursor()).unwrap(), place);
        place.note("i-0a1b2c3d".into(), Known { notice: at(10_000), over: false });
        place.note("i-0a1b2c3e".into(), Known { notice: at(10_060), over: true });
        place.tidy();
        assert_eq!(place.cursor().as_str(), "aws1;6460;i-0a1b2c3d:10000;i-0a1b2c3e:10060+");
        assert_eq!(ReadTo::parse(WORD, &place.cursor()).unwrap(), place);
    }

    #[test]
    fn what_is_over_is_forgotten_and_stays_told() {
        let mut place = start();
        place.note("i-0a1b2c3d".into(), Known { notice: at(1_000), over: true });
        place.note("i-0a1b2c3e".into(), Known { notice: at(1_001), over: false });
        place.note("i-0a1b2c3f".into(), Known { notice: at(9_000), over: true });
        place.tidy();
        let over = Some(Known { notice: at(1_000), over: true });
        assert_eq!(place.of(&"i-0a1b2c3d".into(), at(1_000)), over);
        assert_eq!(place.pending().count(), 1, "{place:?}");
        assert_eq!(place.of(&"i-00000000".into(), at(8_999)), None, "late, and within the hour");
    }

    #[test]
    fn other_texts_are_no_place() {
        for text in
            ["x", "aws1", "aws1;", "aws1;x", "aws2;1", "aws1;1;i-0", "aws1;1;i-0:x", "sim-3", "aws1;1;;"]
        {
            let error = ReadTo::parse(WORD, &Cursor::new(text)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{text}");
        }
    }
}
