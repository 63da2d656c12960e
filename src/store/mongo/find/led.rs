//! Pages in an order that the database knows in part: no more is read than it takes to be sure of
//! the page.

use futures_util::TryStreamExt;
use mongodb::bson::{Document, RawBsonRef, RawDocument, RawDocumentBuf, doc};

use super::super::compile::lead::{ByDistance, ByValue, Lead, RANK, ROUNDING_M, VALUE};
use super::super::document::{damaged, tenant_name};
use super::page::Hit;
use super::{Finder, MORE, projection};
use crate::model::Number;
use crate::store::{Found, StoreError};

/// When a page takes more than so many candidates, all are read, and forgotten on the way.
const MOST: usize = 4_000;

/// The same of bytes of candidates.
const MOST_BYTES: usize = 64 << 20;

/// How many candidates more than those that are wanted are asked for at first. Few in tests, so
/// that they often do not do.
const SURPLUS: usize = if cfg!(test) { 1 } else { 16 };

/// What came, in the order that the database knows.
struct Came {
    hits: Vec<(Hit, Standing)>,
    /// Whether nothing else comes in this order.
    is_end: bool,
    /// Whoever has not come is at least so far away, if it came by distance.
    at_least: Option<f64>,
}

/// Where one that came stands to those that did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Before all of them.
    Before,
    /// Perhaps before some of them, but before none that stands before them.
    Among,
    /// Anywhere.
    Anywhere,
}

impl Finder<'_> {
    /// One page; None if it takes too many candidates to be sure of it.
    pub(super) async fn led(&self, lead: &Lead) -> Result<Option<Found>, StoreError> {
        let page = &self.plan.page;
        let wanted = page.offset.saturating_add(page.limit);
        let surplus = if self.compiled.is_exact { 0 } else { wanted / 2 } + SURPLUS;
        let mut most = wanted.saturating_add(surplus);
        while most <= MOST {
            let came = match lead {
                Lead::Value(lead) => self.by_value(lead, most).await?,
                Lead::Distance(lead) if self.place.is_some() => {
                    self.by_value(&lead.computed, most).await?
                }
                Lead::Distance(lead) => self.by_distance(lead, most).await?,
            };
            let Some(came) = came else { return Ok(None) };
            let (is_end, by_value) = (came.is_end, came.at_least.is_none());
            let (mut hits, mut sure) = self.in_order(came);
            if let (Some(order), Some(place)) = (&self.plan.order, &self.place) {
                let behind = |hit: &Hit| {
                    order.is_behind(place, &hit.held.entity, self.now, hit.created as u64)
                };
                let before = hits.iter().take_while(|hit| !behind(hit)).count();
                hits.drain(..before);
                sure = sure.saturating_sub(before);
            }
            if (is_end && by_value) || (sure >= wanted && hits.len() > wanted) {
                return Ok(Some(self.page_of(hits)));
            }
            // What has no place at all does not come, and stands behind all that does.
            if is_end {
                return Ok(None);
            }
            if most == MOST {
                break;
            }
            most = most.saturating_mul(MORE as usize).min(MOST);
        }
        Ok(None)
    }

    /// None if they take too much memory.
    async fn by_value(&self, lead: &ByValue, most: usize) -> Result<Option<Came>, StoreError> {
        let candidates = self.compiled.candidates();
        let pipeline = lead.pipeline(candidates, self.place.as_ref(), most as i64);
        let Some(documents) = self.run(pipeline).await? else { return Ok(None) };
        let is_end = documents.len() < most;
        let last = documents.last().map(|last| key(last)).transpose()?;
        let mut hits = Vec::with_capacity(documents.len());
        for document in &documents {
            let own = key(document)?;
            let standing = match &last {
                _ if lead.is_wild(own.rank) => Standing::Anywhere,
                Some(last) if last.is_beside(&own, lead.is_distance) => Standing::Among,
                _ => Standing::Before,
            };
            hits.extend(self.matching(document)?.map(|hit| (hit, standing)));
        }
        Ok(Some(Came { hits, is_end, at_least: None }))
    }

    /// None if there are too many of which it is not known where they are.
    async fn by_distance(
        &self,
        lead: &ByDistance,
        most: usize,
    ) -> Result<Option<Came>, StoreError> {
        let elsewhere = lead.elsewhere(self.compiled.candidates());
        let elsewhere =
            self.run(vec![doc! { "$match": elsewhere }, doc! { "$limit": MOST as i64 }]);
        let near = lead.pipeline(tenant_name(self.tenant), self.compiled.candidates(), most as i64);
        let (Some(near), Some(elsewhere)) = tokio::try_join!(self.run(near), elsewhere)? else {
            return Ok(None);
        };
        if elsewhere.len() >= MOST {
            return Ok(None);
        }
        let is_end = near.len() < most;
        let last = near.last().filter(|_| !is_end);
        let last = last.map(|last| last.get_f64(VALUE).map_err(damaged)).transpose()?;
        let at_least = last.map_or(f64::INFINITY, ByDistance::at_least);
        let mut hits = Vec::with_capacity(near.len());
        for document in near.iter().chain(&elsewhere) {
            hits.extend(self.matching(document)?.map(|hit| (hit, Standing::Anywhere)));
        }
        Ok(Some(Came { hits, is_end, at_least: Some(at_least) }))
    }

    /// What a pipeline brings; None if it takes too much memory.
    async fn run(
        &self,
        mut pipeline: Vec<Document>,
    ) -> Result<Option<Vec<RawDocumentBuf>>, StoreError> {
        let mut shown = projection();
        shown.extend(doc! { RANK: 1, VALUE: 1 });
        pipeline.push(doc! { "$project": shown });
        let aggregate = self.inner.entities.aggregate(pipeline).with_type::<RawDocumentBuf>();
        let aggregate = aggregate.max_time(self.time_limit()).batch_size(MOST as u32 + 1);
        self.inner
            .reading(async {
                let (mut cursor, mut came, mut bytes) = (aggregate.await?, Vec::new(), 0);
                while let Some(document) = cursor.try_next().await? {
                    bytes += document.as_bytes().len();
                    if bytes > MOST_BYTES {
                        return Ok(None);
                    }
                    came.push(document);
                }
                Ok(Some(came))
            })
            .await
    }

    /// What a document is of, if the plan matches it.
    fn matching(&self, document: &RawDocument) -> Result<Option<Hit>, StoreError> {
        let (hit, is_odd) = self.hit(document)?;
        let matches = (self.compiled.is_exact && !is_odd)
            || self.plan.matches(&hit.held.entity, self.now, &crate::query::NoLookup);
        Ok(matches.then_some(hit))
    }

    /// Puts what came in the order of the plan, and says of how many it is sure that nobody else
    /// belongs before them.
    fn in_order(&self, came: Came) -> (Vec<Hit>, usize) {
        let Came { mut hits, is_end, at_least } = came;
        hits.sort_by(|(a, _), (b, _)| {
            let order = self.plan.compare(&a.held.entity, &b.held.entity, self.now);
            order.then(a.created.cmp(&b.created))
        });
        let sure = match at_least {
            Some(at_least) => {
                let is_nearer = |hit: &Hit| {
                    let order = self.plan.order.as_ref();
                    let distance =
                        order.and_then(|order| order.distance(&hit.held.entity, self.now));
                    distance.is_some_and(|distance| distance < at_least)
                };
                hits.iter().take_while(|(hit, _)| is_nearer(hit)).count()
            }
            None if is_end => hits.len(),
            None => {
                let last = hits.iter().rposition(|(_, standing)| *standing == Standing::Before);
                last.map_or(0, |last| last + 1)
            }
        };
        (hits.into_iter().map(|(hit, _)| hit).collect(), sure)
    }

    fn page_of(&self, mut hits: Vec<Hit>) -> Found {
        let page = &self.plan.page;
        let more = hits.len() > page.offset.saturating_add(page.limit);
        hits.drain(..page.offset.min(hits.len()));
        hits.truncate(page.limit);
        self.shown(hits, more, None)
    }
}

/// By what the database put a document where it came.
#[derive(Debug, Clone)]
struct Key {
    rank: i32,
    value: Value,
}

#[derive(Debug, Clone)]
enum Value {
    None,
    Number(Number),
    /// The beginning of a text's key.
    Bytes(Vec<u8>),
}

impl Key {
    /// Whether the database does not tell them apart, or not so that it is sure.
    fn is_beside(&self, other: &Self, is_distance: bool) -> bool {
        let same = match (&self.value, &other.value) {
            (Value::Number(a), Value::Number(b)) if is_distance => {
                (a.as_f64() - b.as_f64()).abs() <= ROUNDING_M
            }
            (Value::Number(a), Value::Number(b)) => a.compare(*b).is_eq(),
            (Value::Bytes(a), Value::Bytes(b)) => a == b,
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        };
        self.rank == other.rank && same
    }
}

fn key(document: &RawDocument) -> Result<Key, StoreError> {
    let value = match document.get(VALUE).map_err(damaged)? {
        Some(RawBsonRef::Int32(value)) => Value::Number(Number::Int(value.into())),
        Some(RawBsonRef::Int64(value)) => Value::Number(Number::Int(value)),
        Some(RawBsonRef::Double(value)) => Value::Number(Number::Float(value)),
        Some(RawBsonRef::Boolean(value)) => Value::Number(Number::Int(value.into())),
        Some(RawBsonRef::Binary(value)) => Value::Bytes(value.bytes.to_vec()),
        _ => Value::None,
    };
    Ok(Key { rank: document.get_i32(RANK).map_err(damaged)?, value })
}
