//! Paths into records, and texts that are put together from them.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

/// Where a path begins.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Base {
    /// The record.
    Record,
    /// `$0` is the document, `$1` the item of the first list on the way to the record.
    Level(usize),
    /// `$name`: a look-up, or something that is known of the record.
    Named(Box<str>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Member(Box<str>),
    Index(usize),
}

/// Where something stands: `AQILast.PM25.value`, `coords[0]`, `'a name with . in it'`,
/// `$1.location.lat`, `$stations.tambon`, `$topic[2]`, or `.` for the record itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    text: Box<str>,
    base: Base,
    steps: Box<[Step]>,
}

/// What a path may lead into.
#[derive(Clone, Copy)]
pub struct Scope<'s> {
    /// From the document down to the record, which is the last.
    pub levels: &'s [&'s Value],
    /// Things that are known by name: look-ups, `topic`, `file`, `feed`, `observedAt`.
    pub named: &'s [(&'s str, Cow<'s, Value>)],
}

impl<'s> Scope<'s> {
    /// The record.
    pub fn record(&self) -> &'s Value {
        self.levels.last().copied().unwrap_or(&Value::Null)
    }
}

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text.trim();
        let mut base = Base::Record;
        if rest == "." {
            return Ok(Self { text: ".".into(), base, steps: Box::new([]) });
        }
        if let Some(after) = rest.strip_prefix('$') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (name, more) = after.split_at(end);
            base = match name.parse::<usize>() {
                Ok(level) => Base::Level(level),
                Err(_) if name.is_empty() => return Err(format!("{text:?}: $ needs a name")),
                Err(_) => Base::Named(name.into()),
            };
            rest = more.strip_prefix('.').unwrap_or(more);
        }
        let mut steps = Vec::new();
        while !rest.is_empty() {
            rest = step(rest, &mut steps).map_err(|why| format!("the path {text:?} {why}"))?;
        }
        if steps.is_empty() && base == Base::Record {
            return Err("a path should be here, like station.lat".to_owned());
        }
        Ok(Self { text: text.trim().into(), base, steps: steps.into() })
    }

    /// The look-up or thing by name that the path begins at.
    pub fn named(&self) -> Option<&str> {
        match &self.base {
            Base::Named(name) => Some(name),
            _ => None,
        }
    }

    /// Whether the path leads to, into or around what another leads to, as far as can be told: from
    /// another beginning, by the name of what is there.
    pub fn touches(&self, other: &Path) -> bool {
        if self.base == other.base {
            let shorter = self.steps.len().min(other.steps.len());
            return self.steps[..shorter] == other.steps[..shorter];
        }
        let outer = matches!((&self.base, &other.base), (Base::Level(_), _) | (_, Base::Level(_)));
        outer && other.steps.last().is_some_and(|last| self.steps.contains(last))
    }

    /// What stands there; null is nothing.
    pub fn find<'s>(&self, scope: &Scope<'s>) -> Option<&'s Value> {
        let mut here = match &self.base {
            Base::Record => scope.record(),
            Base::Level(level) => scope.levels.get(*level).copied()?,
            Base::Named(name) => {
                let (_, value) = scope.named.iter().find(|(own, _)| **own == **name)?;
                value
            }
        };
        for step in &self.steps {
            here = match step {
                Step::Member(name) => here.get(&**name)?,
                Step::Index(place) => here.get(*place)?,
            };
        }
        Some(here).filter(|value| !value.is_null())
    }
}

/// Reads one step, and the dot after it.
fn step<'t>(rest: &'t str, steps: &mut Vec<Step>) -> Result<&'t str, String> {
    if let Some(after) = rest.strip_prefix('[') {
        let (number, after) = after.split_once(']').ok_or("has a [ without a ]")?;
        let number = number.trim().parse().map_err(|_| "has no number between [ and ]")?;
        steps.push(Step::Index(number));
        return Ok(after.strip_prefix('.').unwrap_or(after));
    }
    let (name, after) = match rest.strip_prefix('\'') {
        Some(quoted) => quoted.split_once('\'').ok_or("has a ' without another")?,
        None => rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len())),
    };
    if name.is_empty() {
        return Err("has nothing between two dots".to_owned());
    }
    steps.push(Step::Member(name.into()));
    match after.strip_prefix('.') {
        Some("") => Err("ends with a dot".to_owned()),
        Some(after) => Ok(after),
        None => Ok(after),
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A text with places to fill: `urn:ngsi-ld:Device:{id}`. A brace itself is written twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Box<[Part]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Place(Path),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut own, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            own.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                own.push_str(brace);
                rest = after;
                continue;
            }
            if brace == "}" {
                return Err(format!("{text:?} has a }} without a {{"));
            }
            let (inside, after) =
                rest.split_once('}').ok_or_else(|| format!("{text:?} has a {{ without a }}"))?;
            if !own.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut own).into()));
            }
            parts.push(Part::Place(Path::parse(inside)?));
            rest = after;
        }
        own.push_str(rest);
        if !own.is_empty() {
            parts.push(Part::Text(own.into()));
        }
        Ok(Self { parts: parts.into() })
    }

    /// The paths in it.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.parts.iter().filter_map(|part| match part {
            Part::Place(path) => Some(path),
            Part::Text(_) => None,
        })
    }

    /// The text, each place filled with what `shown` makes of the text that stands there; the path
    /// where nothing does.
    pub fn fill<'t>(
        &'t self,
        scope: &Scope<'_>,
        shown: impl Fn(&str) -> String,
    ) -> Result<String, &'t Path> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Place(path) => {
                    let found = path.find(scope).and_then(text_of).ok_or(path)?;
                    out.push_str(&shown(&found));
                }
            }
        }
        Ok(out)
    }
}

/// A scalar as a text without the space around it; nothing if there is none.
pub fn text_of(value: &Value) -> Option<Cow<'_, str>> {
    let text = match value {
        Value::String(text) => Cow::Borrowed(text.trim()),
        Value::Number(number) => Cow::Owned(number.to_string()),
        Value::Bool(flag) => Cow::Borrowed(if *flag { "true" } else { "false" }),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_lead_where_they_say() {
        let document = json!({"a": {"b": [{"c d.e": 7}]}, "n": null, "outer": "o"});
        let record = &document["a"];
        let levels = [&document, record];
        let named = [("topic", Cow::Owned(json!(["meters", "17"])))];
        let scope = Scope { levels: &levels, named: &named };
        for (path, found) in [
            ("b[0].'c d.e'", Some(json!(7))),
            ("b[0]['x']", None),
            (".", Some(record.clone())),
            ("$0.outer", Some(json!("o"))),
            ("$0.n", None),
            ("$1.b[1]", None),
            ("$9.b", None),
            ("$topic[1]", Some(json!("17"))),
            ("$other", None),
        ] {
            let Ok(path) = Path::parse(path) else {
                assert_eq!(found, None);
                continue;
            };
            assert_eq!(path.find(&scope), found.as_ref(), "{path}");
        }
        for wrong in ["", "$", "a..b", "a.", "a[x]", "a[1", "'a"] {
            assert!(Path::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn templates_are_filled_or_name_what_is_missing() {
        let record = json!({"id": " 40t ", "n": 7});
        let levels = [&record];
        let scope = Scope { levels: &levels, named: &[] };
        let filled = |text: &str| {
            let template = Template::parse(text).expect("a template");
            template.fill(&scope, str::to_owned).map_err(ToString::to_string)
        };
        assert_eq!(filled("urn:{id}:{n}{{}}"), Ok("urn:40t:7{}".to_owned()));
        assert_eq!(filled("{other.x}"), Err("other.x".to_owned()));
        assert!(Template::parse("a{b").is_err() && Template::parse("a}b").is_err());
    }

    #[test]
    fn a_path_touches_what_is_on_its_way_below_it_and_by_the_same_name_elsewhere() {
        let path = |text| Path::parse(text).expect("a path");
        for (one, other, touches) in [
            ("owner", "owner.phone", true),
            ("owner.phone", "owner", true),
            (".", "owner.phone", true),
            ("owner.id", "owner.phone", false),
            ("$1.owner.phone", "owner.phone", true),
            ("$1.owner.id", "owner.phone", false),
        ] {
            assert_eq!(path(one).touches(&path(other)), touches, "{one} {other}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_path_or_refused(text in ".{0,30}") {
            if let Ok(path) = Path::parse(&text) {
                prop_assert_eq!(Path::parse(&path.to_string()), Ok(path));
            }
            let _ = Template::parse(&text);
        }
    }
}
