//! A mapping file as it is taken apart: what is asked for is taken, what nobody asked for is a
//! fault, and every fault knows its line.

use std::cell::RefCell;
use std::time::Duration;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Faults};
use crate::config::{ByteSize, Value, nearest};

/// A file that is being read.
pub(super) struct Page<'t> {
    file: &'t str,
    text: &'t str,
    faults: RefCell<Vec<Fault>>,
}

impl<'t> Page<'t> {
    pub fn new(file: &'t str, text: &'t str) -> Self {
        Self { file, text, faults: RefCell::default() }
    }

    /// Parses the text as TOML.
    pub fn parse(&self) -> Result<Spanned<DeTable<'t>>, Faults> {
        DeTable::parse(self.text).map_err(|error| {
            let line = error.span().map_or(0, |span| self.line(span.start));
            let why = error.message().to_owned();
            Faults(vec![Fault { file: self.file.into(), line, key: String::new(), why }])
        })
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }

    fn blame(&self, offset: usize, key: String, why: String) {
        let fault = Fault { file: self.file.into(), line: self.line(offset), key, why };
        self.faults.borrow_mut().push(fault);
    }

    /// What was wrong, in the order of lines.
    pub fn faults(self) -> Vec<Fault> {
        let mut faults = self.faults.into_inner();
        faults.sort_by_key(|fault| fault.line);
        faults
    }

    pub fn has_faults(&self) -> bool {
        !self.faults.borrow().is_empty()
    }
}

/// A value of the file with the place where it stands.
pub(super) struct Node<'p> {
    page: &'p Page<'p>,
    pub key: String,
    offset: usize,
    value: &'p DeValue<'p>,
}

/// A table of the file.
pub(super) struct Table<'p> {
    page: &'p Page<'p>,
    pub key: String,
    offset: usize,
    /// In the order of the file.
    entries: Vec<(&'p str, usize, &'p DeValue<'p>)>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'p> Node<'p> {
    /// Says that the value is wrong.
    pub fn blame(&self, why: impl Into<String>) {
        self.page.blame(self.offset, self.key.clone(), why.into());
    }

    pub fn as_text(&self) -> Option<&'p str> {
        match self.value {
            DeValue::String(text) => Some(text),
            _ => None,
        }
    }

    pub fn text(&self) -> Option<&'p str> {
        let text = self.as_text();
        if text.is_none() {
            self.blame(format!("a text should be here, not {}", self.value.type_str()));
        }
        text
    }

    pub fn number(&self) -> Option<f64> {
        match json(self.value).as_f64() {
            Some(number) if number.is_finite() => Some(number),
            _ => {
                self.blame("a number should be here");
                None
            }
        }
    }

    pub fn as_table(&self) -> Option<Table<'p>> {
        match self.value {
            DeValue::Table(table) => {
                Some(Table::new(self.page, self.key.clone(), self.offset, table))
            }
            _ => None,
        }
    }

    pub fn table(&self) -> Option<Table<'p>> {
        let table = self.as_table();
        if table.is_none() {
            self.blame(format!("a table should be here, not {}", self.value.type_str()));
        }
        table
    }

    /// The items of a list; one value stands for a list of one.
    pub fn items(&self) -> Vec<Node<'p>> {
        match self.value {
            DeValue::Array(items) => items
                .iter()
                .enumerate()
                .map(|(number, item)| Node {
                    page: self.page,
                    key: format!("{}[{number}]", self.key),
                    offset: item.span().start,
                    value: item.get_ref(),
                })
                .collect(),
            value => {
                let (page, key, offset) = (self.page, self.key.clone(), self.offset);
                vec![Node { page, key, offset, value }]
            }
        }
    }

    /// Texts: one, or a list.
    pub fn texts(&self) -> Vec<&'p str> {
        self.items().iter().filter_map(Node::text).collect()
    }

    /// The value as JSON.
    pub fn json(&self) -> Json {
        json(self.value)
    }
}

impl<'p> Table<'p> {
    /// The whole file.
    pub fn root(page: &'p Page<'p>, table: &'p DeTable<'p>) -> Self {
        Self::new(page, String::new(), 0, table)
    }

    fn new(page: &'p Page<'p>, key: String, offset: usize, table: &'p DeTable<'p>) -> Self {
        let mut entries: Vec<_> = table
            .iter()
            .map(|(key, value)| (&**key.get_ref(), key.span().start, value.get_ref()))
            .collect();
        entries.sort_by_key(|(_, offset, _)| *offset);
        Self { page, key, offset, entries, asked: RefCell::default() }
    }

    fn below(&self, key: &str) -> String {
        if self.key.is_empty() { key.to_owned() } else { format!("{}.{key}", self.key) }
    }

    /// Says that the table is wrong.
    pub fn blame(&self, why: impl Into<String>) {
        self.page.blame(self.offset, self.key.clone(), why.into());
    }

    /// The value of a key, if it is there.
    pub fn take(&self, key: &'static str) -> Option<Node<'p>> {
        self.asked.borrow_mut().push(key);
        let found = self.entries.iter().find(|(own, ..)| *own == key)?;
        Some(self.node(found))
    }

    fn node(&self, (key, offset, value): &(&'p str, usize, &'p DeValue<'p>)) -> Node<'p> {
        Node { page: self.page, key: self.below(key), offset: *offset, value }
    }

    /// Every entry, where the file is free to choose the names.
    pub fn all(&self) -> Vec<(&'p str, Node<'p>)> {
        self.entries.iter().map(|entry| (entry.0, self.node(entry))).collect()
    }

    /// The value of a key that has to be there.
    pub fn need(&self, key: &'static str, hint: &str) -> Option<Node<'p>> {
        let found = self.take(key);
        if found.is_none() {
            self.blame(format!("{key} is missing: {hint}"));
        }
        found
    }

    pub fn text(&self, key: &'static str) -> Option<&'p str> {
        self.take(key)?.text()
    }

    pub fn flag(&self, key: &'static str) -> Option<bool> {
        let node = self.take(key)?;
        let flag = node.value.as_bool();
        if flag.is_none() {
            node.blame("true or false should be here");
        }
        flag
    }

    pub fn number(&self, key: &'static str) -> Option<f64> {
        self.take(key)?.number()
    }

    /// A whole number within bounds.
    pub fn count(&self, key: &'static str, least: u32, most: u32) -> Option<u32> {
        let node = self.take(key)?;
        let number = node.json().as_u64().and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            node.blame(format!("a whole number from {least} to {most} should be here"));
        }
        number
    }

    pub fn duration(&self, key: &'static str) -> Option<Duration> {
        self.setting(key)
    }

    pub fn bytes(&self, key: &'static str) -> Option<ByteSize> {
        self.setting(key)
    }

    fn setting<V: Value>(&self, key: &'static str) -> Option<V> {
        let node = self.take(key)?;
        let value = node.text().map(V::from_text)?;
        if value.is_err() {
            node.blame(format!("{} should be here", V::HINT));
        }
        value.ok()
    }

    /// One of some words.
    pub fn word<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let node = self.take(key)?;
        let text = node.text()?;
        if let Some((_, meant)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*meant);
        }
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let meant = nearest(text, all.iter().copied());
        let hint = meant.map_or(String::new(), |meant| format!("; did you mean {meant:?}?"));
        node.blame(format!("{text:?} is none of {}{hint}", all.join(", ")));
        None
    }

    /// Whatever nobody asked for is a fault.
    pub fn finish(&self) {
        let asked = self.asked.borrow();
        for (key, offset, _) in &self.entries {
            if asked.iter().any(|known| known == key) {
                continue;
            }
            let meant = nearest(key, asked.iter().copied());
            let hint = match meant {
                Some(meant) => format!("did you mean {meant}?"),
                None => {
                    let mut known = asked.clone();
                    known.sort_unstable();
                    known.dedup();
                    format!("there may be {}", known.join(", "))
                }
            };
            self.page.blame(*offset, self.below(key), format!("there is no such key; {hint}"));
        }
    }
}

fn json(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => Json::from(&**text),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Json::Null, Json::from)
        }
        DeValue::Float(number) => number.as_str().parse::<f64>().map_or(Json::Null, Json::from),
        DeValue::Boolean(flag) => Json::from(*flag),
        DeValue::Datetime(time) => Json::from(time.to_string()),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let mut members: Vec<_> = table.iter().collect();
            members.sort_by_key(|(key, _)| key.span().start);
            let members = members
                .into_iter()
                .map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref())));
            Json::Object(members.collect())
        }
    }
}
