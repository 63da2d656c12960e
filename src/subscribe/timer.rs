//! What is to happen later, in one heap.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// How long the timer sleeps at most.
const LONG: Duration = Duration::from_secs(3_600);

/// Things with the time at which they are due.
pub(super) struct Timer<T> {
    heap: Mutex<BinaryHeap<Due<T>>>,
    earlier: Notify,
}

struct Due<T> {
    at: Instant,
    what: T,
}

impl<T> PartialEq for Due<T> {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl<T> Eq for Due<T> {}

impl<T> PartialOrd for Due<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Due<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap shows its largest first.
        other.at.cmp(&self.at)
    }
}

impl<T> Default for Timer<T> {
    fn default() -> Self {
        Self { heap: Mutex::default(), earlier: Notify::new() }
    }
}

impl<T> Timer<T> {
    /// Sets something for a time.
    pub fn set(&self, at: Instant, what: T) {
        let mut heap = self.heap.lock();
        let is_first = heap.peek().is_none_or(|first| at < first.at);
        heap.push(Due { at, what });
        drop(heap);
        if is_first {
            self.earlier.notify_one();
        }
    }

    /// Everything that is due, or how long there is to wait.
    fn due(&self, now: Instant) -> Result<Vec<T>, Duration> {
        let mut heap = self.heap.lock();
        let mut due = Vec::new();
        while heap.peek().is_some_and(|first| first.at <= now) {
            due.extend(heap.pop().map(|first| first.what));
        }
        match (due.is_empty(), heap.peek()) {
            (false, _) => Ok(due),
            (true, Some(first)) => Err(first.at - now),
            (true, None) => Err(LONG),
        }
    }

    /// Waits until something is due.
    pub async fn next(&self) -> Vec<T> {
        loop {
            match self.due(Instant::now()) {
                Ok(due) => return due,
                Err(wait) => {
                    // Timers of a runtime have a granularity of a millisecond.
                    let _ = tokio::time::timeout(wait, self.earlier.notified()).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn things_come_in_the_order_of_their_times() {
        let timer = Arc::new(Timer::default());
        let now = Instant::now();
        let at = |millis| now + Duration::from_millis(millis);
        timer.set(at(60), 'c');
        timer.set(at(30), 'b');
        let waiting = tokio::spawn({
            let timer = timer.clone();
            async move {
                let mut seen = String::new();
                while seen.len() < 3 {
                    seen.extend(timer.next().await);
                }
                seen
            }
        });
        timer.set(at(1), 'a');
        assert_eq!(waiting.await.unwrap(), "abc");
    }
}
