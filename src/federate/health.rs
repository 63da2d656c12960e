//! How a source fares: how often it was asked and failed, and when it is left alone (5.2.34).

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::model::Timestamp;
use crate::represent::subscription::DeliveryReport;

/// When sources that fail are left alone.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// After how many silences in a row; 0 means never.
    pub failures: usize,
    /// For how long; it doubles with each further silence.
    pub pause: Duration,
}

/// The longest that a source is left alone without having asked for it.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How a source fares.
#[derive(Debug, Default)]
pub struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    report: DeliveryReport,
    /// Silences since the last answer.
    silences: u32,
    /// Not to be asked before.
    closed_until: Option<Instant>,
    /// Somebody is trying whether it answers again.
    probing: bool,
    /// The report has something that was not written down yet.
    unwritten: bool,
}

/// How a request to a source ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It did what was asked, or has nothing of the kind.
    Done,
    /// It answered that it will not, or something unusable.
    Failed,
    /// It did not answer, or only that it is out of order itself.
    Silent,
}

impl Ending {
    /// How a request ended that was answered with this status.
    pub fn of(status: u16) -> Self {
        match status {
            // It does not know how, or somebody behind it failed: of other things it may tell.
            501 | 502 | 504 | 508 => Self::Failed,
            500.. => Self::Silent,
            401 | 403 | 429 => Self::Failed,
            _ => Self::Done,
        }
    }
}

impl Health {
    /// How it fared up to now, as it was written down.
    pub fn new(report: DeliveryReport) -> Self {
        Self(Mutex::new(State { report, ..State::default() }))
    }

    /// Whether the source may be asked now. After a pause one request tries; the others wait for
    /// how that ends.
    pub fn admits(&self, now: Instant) -> bool {
        let mut state = self.0.lock();
        match state.closed_until {
            None => true,
            Some(until) if until > now => false,
            Some(_) if state.probing => false,
            Some(_) => {
                state.probing = true;
                true
            }
        }
    }

    /// Takes note of how a request ended.
    pub fn ended(
        &self,
        ending: Ending,
        cooldown: Option<Duration>,
        patience: Patience,
        (now, time): (Instant, Timestamp),
    ) {
        let mut state = self.0.lock();
        state.unwritten = true;
        state.probing = false;
        if ending == Ending::Done {
            state.report.succeeded(time);
            state.silences = 0;
            state.closed_until = None;
            return;
        }
        state.report.failed(time);
        state.silences = match ending {
            Ending::Silent => state.silences.saturating_add(1),
            _ => 0,
        };
        let pause = match cooldown {
            Some(cooldown) => Some(cooldown),
            None => pause(state.silences, patience),
        };
        state.closed_until = pause.map(|pause| now + pause);
    }

    /// The request that would have tried was given up before it was sent.
    pub fn gave_up(&self) {
        self.0.lock().probing = false;
    }

    /// How it fared before this process began.
    pub fn recall(&self, report: DeliveryReport) {
        self.0.lock().report = report;
    }

    /// How it fares.
    pub fn report(&self) -> DeliveryReport {
        self.0.lock().report
    }

    /// How it fares, if that was not written down since it changed.
    pub fn unwritten(&self) -> Option<DeliveryReport> {
        let mut state = self.0.lock();
        std::mem::take(&mut state.unwritten).then_some(state.report)
    }
}

fn pause(silences: u32, patience: Patience) -> Option<Duration> {
    let most = u32::try_from(patience.failures).unwrap_or(u32::MAX);
    if most == 0 || silences < most {
        return None;
    }
    Some(patience.pause.saturating_mul(1 << (silences - most).min(20)).min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::represent::subscription::DeliveryStatus;

    const PATIENCE: Patience = Patience { failures: 2, pause: Duration::from_secs(1) };

    fn at(start: Instant, seconds: u64) -> (Instant, Timestamp) {
        let micros = i64::try_from(seconds).expect("small") * 1_000_000;
        (start + Duration::from_secs(seconds), Timestamp::from_micros(micros))
    }

    #[test]
    fn a_cooldown_is_kept_after_any_failure() {
        let (health, start) = (Health::default(), Instant::now());
        health.ended(Ending::Failed, Some(Duration::from_secs(4)), PATIENCE, at(start, 0));
        assert!(!health.admits(at(start, 3).0));
        assert!(health.admits(at(start, 4).0));
        assert!(!health.admits(at(start, 4).0), "one tries");
        health.ended(Ending::Done, Some(Duration::from_secs(4)), PATIENCE, at(start, 4));
        assert!(health.admits(at(start, 4).0) && health.admits(at(start, 4).0));
    }

    #[test]
    fn who_keeps_silent_is_left_alone_ever_longer_and_who_answers_is_not() {
        let (health, start) = (Health::default(), Instant::now());
        for _ in 0..10 {
            health.ended(Ending::Failed, None, PATIENCE, at(start, 0));
            assert!(health.admits(start));
        }
        health.ended(Ending::Silent, None, PATIENCE, at(start, 0));
        assert!(health.admits(start));
        health.ended(Ending::Silent, None, PATIENCE, at(start, 0));
        assert!(!health.admits(start) && health.admits(at(start, 1).0));
        health.ended(Ending::Silent, None, PATIENCE, at(start, 1));
        assert!(!health.admits(at(start, 2).0) && health.admits(at(start, 3).0));
        health.gave_up();
        assert!(health.admits(at(start, 3).0));
    }

    #[test]
    fn a_source_that_is_out_of_order_is_as_good_as_silent_and_one_that_refuses_is_not() {
        for (status, ending) in [
            (200, Ending::Done),
            (404, Ending::Done),
            (403, Ending::Failed),
            (501, Ending::Failed),
            (502, Ending::Failed),
            (504, Ending::Failed),
            (508, Ending::Failed),
            (500, Ending::Silent),
            (503, Ending::Silent),
        ] {
            assert_eq!(Ending::of(status), ending, "{status}");
        }
    }

    #[test]
    fn the_report_counts_and_says_how_it_went_last() {
        let (health, start) = (Health::default(), Instant::now());
        assert_eq!(health.report().status, None);
        assert_eq!(health.unwritten(), None);
        health.ended(Ending::Done, None, PATIENCE, at(start, 1));
        health.ended(Ending::Silent, None, PATIENCE, at(start, 2));
        let report = health.unwritten().expect("news");
        assert_eq!(
            (report.times_sent, report.times_failed, report.status),
            (2, 1, Some(DeliveryStatus::Failed))
        );
        assert_eq!(health.unwritten(), None);
    }
}
