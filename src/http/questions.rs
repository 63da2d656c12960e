//! What GETs ask for, read once: dashboards and maps ask the same again and again, and the reading
//! of their words takes as long as the answer.

use std::cell::RefCell;
use std::hash::{BuildHasher, Hash};
use std::rc::Rc;

use hashbrown::DefaultHashBuilder;

use super::entities::{Question, Retrieval};
use super::negotiate::Media;

/// How many readings are kept of each kind, for each worker: at a few kilobytes each.
const MOST: usize = 128;

/// The longest query that is kept, in bytes.
const LONGEST: usize = 1_024;

/// What a reading depends on: all that a GET says, but for whose data it is about and the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Wording<'r> {
    /// The part of the URL after the question mark.
    pub query: &'r str,
    pub media: Media,
    /// The address of the `@context`.
    pub context: Option<&'r str>,
}

/// What the words of a GET were read as.
pub trait Lasting {
    /// Whether they will always be read so, and as something about as small as they are.
    fn lasts(&self) -> bool;
}

/// What was read on one worker.
#[derive(Default)]
pub struct Questions {
    pub retrievals: Readings<Retrieval>,
    pub queries: Readings<Question>,
}

/// A reading that was kept.
pub struct Reading<T> {
    query: Box<str>,
    media: Media,
    context: Option<Box<str>>,
    /// The id of the `@context` as it was then: it may be another at the same address now.
    pub context_id: u64,
    pub of: Rc<T>,
}

/// The readings of one kind. Each wording has one place, where the one that comes later drives
/// out the earlier, once it came twice in a row: what is asked once takes no room.
pub struct Readings<T> {
    hasher: DefaultHashBuilder,
    places: RefCell<Box<[Place<T>]>>,
}

struct Place<T> {
    kept: Option<Rc<Reading<T>>>,
    /// The hash of the wording that was missed here last.
    missed: u64,
}

impl<T> Default for Readings<T> {
    fn default() -> Self {
        let places = (0..MOST).map(|_| Place { kept: None, missed: 0 }).collect();
        Self { hasher: DefaultHashBuilder::default(), places: RefCell::new(places) }
    }
}

impl<T> Readings<T> {
    /// What was kept of this wording.
    pub fn recall(&self, wording: Wording<'_>) -> Option<Rc<Reading<T>>> {
        let place = self.hasher.hash_one(wording) as usize % MOST;
        let places = self.places.borrow();
        places[place].kept.as_ref().filter(|kept| kept.wording() == wording).cloned()
    }

    /// Keeps what a wording was read as under a context, if it is likely to come again.
    pub fn keep(&self, wording: Wording<'_>, context_id: u64, of: &Rc<T>)
    where
        T: Lasting,
    {
        if wording.query.len() > LONGEST || !of.lasts() {
            return;
        }
        let hash = self.hasher.hash_one(wording);
        let place = &mut self.places.borrow_mut()[hash as usize % MOST];
        if place.missed != hash {
            place.missed = hash;
            return;
        }
        place.kept = Some(Rc::new(Reading {
            query: wording.query.into(),
            media: wording.media,
            context: wording.context.map(Into::into),
            context_id,
            of: Rc::clone(of),
        }));
    }
}

impl<T> Reading<T> {
    fn wording(&self) -> Wording<'_> {
        Wording { query: &self.query, media: self.media, context: self.context.as_deref() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Lasting for u32 {
        fn lasts(&self) -> bool {
            *self < 1_000_000
        }
    }

    const fn wording(query: &str) -> Wording<'_> {
        Wording { query, media: Media::Json, context: None }
    }

    fn recalled(readings: &Readings<u32>, wording: Wording<'_>) -> Option<u32> {
        readings.recall(wording).map(|reading| *reading.of)
    }

    #[test]
    fn what_came_twice_is_kept_for_the_same_words_only() {
        let readings = Readings::default();
        let words = wording("type=A");
        readings.keep(words, 1, &Rc::new(7));
        assert_eq!(recalled(&readings, words), None);
        readings.keep(words, 1, &Rc::new(8));
        assert_eq!(recalled(&readings, words), Some(8));
        for other in [
            wording("type=B"),
            Wording { media: Media::LdJson, ..words },
            Wording { context: Some("http://a.b/c"), ..words },
        ] {
            assert_eq!(recalled(&readings, other), None, "{other:?}");
        }
    }

    #[test]
    fn no_more_is_kept_than_there_are_places() {
        let readings = Readings::default();
        let texts: Vec<String> = (1..10 * MOST).map(|n| format!("limit={n}")).collect();
        for (n, text) in texts.iter().enumerate() {
            let reading = Rc::new(n as u32);
            readings.keep(wording(text), 1, &reading);
            readings.keep(wording(text), 1, &reading);
            assert_eq!(recalled(&readings, wording(text)), Some(n as u32));
        }
        let kept = texts.iter().filter(|text| recalled(&readings, wording(text)).is_some());
        assert!((1..=MOST).contains(&kept.count()));
        let long = "q".repeat(LONGEST + 1);
        for (text, reading) in [(&*long, 0), ("q=a~=b", 1_000_000)] {
            readings.keep(wording(text), 1, &Rc::new(reading));
            readings.keep(wording(text), 1, &Rc::new(reading));
            assert_eq!(recalled(&readings, wording(text)), None);
        }
    }
}
