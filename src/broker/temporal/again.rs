//! Answers about the history of an entity that are kept as long as nothing is added to it: who
//! draws a graph asks the same again and again.

use std::hash::{BuildHasher, Hash, RandomState};

use bytes::Bytes;
use parking_lot::Mutex;

use super::super::{Broker, Call};
use super::TimeRange;
use crate::model::{EntityId, Timestamp};
use crate::store::Generations;

/// An answer as it was written.
#[derive(Debug, Clone)]
pub struct KeptHistory {
    pub body: Bytes,
    /// It follows an older version of the specification, which cannot say all.
    pub altered: bool,
    pub range: Option<TimeRange>,
    pub thinned: Option<Timestamp>,
}

/// A question, and what was known of the entity's history before it was looked at.
#[derive(Debug, Clone, Copy)]
pub struct AskedHistory {
    question: u128,
    stamp: u64,
}

/// Answers with the stamps that they were made under.
pub(in crate::broker) struct KeptHistories {
    hashers: [RandomState; 2],
    kept: Mutex<Generations<u128, (u64, KeptHistory)>>,
}

impl KeptHistories {
    /// Room for so many bytes.
    pub fn new(most: u64) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self { hashers: Default::default(), kept: Mutex::new(Generations::new(most)) }
    }
}

impl Broker {
    /// A question about the history of an entity, where all that decides the answer is said by
    /// the call, the entity and `question`. None where the answer is not to be kept: others have
    /// a part in it, or the store cannot tell when it changes.
    pub fn asked_history(
        &self,
        call: &Call,
        id: &EntityId,
        question: impl Hash,
    ) -> Option<AskedHistory> {
        if call.origin().is_some() {
            return None;
        }
        let stamp = self.store.history_stamp(&call.tenant, id)?;
        // Contexts that mean the same may be named otherwise, and a body may name its own.
        let context = (call.context.id(), &*call.context.link().body);
        let question = (&call.tenant, id, context, question);
        let [a, b] = &self.kept_histories.hashers;
        let question = u128::from(a.hash_one(&question)) << 64 | u128::from(b.hash_one(&question));
        Some(AskedHistory { question, stamp })
    }

    /// The answer that was given before, if it is still true.
    pub fn kept_history(&self, asked: AskedHistory) -> Option<KeptHistory> {
        let (stamp, answer) = self.kept_histories.kept.lock().get(&asked.question)?;
        (stamp == asked.stamp).then_some(answer)
    }

    /// Keeps an answer.
    pub fn keep_history(&self, asked: AskedHistory, answer: KeptHistory) {
        let bytes = answer.body.len();
        self.kept_histories.kept.lock().keep(asked.question, (asked.stamp, answer), bytes);
    }
}
