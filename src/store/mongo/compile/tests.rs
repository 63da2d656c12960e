//! Compiled filters on a real MongoDB: perhaps too wide, never too narrow.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::TryStreamExt;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use proptest::collection::vec;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::super::document::{self, Stamps};
use super::super::tests::Own;
use super::*;
use crate::model::{Entity, EntityId, Stored};
use crate::query::Lookup;
use crate::store::samples::{self, at, bare_entity, entity_id, property};
use crate::store::suite::queries::plan;

/// Linked entities.
struct All(Vec<Arc<Stored>>);

impl Lookup for All {
    fn entity(&self, id: &EntityId) -> Option<Arc<Stored>> {
        self.0.iter().find(|entity| entity.id == *id).cloned()
    }
}

/// Entities of one tenant in the database.
struct Town {
    own: Own,
    tenant: TenantId,
    all: Vec<Arc<Stored>>,
}

impl Town {
    async fn fill(&mut self, tenant: &str, entities: Vec<Entity>) {
        self.tenant = TenantId::named(tenant).unwrap();
        self.all = entities.into_iter().map(Stored::new).collect();
        self.all.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
        self.all.dedup_by(|a, b| a.id == b.id);
        let write = |(place, entity): (usize, &Arc<Stored>)| -> RawDocumentBuf {
            document::write(&self.tenant, entity, &Stamps::new(place as i64))
        };
        let documents: Vec<_> = self.all.iter().enumerate().map(write).collect();
        self.own.inner().entities.insert_many(documents).await.unwrap();
    }

    /// The ids that a filter lets through.
    async fn ids(&self, filter: Document) -> BTreeSet<String> {
        let find = self.own.inner().entities.find(filter.clone()).projection(doc! { "_id": 1 });
        let found: Result<Vec<RawDocumentBuf>, _> = async { find.await?.try_collect().await }.await;
        let found = found.unwrap_or_else(|error| panic!("{filter}: {error}"));
        let id = |found: RawDocumentBuf| {
            found.get_document("_id").unwrap().get_str("i").unwrap().to_owned()
        };
        found.into_iter().map(id).collect()
    }

    /// Compares a compiled filter with the evaluator; how many entities it let through in excess.
    async fn check(&self, plan: &EntityPlan, now: Timestamp) -> (usize, bool) {
        let alive = self.all.iter().filter(|entity| entity.is_alive(now)).cloned();
        let lookup = All(alive.collect());
        let matching = |entity: &&Arc<Stored>| plan.matches(entity, now, &lookup);
        let id = |entity: &Arc<Stored>| entity.id.as_str().to_owned();
        let expected: BTreeSet<String> = self.all.iter().filter(matching).map(id).collect();
        let compiled = Compiled::new(&self.tenant, plan, now);
        if compiled.is_never {
            assert_eq!(expected, BTreeSet::new(), "{plan:?}");
            return (0, true);
        }
        let candidates = self.ids(compiled.candidates()).await;
        assert!(
            candidates.is_superset(&expected),
            "too narrow: {plan:#?}\n{}\nmisses {:#?}",
            compiled.candidates(),
            self.all
                .iter()
                .find(|one| expected.contains(&id(one)) && !candidates.contains(&id(one)))
        );
        if compiled.is_exact {
            let mut found = self.ids(compiled.plain_ones()).await;
            if compiled.has_odd_ones() {
                let odd = self.ids(compiled.odd_ones()).await;
                found.extend(odd.into_iter().filter(|id| expected.contains(id)));
            }
            assert_eq!(
                found,
                expected,
                "not exact: {plan:#?}\n{}\n{:#?}",
                compiled.plain_ones(),
                self.all.iter().find(|one| found.contains(&id(one)) != expected.contains(&id(one)))
            );
        }
        (candidates.len() - expected.len(), compiled.is_exact)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compiled_filter_is_never_too_narrow() {
    let mut town = Town { own: Own::start().await, tenant: TenantId::DEFAULT, all: Vec::new() };
    let mut runner = TestRunner::deterministic();
    let cases =
        std::env::var("LANNA_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(40);
    let (mut exact, mut matched, mut excess) = (0, 0, 0);
    for case in 0..cases {
        let mut entities = vec(samples::entity(), 8).new_tree(&mut runner).unwrap().current();
        entities.push(large_entity());
        town.fill(&format!("case{case}"), entities).await;
        for step in 0..60 {
            let plan = plan().new_tree(&mut runner).unwrap().current();
            let (more, is_exact) = town.check(&plan, at(step * 4 - 120)).await;
            exact += usize::from(is_exact);
            excess += more;
            matched += 1;
        }
    }
    assert!(exact * 3 > matched, "most filters are exact: {exact} of {matched}, {excess}");
}

/// An entity with more and longer values than are kept as keys.
fn large_entity() -> Entity {
    let mut entity = bare_entity(9, 0);
    let many: Vec<_> = (0..300i64).map(crate::model::Value::from).collect();
    let many = crate::model::Value::Array(many.into());
    entity.attributes.insert(samples::attribute_name(0), property(many));
    let long = format!("{}b", "ก".repeat(60));
    entity.attributes.insert(samples::attribute_name(1), property(long.as_str()));
    entity.id = entity_id(9);
    entity
}
