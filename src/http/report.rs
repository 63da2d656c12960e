//! What the broker says of itself in `/health`, `/ready` and `/metrics`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use futures_util::FutureExt;
use serde_json::{Map, Value};

use super::metrics::{gauge, head};
use super::state::Report;
use crate::broker::{Broker, Counts};
use crate::derive::Deriver;
use crate::egress::Courier;
use crate::feed::{Feeds, Tally};
use crate::model::{Name, Timestamp};
use crate::subscribe::{self, Notifier};

/// Reports on a broker.
pub struct Reporter {
    broker: Arc<Broker>,
    feeds: Option<Arc<Feeds>>,
    deriver: Option<Arc<Deriver>>,
}

impl Reporter {
    /// Reports on this broker.
    pub fn new(broker: Arc<Broker>) -> Self {
        Self { broker, feeds: None, deriver: None }
    }

    /// Reports on feeds, too.
    pub fn with_feeds(self, feeds: Arc<Feeds>) -> Self {
        Self { feeds: Some(feeds), ..self }
    }

    /// Reports on what is derived, too, if anything is.
    pub fn with_deriver(self, deriver: Option<Arc<Deriver>>) -> Self {
        Self { deriver, ..self }
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
        deliveries(out, self.broker.notifier());
        self.broker.carrier().metrics(out);
        self.broker.hub().metrics(out);
        if let Some(feeds) = &self.feeds {
            feeds_fare(out, feeds);
        }
        if let Some(deriver) = &self.deriver {
            derived(out, deriver);
        }
    }
}

/// What came of the rules by which values are derived.
fn derived(out: &mut String, deriver: &Deriver) {
    let name = "lanna_derived_total";
    head(out, name, "What came of deriving values, by rule and outcome.", "counter");
    let rules: BTreeSet<&str> = deriver
        .profiles()
        .iter()
        .flat_map(|profile| &profile.rules)
        .map(|rule| &*rule.name)
        .collect();
    for rule in rules {
        let counts = deriver.counts(rule);
        for (outcome, count) in [
            ("derived", counts.derived),
            ("unchanged", counts.unchanged),
            ("lacking", counts.lacking),
            ("given", counts.given),
            ("refused", counts.refused),
        ] {
            let rule = label(rule);
            let _ = writeln!(out, "{name}{{rule=\"{rule}\",outcome=\"{outcome}\"}} {count}");
        }
    }
}

/// How deliveries fare, by tenant: the first thousand by name, the others together.
fn deliveries(out: &mut String, notifier: &Notifier) {
    let counts = notifier.counts();
    let mut all: Vec<(String, subscribe::Counts)> = counts
        .into_iter()
        .map(|(tenant, counts)| match tenant {
            Some(tenant) => (label(tenant.name().unwrap_or_default()), counts),
            None => ("*".to_owned(), counts),
        })
        .collect();
    all.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    let name = "lanna_notifications_total";
    head(
        out,
        name,
        "Notifications by what became of them; retried ones are counted again.",
        "counter",
    );
    for (tenant, counts) in &all {
        for (outcome, count) in
            [("delivered", counts.delivered), ("retried", counts.retried), ("dead", counts.dead)]
        {
            let labels = format!("tenant=\"{tenant}\",outcome=\"{outcome}\"");
            let _ = writeln!(out, "{name}{{{labels}}} {count}");
        }
    }
    let name = "lanna_notifications_queued";
    head(out, name, "Changes that wait to be told, as far as they are in memory.", "gauge");
    for (tenant, counts) in &all {
        let _ = writeln!(out, "{name}{{tenant=\"{tenant}\"}} {}", counts.queued);
    }
    let name = "lanna_notifications_lag_seconds";
    head(out, name, "The age of the oldest change that waits to be told.", "gauge");
    for (tenant, counts) in &all {
        let seconds = counts.lag_millis as f64 / 1_000.0;
        let _ = writeln!(out, "{name}{{tenant=\"{tenant}\"}} {seconds}");
    }
    let name = "lanna_notifications_queued_bytes";
    let bytes = notifier.queued_bytes();
    gauge(out, name, "Memory that waiting changes fill.", bytes);
}

/// How feeds fare.
fn feeds_fare(out: &mut String, feeds: &Feeds) {
    let all = feeds.statuses();
    if all.is_empty() {
        return;
    }
    head(out, "lanna_feed_records_total", "Records of feeds by what became of them.", "counter");
    for (name, status, ..) in &all {
        let Tally { stored, unchanged, late, rejected, .. } = status.tally;
        let counts =
            [("stored", stored), ("unchanged", unchanged), ("late", late), ("rejected", rejected)];
        for (outcome, count) in counts {
            let labels = format!("feed=\"{name}\",outcome=\"{outcome}\"");
            let _ = writeln!(out, "lanna_feed_records_total{{{labels}}} {count}");
        }
    }
    head(out, "lanna_feed_readings_total", "Readings of feeds with something wrong.", "counter");
    for (name, status, ..) in &all {
        let Tally { left_out, impossible, suspect, .. } = status.tally;
        for (what, count) in
            [("left_out", left_out), ("impossible", impossible), ("suspect", suspect)]
        {
            let labels = format!("feed=\"{name}\",what=\"{what}\"");
            let _ = writeln!(out, "lanna_feed_readings_total{{{labels}}} {count}");
        }
    }
    head(
        out,
        "lanna_feed_runs_total",
        "Times that feeds were asked, or sent something.",
        "counter",
    );
    for (name, status, ..) in &all {
        let Tally { runs, failures, .. } = status.tally;
        let well = runs.saturating_sub(failures);
        for (outcome, count) in [("ok", well), ("failed", failures)] {
            let labels = format!("feed=\"{name}\",outcome=\"{outcome}\"");
            let _ = writeln!(out, "lanna_feed_runs_total{{{labels}}} {count}");
        }
    }
    let name = "lanna_feed_last_new_timestamp_seconds";
    head(out, name, "When a feed last brought something new, since 1970.", "gauge");
    for (feed, status, ..) in &all {
        let last = status.last_new.as_ref().and_then(|text| text.parse::<Timestamp>().ok());
        if let Some(last) = last {
            let seconds = last.micros() as f64 / 1e6;
            let _ = writeln!(out, "{name}{{feed=\"{feed}\"}} {seconds}");
        }
    }
    let name = "lanna_feed_expected_within_seconds";
    head(out, name, "Within how long something new is expected of a feed.", "gauge");
    for (feed, _, _, expect) in &all {
        let _ = writeln!(out, "{name}{{feed=\"{feed}\"}} {}", expect.as_secs());
    }
    let name = "lanna_feed_quiet";
    head(out, name, "Whether a feed has brought nothing new for longer than that.", "gauge");
    for (feed, _, quiet, _) in &all {
        let _ = writeln!(out, "{name}{{feed=\"{feed}\"}} {}", u8::from(*quiet));
    }
}

/// A text as the value of a label.
fn label(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n")
}
