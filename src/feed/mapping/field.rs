//! How one attribute, or a part of one, is made from a record.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Number, Value};

use super::node::{Node, Table};
use super::path::{Path, Template};
use super::time::time_form;
use crate::feed::value::number::Missing;
use crate::feed::value::time::TimeForm;
use crate::feed::value::unit::Conversion;
use crate::schema::unit;

/// How a value is made, and what it becomes.
#[derive(Debug)]
pub struct Field {
    pub make: Make,
    /// Only records where all of these hold have it.
    pub when: Vec<Condition>,
    /// A record without it is refused.
    pub required: bool,
    /// Whether it was measured: then it carries time and source.
    pub reading: bool,
    /// Sub-attributes.
    pub with: Vec<(String, Field)>,
}

/// How a value is made.
#[derive(Debug)]
pub enum Make {
    Fixed(Value),
    Scalar(Scalar),
    /// Latitude and longitude, each the first of some paths that holds something.
    Point {
        latitude: Vec<Path>,
        longitude: Vec<Path>,
    },
    /// A text per language.
    Languages(Vec<(String, Field)>),
    Object(Vec<(String, Field)>),
    /// The id of another entity.
    Link(Template),
}

/// A value from one place of the record.
#[derive(Debug)]
pub struct Scalar {
    pub origin: Origin,
    /// The part of the text that counts.
    pub pattern: Option<(Regex, usize)>,
    /// What words become; others stay as they are, unless all have to be known.
    pub words: BTreeMap<String, Value>,
    pub only_words: bool,
    pub shape: Shape,
}

/// Where a value comes from.
#[derive(Debug)]
pub enum Origin {
    /// The first of these that holds something.
    Paths(Vec<Path>),
    /// The first of these that can be filled.
    Texts(Vec<Template>),
}

/// What a value becomes.
#[derive(Debug)]
pub enum Shape {
    /// What it is; texts without the space around them.
    AsIs,
    Text,
    Number(Box<NumberForm>),
    Boolean,
    Time(TimeForm),
    /// JSON, whole.
    Json,
}

/// How a number is read and judged.
#[derive(Debug, Default)]
pub struct NumberForm {
    pub missing: Missing,
    pub thousands: Option<char>,
    /// The UN/CEFACT code that it is stored with; absent for what has no dimension.
    pub unit: Option<String>,
    /// From the unit of the source.
    pub conversion: Option<Conversion>,
    /// The unit of the source where each record says it.
    pub told_unit: Option<ToldUnit>,
    pub scale: Option<Scale>,
    pub decimals: Option<u32>,
    /// What is outside is impossible.
    pub range: Bounds,
    /// What is outside is kept, but suspect.
    pub usual: Bounds,
    pub whole: bool,
}

/// From and to, both included.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bounds {
    pub least: Option<f64>,
    pub most: Option<f64>,
}

/// A unit that stands in the record.
#[derive(Debug)]
pub struct ToldUnit {
    pub path: Path,
    /// What the source calls units, in lower case and without spaces, and their codes.
    pub known: BTreeMap<String, String>,
}

/// What a number is multiplied with.
#[derive(Debug)]
pub enum Scale {
    By(f64),
    /// A number in the record or a look-up, as the ratio of a transformer.
    From(Path),
}

/// A text that has to stand somewhere, or must not.
#[derive(Debug)]
pub struct Condition {
    pub path: Path,
    pub is: bool,
    /// One of these; anything at all if there are none.
    pub texts: Vec<String>,
    /// Whether it is enough that the text holds one of them.
    pub part: bool,
}

impl Bounds {
    /// Whether a number is within.
    pub fn has(&self, number: f64) -> bool {
        self.least.is_none_or(|least| number >= least)
            && self.most.is_none_or(|most| number <= most)
    }

    /// Whether anything is outside.
    pub fn is_open(&self) -> bool {
        self.least.is_none() && self.most.is_none()
    }
}

impl std::fmt::Display for Bounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.least, self.most) {
            (Some(least), Some(most)) => write!(f, "from {least} to {most}"),
            (Some(least), None) => write!(f, "{least} or more"),
            (None, Some(most)) => write!(f, "{most} or less"),
            (None, None) => f.write_str("any number"),
        }
    }
}

/// What holds for all numbers of a file.
#[derive(Debug, Default)]
pub(super) struct Defaults {
    pub missing: Missing,
    pub thousands: Option<char>,
    pub time: TimeForm,
}

/// Keys that only a number has.
const OF_NUMBERS: [&str; 8] =
    ["unit", "in", "units", "scale", "decimals", "range", "usual", "missing_below"];

impl Field {
    /// Reads a field: a path alone, or a table.
    pub(super) fn read(node: &Node<'_>, defaults: &Defaults) -> Option<Self> {
        if let Some(text) = node.as_text() {
            let origin = Origin::Paths(vec![path(node, text)?]);
            return Some(Self::of(Make::Scalar(Scalar::plain(origin))));
        }
        let table = node.table()?;
        let mut field = Self::of(make(&table, defaults)?);
        field.when = conditions(&table);
        field.required = table.flag("required").unwrap_or(false);
        let is_number = field.number().is_some();
        field.reading = table.flag("reading").unwrap_or(is_number);
        if let Some(with) = table.take("with").and_then(|node| node.table()) {
            field.with = fields(&with, defaults);
            for (_, part) in &mut field.with {
                part.reading = false;
            }
        }
        table.finish();
        Some(field)
    }

    fn of(make: Make) -> Self {
        Self { make, when: Vec::new(), required: false, reading: false, with: Vec::new() }
    }

    /// How its number is read, if it is one.
    pub fn number(&self) -> Option<&NumberForm> {
        match &self.make {
            Make::Scalar(Scalar { shape: Shape::Number(form), .. }) => Some(form),
            _ => None,
        }
    }

    pub(super) fn number_mut(&mut self) -> Option<&mut NumberForm> {
        match &mut self.make {
            Make::Scalar(Scalar { shape: Shape::Number(form), .. }) => Some(form),
            _ => None,
        }
    }

    /// Every path that is read for it.
    pub fn paths<'f>(&'f self, out: &mut Vec<&'f Path>) {
        out.extend(self.when.iter().map(|condition| &condition.path));
        match &self.make {
            Make::Fixed(_) => {}
            Make::Point { latitude, longitude } => out.extend(latitude.iter().chain(longitude)),
            Make::Link(template) => out.extend(template.paths()),
            Make::Languages(parts) | Make::Object(parts) => {
                parts.iter().for_each(|(_, part)| part.paths(out));
            }
            Make::Scalar(scalar) => {
                match &scalar.origin {
                    Origin::Paths(paths) => out.extend(paths),
                    Origin::Texts(texts) => out.extend(texts.iter().flat_map(Template::paths)),
                }
                if let Shape::Number(form) = &scalar.shape {
                    out.extend(form.told_unit.iter().map(|told| &told.path));
                    if let Some(Scale::From(path)) = &form.scale {
                        out.push(path);
                    }
                }
            }
        }
        self.with.iter().for_each(|(_, part)| part.paths(out));
    }
}

impl Scalar {
    pub(super) fn plain(origin: Origin) -> Self {
        let shape = Shape::AsIs;
        Self { origin, pattern: None, words: BTreeMap::new(), only_words: false, shape }
    }
}

/// All fields of a table, by name.
pub(super) fn fields(table: &Table<'_>, defaults: &Defaults) -> Vec<(String, Field)> {
    let named = table.all().into_iter();
    named
        .filter_map(|(name, node)| Some((name.to_owned(), Field::read(&node, defaults)?)))
        .collect()
}

fn make(table: &Table<'_>, defaults: &Defaults) -> Option<Make> {
    let kinds = ["from", "text", "fixed", "point", "languages", "object", "link"];
    let given: Vec<_> = kinds.iter().filter_map(|kind| Some((*kind, table.take(kind)?))).collect();
    let [(kind, node)] = &given[..] else {
        table.blame(format!("there has to be one of {}", kinds.join(", ")));
        // Whatever else is wrong is told when this is right.
        return None;
    };
    let parts = || Some(fields(&node.table()?, defaults));
    Some(match *kind {
        "fixed" => Make::Fixed(node.json()),
        "link" => Make::Link(template(node)?),
        "languages" => Make::Languages(parts()?),
        "object" => Make::Object(parts()?),
        "point" => {
            let point = node.table()?;
            let latitude = degrees(&point, "latitude");
            let longitude = degrees(&point, "longitude");
            point.finish();
            Make::Point { latitude, longitude }
        }
        "text" => scalar(table, Origin::Texts(templates(node)), defaults)?,
        _ => {
            let texts = node.texts();
            let paths: Vec<_> = texts.iter().filter_map(|text| path(node, text)).collect();
            scalar(table, Origin::Paths(paths), defaults)?
        }
    })
}

fn scalar(table: &Table<'_>, origin: Origin, defaults: &Defaults) -> Option<Make> {
    let mut scalar = Scalar::plain(origin);
    if let Some(node) = table.take("pattern") {
        match Regex::new(node.text()?) {
            Ok(regex) => {
                let group = table.count("group", 0, 99).map_or(1, |group| group as usize);
                if group >= regex.captures_len() {
                    node.blame(format!("the pattern has no group {group}"));
                }
                scalar.pattern = Some((regex, group));
            }
            Err(why) => node.blame(format!("this is no regular expression: {why}")),
        }
    }
    if let Some(words) = table.take("words").and_then(|node| node.table()) {
        scalar.words =
            words.all().into_iter().map(|(word, node)| (word.to_owned(), node.json())).collect();
        scalar.only_words = table.flag("only_words").unwrap_or(false);
    }
    let numeric = table.all().iter().any(|(key, _)| OF_NUMBERS.contains(key));
    let shapes = [
        ("text", "text"),
        ("number", "number"),
        ("integer", "integer"),
        ("boolean", "boolean"),
        ("time", "time"),
        ("json", "json"),
    ];
    let wanted = table.word("as", &shapes).or(numeric.then_some("number"));
    scalar.shape = match wanted {
        None => Shape::AsIs,
        Some("text") => Shape::Text,
        Some("boolean") => Shape::Boolean,
        Some("json") => Shape::Json,
        Some("time") => Shape::Time(time_form(table, &defaults.time)),
        Some(kind) => Shape::Number(Box::new(number(table, defaults, kind == "integer"))),
    };
    if !matches!(scalar.shape, Shape::Number(_)) {
        for key in OF_NUMBERS {
            if let Some(node) = table.take(key) {
                node.blame("only numbers have this");
            }
        }
    }
    Some(Make::Scalar(scalar))
}

fn number(table: &Table<'_>, defaults: &Defaults, whole: bool) -> NumberForm {
    let mut form = NumberForm {
        missing: defaults.missing.clone(),
        thousands: defaults.thousands,
        whole,
        ..NumberForm::default()
    };
    missing(table, &mut form.missing);
    match table.take("unit") {
        None => table.blame(
            "a number needs a unit: a UN/CEFACT code like GQ, or \"none\" if it has no dimension",
        ),
        Some(node) => {
            form.unit = node.text().filter(|code| *code != "none").map(str::to_owned);
            if let Some(code) = &form.unit
                && unit(code).is_none()
            {
                node.blame(format!(
                    "{code} is no unit that is known here; smart-data-models/units.json lists them"
                ));
            }
        }
    }
    if let Some(node) = table.take("in")
        && let (Some(from), Some(to)) = (node.text(), &form.unit)
    {
        form.conversion = Conversion::between(from, to);
        if form.conversion.is_none() {
            node.blame(format!("there is no way from {from} to {to}"));
        }
    }
    form.told_unit = table.take("units").and_then(|node| told_unit(&node, form.unit.as_deref()));
    form.scale = table.take("scale").and_then(|node| match node.as_text() {
        Some(text) => Some(Scale::From(path(&node, text)?)),
        None => Some(Scale::By(node.number()?)),
    });
    form.decimals = table.count("decimals", 0, 12);
    form.range = table.take("range").map_or(Bounds::default(), |node| bounds(&node));
    form.usual = table.take("usual").map_or(Bounds::default(), |node| bounds(&node));
    form
}

/// Adds what stands for nothing.
pub(super) fn missing(table: &Table<'_>, missing: &mut Missing) {
    for item in table.take("missing").map_or(Vec::new(), |node| node.items()) {
        match item.json() {
            Value::Number(code) => missing.codes.extend(code.as_f64()),
            Value::String(text) => match text.trim().parse::<f64>() {
                Ok(code) => missing.codes.push(code),
                Err(_) => missing.words.push(text.trim().to_lowercase()),
            },
            _ => item.blame("numbers and texts can stand for nothing"),
        }
    }
    missing.below = table.number("missing_below").or(missing.below);
}

fn told_unit(node: &Node<'_>, stored: Option<&str>) -> Option<ToldUnit> {
    let table = node.table()?;
    let place = table.need("from", "the path of the unit's name");
    let known = table.need("known", "a table of names and UN/CEFACT codes");
    table.finish();
    let place = place?;
    let mut told = ToldUnit { path: path(&place, place.text()?)?, known: BTreeMap::new() };
    for (name, code) in known?.table()?.all() {
        let text = code.text()?;
        if stored.is_some_and(|stored| Conversion::between(text, stored).is_none()) {
            code.blame(format!("there is no way from {text} to {}", stored.unwrap_or_default()));
        }
        told.known.insert(unit_name(name), text.to_owned());
    }
    Some(told)
}

/// The name of a unit as it is compared.
pub fn unit_name(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect()
}

fn bounds(node: &Node<'_>) -> Bounds {
    let ends: Vec<Option<f64>> = node.items().iter().map(|item| item.json().as_f64()).collect();
    match ends[..] {
        [Some(least), Some(most)] if least < most => {
            Bounds { least: Some(least), most: Some(most) }
        }
        _ => {
            node.blame("two numbers should be here, the lesser one first, like [0, 500]");
            Bounds::default()
        }
    }
}

/// The conditions of a table: `when`, `unless`, `holding`, `needs`.
pub(super) fn conditions(table: &Table<'_>) -> Vec<Condition> {
    let mut found = Vec::new();
    if let Some(node) = table.take("needs") {
        let paths = node.texts().into_iter().filter_map(|text| path(&node, text));
        let needed = |path| Condition { path, is: true, texts: Vec::new(), part: false };
        found.extend(paths.map(needed));
    }
    for (key, is, part) in
        [("when", true, false), ("unless", false, false), ("holding", true, true)]
    {
        let Some(table) = table.take(key).and_then(|node| node.table()) else { continue };
        for (name, node) in table.all() {
            let texts = node.items().iter().map(|item| scalar_text(&item.json())).collect();
            if let Some(path) = path(&node, name) {
                found.push(Condition { path, is, texts, part });
            }
        }
    }
    found
}

fn scalar_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The paths of a number of degrees.
pub(super) fn degrees(table: &Table<'_>, key: &'static str) -> Vec<Path> {
    let node = table.need(key, "the path of a number of degrees");
    node.map_or(Vec::new(), |node| {
        node.texts().into_iter().filter_map(|text| path(&node, text)).collect()
    })
}

/// A path that stands at a node.
pub(super) fn path(node: &Node<'_>, text: &str) -> Option<Path> {
    Path::parse(text).map_err(|why| node.blame(why)).ok()
}

/// The template that stands at a node.
pub(super) fn template(node: &Node<'_>) -> Option<Template> {
    Template::parse(node.text()?).map_err(|why| node.blame(why)).ok()
}

/// The templates that stand at a node.
pub(super) fn templates(node: &Node<'_>) -> Vec<Template> {
    node.items().iter().filter_map(template).collect()
}

/// A number as JSON: whole where it is.
pub fn json_number(value: f64) -> Option<Number> {
    let whole = value.fract() == 0.0 && value.abs() < 9e15;
    if whole { Some(Number::from(value as i64)) } else { Number::from_f64(value) }
}
