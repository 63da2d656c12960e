//! Memory that the answers of many share: each takes as much of it as it has come to, and whoever
//! finds none left does without.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How much memory answers may fill together.
#[derive(Debug, Clone)]
pub struct Budget {
    left: Arc<Semaphore>,
    /// Less than this counts as nothing.
    least: u32,
    /// What this is a share of.
    whole: Option<Arc<Budget>>,
}

/// What most answers fit into.
const USUAL: usize = 64 << 10;

/// Memory that somebody has taken; it is given back when this goes.
#[derive(Debug)]
pub struct Room {
    own: OwnedSemaphorePermit,
    whole: Option<Box<Room>>,
}

impl Budget {
    /// So many bytes.
    pub fn new(bytes: usize) -> Self {
        let least = (bytes / 8).min(USUAL) as u32;
        let left = Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS)));
        Self { left, least, whole: None }
    }

    /// What one of many may take of it: so many bytes, if the others leave them.
    pub fn share(&self, bytes: usize) -> Self {
        Self { whole: Some(Arc::new(self.clone())), ..Self::new(bytes) }
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.left.available_permits()
    }

    /// So many bytes, if they are left.
    pub fn take(&self, bytes: usize) -> Option<Room> {
        let count = u32::try_from(bytes).ok()?;
        let own = self.left.clone().try_acquire_many_owned(count).ok()?;
        let whole = match &self.whole {
            Some(whole) => Some(Box::new(whole.take(bytes)?)),
            None => None,
        };
        Some(Room { own, whole })
    }

    /// Whether as good as nothing is left.
    pub fn is_full(&self) -> bool {
        self.left() < self.least as usize
    }

    /// Waits until an answer of the usual size would fit, one after the other. Whoever waits should
    /// have nothing: those who have some and wait for more might wait for each other.
    pub async fn some_left(&self) {
        // Given back at once: what is taken is what has come.
        drop(self.left.acquire_many(self.least).await);
    }
}

impl Room {
    /// Takes so many bytes more, if they are left.
    pub fn grow(&mut self, budget: &Budget, bytes: usize) -> bool {
        match budget.take(bytes) {
            Some(more) => {
                self.merge(more);
                true
            }
            None => false,
        }
    }

    fn merge(&mut self, more: Room) {
        self.own.merge(more.own);
        if let (Some(whole), Some(more)) = (&mut self.whole, more.whole) {
            whole.merge(*more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_taken_than_there_is_and_all_of_it_is_given_back() {
        let budget = Budget::new(100);
        let mut room = budget.take(40).expect("room");
        assert!(budget.take(61).is_none());
        assert!(room.grow(&budget, 60));
        assert!(!room.grow(&budget, 1));
        assert_eq!(budget.left(), 0);
        drop(room);
        assert_eq!(budget.left(), 100);
        assert!(budget.take(usize::MAX).is_none());
    }

    #[test]
    fn one_takes_no_more_than_its_share_and_nothing_that_others_have_taken() {
        let budget = Budget::new(100);
        let (one, other) = (budget.share(50), budget.share(80));
        let mut room = one.take(30).expect("room");
        assert!(room.grow(&one, 20) && !room.grow(&one, 1));
        assert_eq!((budget.left(), one.left()), (50, 0));
        assert!(other.take(51).is_none());
        assert_eq!((budget.left(), other.left()), (50, 80));
        let second = other.take(50).expect("room");
        drop(room);
        assert_eq!((budget.left(), one.left(), other.left()), (50, 50, 30));
        drop(second);
        assert_eq!((budget.left(), other.left()), (100, 80));
    }

    #[tokio::test]
    async fn who_has_nothing_waits_until_something_is_left() {
        let budget = Budget::new(80);
        let room = budget.take(71).expect("room");
        assert!(budget.is_full());
        let waiting = budget.clone();
        let mut waiting = Box::pin(async move { waiting.some_left().await });
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(room);
        waiting.await;
        assert_eq!((budget.left(), budget.is_full()), (80, false));
    }
}
