//! What a source answered lately, to be used again for as long as its registration allows
//! (management.cacheDuration).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::egress::Reply;

/// Answers of one source, by what was asked.
#[derive(Debug, Default)]
pub struct Answers(Mutex<HashMap<Box<str>, Kept>>);

#[derive(Debug)]
struct Kept {
    reply: Reply,
    at: Instant,
    /// Gives its room back when it goes.
    _room: Room,
}

/// How much memory the answers of all sources may fill.
#[derive(Debug, Clone)]
pub struct Shelf(Arc<Space>);

#[derive(Debug)]
struct Space {
    used: AtomicUsize,
    most: usize,
}

/// Room that is taken on the shelf.
#[derive(Debug)]
struct Room {
    space: Arc<Space>,
    bytes: usize,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.space.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What an answer costs beside its body.
const OVERHEAD: usize = 512;

impl Shelf {
    /// A shelf of so many bytes.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Space { used: AtomicUsize::new(0), most }))
    }

    fn room(&self, bytes: usize) -> Option<Room> {
        let space = &self.0;
        let fits = |used: usize| used.checked_add(bytes).filter(|used| *used <= space.most);
        space.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        Some(Room { space: space.clone(), bytes })
    }
}

impl Answers {
    /// The answer to what is asked, if it is not too old.
    pub fn get(&self, asked: &str, lifetime: Duration, now: Instant) -> Option<Reply> {
        let kept = self.0.lock();
        let one = kept.get(asked)?;
        (now.saturating_duration_since(one.at) < lifetime).then(|| one.reply.clone())
    }

    /// Keeps an answer if there is room, after those that are too old have made some.
    pub fn keep(
        &self,
        asked: String,
        reply: &Reply,
        lifetime: Duration,
        now: Instant,
        shelf: &Shelf,
    ) {
        let mut kept = self.0.lock();
        kept.retain(|_, one| now.saturating_duration_since(one.at) < lifetime);
        let bytes = reply.body.len() + asked.len() + OVERHEAD;
        if let Some(room) = shelf.room(bytes) {
            // What is kept lies on the shelf, and is not on its way any more.
            let body = Bytes::copy_from_slice(&reply.body);
            let reply = Reply { body, room: None, ..reply.clone() };
            kept.insert(asked.into(), Kept { reply, at: now, _room: room });
        }
    }

    /// Forgets all: something was changed at the source.
    pub fn clear(&self) {
        self.0.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(bytes: usize) -> Reply {
        Reply { status: 200, body: vec![0; bytes].into(), ..Reply::default() }
    }

    #[test]
    fn answers_are_used_again_until_they_are_too_old() {
        let (answers, shelf, start) = (Answers::default(), Shelf::new(10_000), Instant::now());
        let life = Duration::from_secs(5);
        answers.keep("GET a".into(), &reply(10), life, start, &shelf);
        assert!(answers.get("GET a", life, start + Duration::from_secs(4)).is_some());
        assert!(answers.get("GET b", life, start).is_none());
        assert!(answers.get("GET a", life, start + Duration::from_secs(5)).is_none());
        answers.clear();
        assert!(answers.get("GET a", life, start).is_none());
    }

    #[test]
    fn answers_fill_no_more_memory_than_they_may_and_give_it_back() {
        let (answers, shelf, start) = (Answers::default(), Shelf::new(2_000), Instant::now());
        let life = Duration::from_secs(5);
        for name in ["a", "b", "c"] {
            answers.keep(name.into(), &reply(400), life, start, &shelf);
        }
        assert!(answers.get("b", life, start).is_some());
        assert!(answers.get("c", life, start).is_none());
        let later = start + life;
        answers.keep("c".into(), &reply(400), life, later, &shelf);
        assert!(answers.get("c", life, later).is_some());
        drop(answers);
        assert_eq!(shelf.0.used.load(Ordering::Relaxed), 0);
    }
}
