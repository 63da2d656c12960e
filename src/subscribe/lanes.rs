//! Who may send next: receivers take turns, and those that answer never wait for those that do
//! not. Pure but for its lock.
//!
//! A receiver is a host and a port. There are two lanes, each as wide as half of what may be on
//! its way at once: one for receivers whose last answer was quick, one for all others, which get
//! fewer places each, and one only before they ever answered. However many receivers hang, they fill their own lane only.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::pause::Pauses;

/// Idle receivers are forgotten when more than this many are known.
const KNOWN: usize = 10_000;

/// What came of a turn, as far as the receiver is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Met {
    /// Nothing was sent.
    Nobody,
    /// It answered, and soon.
    Quick,
    /// It answered late, or not as it should.
    Slow,
    /// It could not be reached, or did not answer.
    Away,
}

/// The lane that a turn runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    Trusted,
    Suspect,
}

/// Who waits for a turn with which receiver.
pub(super) struct Lanes<E>(Mutex<Inner<E>>);

struct Inner<E> {
    receivers: FxHashMap<Arc<str>, Receiver<E>>,
    trusted: Places,
    suspect: Places,
    per_receiver: usize,
    pauses: Pauses,
}

struct Places {
    running: usize,
    most: usize,
    /// Receivers that someone waits for, each once.
    waiting: VecDeque<Arc<str>>,
}

struct Receiver<E> {
    ready: VecDeque<E>,
    running: usize,
    trusted: bool,
    /// It answers, if late.
    answers: bool,
    /// It stands in the queue of a lane.
    waiting: bool,
    /// How often in a row it was away.
    failures: u32,
    /// Nobody goes there before this time.
    closed: Option<Instant>,
}

impl<E> Default for Receiver<E> {
    fn default() -> Self {
        Self {
            ready: VecDeque::new(),
            running: 0,
            trusted: false,
            answers: false,
            waiting: false,
            failures: 0,
            closed: None,
        }
    }
}

impl<E> Receiver<E> {
    /// How many turns it may have at once.
    fn most(&self, per_receiver: usize) -> usize {
        match (self.trusted, self.answers) {
            (true, _) => per_receiver,
            (false, true) => per_receiver.div_ceil(2),
            (false, false) => 1,
        }
    }
}

/// What is to be done now.
pub(super) struct Next<E> {
    /// Turns to begin, each with its receiver.
    pub starts: Vec<(E, Arc<str>, Lane)>,
    /// When to call [`Lanes::reopen`] for a receiver that is left alone meanwhile.
    pub alarm: Option<(Arc<str>, Instant)>,
}

impl<E> Lanes<E> {
    /// So many turns at once in both lanes together, and with one receiver.
    pub fn new(in_flight: usize, per_receiver: usize, pauses: Pauses) -> Self {
        let lane = |most: usize| Places { running: 0, most: most.max(1), waiting: VecDeque::new() };
        Self(Mutex::new(Inner {
            receivers: FxHashMap::default(),
            trusted: lane(in_flight / 2),
            suspect: lane(in_flight - in_flight / 2),
            per_receiver: per_receiver.max(1),
            pauses,
        }))
    }

    /// Someone has something for a receiver.
    pub fn ready(&self, receiver: &Arc<str>, who: E, now: Instant) -> Next<E> {
        let mut inner = self.0.lock();
        inner.make_room();
        inner.receivers.entry(receiver.clone()).or_default().ready.push_back(who);
        inner.enqueue(receiver, now);
        inner.pump(now, None)
    }

    /// A turn with a receiver is over.
    pub fn finished(&self, receiver: &Arc<str>, lane: Lane, met: Met, now: Instant) -> Next<E> {
        let mut inner = self.0.lock();
        inner.lane(lane).running -= 1;
        let pauses = inner.pauses;
        let mut alarm = None;
        if let Some(known) = inner.receivers.get_mut(receiver) {
            known.running -= 1;
            match met {
                Met::Nobody => {}
                Met::Quick | Met::Slow => {
                    (known.trusted, known.answers) = (met == Met::Quick, true);
                    (known.failures, known.closed) = (0, None);
                }
                Met::Away => {
                    (known.trusted, known.answers) = (false, false);
                    known.failures += 1;
                    let until = now + pauses.after(known.failures, receiver);
                    known.closed = Some(until);
                    alarm = Some((receiver.clone(), until));
                }
            }
        }
        inner.enqueue(receiver, now);
        inner.pump(now, alarm)
    }

    /// The time for which a receiver was to be left alone is over.
    pub fn reopen(&self, receiver: &Arc<str>, now: Instant) -> Next<E> {
        let mut inner = self.0.lock();
        inner.enqueue(receiver, now);
        inner.pump(now, None)
    }

    /// Until when a receiver is left alone, if it is.
    pub fn closed(&self, receiver: &str, now: Instant) -> Option<Instant> {
        let inner = self.0.lock();
        inner.receivers.get(receiver)?.closed.filter(|until| *until > now)
    }
}

impl<E> Inner<E> {
    fn lane(&mut self, lane: Lane) -> &mut Places {
        match lane {
            Lane::Trusted => &mut self.trusted,
            Lane::Suspect => &mut self.suspect,
        }
    }

    /// Lets a receiver wait in its lane if someone waits for it and it can be gone to.
    fn enqueue(&mut self, name: &Arc<str>, now: Instant) {
        let Some(receiver) = self.receivers.get_mut(name) else { return };
        let most = receiver.most(self.per_receiver);
        let closed = receiver.closed.is_some_and(|until| until > now);
        if receiver.waiting || receiver.ready.is_empty() || receiver.running >= most || closed {
            return;
        }
        receiver.waiting = true;
        let lane = if receiver.trusted { &mut self.trusted } else { &mut self.suspect };
        lane.waiting.push_back(name.clone());
    }

    fn pump(&mut self, now: Instant, alarm: Option<(Arc<str>, Instant)>) -> Next<E> {
        let mut starts = Vec::new();
        for lane in [Lane::Trusted, Lane::Suspect] {
            loop {
                let places = self.lane(lane);
                if places.running >= places.most {
                    break;
                }
                let Some(name) = places.waiting.pop_front() else { break };
                let per_receiver = self.per_receiver;
                let Some(receiver) = self.receivers.get_mut(&name) else { continue };
                receiver.waiting = false;
                let own = if receiver.trusted { Lane::Trusted } else { Lane::Suspect };
                let most = receiver.most(per_receiver);
                let closed = receiver.closed.is_some_and(|until| until > now);
                if own == lane
                    && receiver.running < most
                    && !closed
                    && let Some(who) = receiver.ready.pop_front()
                {
                    receiver.running += 1;
                    self.lane(lane).running += 1;
                    starts.push((who, name.clone(), lane));
                }
                // It changed lanes, or more wait for it: then it stands at the end again.
                self.enqueue(&name, now);
            }
        }
        Next { starts, alarm }
    }

    fn make_room(&mut self) {
        if self.receivers.len() > KNOWN {
            self.receivers.retain(|_, receiver| {
                receiver.running > 0 || !receiver.ready.is_empty() || receiver.closed.is_some()
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn lanes(in_flight: usize) -> Lanes<u32> {
        let pauses = Pauses { first: Duration::from_secs(1), last: Duration::from_secs(60) };
        Lanes::new(in_flight, 3, pauses)
    }

    fn lanes_of(next: &Next<u32>) -> Vec<(u32, Lane)> {
        next.starts.iter().map(|(who, _, lane)| (*who, *lane)).collect()
    }

    fn name(text: &str) -> Arc<str> {
        text.into()
    }

    fn who(next: &Next<u32>) -> Vec<u32> {
        next.starts.iter().map(|(who, ..)| *who).collect()
    }

    #[test]
    fn a_receiver_gets_one_turn_until_it_has_answered_and_then_several() {
        let (lanes, now, host) = (lanes(20), Instant::now(), name("a"));
        assert_eq!(who(&lanes.ready(&host, 0, now)), [0]);
        for number in 1..6 {
            assert!(lanes.ready(&host, number, now).starts.is_empty());
        }
        let next = lanes.finished(&host, Lane::Suspect, Met::Quick, now);
        assert_eq!(lanes_of(&next), [(1, Lane::Trusted), (2, Lane::Trusted), (3, Lane::Trusted)]);
        let next = lanes.finished(&host, Lane::Trusted, Met::Slow, now);
        assert!(next.starts.is_empty(), "two are still there, and it is slow");
        let next = lanes.finished(&host, Lane::Trusted, Met::Nobody, now);
        assert_eq!(lanes_of(&next), [(4, Lane::Suspect)]);
    }

    #[test]
    fn receivers_that_hang_fill_their_own_lane_only() {
        let (lanes, now, good) = (lanes(20), Instant::now(), name("good"));
        lanes.ready(&good, 0, now);
        lanes.finished(&good, Lane::Suspect, Met::Quick, now);
        let hanging: usize =
            (0..100).map(|n| lanes.ready(&name(&format!("bad{n}")), n, now).starts.len()).sum();
        assert_eq!(hanging, 10);
        assert_eq!(lanes_of(&lanes.ready(&good, 1_000, now)), [(1_000, Lane::Trusted)]);
        // When one of them gives up, the next of them gets its place.
        let next = lanes.finished(&name("bad0"), Lane::Suspect, Met::Away, now);
        assert_eq!(lanes_of(&next), [(10, Lane::Suspect)]);
    }

    #[test]
    fn receivers_take_turns_however_much_is_there_for_one() {
        let (lanes, now) = (lanes(2), Instant::now());
        for number in 0..10 {
            lanes.ready(&name("busy"), number, now);
        }
        lanes.ready(&name("other"), 100, now);
        let next = lanes.finished(&name("busy"), Lane::Suspect, Met::Slow, now);
        assert_eq!(who(&next), [100]);
        let next = lanes.finished(&name("other"), Lane::Suspect, Met::Slow, now);
        assert_eq!(who(&next), [1]);
    }

    #[test]
    fn who_is_away_is_left_alone_for_longer_and_longer() {
        let (lanes, mut now, host) = (lanes(20), Instant::now(), name("a"));
        assert_eq!(lanes.ready(&host, 0, now).starts.len(), 1);
        let mut before = Duration::ZERO;
        for round in 1..5 {
            assert!(lanes.ready(&host, round, now).starts.is_empty());
            let next = lanes.finished(&host, Lane::Suspect, Met::Away, now);
            assert!(next.starts.is_empty());
            let (_, until) = next.alarm.unwrap();
            assert!(until - now > before);
            before = until - now;
            assert_eq!(lanes.closed("a", now), Some(until));
            assert!(lanes.reopen(&host, now).starts.is_empty(), "not before its time");
            now = until;
            assert_eq!(who(&lanes.reopen(&host, now)), [round]);
        }
        lanes.ready(&host, 9, now);
        let next = lanes.finished(&host, Lane::Suspect, Met::Quick, now);
        assert_eq!(who(&next), [9]);
        assert_eq!(lanes.closed("a", now), None);
    }
}
