//! The language of mapping files (`docs/feeds.md`): TOML becomes a [`Mapping`], or all its faults
//! with their lines.

mod fault;
pub mod field;
mod lookup;
mod model;
mod node;
mod path;
pub mod source;
#[cfg(test)]
mod tests;
mod time;

pub use fault::{Fault, Faults};
pub use lookup::{Beside, Lookup, look_up, position};
pub use path::{Path, Scope, Template, text_of};

use std::time::Duration;

use self::field::{
    Condition, Defaults, Field, Origin, Shape, conditions, fields, missing, template, templates,
};
use self::node::{Page, Table};
use self::source::Source;
use self::time::time_form;
use crate::feed::value::time::TimeForm;
use crate::model::TenantId;

/// How a feed becomes entities.
#[derive(Debug)]
pub struct Mapping {
    /// What the feed is called: the name of its file.
    pub name: String,
    /// What it is, in a sentence.
    pub about: String,
    pub tenant: TenantId,
    /// The local id of a context that comes with the broker, or the URL of one.
    pub context: String,
    pub source: Source,
    pub walk: Walk,
    pub lookups: Vec<Lookup>,
    /// When the values were observed.
    pub time: Option<Clock>,
    pub id: Template,
    pub types: Vec<String>,
    pub scope: Option<Template>,
    /// Whether a record is the whole entity; else other attributes of the entity stay.
    pub replace: bool,
    pub fields: Vec<(String, Field)>,
    pub provenance: Provenance,
    /// What nothing may be read from: the file is refused if something is.
    pub personal: Vec<Path>,
}

/// How a document is walked.
#[derive(Debug)]
pub struct Walk {
    pub format: Format,
    /// Ways to the records, of which the first that leads somewhere counts.
    pub records: Vec<Way>,
    /// Only records where these hold count.
    pub when: Vec<Condition>,
}

/// What a document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    Json,
    Csv(Csv),
    Xml,
}

/// How a table is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Csv {
    pub delimiter: u8,
    /// Names of the columns, where the first row has none.
    pub columns: Vec<String>,
    /// Lines before the table.
    pub skip: usize,
    /// The table is in the Thai encoding of old (TIS-620, Windows-874).
    pub thai: bool,
}

/// A way to records: through members, and into each item of lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way(pub Vec<Turn>);

/// A part of a way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    Into(String),
    Each,
}

/// When the values of a record were observed.
#[derive(Debug)]
pub struct Clock {
    pub origin: Origin,
    pub form: TimeForm,
    /// How far in the future it may be.
    pub ahead: Duration,
}

/// Whose data it is, and how far it is to be trusted.
#[derive(Debug, Clone, Default)]
pub struct Provenance {
    /// Where the data comes from: a URL or a name.
    pub source: String,
    /// Who provides it.
    pub provider: String,
    /// One of [`CLASSES`].
    pub class: &'static str,
    /// From 0 to 1, where the data model has a place for it.
    pub reliability: Option<f64>,
}

/// Whose data it can be: an authority's instruments, cheap sensors, people, satellites, models, or
/// the meters of an operator.
pub const CLASSES: [&str; 6] =
    ["official", "low-cost", "citizen", "satellite", "model", "operator"];

/// How far in the future an observation may be: clocks differ.
const AHEAD: Duration = Duration::from_secs(3_600);

/// The context that is used when a mapping names none.
pub const USUAL_CONTEXT: &str = "mae-moh";

impl Mapping {
    /// Reads a mapping file: what it is called in messages, its name as a feed, its text, and how
    /// to read files that it names.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(file: &str, name: &str, text: &str, beside: Beside<'_>) -> Result<Self, Faults> {
        let page = Page::new(file, text);
        let whole = page.parse()?;
        let mapping = Self::read(name, &Table::root(&page, whole.get_ref()), beside);
        match mapping {
            Some(mapping) if !page.has_faults() => Ok(mapping),
            _ => Err(Faults(page.faults())),
        }
    }

    fn read(name: &str, root: &Table<'_>, beside: Beside<'_>) -> Option<Self> {
        if !is_name(name) {
            root.blame("the name of the file has to be lower-case letters, digits and hyphens");
        }
        let about = root.need("about", "a sentence on what the feed is");
        let about = about.and_then(|node| node.text());
        let context = root.text("context").unwrap_or(USUAL_CONTEXT).to_owned();
        let tenant = root.take("tenant").and_then(|node| {
            let tenant = TenantId::named(node.text()?);
            tenant.map_err(|why| node.blame(why.to_string())).ok()
        });
        // Every part is read before any is missed, so that all faults are told at once.
        let part = |key, hint| root.need(key, hint).and_then(|node| node.table());
        let source = part("source", "where the feed comes from");
        let source = source.and_then(|table| Source::read(&table));
        let mut defaults = Defaults::default();
        let walk = part("read", "how a document is read, like { format = \"json\" }");
        let walk = walk.and_then(|table| read_walk(&table, &mut defaults));
        let clock = root.take("time").and_then(|node| node.table());
        let clock = clock.and_then(|table| read_clock(&table, &mut defaults));
        let lookups = root.take("lookups").and_then(|node| node.table());
        let lookups: Vec<Lookup> = lookups.map_or(Vec::new(), |lookups| {
            let all = lookups.all().into_iter();
            all.filter_map(|(name, node)| Lookup::read(name, &node, &defaults, beside)).collect()
        });
        let becomes = part("entity", "what a record becomes").map(|table| read_becoming(&table));
        let mut own = Vec::new();
        if let Some(attributes) = part("attributes", "the attributes of the entity") {
            own = fields(&attributes, &defaults);
            for kind in becomes.iter().flat_map(|becomes| &becomes.types) {
                model::check(kind, &mut own, &attributes);
            }
        }
        let provenance = part("provenance", "source, provider and class");
        let provenance = provenance.map(|table| read_origin(&table));
        let personal = root.take("personal");
        let hidden = personal.as_ref().map_or(Vec::new(), |node| {
            node.texts().iter().filter_map(|text| field::path(node, text)).collect()
        });
        root.finish();
        let becomes = becomes?;
        let mapping = Self {
            name: name.to_owned(),
            about: about?.to_owned(),
            tenant: tenant.unwrap_or_default(),
            context,
            source: source?,
            walk: walk?,
            lookups,
            time: clock,
            id: becomes.id?,
            types: becomes.types,
            scope: becomes.scope,
            replace: becomes.replace,
            fields: own,
            provenance: provenance?,
            personal: hidden,
        };
        mapping.check(root, personal.as_ref());
        Some(mapping)
    }

    /// What can only be said when everything is known.
    fn check(&self, root: &Table<'_>, personal: Option<&node::Node<'_>>) {
        let read = self.paths();
        if let Some(node) = personal {
            for hidden in &self.personal {
                if let Some(path) = read.iter().find(|path| path.touches(hidden)) {
                    node.blame(format!("{path} is read, though {hidden} is personal"));
                }
            }
        }
        let known = ["topic", "file", "feed", "observedAt"];
        let mut told: Vec<&str> = Vec::new();
        for name in read.iter().filter_map(|path| path.named()) {
            let is_known = known.contains(&name) || self.lookups.iter().any(|l| l.name == name);
            if !is_known && !told.contains(&name) {
                told.push(name);
                let meant = self.lookups.iter().map(|l| &*l.name).chain(known);
                let meant = crate::config::nearest(name, meant);
                let hint = meant.map_or(String::new(), |meant| format!("; did you mean ${meant}?"));
                root.blame(format!("there is no look-up ${name}{hint}"));
            }
        }
        let measures = self.fields.iter().any(|(_, field)| field.reading);
        if measures && self.time.is_none() {
            root.blame("[time] is missing: every reading carries when it was observed");
        }
    }

    /// Every path that is read.
    pub fn paths(&self) -> Vec<&Path> {
        let mut paths: Vec<&Path> = self.id.paths().collect();
        paths.extend(self.scope.iter().flat_map(Template::paths));
        if let Some(clock) = &self.time {
            match &clock.origin {
                Origin::Paths(own) => paths.extend(own),
                Origin::Texts(texts) => paths.extend(texts.iter().flat_map(Template::paths)),
            }
        }
        self.lookups.iter().for_each(|lookup| lookup.paths(&mut paths));
        self.fields.iter().for_each(|(_, field)| field.paths(&mut paths));
        paths.extend(self.walk.when.iter().map(|condition| &condition.path));
        paths
    }
}

/// Whether a text can be the name of a feed, in URLs, files and labels.
pub fn is_name(text: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=60).contains(&text.len()) && text.chars().all(good)
}

/// What a record becomes, as far as it is said.
struct Becoming {
    id: Option<Template>,
    types: Vec<String>,
    scope: Option<Template>,
    replace: bool,
}

fn read_becoming(table: &Table<'_>) -> Becoming {
    let id = table.need("id", "like urn:ngsi-ld:Device:{id}").and_then(|node| template(&node));
    let types =
        table.need("type", "like AirQualityObserved").map_or(Vec::new(), |node| node.texts());
    let scope = table.take("scope").and_then(|node| template(&node));
    let replace = table.word("write", &[("update", false), ("replace", true)]).unwrap_or(false);
    table.finish();
    Becoming { id, types: types.into_iter().map(Into::into).collect(), scope, replace }
}

fn read_walk(table: &Table<'_>, defaults: &mut Defaults) -> Option<Walk> {
    table.need("format", "json, csv or xml");
    let formats = [("json", 0), ("csv", 1), ("xml", 2)];
    let format = match table.word("format", &formats)? {
        0 => Format::Json,
        1 => Format::Csv(read_csv(table)),
        _ => Format::Xml,
    };
    let records = table.take("records").map_or(Vec::new(), |node| {
        let ways = node.texts().into_iter().map(Way::parse);
        ways.filter_map(|way| way.map_err(|why| node.blame(why)).ok()).collect()
    });
    missing(table, &mut defaults.missing);
    if let Some(mark) = table.text("thousands") {
        defaults.thousands = mark.chars().next();
    }
    let when = conditions(table);
    table.finish();
    Some(Walk { format, records, when })
}

fn read_csv(table: &Table<'_>) -> Csv {
    let delimiter = table.take("delimiter").map_or(b',', |node| match node.as_text() {
        Some(text) if text.len() == 1 => text.as_bytes()[0],
        _ => {
            node.blame("one ASCII character should be here, like \";\" or \"\\t\"");
            b','
        }
    });
    let columns = table.take("columns").map_or(Vec::new(), |node| node.texts());
    let encodings = [("utf-8", false), ("tis-620", true), ("windows-874", true)];
    Csv {
        delimiter,
        columns: columns.into_iter().map(Into::into).collect(),
        skip: table.count("skip", 0, 1_000).map_or(0, |skip| skip as usize),
        thai: table.word("encoding", &encodings).unwrap_or(false),
    }
}

fn read_clock(table: &Table<'_>, defaults: &mut Defaults) -> Option<Clock> {
    let form = time_form(table, &TimeForm::default());
    let (from, text) = (table.take("from"), table.take("text"));
    let ahead = table.duration("ahead").unwrap_or(AHEAD);
    table.finish();
    // Other times of the feed are written alike, but where they say otherwise.
    defaults.time = TimeForm { formats: Vec::new(), unix: None, ..form.clone() };
    let origin = match (from, text) {
        (Some(node), None) => {
            let paths = node.texts().into_iter().filter_map(|text| field::path(&node, text));
            Origin::Paths(paths.collect())
        }
        (None, Some(node)) => Origin::Texts(templates(&node)),
        _ => {
            table.blame("there has to be one of from, text");
            return None;
        }
    };
    Some(Clock { origin, form, ahead })
}

fn read_origin(table: &Table<'_>) -> Provenance {
    let own = |key, hint| {
        let node = table.need(key, hint);
        node.and_then(|node| node.text()).unwrap_or_default().to_owned()
    };
    let source = own("source", "where the data comes from, as a URL or a name");
    let provider = own("provider", "who provides the data");
    table.need("class", &CLASSES.join(", "));
    let classes = CLASSES.map(|class| (class, class));
    let class = table.word("class", &classes).unwrap_or_default();
    let reliability = table.take("reliability").and_then(|node| {
        let number = node.number()?;
        if !(0.0..=1.0).contains(&number) {
            node.blame("a number from 0 to 1 should be here");
        }
        Some(number)
    });
    table.finish();
    Provenance { source, provider, class, reliability }
}

impl Way {
    /// Reads a way: `stations[]`, `forecasts[].hours[]`, `.` for the document itself.
    fn parse(text: &str) -> Result<Self, String> {
        let mut turns = Vec::new();
        for part in text.split('.').filter(|_| text != ".") {
            let lists = part.matches("[]").count();
            let name = part.trim_end_matches("[]");
            if name.contains(['[', ']']) || (name.is_empty() && lists == 0) {
                return Err(format!("{text:?} is no way to records: write it like stations[]"));
            }
            if !name.is_empty() {
                turns.push(Turn::Into(name.to_owned()));
            }
            turns.extend((0..lists).map(|_| Turn::Each));
        }
        Ok(Self(turns))
    }
}

/// Whether a shape makes a time.
pub fn is_time(field: &Field) -> bool {
    matches!(&field.make, field::Make::Scalar(scalar) if matches!(scalar.shape, Shape::Time(_)))
}
