//! One value, read from its place and judged.

use serde_json::Value;

use super::mapper::{IssueKind, Maker};
use super::mapping::field::{NumberForm, Origin, Scalar, Scale, Shape, json_number, unit_name};
use super::mapping::text_of;
use super::value::number::{Missing, Reading, shortened};
use super::value::unit::Conversion;

/// A value that was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Made {
    pub value: Value,
    /// The code of its unit.
    pub unit: Option<String>,
    /// Whether it is outside what is usual.
    pub suspect: bool,
}

impl Made {
    pub fn of(value: Value) -> Self {
        Self { value, unit: None, suspect: false }
    }
}

/// Reads a value from its place; nothing if there is none. What is wrong with it is noted.
pub(super) fn scalar(maker: &mut Maker<'_>, name: &str, scalar: &Scalar) -> Option<Made> {
    let mut value = found(maker, scalar)?;
    if let Some((pattern, group)) = &scalar.pattern {
        let text = text_of(&value)?.into_owned();
        let part = pattern.captures(&text)?.get(*group)?;
        value = Value::from(part.as_str());
    }
    if !scalar.words.is_empty()
        && let Some(text) = text_of(&value)
    {
        match scalar.words.get(&*text) {
            Some(word) => value = word.clone(),
            None if scalar.only_words => {
                let why = format!("{:?} is no word that is known here", shortened(&text));
                maker.note(name, IssueKind::LeftOut, why);
                return None;
            }
            None => {}
        }
    }
    let unreadable = |what: &str| format!("{:?} is no {what}", text_of(&value).unwrap_or_default());
    match &scalar.shape {
        Shape::Number(form) => number(maker, name, form, &value),
        Shape::Json => Some(Made::of(value)),
        Shape::AsIs if !value.is_string() => Some(Made::of(value)),
        Shape::AsIs | Shape::Text => {
            let text = text_of(&value)?;
            let is_nothing = Missing::default().is_nothing(&text);
            (!is_nothing).then(|| Made::of(text.into()))
        }
        Shape::Boolean => {
            let word = text_of(&value)?.to_lowercase();
            match word.as_str() {
                "true" | "yes" | "on" | "1" | "y" => Some(Made::of(true.into())),
                "false" | "no" | "off" | "0" | "n" => Some(Made::of(false.into())),
                _ => {
                    maker.note(name, IssueKind::LeftOut, unreadable("yes or no"));
                    None
                }
            }
        }
        Shape::Time(form) => {
            let text = text_of(&value)?;
            if Missing::default().is_nothing(&text) {
                return None;
            }
            match form.read(&text) {
                Some(at) => Some(Made::of(at.to_string().into())),
                None => {
                    maker.note(name, IssueKind::LeftOut, unreadable("time that can be read"));
                    None
                }
            }
        }
    }
}

fn found(maker: &Maker<'_>, scalar: &Scalar) -> Option<Value> {
    match &scalar.origin {
        Origin::Paths(paths) => {
            let all = paths.iter().filter_map(|path| path.find(&maker.scope));
            let mut told =
                all.filter(|value| value.as_str().is_none_or(|text| !text.trim().is_empty()));
            told.next().cloned()
        }
        Origin::Texts(texts) => {
            let mut filled =
                texts.iter().filter_map(|text| text.fill(&maker.scope, str::to_owned).ok());
            filled.next().map(Value::from)
        }
    }
}

/// Reads, converts and judges a number.
fn number(maker: &mut Maker<'_>, name: &str, form: &NumberForm, value: &Value) -> Option<Made> {
    let read = match form.missing.read(Some(value), form.thousands) {
        Reading::Number(number) => number,
        Reading::Missing => return None,
        Reading::Unreadable(found) => {
            maker.note(name, IssueKind::LeftOut, format!("{found:?} is no number"));
            return None;
        }
    };
    let exact = read.as_f64()?;
    let mut number = match factor(maker, form) {
        Ok(factor) => exact * factor,
        Err(why) => {
            maker.note(name, IssueKind::LeftOut, why);
            return None;
        }
    };
    match conversion(maker, form) {
        Ok(Some(conversion)) if !conversion.is_none() => number = conversion.apply(number),
        Ok(_) => {}
        Err(why) => {
            maker.note(name, IssueKind::LeftOut, why);
            return None;
        }
    }
    if let Some(decimals) = form.decimals {
        let digits = 10_f64.powi(decimals as i32);
        number = (number * digits).round() / digits;
    }
    if form.whole {
        number = number.round();
    }
    if !form.range.has(number) {
        let why = format!("{number} is impossible: it has to be {}", form.range);
        maker.note(name, IssueKind::Impossible, why);
        return None;
    }
    let suspect = !form.usual.has(number);
    if suspect {
        let why = format!("{number} is unusual: it is {} as a rule", form.usual);
        maker.note(name, IssueKind::Suspect, why);
    }
    // What was not changed is stored as it was written.
    let value = if number == exact { Some(read) } else { json_number(number) };
    let value = if form.whole { json_number(number) } else { value };
    Some(Made { value: Value::Number(value?), unit: form.unit.clone(), suspect })
}

/// What the number is multiplied with.
fn factor(maker: &Maker<'_>, form: &NumberForm) -> Result<f64, String> {
    match &form.scale {
        None => Ok(1.0),
        Some(Scale::By(factor)) => Ok(*factor),
        Some(Scale::From(path)) => {
            match Missing::default().read(path.find(&maker.scope), form.thousands) {
                Reading::Number(factor) => factor.as_f64().ok_or_else(String::new),
                // Without a transformer nothing is transformed.
                Reading::Missing => Ok(1.0),
                Reading::Unreadable(found) => Err(format!("{found:?} is no factor ({path})")),
            }
        }
    }
}

/// From the unit of the source, which the record may tell, to the one that is stored.
fn conversion(maker: &Maker<'_>, form: &NumberForm) -> Result<Option<Conversion>, String> {
    let told = form.told_unit.as_ref();
    let text = told.and_then(|told| text_of(told.path.find(&maker.scope)?));
    let (Some(told), Some(text), Some(unit)) = (told, text, &form.unit) else {
        return Ok(form.conversion);
    };
    match told.known.get(&unit_name(&text)) {
        Some(code) => Ok(Conversion::between(code, unit)),
        None => Err(format!("it has the unknown unit {:?}", shortened(&text))),
    }
}
