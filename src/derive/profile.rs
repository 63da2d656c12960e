//! Reading profiles: those that are shipped, and files. Everything is checked before anything is
//! derived.

use std::collections::BTreeMap;
use std::path::Path;

use super::document::{
    BandDocument, ClassDocument, CriterionDocument, IndexDocument, InputDocument, LevelDocument,
    ProfileDocument, QuantityDocument,
};
use super::reading::{Marks, micros};
use super::rule::{Class, ClassTable, Criterion, Index, Input, Level, Quantity, Rule, Terms, What};
use super::scheme::{Band, Column, IndexTable, Scheme, check_bands, check_pairs};
use crate::jsonld::{Context, shipped_context};
use crate::model::{Name, Timestamp};

/// The profiles that come with the program.
const SHIPPED: [(&str, &str); 2] = [
    ("th", include_str!("../../profiles/th.toml")),
    ("mae-moh", include_str!("../../profiles/mae-moh.toml")),
];

/// How many profiles may stand one upon the other.
const MAX_DEPTH: usize = 8;

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    #[error(
        "there is no profile {0}: shipped are th and mae-moh, others are files ending in .toml"
    )]
    Unknown(String),
    #[error("the profile {file} cannot be read: {why}")]
    Unreadable { file: String, why: std::io::Error },
    #[error("the profile {profile} is not as a profile should be: {why}")]
    NotAProfile { profile: String, why: Box<toml::de::Error> },
    #[error("in the profile {profile}, {at}: {why}")]
    Wrong { profile: String, at: String, why: String },
    #[error("the profile {0} extends itself, or too many stand one upon the other")]
    TooDeep(String),
}

/// What is derived, and by which numbers.
#[derive(Debug, Clone)]
pub struct Profile {
    pub name: Box<str>,
    pub title: Box<str>,
    /// Each rule as the profile's context has its names and, where that differs, as entities have
    /// them whose names nobody gave a meaning to.
    pub rules: Vec<Rule>,
    /// Changes when anything in it or in what it extends does.
    pub fingerprint: u64,
}

impl Profile {
    /// The profile of a name that is shipped, or of a file.
    ///
    /// # Errors
    /// Says what is wrong with it, and where.
    pub fn load(name: &str) -> Result<Self, ProfileError> {
        Self::load_within(name, MAX_DEPTH)
    }

    fn load_within(name: &str, depth: usize) -> Result<Self, ProfileError> {
        let depth = depth.checked_sub(1).ok_or_else(|| ProfileError::TooDeep(name.to_owned()))?;
        let text = text_of(name)?;
        let document: ProfileDocument = toml::from_str(&text).map_err(|why| {
            ProfileError::NotAProfile { profile: name.to_owned(), why: Box::new(why) }
        })?;
        let mut rules: Vec<Rule> = Vec::new();
        let mut fingerprint = fingerprint(&text);
        for base in &document.extends {
            let base = Self::load_within(base, depth)?;
            fingerprint = fingerprint.rotate_left(7) ^ base.fingerprint;
            rules.extend(base.rules);
        }
        let own = read(&document)?;
        let same = |rule: &Rule| own.iter().any(|one| short(&one.name) == short(&rule.name));
        rules.retain(|rule| !same(rule));
        rules.extend(own);
        Ok(Self { name: document.name.into(), title: document.title.into(), rules, fingerprint })
    }
}

fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn text_of(name: &str) -> Result<String, ProfileError> {
    if !name.ends_with(".toml") {
        let shipped = SHIPPED.iter().find(|(own, _)| *own == name);
        let shipped = shipped.ok_or_else(|| ProfileError::Unknown(name.to_owned()))?;
        return Ok(shipped.1.to_owned());
    }
    std::fs::read_to_string(Path::new(name))
        .map_err(|why| ProfileError::Unreadable { file: name.to_owned(), why })
}

/// FNV-1a, which stays the same from one version of the program to the next.
fn fingerprint(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Where in a profile something stands, for what is told of mistakes.
struct Place<'p> {
    profile: &'p str,
    rule: &'p str,
}

impl Place<'_> {
    fn wrong(&self, at: &str, why: impl Into<String>) -> ProfileError {
        let at = match at {
            "" => self.rule.to_owned(),
            at => format!("{}, {at}", self.rule),
        };
        ProfileError::Wrong { profile: self.profile.to_owned(), at, why: why.into() }
    }
}

/// How the names of a rule are understood.
struct Naming<'p> {
    place: Place<'p>,
    context: &'p Context,
    leave_out: &'p BTreeMap<String, Vec<String>>,
}

impl Naming<'_> {
    fn name(&self, term: &str) -> Result<Name, ProfileError> {
        self.context.expand(term).map_err(|why| self.place.wrong(term, why.to_string()))
    }

    fn optional(&self, term: Option<&String>) -> Result<Option<Name>, ProfileError> {
        term.map(|term| self.name(term)).transpose()
    }

    fn duration(&self, at: &str, text: &str) -> Result<i64, ProfileError> {
        let why = "it has to be a duration of days or less, like PT1H";
        micros(text).ok_or_else(|| self.place.wrong(at, why))
    }
}

fn read(document: &ProfileDocument) -> Result<Vec<Rule>, ProfileError> {
    let top = Place { profile: &document.name, rule: "context" };
    let own = shipped_context(&document.context)
        .ok_or_else(|| top.wrong("", format!("{} is no shipped context", document.context)))?;
    let bare = Context::core();
    let mut rules = Vec::new();
    for context in [&own, &bare] {
        let leave_out = &document.leave_out;
        let naming =
            |rule| Naming { place: Place { profile: &document.name, rule }, context, leave_out };
        for index in &document.index {
            rules.push(read_index(&document.name, index, &naming(&index.name))?);
        }
        for level in &document.level {
            rules.push(read_level(&document.name, level, &naming(&level.name))?);
        }
        for class in &document.class {
            rules.push(read_class(&document.name, class, &naming(&class.name))?);
        }
    }
    // A type that has no meaning in the context either would be served twice.
    let mut once: Vec<Rule> = Vec::with_capacity(rules.len());
    for rule in rules {
        let known = |one: &Rule| one.name == rule.name && one.type_name == rule.type_name;
        if !once.iter().any(known) {
            once.push(rule);
        }
    }
    Ok(once)
}

fn inputs(
    documents: &BTreeMap<String, InputDocument>,
    naming: &Naming<'_>,
) -> Result<Vec<Input>, ProfileError> {
    let unit =
        |code: &str| Name::intern(code).map_err(|why| naming.place.wrong("units", why.to_string()));
    let read = |(term, document): (&String, &InputDocument)| -> Result<Input, ProfileError> {
        let mut factors = Vec::with_capacity(document.units.len());
        for (code, factor) in &document.units {
            if !factor.is_finite() {
                return Err(naming.place.wrong(term, "a factor has to be a number"));
            }
            let code = if code.is_empty() { None } else { Some(unit(code)?) };
            factors.push((code, *factor));
        }
        let period = document.period.as_ref().map(|text| -> Result<_, ProfileError> {
            let micros = naming.duration(&format!("inputs.{term}.period"), text)?;
            Ok((micros, text.as_str().into()))
        });
        Ok(Input {
            term: term.as_str().into(),
            name: naming.name(term)?,
            unit: document.unit.as_deref().map(unit).transpose()?,
            factors,
            period: period.transpose()?,
        })
    };
    documents.iter().map(read).collect()
}

fn place_of(inputs: &[Input], term: &str, naming: &Naming<'_>) -> Result<usize, ProfileError> {
    let place = inputs.iter().position(|input| *input.term == *term);
    place.ok_or_else(|| naming.place.wrong(term, "it is not among the inputs"))
}

fn bands(documents: &[BandDocument], naming: &Naming<'_>) -> Result<Vec<Band>, ProfileError> {
    let bands: Result<Vec<Band>, String> = documents.iter().map(Band::read).collect();
    let checked = bands.and_then(|bands| check_bands(&bands).map(|()| bands));
    checked.map_err(|why| naming.place.wrong("levels", why))
}

fn scheme<T>(
    (name, source): (&str, &str),
    (from, until): (Option<&str>, Option<&str>),
    naming: &Naming<'_>,
    table: T,
) -> Result<Scheme<T>, ProfileError> {
    let instant = |text: &str| {
        let read: Result<Timestamp, _> = text.parse();
        read.map_err(|why| naming.place.wrong(name, why.to_string()))
    };
    Ok(Scheme {
        name: name.into(),
        source: source.into(),
        from: from.map(instant).transpose()?,
        until: until.map(instant).transpose()?,
        table,
    })
}

fn some<T>(schemes: Vec<T>, naming: &Naming<'_>) -> Result<Vec<T>, ProfileError> {
    match schemes.is_empty() {
        true => Err(naming.place.wrong("schemes", "there is none")),
        false => Ok(schemes),
    }
}

fn read_index(
    profile: &str,
    document: &IndexDocument,
    naming: &Naming<'_>,
) -> Result<Rule, ProfileError> {
    let inputs = inputs(&document.inputs, naming)?;
    let every = naming.duration("every", &document.every)?;
    if !(0.0..=1.0).contains(&document.completeness) {
        return Err(naming.place.wrong("completeness", "it is a part, from 0 to 1"));
    }
    for input in &inputs {
        let period = input.period.as_ref().map_or(0, |period| period.0);
        if period < every || period % every != 0 {
            let why = format!("its period has to be a multiple of {}", document.every);
            return Err(naming.place.wrong(&input.term, why));
        }
    }
    let mut schemes = Vec::with_capacity(document.schemes.len());
    for one in &document.schemes {
        check_pairs(&one.bands).map_err(|why| naming.place.wrong(&one.name, why))?;
        for term in one.limits.keys().chain(one.decimals.keys()) {
            place_of(&inputs, term, naming)?;
        }
        let column = |input: &Input| -> Result<Option<Column>, ProfileError> {
            let Some(bands) = one.limits.get(&*input.term) else { return Ok(None) };
            let at = format!("{}.limits.{}", one.name, input.term);
            check_pairs(bands).map_err(|why| naming.place.wrong(&at, why))?;
            if bands.len() != one.bands.len() {
                return Err(naming.place.wrong(&at, "it has other bands than the index"));
            }
            let own = document.inputs.get(&*input.term).and_then(|input| input.decimals);
            let decimals = one.decimals.get(&*input.term).copied().or(own).unwrap_or(0);
            Ok(Some(Column { bands: bands.clone(), decimals }))
        };
        let limits: Result<Vec<_>, ProfileError> = inputs.iter().map(column).collect();
        let table = IndexTable { bands: one.bands.clone(), limits: limits?, above: one.above };
        let times = (one.from.as_deref(), one.until.as_deref());
        schemes.push(scheme((&one.name, &one.source), times, naming, table)?);
    }
    let index = Index {
        every,
        completeness: document.completeness,
        index: naming.name(&document.index)?,
        level: naming.optional(document.level.as_ref())?,
        scheme_in: naming.optional(document.scheme_in.as_ref())?,
        dominant_in: naming.optional(document.dominant_in.as_ref())?,
        schemes: some(schemes, naming)?,
        levels: bands(&document.levels, naming)?,
    };
    let outputs = [Some(index.index), index.level, index.scheme_in];
    let averaged_by = naming.optional(document.averaged_by.as_ref())?;
    let names = (profile, &*document.name, &*document.title, &*document.type_name);
    let outputs = outputs.into_iter().flatten().collect();
    let mut made = rule(names, inputs, naming, outputs, What::Index(index))?;
    made.marks.averaged_by = averaged_by;
    Ok(made)
}

fn rule(
    (profile, name, title, type_name): (&str, &str, &str, &str),
    inputs: Vec<Input>,
    naming: &Naming<'_>,
    outputs: Vec<Name>,
    what: What,
) -> Result<Rule, ProfileError> {
    if inputs.iter().any(|input| outputs.contains(&input.name)) {
        return Err(naming.place.wrong("inputs", "what is derived cannot be an input too"));
    }
    let mut leave_out = Vec::new();
    for (term, words) in naming.leave_out {
        let name = naming.name(term)?;
        leave_out.extend(words.iter().map(|word| (name, word.as_str().into())));
    }
    Ok(Rule {
        name: format!("{profile}/{name}").into(),
        title: title.into(),
        type_name: naming.name(type_name)?,
        inputs,
        marks: Marks { averaged_by: None, leave_out },
        outputs,
        what,
        terms: Terms::expanded(|term| naming.name(term))?,
    })
}

fn read_level(
    profile: &str,
    document: &LevelDocument,
    naming: &Naming<'_>,
) -> Result<Rule, ProfileError> {
    let mut inputs = inputs(&document.inputs, naming)?;
    let used = document.of.iter().flat_map(QuantityDocument::terms).collect::<Vec<_>>();
    if let Some(idle) = inputs.iter().find(|input| !used.contains(&&*input.term)) {
        return Err(naming.place.wrong(&idle.term, "nothing is made of it"));
    }
    let mut place = |term: &str| -> Result<usize, ProfileError> {
        if let Some(place) = inputs.iter().position(|input| *input.term == *term) {
            return Ok(place);
        }
        let name = naming.name(term)?;
        inputs.push(Input { term: term.into(), name, unit: None, factors: vec![], period: None });
        Ok(inputs.len() - 1)
    };
    let mut of = Vec::with_capacity(document.of.len());
    for quantity in &document.of {
        of.push(match quantity {
            QuantityDocument::Share { share } => Quantity::Share(place(share)?),
            QuantityDocument::Between { level, bottom, top } => {
                let (level, bottom) = (place(level)?, place(bottom)?);
                Quantity::Between { level, bottom, top: place(top)? }
            }
        });
    }
    let mut schemes = Vec::with_capacity(document.schemes.len());
    for one in &document.schemes {
        let times = (one.from.as_deref(), one.until.as_deref());
        let table = bands(&one.levels, naming)?;
        schemes.push(scheme((&one.name, &one.source), times, naming, table)?);
    }
    let level = Level {
        level: naming.name(&document.level)?,
        of: some(of, naming)?,
        decimals: document.decimals,
        schemes: some(schemes, naming)?,
    };
    let names = (profile, &*document.name, &*document.title, &*document.type_name);
    rule(names, inputs, naming, vec![level.level], What::Level(level))
}

fn read_class(
    profile: &str,
    document: &ClassDocument,
    naming: &Naming<'_>,
) -> Result<Rule, ProfileError> {
    let inputs = inputs(&document.inputs, naming)?;
    let criterion = |one: &CriterionDocument| -> Result<Criterion, ProfileError> {
        let above = one.unless.as_ref().map(|unless| unless.above);
        let all = [one.percentile, one.min, one.max, above];
        if all.into_iter().flatten().any(|number| !number.is_finite()) {
            return Err(naming.place.wrong(&one.input, "a limit has to be a number"));
        }
        let unless = one.unless.as_ref().map(|unless| -> Result<_, ProfileError> {
            Ok((place_of(&inputs, &unless.input, naming)?, unless.above))
        });
        let (percentile, min, max) = (one.percentile, one.min, one.max);
        let input = place_of(&inputs, &one.input, naming)?;
        Ok(Criterion { input, percentile, min, max, unless: unless.transpose()? })
    };
    let mut schemes = Vec::with_capacity(document.schemes.len());
    for one in &document.schemes {
        let mut classes = Vec::with_capacity(one.classes.len());
        for class in &one.classes {
            let band = BandDocument {
                up_to: None,
                value: class.value.clone(),
                colour: class.colour.clone(),
                labels: class.labels.clone(),
            };
            let band = Band::read(&band).map_err(|why| naming.place.wrong(&one.name, why))?;
            let criteria = one.common.iter().chain(&class.criteria).map(criterion);
            classes.push((band, criteria.collect::<Result<Vec<_>, _>>()?));
        }
        let otherwise =
            Band::read(&one.otherwise).map_err(|why| naming.place.wrong(&one.name, why))?;
        let times = (one.from.as_deref(), one.until.as_deref());
        let table = ClassTable { classes, otherwise };
        schemes.push(scheme((&one.name, &one.source), times, naming, table)?);
    }
    let needed = document.needed.iter().map(|term| place_of(&inputs, term, naming));
    let class = Class {
        class: naming.name(&document.class)?,
        every: naming.duration("every", &document.every)?,
        period: (naming.duration("period", &document.period)?, document.period.as_str().into()),
        needed: needed.collect::<Result<_, _>>()?,
        schemes: some(schemes, naming)?,
    };
    let names = (profile, &*document.name, &*document.title, &*document.type_name);
    rule(names, inputs, naming, vec![class.class], What::Class(class))
}
