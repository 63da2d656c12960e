//! Writing what is told of entities over time: normalized (4.5.6 to 4.5.8), temporalValues (4.5.9)
//! and aggregatedValues (4.5.19).

use std::cell::Cell;

use super::fallback::Fallback;
use super::past::null_of;
use super::{Place, Rendering, Speller, Writer, Written, json};
use crate::jsonld::Context;
use crate::model::{
    AttrName, Chapter, DatasetId, Datum, Instance, Kind, Recorded, ScopeChange, TimeProperty,
    Timestamp,
};
use crate::query::{Aggregated, Evolution, Line};

/// How evolutions are to look. Of the rendering, the format does not matter.
#[derive(Debug, Clone, Default)]
pub struct TemporalRendering {
    pub form: TemporalForm,
    pub rendering: Rendering,
    /// The time that temporalValues show.
    pub property: TimeProperty,
}

/// A temporal representation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TemporalForm {
    #[default]
    Normalized,
    /// Values with their times.
    TemporalValues,
    /// Aggregates with their periods.
    AggregatedValues,
}

impl TemporalForm {
    /// The form of this keyword of `format` or `options`.
    pub fn from_keyword(keyword: &str) -> Option<Self> {
        match keyword {
            "normalized" => Some(Self::Normalized),
            "temporalValues" => Some(Self::TemporalValues),
            "aggregatedValues" => Some(Self::AggregatedValues),
            _ => None,
        }
    }
}

static NO_LINKED: std::sync::LazyLock<super::Linked> = std::sync::LazyLock::new(Default::default);

/// Appends one evolution as a JSON object, with the `@context` if it goes into the body.
pub fn write_evolution(
    out: &mut Vec<u8>,
    evolution: &Evolution,
    looks: &TemporalRendering,
    context: &Context,
    context_in_body: bool,
) -> Written {
    let rendering = &looks.rendering;
    let inlined = Cell::new(0);
    let speller = Speller::new(context);
    let mut writer = Writer {
        out,
        rendering,
        speller: &speller,
        // What is told of the past has not expired there.
        now: Timestamp::from_micros(i64::MIN),
        linked: &NO_LINKED,
        fallback: Fallback::for_version(rendering.version),
        altered: false,
        around: Vec::new(),
        inlined: &inlined,
        past: None,
    };
    let shown = writer.evolution(evolution, looks);
    let altered = writer.altered;
    if context_in_body && shown {
        out.pop();
        json::comma(out);
        out.extend_from_slice(b"\"@context\":");
        out.extend_from_slice(context.link().body.as_bytes());
        out.push(b'}');
    }
    Written { empty: !shown, altered }
}

/// Appends several evolutions as a JSON array; those of which nothing is shown are left out.
pub fn write_evolutions(
    out: &mut Vec<u8>,
    evolutions: &[Evolution],
    looks: &TemporalRendering,
    context: &Context,
    context_in_body: bool,
) -> Written {
    let mut all = Written { empty: true, altered: false };
    out.push(b'[');
    for evolution in evolutions {
        let start = out.len();
        json::comma(out);
        let written = write_evolution(out, evolution, looks, context, context_in_body);
        all.altered |= written.altered;
        match written.empty {
            true => out.truncate(start),
            false => all.empty = false,
        }
    }
    out.push(b']');
    all
}

impl<'a> Writer<'_, 'a> {
    fn evolution(&mut self, evolution: &'a Evolution, looks: &TemporalRendering) -> bool {
        let view = self.rendering.projection.view();
        let chapter = &evolution.chapter;
        self.out.push(b'{');
        let start = self.out.len();
        if view.keeps_id() {
            self.out.extend_from_slice(b"\"id\":");
            json::string(self.out, chapter.id.as_str());
        }
        if view.keeps_type() {
            json::comma(self.out);
            self.out.extend_from_slice(b"\"type\":");
            self.types(&chapter.types);
        }
        if view.keeps_scope() && !chapter.scopes.is_empty() {
            self.course_of_scopes(chapter, looks);
        }
        for (name, line) in &evolution.attributes {
            self.key(*name);
            match line {
                Line::Instances(all) => self.course(*name, all, looks),
                Line::Cut(kind) => self.cut(*kind, looks),
                Line::Aggregates(all) => self.aggregates(all),
            }
        }
        let shown = self.out.len() > start;
        if self.rendering.sys_attrs {
            self.system_stamp(b"\"createdAt\":", chapter.created_at);
            self.system_stamp(b"\"modifiedAt\":", chapter.modified_at);
        }
        if let Some(at) = chapter.deleted_at.filter(|_| view.is_whole() || self.rendering.sys_attrs)
        {
            self.stamp(b"\"deletedAt\":", at);
        }
        self.out.push(b'}');
        shown
    }

    fn course(&mut self, name: AttrName, all: &'a [Recorded], looks: &TemporalRendering) {
        if looks.form == TemporalForm::TemporalValues {
            return self.values(all, looks.property);
        }
        self.out.push(b'[');
        for recorded in all {
            json::comma(self.out);
            match recorded.deleted_at {
                Some(at) => self.deletion(recorded, at),
                None => {
                    self.instance(name, &recorded.instance, Place::Attribute, false);
                    self.out.pop();
                    self.instance_id(recorded);
                    self.out.push(b'}');
                }
            }
        }
        self.out.push(b']');
    }

    /// An attribute whose instances did not fit into the answer (6.3.10).
    fn cut(&mut self, kind: Kind, looks: &TemporalRendering) {
        if looks.form == TemporalForm::Normalized {
            return self.out.extend_from_slice(b"[]");
        }
        self.out.push(b'{');
        self.head_of(kind, None);
        self.out.extend_from_slice(plural(kind));
        self.out.extend_from_slice(b"[]}");
    }

    fn instance_id(&mut self, recorded: &Recorded) {
        self.out.extend_from_slice(b",\"instanceId\":");
        match &recorded.foreign {
            Some(id) => json::string(self.out, id),
            None => {
                self.out.push(b'"');
                recorded.id.write_to(self.out);
                self.out.push(b'"');
            }
        }
    }

    /// The instance that stands for a deletion: Null as the datum, and when.
    fn deletion(&mut self, recorded: &Recorded, at: Timestamp) {
        let kind = self.fallback.kind(recorded.instance.kind());
        self.out.extend_from_slice(b"{\"type\":");
        json::string(self.out, kind.term());
        self.out.push(b',');
        json::string(self.out, kind.value_member());
        self.out.push(b':');
        self.out.extend_from_slice(null_of(kind));
        if let Some(dataset) = recorded.instance.dataset() {
            self.dataset(dataset);
        }
        self.instance_id(recorded);
        self.stamp(b"\"deletedAt\":", at);
        self.out.push(b'}');
    }

    fn dataset(&mut self, dataset: &DatasetId) {
        json::comma(self.out);
        self.out.extend_from_slice(b"\"datasetId\":");
        json::string(self.out, dataset.as_str());
    }

    /// Values with their times: an object, or several if there are several datasetIds or kinds.
    fn values(&mut self, all: &'a [Recorded], property: TimeProperty) {
        let mut groups: Vec<(Kind, Option<&DatasetId>, Vec<&'a Recorded>)> = Vec::new();
        for recorded in all {
            let kind = self.shown_kind(&recorded.instance);
            let dataset = recorded.instance.dataset();
            match groups.iter_mut().find(|(own, set, _)| (*own, *set) == (kind, dataset)) {
                Some((.., group)) => group.push(recorded),
                None => groups.push((kind, dataset, vec![recorded])),
            }
        }
        self.several(&groups, |writer, (kind, dataset, group)| {
            writer.head_of(*kind, *dataset);
            writer.out.extend_from_slice(plural(*kind));
            writer.out.push(b'[');
            for recorded in group {
                json::comma(writer.out);
                writer.out.push(b'[');
                writer.element(*kind, recorded);
                writer.out.push(b',');
                if let Some(at) = recorded.time(property) {
                    json::time(writer.out, at);
                }
                writer.out.push(b']');
            }
            writer.out.push(b']');
        });
    }

    /// Appends an object, or an array of several, or an empty array.
    fn several<T>(&mut self, all: &[T], write: impl Fn(&mut Self, &T)) {
        let alone = all.len() == 1;
        if !alone {
            self.out.push(b'[');
        }
        for one in all {
            json::comma(self.out);
            self.out.push(b'{');
            write(self, one);
            self.out.push(b'}');
        }
        if !alone {
            self.out.push(b']');
        }
    }

    /// The kind that an instance is shown as: a LanguageProperty in one language is a Property.
    fn shown_kind(&self, instance: &Instance) -> Kind {
        match &instance.datum {
            Datum::LanguageProperty(_) if self.rendering.lang.is_some() => Kind::Property,
            _ => instance.kind(),
        }
    }

    fn head_of(&mut self, kind: Kind, dataset: Option<&DatasetId>) {
        self.out.extend_from_slice(b"\"type\":");
        json::string(self.out, self.fallback.kind(kind).term());
        if let Some(dataset) = dataset {
            self.dataset(dataset);
        }
    }

    /// One value, as the simplified representation has it.
    fn element(&mut self, kind: Kind, recorded: &'a Recorded) {
        if recorded.deleted_at.is_none() {
            return self.simplified(AttrName::SCOPE, &recorded.instance, Place::Attribute);
        }
        match kind {
            Kind::LanguageProperty | Kind::VocabProperty | Kind::JsonProperty => {
                self.out.push(b'{');
                json::string(self.out, kind.value_member());
                self.out.push(b':');
                self.out.extend_from_slice(null_of(kind));
                self.out.push(b'}');
            }
            _ => self.out.extend_from_slice(null_of(kind)),
        }
    }

    fn course_of_scopes(&mut self, chapter: &Chapter, looks: &TemporalRendering) {
        if self.fallback.no_scope {
            self.altered = true;
            return;
        }
        json::comma(self.out);
        self.out.extend_from_slice(b"\"scope\":");
        let all = &chapter.scopes;
        if looks.form != TemporalForm::Normalized {
            self.out.extend_from_slice(b"{\"type\":\"Property\",\"values\":[");
            for change in all {
                json::comma(self.out);
                self.out.push(b'[');
                self.scopes_of(change);
                self.out.push(b',');
                if let Some(at) = change.time(looks.property) {
                    json::time(self.out, at);
                }
                self.out.push(b']');
            }
            self.out.extend_from_slice(b"]}");
            return;
        }
        self.out.push(b'[');
        for change in all {
            json::comma(self.out);
            self.out.extend_from_slice(b"{\"type\":\"Property\",\"value\":");
            self.scopes_of(change);
            if let Some(at) = change.time(TimeProperty::ObservedAt) {
                self.stamp(b"\"observedAt\":", at);
            }
            if self.rendering.sys_attrs && change.deleted_at.is_none() {
                self.system_stamp(b"\"createdAt\":", change.created_at);
                self.system_stamp(b"\"modifiedAt\":", change.modified_at);
            }
            if let Some(at) = change.deleted_at {
                self.stamp(b"\"deletedAt\":", at);
            }
            self.out.push(b'}');
        }
        self.out.push(b']');
    }

    fn scopes_of(&mut self, change: &ScopeChange) {
        match change.scopes.as_slice() {
            [only] => json::string(self.out, only.as_str()),
            several => {
                json::array(self.out, several, |out, scope| json::string(out, scope.as_str()));
            }
        }
    }

    /// Results with their periods, by method.
    fn aggregates(&mut self, all: &[Aggregated]) {
        self.several(all, |writer, one| {
            writer.head_of(one.kind, one.dataset.as_ref());
            for (method, buckets) in &one.methods {
                json::comma(writer.out);
                json::string(writer.out, method.term());
                writer.out.extend_from_slice(b":[");
                for bucket in buckets {
                    json::comma(writer.out);
                    writer.out.push(b'[');
                    json::value(writer.out, &bucket.result, writer.speller);
                    writer.out.push(b',');
                    json::time(writer.out, bucket.from);
                    writer.out.push(b',');
                    json::time(writer.out, bucket.to);
                    writer.out.push(b']');
                }
                writer.out.push(b']');
            }
        });
    }
}

/// The member that holds the values of a kind, in plural.
fn plural(kind: Kind) -> &'static [u8] {
    match kind {
        Kind::Property | Kind::GeoProperty => b",\"values\":",
        Kind::Relationship => b",\"objects\":",
        Kind::LanguageProperty => b",\"languageMaps\":",
        Kind::VocabProperty => b",\"vocabs\":",
        Kind::ListProperty => b",\"valueLists\":",
        Kind::ListRelationship => b",\"objectLists\":",
        Kind::JsonProperty => b",\"jsons\":",
    }
}
