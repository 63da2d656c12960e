//! What is asked of several places at once. The database answers questions about several collections,
//! or about the blocks of several series, in one round trip, unless they are asked in a transaction.

use std::rc::Rc;

use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::error::Error;
use rustc_hash::FxHashMap;

use super::super::document;
use super::super::{error, read};
use super::BLOCKS;
use super::book::parts;
use super::desk::{Desk, between, block_bound, read_block};
use crate::store::StoreError;
use crate::store::history::{Place, Reach, Rows, SeriesKey, ShowBlock, Volumes};
use crate::store::record::Damaged;
use crate::store::record::short::shorten;

/// Of how many series blocks are asked for at once.
const SERIES: usize = 64;

/// How many blocks of each: most questions are answered by few.
pub(super) const BLOCKS_AHEAD: usize = 8;

/// How many bytes of blocks are asked for ahead, and kept until they are asked for; where there are
/// more, each series is asked for by itself.
const BYTES: usize = 8 << 20;

/// How many documents come at once, more than there ever are.
const BATCH: u32 = 2_000;

/// The server says that it does not answer such a question: an illegal operation, invalid options,
/// not in a transaction, and not of collections that are sharded.
const REFUSED: [i32; 4] = [20, 72, 263, 28_769];

/// Tells the documents of the second of two collections.
const SECOND: &str = "second";

/// What is asked of a collection.
pub(super) struct Ask {
    pub collection: &'static str,
    pub filter: Document,
    /// The projection, the order, and how many are wanted; all, if it is zero.
    pub shape: (Document, Document, i64),
}

impl Ask {
    pub fn new(
        collection: &'static str,
        filter: Document,
        shape: (Document, Document, i64),
    ) -> Self {
        Self { collection, filter, shape }
    }

    fn pipeline(&self) -> Vec<Document> {
        let (projection, sort, limit) = &self.shape;
        let mut stages = vec![doc! { "$match": self.filter.clone() }];
        if !sort.is_empty() {
            stages.push(doc! { "$sort": sort.clone() });
        }
        if *limit > 0 {
            stages.push(doc! { "$limit": *limit });
        }
        stages.push(doc! { "$project": projection.clone() });
        stages
    }
}

/// The series that will be asked for, and what is known of their blocks.
#[derive(Default)]
pub(super) struct Ahead {
    /// In the order in which they will be asked for.
    expected: Vec<SeriesKey>,
    places: FxHashMap<SeriesKey, usize>,
    known: FxHashMap<SeriesKey, (Reach, Rc<Known>)>,
    bytes: usize,
}

/// The first blocks of a series in a direction.
#[derive(Default)]
pub(super) struct Known {
    pub blocks: Vec<(Place, Vec<u8>)>,
    /// There may be others behind them.
    pub goes_on: bool,
}

impl Ahead {
    fn known(&self, series: &SeriesKey, reach: Reach) -> Option<Rc<Known>> {
        let (own, known) = self.known.get(series)?;
        (*own == reach).then(|| known.clone())
    }

    /// A series and those that will be asked for after it.
    fn with_next(&self, series: &SeriesKey, reach: Reach) -> Vec<SeriesKey> {
        let Some(place) = self.places.get(series) else { return Vec::new() };
        let new = self.expected[*place..].iter().filter(|one| self.known(one, reach).is_none());
        new.take(SERIES).cloned().collect()
    }
}

impl Desk {
    /// These series will be asked for next, in this order.
    pub fn expect(&self, series: impl Iterator<Item = SeriesKey>) {
        if !self.unites.get() {
            return;
        }
        let mut ahead = self.ahead.borrow_mut();
        ahead.expected = series.collect();
        let places = ahead.expected.iter().cloned().zip(0..).collect();
        ahead.places = places;
    }

    /// Documents of two collections; the first is asked for by the index of ids if it is asked by ids.
    pub fn find_both(&self, one: Ask, two: Ask) -> Result<[Vec<RawDocumentBuf>; 2], StoreError> {
        if self.unites.get() {
            let mut pipeline = one.pipeline();
            let mut other = two.pipeline();
            other.push(doc! { "$set": { SECOND: true } });
            pipeline.push(doc! { "$unionWith": { "coll": two.collection, "pipeline": other } });
            let by_id = one.filter.contains_key("_id");
            if let Some(found) = self.united(one.collection, pipeline, by_id, usize::MAX)? {
                let is_first = |one: &RawDocumentBuf| !matches!(one.get(SECOND), Ok(Some(_)));
                let (first, second) = found.into_iter().partition(is_first);
                return Ok([first, second]);
            }
        }
        let ask = |ask: Ask| {
            let collection = self.inner.database.collection(ask.collection);
            self.find(&collection, ask.filter, ask.shape)
        };
        Ok([ask(one)?, ask(two)?])
    }

    /// What is known of the blocks of a series, which are asked for together with those of the series
    /// that are expected after it; None if it is not expected.
    pub(super) fn known_ahead(
        &self,
        series: &SeriesKey,
        reach: Reach,
    ) -> Result<Option<Rc<Known>>, StoreError> {
        if !self.unites.get() {
            return Ok(None);
        }
        if let Some(known) = self.ahead.borrow().known(series, reach) {
            return Ok(Some(known));
        }
        let chosen = self.ahead.borrow().with_next(series, reach);
        if chosen.is_empty() {
            return Ok(None);
        }
        let mut pipeline: Vec<Document> = Vec::new();
        for one in &chosen {
            for stages in stages(one, reach)? {
                match pipeline.is_empty() {
                    true => pipeline = stages,
                    false => {
                        pipeline.push(doc! { "$unionWith": { "coll": BLOCKS, "pipeline": stages } })
                    }
                }
            }
        }
        let Some(found) = self.united(BLOCKS, pipeline, false, BYTES)? else {
            // Each by itself from now on.
            *self.ahead.borrow_mut() = Ahead::default();
            return Ok(None);
        };
        let mut ahead = self.ahead.borrow_mut();
        ahead.learn(&chosen, reach, &found)?;
        Ok(ahead.known(series, reach))
    }

    /// What a question to several places finds; None if the server does not answer such ones, or if
    /// it is more than so many bytes.
    fn united(
        &self,
        collection: &str,
        pipeline: Vec<Document>,
        by_id: bool,
        most: usize,
    ) -> Result<Option<Vec<RawDocumentBuf>>, StoreError> {
        let collection = self.inner.database.collection::<RawDocumentBuf>(collection);
        let mut ask = collection.aggregate(pipeline).with_type::<RawDocumentBuf>();
        if by_id {
            ask = ask.hint(read::ids_index());
        }
        let ask = ask.batch_size(BATCH).max_time(self.inner.settings.time_limit);
        let mut session = self.session.borrow_mut();
        let is_refused =
            |failure: &Error| error::code(failure).is_some_and(|code| REFUSED.contains(&code));
        self.wait(async {
            let mut cursor = match ask.session(&mut **session).await {
                Err(failure) if is_refused(&failure) => {
                    self.unites.set(false);
                    return Ok(None);
                }
                asked => asked?,
            };
            let (mut found, mut bytes) = (Vec::new(), 0);
            while cursor.advance(&mut session).await? {
                let document = cursor.current();
                bytes += document.as_bytes().len();
                if bytes > most {
                    return Ok(None);
                }
                found.push(document.to_owned());
            }
            Ok(Some(found))
        })
    }
}

impl Ahead {
    /// Takes in what was found of the blocks of some series.
    fn learn(
        &mut self,
        series: &[SeriesKey],
        reach: Reach,
        found: &[RawDocumentBuf],
    ) -> Result<(), StoreError> {
        let mut all: FxHashMap<String, Vec<(Place, Vec<u8>)>> = FxHashMap::default();
        let mut bytes = 0;
        for document in found {
            let id = document.get_document("_id").map_err(document::damaged)?;
            let part = |name: &'static str| id.get_str(name).map_err(document::damaged);
            let name = name_of([part("t")?, part("i")?, part("a")?, part("d")?]);
            let (place, block) = read_block(document)?;
            bytes += block.len();
            all.entry(name).or_default().push((place, block.to_vec()));
        }
        if self.bytes + bytes > BYTES {
            self.known.clear();
            self.bytes = 0;
        }
        self.bytes += bytes;
        for one in series {
            let [tenant, id, attribute, dataset] = parts(one)?;
            let name = name_of([tenant, id, &shorten(attribute), dataset]);
            let mut blocks = all.remove(&name).unwrap_or_default();
            blocks.sort_unstable_by_key(|(place, _)| *place);
            let within =
                |(place, _): &&(Place, Vec<u8>)| reach.from.is_none_or(|from| place.0 >= from);
            let count = match reach.backwards {
                true => blocks.len(),
                // The block before comes in any case.
                false => blocks.iter().filter(within).count(),
            };
            if reach.backwards {
                blocks.reverse();
            }
            let known = Known { blocks, goes_on: count >= BLOCKS_AHEAD };
            self.known.insert(one.clone(), (reach, Rc::new(known)));
        }
        Ok(())
    }
}

/// One name for a series, of its parts as they are in the database.
fn name_of(parts: [&str; 4]) -> String {
    parts.join("\0")
}

/// What finds the first blocks of a series in a direction: in the other one before them the block
/// that may reach into what is asked for.
fn stages(series: &SeriesKey, reach: Reach) -> Result<Vec<Vec<Document>>, StoreError> {
    let some = |filter: Document, order: i32, limit: i64| {
        vec![
            doc! { "$match": filter },
            doc! { "$sort": { "_id": order } },
            doc! { "$limit": limit },
        ]
    };
    let first = block_bound(series, None, false)?;
    let to = block_bound(series, reach.before, true)?;
    let most = BLOCKS_AHEAD as i64;
    if reach.backwards {
        return Ok(vec![some(between(series, first, to)?, -1, most)]);
    }
    let Some(from) = reach.from else {
        return Ok(vec![some(between(series, first, to)?, 1, most)]);
    };
    let bound = block_bound(series, Some((from, 0)), false)?;
    Ok(vec![
        some(between(series, first, bound.clone())?, -1, 1),
        some(between(series, bound, to)?, 1, most),
    ])
}

/// Where there are no blocks.
pub(super) struct Vacant;

impl Volumes for Vacant {
    fn tail(&self, _: &SeriesKey) -> Result<Rows, StoreError> {
        Err(Damaged("a series has no tail").into())
    }

    fn blocks(&self, _: &SeriesKey, _: Reach, _: &mut ShowBlock<'_>) -> Result<(), StoreError> {
        Ok(())
    }
}
