//! What a feed refused, as it lies in the store: in pages of a number of rejections each, so that one
//! more of them costs a page and not all that is remembered.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::feed::status::Rejected;
use crate::store::{Records, Shelf, Store, StoreError};

/// The pages, by the name of the feed and the number of the page.
const PAGES: Shelf = Shelf::shared("feed-rejected");

/// How many rejections are on a page.
const PAGE: u64 = 100;

/// Rejections, the oldest first, each with a number that nothing else of its feed has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbered<'r> {
    pub all: &'r VecDeque<Arc<Rejected>>,
    /// The number of the one that comes next.
    pub next: u64,
}

/// What has to be done for the store to hold other rejections than before.
#[derive(Debug, Default, PartialEq)]
struct Changes {
    write: Vec<(u64, Vec<Arc<Rejected>>)>,
    drop: Vec<u64>,
}

impl Numbered<'_> {
    /// The number of the oldest.
    fn first(&self) -> u64 {
        self.next.saturating_sub(self.all.len() as u64)
    }

    fn get(&self, number: u64) -> Option<&Arc<Rejected>> {
        self.all.get(usize::try_from(number.checked_sub(self.first())?).ok()?)
    }
}

/// What has to be done to get from one to the other.
fn changes(before: Numbered<'_>, after: Numbered<'_>) -> Changes {
    let mut changes = Changes::default();
    if before.next > before.first() {
        let gone = before.first() / PAGE..after.first() / PAGE;
        changes.drop = gone.filter(|page| *page <= (before.next - 1) / PAGE).collect();
    }
    let mut page = after.first() / PAGE;
    while page * PAGE < after.next {
        let numbers = (page * PAGE).max(after.first())..((page + 1) * PAGE).min(after.next);
        let same = |number: u64| match (before.get(number), after.get(number)) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        if !numbers.clone().all(same) {
            changes.write.push((page, numbers.filter_map(|n| after.get(n).cloned()).collect()));
        }
        page += 1;
    }
    changes
}

/// Keeps what is remembered now instead of what was before.
pub(super) async fn keep(
    store: &dyn Store,
    feed: &str,
    before: Numbered<'_>,
    after: Numbered<'_>,
) -> Result<(), StoreError> {
    let pages: Records<'_, Vec<Arc<Rejected>>> = Records::on(store, PAGES);
    let changes = changes(before, after);
    for (page, rejected) in &changes.write {
        pages.put(&key(feed, *page), rejected).await?;
    }
    for page in changes.drop {
        pages.take(&key(feed, page)).await?;
    }
    Ok(())
}

/// What is remembered, no more than so many, and the number of the one that comes next.
pub(super) async fn load(
    store: &dyn Store,
    feed: &str,
    most: usize,
) -> Result<(VecDeque<Arc<Rejected>>, u64), StoreError> {
    let pages: Records<'_, Vec<Arc<Rejected>>> = Records::on(store, PAGES);
    let own = format!("{feed}/");
    let mut found: Vec<(u64, Vec<Arc<Rejected>>)> = pages
        .all()
        .await?
        .into_iter()
        .filter_map(|(key, page)| Some((key.strip_prefix(&own)?.parse().ok()?, page)))
        .collect();
    found.sort_unstable_by_key(|(number, _)| *number);
    let next = found.last().map_or(0, |(number, page)| number * PAGE + page.len() as u64);
    let mut all: VecDeque<Arc<Rejected>> = found.into_iter().flat_map(|(_, page)| page).collect();
    all.drain(..all.len().saturating_sub(most));
    Ok((all, next))
}

fn key(feed: &str, page: u64) -> String {
    format!("{feed}/{page:012}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn rejected(number: usize) -> Arc<Rejected> {
        let now = Timestamp::from_micros(number as i64);
        Arc::new(Rejected::new("record", None, &format!("no {number}"), "refused", now))
    }

    fn numbered(all: &VecDeque<Arc<Rejected>>, next: u64) -> Numbered<'_> {
        Numbered { all, next }
    }

    #[test]
    fn one_more_costs_the_last_page_alone() {
        let none = VecDeque::new();
        let mut all: VecDeque<_> = (0..250).map(rejected).collect();
        let first = changes(numbered(&none, 0), numbered(&all, 250));
        let sizes: Vec<_> = first.write.iter().map(|(page, all)| (*page, all.len())).collect();
        assert_eq!((sizes, first.drop), (vec![(0, 100), (1, 100), (2, 50)], vec![]));
        let before = all.clone();
        assert_eq!(changes(numbered(&before, 250), numbered(&all, 250)), Changes::default());
        all.push_back(rejected(250));
        let more = changes(numbered(&before, 250), numbered(&all, 251));
        assert_eq!((more.write.len(), more.write[0].0, more.write[0].1.len()), (1, 2, 51));
        // The oldest go, and a page of which none is left with them.
        let before = all.clone();
        all.drain(..120);
        let less = changes(numbered(&before, 251), numbered(&all, 251));
        assert_eq!((less.write, less.drop), (vec![], vec![0]));
        // What came from elsewhere and happened earlier moves those after it.
        let before = all.clone();
        all.insert(100, rejected(999));
        let moved = changes(numbered(&before, 251), numbered(&all, 252));
        assert_eq!(moved.write.iter().map(|(page, _)| *page).collect::<Vec<_>>(), [2]);
    }

    #[tokio::test]
    async fn what_was_kept_is_found_again_and_the_oldest_is_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = crate::store::embedded::Settings::new(folder.path().join("data"));
        let store = crate::store::embedded::Embedded::open(settings).expect("a store");
        let (mut all, mut next) = load(&store, "gates", 300).await.expect("the store works");
        assert_eq!((all.len(), next), (0, 0));
        let mut number = 0;
        for some in [1, 30, 250, 3, 400, 99, 2] {
            let before = (all.clone(), next);
            all.extend((number..number + some).map(rejected));
            (number, next) = (number + some, next + some as u64);
            all.drain(..all.len().saturating_sub(300));
            let (before, after) = (numbered(&before.0, before.1), numbered(&all, next));
            keep(&store, "gates", before, after).await.expect("the store works");
            let found = load(&store, "gates", 300).await.expect("the store works");
            assert_eq!(found, (all.clone(), next));
            // As after a restart.
            (all, next) = found;
        }
        assert_eq!(all.back().map(|one| one.why.as_str()), Some("no 784"));
        let other = load(&store, "gate", 300).await.expect("the store works");
        assert_eq!(other, (VecDeque::new(), 0), "another feed has pages of its own");
    }
}
