//! What the broker says of itself in `/health`, `/ready` and `/metrics`.

use std::fmt::Write;
use std::sync::Arc;

use futures_util::FutureExt;
use serde_json::{Map, Value};

use super::state::Report;
use crate::broker::{Broker, Counts};
use crate::model::Name;

/// Reports on a broker.
pub struct Reporter {
    broker: Arc<Broker>,
}

impl Reporter {
    /// Reports on this broker.
    pub fn new(broker: Arc<Broker>) -> Self {
        Self { broker }
    }
}

impl Report for Reporter {
    fn health(&self) -> Map<String, Value> {
        let mut health = Map::new();
        health.insert("namesKnown".into(), Name::count().into());
        health.insert("contextsCompiled".into(), self.broker.contexts().compiled_count().into());
        health
    }

    /// A store that has to think about it works.
    fn ready(&self) -> Result<(), String> {
        match self.broker.store().check().now_or_never() {
            Some(Err(error)) => Err(error.to_string()),
            Some(Ok(())) | None => Ok(()),
        }
    }

    fn metrics(&self, out: &mut String) {
        let _ = write!(
            out,
            "# HELP lanna_models_checked_total Entities that were checked against a model.\n# TYPE lanna_models_checked_total counter\n"
        );
        for (model, counts) in self.broker.models().counts() {
            let Counts { passed, warned, refused } = counts;
            for (outcome, count) in [("passed", passed), ("warned", warned), ("refused", refused)] {
                let _ = writeln!(
                    out,
                    "lanna_models_checked_total{{model=\"{model}\",outcome=\"{outcome}\"}} {count}"
                );
            }
        }
        let contexts = self.broker.contexts().compiled_count();
        // Writing into a string does not fail.
        let _ = write!(
            out,
            "# HELP lanna_contexts Compiled contexts that are held.\n# TYPE lanna_contexts gauge\nlanna_contexts {contexts}\n"
        );
    }
}
