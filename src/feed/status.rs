//! How a feed fares: what it brought, what was refused and why, and whether it has gone quiet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::mapper::{Issue, IssueKind, Mapped, Refused};
use super::writer::Written;
use crate::model::Timestamp;

/// What a feed counted since it first ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tally {
    /// Times it was asked, or documents and batches of messages that came.
    pub runs: u64,
    /// Of those, the ones that failed.
    pub failures: u64,
    /// Records that were read.
    pub records: u64,
    /// Records that changed an entity.
    pub stored: u64,
    /// Records that told nothing new.
    pub unchanged: u64,
    /// Records that went into the past.
    pub late: u64,
    /// Records that nothing was made of.
    pub rejected: u64,
    /// Readings that were left out, since they cannot be read.
    pub left_out: u64,
    /// Readings that were impossible.
    pub impossible: u64,
    /// Readings that were stored and marked.
    pub suspect: u64,
}

/// How a feed fares.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    #[serde(flatten)]
    pub tally: Tally,
    /// When it was last asked, or something came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run: Option<String>,
    /// When that last went well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success: Option<String>,
    /// When it last brought something new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_new: Option<String>,
    /// The time of its newest observation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest_observation: Option<String>,
    /// Why it last failed; absent while it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How often it failed in a row.
    pub failures_in_a_row: u32,
}

/// Something that was refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    pub at: String,
    /// `record`, `reading` or `document`.
    pub what: String,
    /// The file or the topic it came from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<String>,
    /// Which record of its document it was, from 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub number: Option<u64>,
    /// Its line in a table.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub line: Option<u64>,
    /// The entity it was about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<String>,
    /// The attribute, if it was a reading.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub attribute: Option<String>,
    pub why: String,
    /// What became of it: `refused`, `left out`, `flagged` or `marked`.
    pub outcome: String,
    /// The members of the record that are read.
    #[serde(skip_serializing_if = "Value::is_null", default)]
    pub record: Value,
}

/// What happened to a feed, in some stretch of time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Account {
    pub status: Status,
    /// The oldest first.
    pub rejected: VecDeque<Arc<Rejected>>,
}

/// Which of what was refused is asked for: everything that is not said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Which {
    /// The id of an entity.
    pub entity: Option<String>,
    /// `record`, `reading` or `document`.
    pub what: Option<String>,
    /// A file or a topic.
    pub from: Option<String>,
}

/// What a broker knows of a feed: what the store has, and what happened here since.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// As the store has it; nothing while another broker runs the feed.
    pub kept: Account,
    /// What happened here and is not in the store yet.
    pub new: Account,
    /// Whether anything did.
    pub dirty: bool,
    /// Parts of other brokers that are in what is kept, and may still lie in the store beside it.
    pub gathered: Vec<String>,
    /// The number of the rejection that comes after those that are kept.
    pub next: u64,
}

impl Status {
    /// Whether nothing new has come for longer than is expected, counted from a start if there
    /// was nothing yet.
    pub fn is_quiet(&self, expect: Duration, started: Timestamp, now: Timestamp) -> bool {
        let last = self.last_new.as_ref().and_then(|text| text.parse().ok());
        let last: Timestamp = last.unwrap_or(started);
        let passed = now.micros().saturating_sub(last.micros()).max(0) as u64;
        Duration::from_micros(passed) > expect
    }
}

impl Status {
    /// Adds what came later.
    fn add(&mut self, later: &Status) {
        let (own, more) = (&mut self.tally, &later.tally);
        own.runs += more.runs;
        own.failures += more.failures;
        own.records += more.records;
        own.stored += more.stored;
        own.unchanged += more.unchanged;
        own.late += more.late;
        own.rejected += more.rejected;
        own.left_out += more.left_out;
        own.impossible += more.impossible;
        own.suspect += more.suspect;
        if more.runs > 0 {
            // Whoever failed, and did not succeed before, goes on failing.
            let before = if later.last_success.is_none() { self.failures_in_a_row } else { 0 };
            self.failures_in_a_row = before.saturating_add(later.failures_in_a_row);
            self.error.clone_from(&later.error);
        }
        self.last_run = newest(self.last_run.take(), &later.last_run);
        self.last_success = newest(self.last_success.take(), &later.last_success);
        self.last_new = newest(self.last_new.take(), &later.last_new);
        self.newest_observation = newest(self.newest_observation.take(), &later.newest_observation);
    }
}

fn newest(one: Option<String>, other: &Option<String>) -> Option<String> {
    let time = |text: &Option<String>| text.as_ref()?.parse::<Timestamp>().ok();
    if time(&one) < time(other) { other.clone() } else { one }
}

impl Account {
    /// Adds what came later, or meanwhile at another broker; of what was refused the last is left.
    pub fn add(&mut self, later: &Self, most: usize) {
        self.status.add(&later.status);
        let merges = self.rejected.back().zip(later.rejected.front());
        let in_order = merges.is_none_or(|(last, first)| last.at <= first.at);
        self.rejected.extend(later.rejected.iter().cloned());
        if !in_order {
            let time = |one: &Arc<Rejected>| one.at.parse::<Timestamp>().ok();
            self.rejected.make_contiguous().sort_by_cached_key(time);
        }
        let over = self.rejected.len().saturating_sub(most);
        self.rejected.drain(..over);
    }
}

impl Book {
    /// How the feed fares, with what is not in the store yet.
    pub fn status(&self) -> Status {
        let mut status = self.kept.status.clone();
        status.add(&self.new.status);
        status
    }

    /// Everything that is known.
    pub fn all(&self, most: usize) -> Account {
        let mut all = self.kept.clone();
        all.add(&self.new, most);
        all
    }

    /// What could not be laid down is new again.
    pub fn take_back(&mut self, part: Account, most: usize) {
        let since = std::mem::replace(&mut self.new, part);
        self.new.add(&since, most);
        self.dirty = true;
    }

    /// A run begins.
    pub fn begin(&mut self, now: Timestamp) {
        self.dirty = true;
        self.new.status.last_run = Some(now.to_string());
    }

    /// It went well.
    pub fn succeed(&mut self, now: Timestamp) {
        self.dirty = true;
        self.new.status.tally.runs += 1;
        self.new.status.last_success = Some(now.to_string());
        self.new.status.error = None;
        self.new.status.failures_in_a_row = 0;
    }

    /// It failed.
    pub fn fail(&mut self, why: &str) {
        self.dirty = true;
        self.new.status.tally.runs += 1;
        self.new.status.tally.failures += 1;
        self.new.status.failures_in_a_row = self.new.status.failures_in_a_row.saturating_add(1);
        self.new.status.error = Some(why.chars().take(500).collect());
    }

    /// What became of records.
    pub fn written(&mut self, written: &Written, now: Timestamp) {
        let tally = &mut self.new.status.tally;
        tally.stored += written.stored;
        tally.unchanged += written.unchanged;
        tally.late += written.late;
        tally.rejected += written.refused.len() as u64;
        if written.stored + written.late > 0 {
            self.new.status.last_new = Some(now.to_string());
        }
        if let Some(newest) = written.newest {
            let before = self.new.status.newest_observation.as_ref();
            let before: Option<Timestamp> = before.and_then(|text| text.parse().ok());
            if before.is_none_or(|before| before < newest) {
                self.new.status.newest_observation = Some(newest.to_string());
            }
        }
        self.dirty = true;
    }

    /// Counts what is wrong with a record that was taken, and keeps it.
    pub fn issues(&mut self, mapped: &Mapped, from: Option<&str>, now: Timestamp, most: usize) {
        for issue in &mapped.issues {
            let Issue { attribute, why, kind } = issue;
            let tally = &mut self.new.status.tally;
            let outcome = match kind {
                IssueKind::LeftOut => {
                    tally.left_out += 1;
                    "left out"
                }
                IssueKind::Impossible => {
                    tally.impossible += 1;
                    "flagged"
                }
                IssueKind::Suspect => {
                    tally.suspect += 1;
                    "marked"
                }
            };
            let rejected = Rejected {
                number: Some(mapped.number),
                id: Some(mapped.id.clone()),
                attribute: Some(attribute.clone()),
                record: mapped.excerpt.clone(),
                ..Rejected::new("reading", from, why, outcome, now)
            };
            self.keep(rejected, most);
        }
    }

    /// Counts a record that nothing was made of, and keeps it.
    pub fn refused(&mut self, refused: Refused, from: Option<&str>, now: Timestamp, most: usize) {
        self.new.status.tally.rejected += 1;
        let rejected = Rejected {
            number: Some(refused.number),
            line: refused.line,
            id: refused.id,
            record: refused.excerpt,
            ..Rejected::new("record", from, &refused.why, "refused", now)
        };
        self.keep(rejected, most);
    }

    pub fn keep(&mut self, rejected: Rejected, most: usize) {
        self.dirty = true;
        if most == 0 {
            return;
        }
        while self.new.rejected.len() >= most {
            self.new.rejected.pop_front();
        }
        self.new.rejected.push_back(Arc::new(rejected));
    }
}

impl Which {
    /// Whether something that was refused is meant.
    pub fn is(&self, rejected: &Rejected) -> bool {
        let same = |own: &Option<String>, other: Option<&str>| match own {
            None => true,
            Some(own) => other == Some(own),
        };
        same(&self.entity, rejected.id.as_deref())
            && same(&self.what, Some(&rejected.what))
            && same(&self.from, rejected.from.as_deref())
    }
}

impl Rejected {
    pub fn new(what: &str, from: Option<&str>, why: &str, outcome: &str, now: Timestamp) -> Self {
        Self {
            at: now.to_string(),
            what: what.to_owned(),
            from: from.map(str::to_owned),
            number: None,
            line: None,
            id: None,
            attribute: None,
            why: why.chars().take(500).collect(),
            outcome: outcome.to_owned(),
            record: Value::Null,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_that_brings_nothing_new_is_quiet_after_a_while() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let hour = Duration::from_secs(3_600);
        let started = at("2026-03-14T00:00:00Z");
        let mut status = Status::default();
        assert!(!status.is_quiet(hour, started, at("2026-03-14T00:59:00Z")));
        assert!(status.is_quiet(hour, started, at("2026-03-14T01:00:01Z")));
        status.last_new = Some("2026-03-14T01:00:00Z".to_owned());
        assert!(!status.is_quiet(hour, started, at("2026-03-14T01:30:00Z")));
        assert!(status.is_quiet(hour, started, at("2026-03-14T02:30:00Z")));
    }

    #[test]
    fn only_the_last_rejections_are_kept_and_all_are_counted() {
        let mut book = Book::default();
        let now = Timestamp::from_micros(0);
        for number in 0..5 {
            let refused =
                Refused { number, line: None, id: None, why: "no".into(), excerpt: Value::Null };
            book.refused(refused, Some("f.csv"), now, 3);
        }
        assert_eq!((book.status().tally.rejected, book.all(3).rejected.len()), (5, 3));
        assert_eq!(book.all(2).rejected[0].number, Some(3));
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn refused(number: u64) -> Refused {
        Refused { number, line: None, id: None, why: "no".into(), excerpt: Value::Null }
    }

    #[test]
    fn accounts_of_two_brokers_are_one_account() {
        let (mut here, mut there) = (Book::default(), Book::default());
        let stored = |newest| Written { stored: 2, newest: Some(newest), ..Written::default() };
        here.begin(at(1));
        here.refused(refused(1), None, at(1), 10);
        here.written(&stored(at(0)), at(1));
        here.succeed(at(1));
        here.refused(refused(3), None, at(5), 10);
        there.begin(at(3));
        there.refused(refused(2), None, at(3), 10);
        there.written(&stored(at(2)), at(3));
        there.fail("it broke");
        let mut all = here.all(10);
        all.add(&there.new, 10);
        let numbers: Vec<Option<u64>> = all.rejected.iter().map(|one| one.number).collect();
        assert_eq!(numbers, [Some(1), Some(2), Some(3)], "in the order of time");
        let tally = all.status.tally;
        assert_eq!((tally.runs, tally.failures, tally.stored, tally.rejected), (2, 1, 4, 3));
        assert_eq!(all.status.last_run, Some(at(3).to_string()));
        assert_eq!(all.status.newest_observation, Some(at(2).to_string()));
        assert_eq!(
            (all.status.error.as_deref(), all.status.failures_in_a_row),
            (Some("it broke"), 1)
        );
        all.add(&Account::default(), 2);
        assert_eq!(all.status.failures_in_a_row, 1, "nothing happened, so nothing changed");
        assert_eq!(all.rejected.len(), 2);
        let mut again = Book::default();
        again.begin(at(9));
        again.succeed(at(9));
        all.add(&again.new, 10);
        assert_eq!((all.status.error, all.status.failures_in_a_row), (None, 0));
    }
}
