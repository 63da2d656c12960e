//! The event log: what a group adds to it, reading it, and trimming it.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::Inner;
use super::engine::Rest;
use super::names::Dictionary;
use super::sheet::{self, Sheets};
use crate::model::{Change, Stored, TenantId};
use crate::store::record::{Damaged, append_event, decode_event};
use crate::store::{Event, Note, StoreError, Topic};

/// How many bytes of events are read at once, whatever the limit of their number; one event is
/// read in any case.
const PAGE_BYTES: usize = 4 << 20;

/// How many sheets one batch forgets: a job of this size does not keep writes waiting.
const FORGET: usize = 4_096;

/// The changes of a group that somebody wants to be told of.
#[derive(Default)]
pub(super) struct Told(Vec<(TenantId, Topic, Change)>);

impl Told {
    /// Keeps a change, if it is one and somebody wants it.
    pub fn add(&mut self, inner: &Inner, tenant: &TenantId, change: &Change) {
        let Some(watch) = inner.watch.get() else { return };
        let same = match (&change.before, &change.after) {
            (Some(before), Some(after)) => std::sync::Arc::ptr_eq(before, after),
            (before, after) => before.is_none() && after.is_none(),
        };
        if !same && watch.wants(tenant, change) {
            self.0.push((tenant.clone(), Topic::Entity, change.clone()));
        }
    }

    /// Keeps a change of an entity's past alone, if somebody wants it.
    pub fn add_past(&mut self, inner: &Inner, tenant: &TenantId, change: Change) {
        if inner.watch.get().is_some_and(|watch| watch.wants_past(tenant, &change)) {
            self.0.push((tenant.clone(), Topic::Entity, change));
        }
    }

    /// Keeps a note of something that is no change of an entity.
    pub fn note(&mut self, tenant: &TenantId, note: Note) {
        self.0.push((tenant.clone(), note.topic, note.change));
    }

    /// How many changes were kept so far.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Forgets what was kept after this many.
    pub fn undo(&mut self, count: usize) {
        self.0.truncate(count);
    }

    /// Makes events of the changes, beginning with a sequence, and the sheets that tell of them.
    /// `kept` knows the records of entities that are written anyway.
    pub fn take_events<'r>(
        &mut self,
        first: u64,
        dictionary: &mut Dictionary,
        kept: impl Fn(&Arc<Stored>) -> Option<&'r [u8]>,
    ) -> (Vec<Event>, Sheets) {
        let mut sheets = Sheets::default();
        let told = std::mem::take(&mut self.0);
        let made = told.into_iter().zip(first..).map(|((tenant, topic, change), sequence)| {
            let kept = change.after.as_ref().and_then(&kept);
            let bytes = sheets.add(sequence, |out| {
                append_event(out, &tenant, &topic, &change, kept, dictionary);
            });
            Event { sequence, tenant, topic, change, bytes }
        });
        let events = made.collect();
        (events, sheets)
    }
}

/// How far the log was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Forgotten {
    /// The last event that is forgotten.
    last: u64,
    /// No sheet lies before this number.
    kept: u64,
}

impl Forgotten {
    fn up_to(last: u64) -> Self {
        Self { last, kept: last + 1 }
    }

    /// Reads what [`Forgotten::write`] wrote; before there were sheets it was the last event alone.
    fn read(bytes: Option<&[u8]>) -> Option<Self> {
        let Some(bytes) = bytes else { return Some(Self::default()) };
        let (last, kept) = bytes.split_first_chunk::<8>()?;
        let last = u64::from_be_bytes(*last);
        match kept {
            [] => Some(Self::up_to(last)),
            kept => Some(Self { last, kept: u64::from_be_bytes(kept.try_into().ok()?) }),
        }
    }

    /// As it is kept.
    pub fn write(self) -> Vec<u8> {
        [self.last.to_be_bytes(), self.kept.to_be_bytes()].concat()
    }
}

/// The sequence of the next event: after the last one there is, and after the last forgotten one.
/// The last sheet is given with its first event.
pub(super) fn next_sequence(forgotten: Option<&[u8]>, last: Option<(u64, &[u8])>) -> Option<u64> {
    let forgotten = Forgotten::read(forgotten)?;
    let after = last.map_or(1, |(first, sheet)| first + sheet::events(sheet).count() as u64);
    Some(after.max(forgotten.last + 1))
}

impl Inner {
    /// Events after a sequence, in order.
    pub(super) fn read_events(&self, after: u64, limit: usize) -> Result<Vec<Event>, StoreError> {
        let mut events = Vec::new();
        let (mut bytes, mut damage) = (0, None);
        let forgotten = self.forgotten()?;
        let after = after.max(forgotten.last);
        let Some(next) = after.checked_add(1).filter(|_| limit > 0) else { return Ok(events) };
        let full = |events: &[Event], bytes| events.len() >= limit || bytes >= PAGE_BYTES;
        self.engine.sheets(forgotten.kept..next, |first, sheet| {
            for (record, sequence) in sheet::events(&sheet).zip(first..) {
                let record = match record {
                    Ok(_) if sequence <= after => continue,
                    Ok(record) => record,
                    Err(damaged) => return damage_at(&mut damage, damaged),
                };
                match decode_event(record, &self.names) {
                    Ok((tenant, topic, change)) => {
                        let size = record.len();
                        bytes += size;
                        events.push(Event { sequence, tenant, topic, change, bytes: size });
                    }
                    Err(damaged) => return damage_at(&mut damage, damaged),
                }
                if full(&events, bytes) {
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        match damage {
            // What stands before the damage can still be told; then the damage is met first.
            Some(damage) if events.is_empty() => Err(damage.into()),
            _ => Ok(events),
        }
    }

    fn forgotten(&self) -> Result<Forgotten, StoreError> {
        let bytes = self.engine.get(Rest::Forgotten, b"")?;
        Forgotten::read(bytes.as_deref())
            .ok_or_else(|| StoreError::Broken("nobody knows which events are forgotten".into()))
    }

    /// What to forget in steps, so that nothing is left of the log up to a sequence: sheets, and how
    /// far the log is forgotten without them. A sheet of which something is left stays as it is.
    pub(super) fn forgetting(&self, up_to: u64) -> Result<Vec<(Vec<u64>, Forgotten)>, StoreError> {
        let forgotten = self.forgotten()?;
        let up_to = up_to.min(self.writer.lock().next_event.saturating_sub(1));
        if up_to <= forgotten.last {
            return Ok(Vec::new());
        }
        let mut sheets = self.engine.sheets_between(forgotten.kept, up_to)?;
        let mut kept = up_to + 1;
        // Each ends before the next one begins; where the last one ends it says itself.
        if let Some(last) = sheets.last().copied() {
            let mut count = 0;
            self.engine.sheets(last..last, |_, sheet| {
                count = sheet::events(&sheet).count() as u64;
                ControlFlow::Break(())
            })?;
            if last + count > up_to + 1 {
                sheets.pop();
                kept = last;
            }
        }
        let mut steps: Vec<(Vec<u64>, Forgotten)> = Vec::new();
        let mut rest = &sheets[..];
        while rest.len() > FORGET {
            let (some, others) = rest.split_at(FORGET);
            steps.push((some.to_vec(), Forgotten::up_to(others[0] - 1)));
            rest = others;
        }
        steps.push((rest.to_vec(), Forgotten { last: up_to, kept }));
        Ok(steps)
    }
}

fn damage_at(damage: &mut Option<Damaged>, damaged: Damaged) -> ControlFlow<()> {
    *damage = Some(damaged);
    ControlFlow::Break(())
}

#[cfg(test)]
mod tests {
    use super::super::engine::{Batch, Depth};
    use super::super::{Embedded, Settings};
    use super::*;
    use crate::model::{Action, Outcome, Write};
    use crate::store::record::encode_event;
    use crate::store::samples::{at, bare_entity, entity_id};
    use crate::store::{Store, Watch};

    const HERE: TenantId = TenantId::DEFAULT;

    struct WantsAll;

    impl Watch for WantsAll {
        fn wants(&self, _: &TenantId, _: &Change) -> bool {
            true
        }

        fn committed(&self, _: Vec<Event>) {}
    }

    fn open(folder: &tempfile::TempDir) -> Embedded {
        let store = Embedded::open(Settings::new(folder.path())).unwrap();
        store.watch(std::sync::Arc::new(WantsAll));
        store
    }

    async fn create(store: &Embedded, ids: std::ops::Range<usize>) {
        let writes = ids.map(|id| Write::new(entity_id(id), Action::Create(bare_entity(id, 1))));
        let results = store.commit(&HERE, writes.collect(), at(0)).await.unwrap();
        assert!(results.iter().all(Result::is_ok));
    }

    /// The sequences of the log, read in pages.
    async fn log(store: &Embedded, mut after: u64, page: usize) -> Vec<u64> {
        let mut all = Vec::new();
        loop {
            let events = store.events(after, page).await.unwrap();
            assert!(events.len() <= page);
            let Some(last) = events.last() else { return all };
            after = last.sequence;
            all.extend(events.iter().map(|event| event.sequence));
        }
    }

    fn sheets(store: &Embedded) -> usize {
        store.inner.engine.sheets_between(0, u64::MAX).unwrap().len()
    }

    #[tokio::test]
    async fn a_log_from_before_there_were_sheets_is_read_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder);
        let mut batch = Batch::default();
        for number in 3..=9_u64 {
            let entity = bare_entity(number as usize, 1);
            let (id, after) = (entity.id.clone(), Some(Stored::new(entity)));
            let outcome = Outcome { created: true, ..Outcome::default() };
            let change = Change { id, at: at(0), before: None, after, outcome };
            let dictionary = &mut store.inner.writer.lock().dictionary;
            let record = encode_event(&HERE, &Topic::Entity, &change, dictionary);
            batch.put_sheet(number, record);
            for (number, name) in dictionary.unkept() {
                batch.put(Rest::Name, &number.to_be_bytes(), name.as_str());
            }
        }
        batch.put(Rest::Forgotten, b"", 2_u64.to_be_bytes());
        store.inner.engine.write(&batch, Depth::Disk).unwrap();
        drop(store);

        let store = open(&folder);
        assert_eq!(log(&store, 0, 2).await, (3..=9).collect::<Vec<_>>());
        let third = &store.events(4, 1).await.unwrap()[0];
        assert_eq!((third.sequence, &third.change.id), (5, &entity_id(5)));
        create(&store, 20..25).await;
        assert_eq!(log(&store, 7, 3).await, (8..=14).collect::<Vec<_>>());
        store.forget_events(4).await.unwrap();
        assert_eq!(log(&store, 0, 100).await, (5..=14).collect::<Vec<_>>());
        store.forget_events(11).await.unwrap();
        assert_eq!((log(&store, 0, 1).await, sheets(&store)), (vec![12, 13, 14], 1));
        store.forget_events(14).await.unwrap();
        assert_eq!((log(&store, 0, 1).await, sheets(&store)), (vec![], 0));
        drop(store);
        let store = open(&folder);
        create(&store, 30..31).await;
        assert_eq!(log(&store, 0, 1).await, [15]);
    }

    #[tokio::test]
    async fn the_log_is_read_and_forgotten_anywhere_within_its_sheets() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder);
        let mut made = 0;
        for count in [300, 1, 2, 200, 7] {
            create(&store, made..made + count).await;
            made += count;
        }
        let last = store.latest_event().await.unwrap();
        assert_eq!(last, made as u64);
        // Three for three hundred, two for two hundred, one for each of the others.
        assert_eq!(sheets(&store), 8);
        let mut left = 8;
        for up_to in [0, 1, 5, 127, 128, 129, 300, 301, 302, 399, 509, 510] {
            store.forget_events(up_to).await.unwrap();
            let rest: Vec<u64> = (up_to + 1..=last).collect();
            for page in [1_000, 50] {
                assert_eq!(log(&store, 0, page).await, rest, "{up_to}");
            }
            for after in [up_to + 1, 130, 256, 300, 400, 503, 509] {
                let first = after.max(up_to) + 1;
                let found = store.events(after, 1).await.unwrap();
                let found = found.first().map(|event| event.sequence);
                assert_eq!(found, Some(first).filter(|first| *first <= last), "{up_to} {after}");
            }
            assert!(sheets(&store) <= left);
            left = sheets(&store);
        }
        assert_eq!(left, 0);
    }
}
