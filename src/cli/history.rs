//! `lanna history`: asks a running broker what it records and for how long, and what it holds; and
//! tells it what to record.

use lanna::config::Config;
use serde_json::{Value, json};

use super::desk::{self, Desk, Failure, Whom, lines, table, text};

/// What to ask, and whom.
#[derive(Debug, PartialEq)]
pub struct History {
    pub what: What,
    pub whom: Whom,
}

/// What to ask.
#[derive(Debug, PartialEq)]
pub enum What {
    /// The rules of the tenant.
    Rules,
    /// Change the rule of a type.
    Set { of: String, changes: Changes },
    /// Take the rule of a type back.
    Unset { of: String },
    /// What is held, by entity and attribute.
    Held { id: Option<String>, of: Option<String> },
}

/// What becomes of a rule.
#[derive(Debug, PartialEq, Default)]
pub struct Changes {
    /// `all`, `none`, or attributes between commas.
    pub record: Option<String>,
    /// The attributes that the days are about; all if there are none.
    pub attributes: Vec<String>,
    /// For how many days instances, aggregates of hours, and of days are kept; all absent leaves
    /// what is there.
    pub days: [Option<u32>; 3],
    /// Keep the attributes for ever.
    pub for_ever: bool,
}

/// Asks, and writes the answer to standard output.
pub fn run(config: &Config, asked: History) -> Result<(), Failure> {
    desk::ask(|| {
        let desk = Desk::new(config, &asked.whom)?;
        Ok(answer(desk, asked.what))
    })
}

async fn answer(desk: Desk, what: What) -> Result<String, Failure> {
    match what {
        What::Rules => rules(&desk).await,
        What::Set { of, changes } => {
            let path = ["history", "rules", of.as_str()];
            let now = match desk.ask("GET", &path, &[]).await {
                Ok(answer) => serde_json::from_slice(&answer.body)?,
                Err(Failure::Answer { status: 404, .. }) => json!({}),
                Err(failure) => return Err(failure),
            };
            let rule = changes.applied(now);
            desk.put(&path, &rule).await?;
            Ok(if desk.json { format!("{rule}\n") } else { "the rule is laid down\n".to_owned() })
        }
        What::Unset { of } => {
            desk.ask("DELETE", &["history", "rules", of.as_str()], &[]).await?;
            Ok(if desk.json { "{}\n" } else { "the rule is taken back\n" }.to_owned())
        }
        What::Held { id, of } => held(&desk, id.as_deref(), of.as_deref()).await,
    }
}

impl Changes {
    /// A rule after these changes.
    fn applied(&self, mut rule: Value) -> Value {
        let mut after = json!({});
        let record = rule["record"].take();
        after["record"] = match self.record.as_deref() {
            Some(word @ ("all" | "none")) => word.into(),
            Some(names) => json!({"only": names.split(',').map(str::trim).collect::<Vec<_>>()}),
            None if record.is_null() => "all".into(),
            None => record,
        };
        let mut keep = match rule["keep"].take() {
            Value::Array(keep) => keep,
            _ => Vec::new(),
        };
        let says = self.for_ever || self.days.iter().any(Option::is_some);
        if says {
            let own: Vec<Value> = self.attributes.iter().map(|name| name.as_str().into()).collect();
            let names = |entry: &Value| entry["attributes"].as_array().cloned().unwrap_or_default();
            keep.retain(|entry| names(entry) != own);
            let mut entry = json!({});
            if !own.is_empty() {
                entry["attributes"] = own.clone().into();
            }
            for (name, days) in ["rawDays", "hourlyDays", "dailyDays"].into_iter().zip(self.days) {
                if let Some(days) = days.filter(|_| !self.for_ever) {
                    entry[name] = days.into();
                }
            }
            // What is about all attributes comes last, since the first entry that fits counts.
            let place = if own.is_empty() { keep.len() } else { 0 };
            keep.insert(place, entry);
        }
        if !keep.is_empty() {
            after["keep"] = keep.into();
        }
        after
    }
}

async fn rules(desk: &Desk) -> Result<String, Failure> {
    let answer = desk.ask("GET", &["history", "rules"], &[]).await?;
    let all: Vec<Value> = serde_json::from_slice(&answer.body)?;
    if desk.json {
        return Ok(lines(&all));
    }
    let mut rows = Vec::new();
    for rule in &all {
        let record = match &rule["record"] {
            Value::Object(only) => list(&only["only"]),
            word => text(word),
        };
        let nothing = [json!({})];
        let keeps = rule["keep"].as_array().map_or(&nothing[..], Vec::as_slice);
        for keep in keeps {
            let names = list(&keep["attributes"]);
            rows.push(vec![
                text(&rule["type"]),
                record.clone(),
                if names.is_empty() { "all".to_owned() } else { names },
                days(&keep["rawDays"], "for ever"),
                days(&keep["hourlyDays"], "-"),
                days(&keep["dailyDays"], "-"),
            ]);
        }
    }
    Ok(table(&["TYPE", "RECORD", "ATTRIBUTES", "AS IT CAME", "HOURS", "DAYS"], rows))
}

fn list(names: &Value) -> String {
    let names = names.as_array().map(Vec::as_slice).unwrap_or_default();
    names.iter().map(text).collect::<Vec<_>>().join(",")
}

fn days(days: &Value, otherwise: &str) -> String {
    days.as_u64().map_or_else(|| otherwise.to_owned(), |days| format!("{days} days"))
}

async fn held(desk: &Desk, id: Option<&str>, of: Option<&str>) -> Result<String, Failure> {
    let query: Vec<_> =
        [("id", id), ("type", of)].iter().filter_map(|(name, it)| Some((*name, (*it)?))).collect();
    let all = desk.all("history", &query).await?;
    if desk.json {
        return Ok(lines(&all));
    }
    let mut rows = Vec::new();
    for entity in &all {
        for attribute in entity["attributes"].as_array().into_iter().flatten() {
            for (name, said) in [("daily", "days"), ("hourly", "hours"), ("raw", "as it came")] {
                let part = &attribute[name];
                if part.is_object() {
                    rows.push(vec![
                        text(&entity["id"]),
                        text(&attribute["attribute"]),
                        text(&attribute["datasetId"]),
                        said.to_owned(),
                        text(&part["count"]),
                        text(&part["from"]),
                        text(&part["to"]),
                    ]);
                }
            }
        }
    }
    Ok(table(&["ENTITY", "ATTRIBUTE", "DATASET", "HELD", "COUNT", "FROM", "TO"], rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_leave_what_they_do_not_name() {
        let changes = Changes {
            attributes: vec!["pm25".to_owned()],
            days: [Some(90), Some(730), None],
            ..Changes::default()
        };
        let once = changes.applied(json!({}));
        let expected = json!({
            "record": "all",
            "keep": [{"attributes": ["pm25"], "rawDays": 90, "hourlyDays": 730}],
        });
        assert_eq!(once, expected);
        assert_eq!(changes.applied(once.clone()), expected, "twice is once");
        let all = Changes { days: [Some(30), None, None], ..Changes::default() };
        let both = all.applied(once);
        assert_eq!(both["keep"][1], json!({"rawDays": 30}), "what is about all comes last");
        let record = Changes { record: Some("pm25, pm10".to_owned()), ..Changes::default() };
        let recorded = record.applied(both.clone());
        assert_eq!(recorded["record"], json!({"only": ["pm25", "pm10"]}));
        assert_eq!(recorded["keep"], both["keep"]);
        let for_ever = Changes { for_ever: true, ..Changes::default() };
        assert_eq!(for_ever.applied(both)["keep"][1], json!({}));
    }
}
