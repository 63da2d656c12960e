//! The rows of a table, whatever its format.

use crate::jsonld::Context;
use crate::model::{AttrName, Datum, Instance, Number, OneOrMany, Recorded, Timestamp, Value};
use crate::query::{Aggregated, Evolution, LanguageFilter, Line, Method};
use crate::represent::write::{Speller, json};

/// What a table tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// One row per instance.
    Instances,
    /// One row per period, with a column for each method.
    Aggregates(Vec<Method>),
}

/// The columns of a table.
#[derive(Debug, Clone)]
pub struct Columns {
    pub shape: Shape,
    /// `createdAt` and `modifiedAt` are columns, too.
    pub sys_attrs: bool,
    /// Texts of LanguageProperties are those of the best of these languages.
    pub lang: Option<LanguageFilter>,
}

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Nothing,
    Text(String),
    Number(Number),
    Time(Timestamp),
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Time,
}

impl Columns {
    /// The names of the columns and what they hold. A value is a number or a text; the column of
    /// the other is empty.
    pub(super) fn head(&self) -> Vec<(&'static str, Kind)> {
        let mut head = vec![
            ("id", Kind::Text),
            ("type", Kind::Text),
            ("attribute", Kind::Text),
            ("datasetId", Kind::Text),
        ];
        match &self.shape {
            Shape::Instances => {
                head.extend([
                    ("observedAt", Kind::Time),
                    ("value", Kind::Number),
                    ("text", Kind::Text),
                    ("unitCode", Kind::Text),
                ]);
                if self.sys_attrs {
                    head.extend([("createdAt", Kind::Time), ("modifiedAt", Kind::Time)]);
                }
                head.extend([("deletedAt", Kind::Time), ("instanceId", Kind::Text)]);
            }
            Shape::Aggregates(methods) => {
                head.extend([("from", Kind::Time), ("to", Kind::Time)]);
                head.extend(methods.iter().map(|method| (method.term(), Kind::Number)));
                // Where the least and the greatest are no numbers.
                let texts = [(Method::Min, "minText"), (Method::Max, "maxText")];
                let texts = texts.iter().filter(|(method, _)| methods.contains(method));
                head.extend(texts.map(|(_, name)| (*name, Kind::Text)));
            }
        }
        head
    }

    /// Hands out the rows of an evolution, each in two parts: what many rows begin with, and the
    /// rest.
    pub(super) fn rows(
        &self,
        evolution: &Evolution,
        context: &Context,
        mut row: impl FnMut(&[Cell], &[Cell]),
    ) {
        let chapter = &evolution.chapter;
        let types: Vec<String> =
            chapter.types.as_slice().iter().map(|name| context.compact(*name).into()).collect();
        let (id, types) = (chapter.id.to_string(), types.join(" "));
        for (name, line) in &evolution.attributes {
            let start = |dataset: Option<&crate::model::DatasetId>| {
                vec![
                    Cell::Text(id.clone()),
                    Cell::Text(types.clone()),
                    Cell::Text(attribute_term(*name, context)),
                    dataset.map_or(Cell::Nothing, |dataset| Cell::Text(dataset.to_string())),
                ]
            };
            match line {
                Line::Instances(all) => {
                    let (mut dataset, mut cells) = (None, Vec::new());
                    let mut begin = start(None);
                    for recorded in all {
                        if recorded.instance.dataset() != dataset {
                            dataset = recorded.instance.dataset();
                            begin = start(dataset);
                        }
                        cells.clear();
                        self.instance(recorded, context, &mut cells);
                        row(&begin, &cells);
                    }
                }
                Line::Cut(_) => {}
                Line::Aggregates(all) => {
                    for aggregated in all {
                        self.periods(aggregated, &start(aggregated.dataset.as_ref()), &mut row);
                    }
                }
            }
        }
    }

    fn instance(&self, recorded: &Recorded, context: &Context, cells: &mut Vec<Cell>) {
        let instance = &recorded.instance;
        let time = |at: Option<Timestamp>| at.map_or(Cell::Nothing, Cell::Time);
        let there = recorded.deleted_at.is_none();
        cells.push(time(instance.observed_at.filter(|_| there)));
        match there.then(|| self.value(instance, context)) {
            Some(number @ Cell::Number(_)) => cells.extend([number, Cell::Nothing]),
            Some(text) => cells.extend([Cell::Nothing, text]),
            None => cells.extend([Cell::Nothing, Cell::Nothing]),
        }
        let unit = instance.unit.filter(|_| there);
        cells.push(unit.map_or(Cell::Nothing, |unit| Cell::Text(unit.as_str().to_owned())));
        if self.sys_attrs {
            cells.push(time(there.then_some(instance.created_at)));
            cells.push(time(there.then_some(instance.modified_at)));
        }
        cells.push(time(recorded.deleted_at));
        cells.push(Cell::Text(recorded.instance_id()));
    }

    /// A value as a cell: a number, a string as it is, anything else as JSON.
    fn value(&self, instance: &Instance, context: &Context) -> Cell {
        let mut out = Vec::new();
        match &instance.datum {
            Datum::Property(value) => return cell(value, context),
            Datum::GeoProperty(geometry) => geometry.write_json(&mut out),
            Datum::Relationship(OneOrMany::One(id)) => return Cell::Text(id.to_string()),
            Datum::Relationship(OneOrMany::Many(ids)) => ids_of(ids, &mut out),
            Datum::ListRelationship(ids) => ids_of(ids, &mut out),
            Datum::VocabProperty(OneOrMany::One(word)) => {
                return Cell::Text(context.compact(*word).into());
            }
            Datum::VocabProperty(OneOrMany::Many(words)) => {
                let speller = Speller::new(context);
                json::array(&mut out, words.as_slice(), |out, word| speller.name(out, *word));
            }
            Datum::LanguageProperty(map) => {
                let chosen = self.lang.as_ref().and_then(|lang| lang.choose(map));
                match chosen {
                    Some((_, OneOrMany::One(text))) => return Cell::Text(text.to_string()),
                    Some((_, texts)) => json::one_or_many(&mut out, texts, |out, text| {
                        json::string(out, text);
                    }),
                    None => {
                        out.push(b'{');
                        for (tag, texts) in &map.0 {
                            json::comma(&mut out);
                            json::string(&mut out, tag);
                            out.push(b':');
                            json::one_or_many(&mut out, texts, |out, text| json::string(out, text));
                        }
                        out.push(b'}');
                    }
                }
            }
            Datum::ListProperty(items) => {
                let speller = Speller::new(context);
                json::array(&mut out, items, |out, item| json::value(out, item, &speller));
            }
            Datum::JsonProperty(raw) => return raw_cell(raw),
            Datum::Bare(bare) => return cell(&bare.value, context),
        }
        Cell::Text(String::from_utf8_lossy(&out).into_owned())
    }

    /// One row per period, the results of all methods in it.
    fn periods(
        &self,
        aggregated: &Aggregated,
        begin: &[Cell],
        row: &mut impl FnMut(&[Cell], &[Cell]),
    ) {
        let Shape::Aggregates(methods) = &self.shape else { return };
        let mut bounds: Vec<(Timestamp, Timestamp)> = Vec::new();
        for (_, buckets) in &aggregated.methods {
            bounds.extend(buckets.iter().map(|bucket| (bucket.from, bucket.to)));
        }
        bounds.sort_unstable();
        bounds.dedup();
        let result = |method: Method, from: Timestamp| {
            let (_, buckets) = aggregated.methods.iter().find(|(own, _)| *own == method)?;
            let place = buckets.binary_search_by_key(&from, |bucket| bucket.from).ok()?;
            Some(&buckets[place].result)
        };
        for (from, to) in bounds {
            let mut cells = vec![Cell::Time(from), Cell::Time(to)];
            for method in methods {
                cells.push(match result(*method, from) {
                    Some(Value::Number(number)) => Cell::Number(*number),
                    _ => Cell::Nothing,
                });
            }
            for method in [Method::Min, Method::Max] {
                if methods.contains(&method) {
                    cells.push(match result(method, from) {
                        Some(Value::String(text)) => Cell::Text(text.to_string()),
                        _ => Cell::Nothing,
                    });
                }
            }
            row(begin, &cells);
        }
    }
}

fn attribute_term(name: AttrName, context: &Context) -> String {
    context.compact(name).into()
}

fn ids_of(ids: &[crate::model::EntityId], out: &mut Vec<u8>) {
    json::array(out, ids, |out, id| json::string(out, id.as_str()));
}

fn cell(value: &Value, context: &Context) -> Cell {
    match value {
        Value::Number(number) => Cell::Number(*number),
        Value::String(text) => Cell::Text(text.to_string()),
        Value::Object(_) if value.member(crate::model::Name::AT_VALUE).is_some() => {
            match value.member(crate::model::Name::AT_VALUE) {
                Some(inner) => cell(inner, context),
                None => Cell::Nothing,
            }
        }
        other => {
            let mut out = Vec::new();
            json::value(&mut out, other, &Speller::new(context));
            Cell::Text(String::from_utf8_lossy(&out).into_owned())
        }
    }
}

fn raw_cell(raw: &serde_json::Value) -> Cell {
    match raw {
        serde_json::Value::String(text) => Cell::Text(text.clone()),
        serde_json::Value::Number(number) => {
            let whole = number.as_i64().map(Number::Int).or(number.as_u64().map(Number::UInt));
            match whole.or(number.as_f64().map(Number::Float)) {
                Some(number) => Cell::Number(number),
                None => Cell::Text(number.to_string()),
            }
        }
        other => Cell::Text(other.to_string()),
    }
}
