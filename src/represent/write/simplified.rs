//! Writing the simplified representation (4.5.4), and entities inside others (4.5.23).

use super::{Place, Writer, json};
use crate::model::{AttrName, Datum, EntityId, Instance, OneOrMany, Stored};
use crate::query::View;

impl<'a> Writer<'_, 'a> {
    /// Appends the value of an instance alone.
    pub(super) fn simplified(&mut self, name: AttrName, instance: &'a Instance, place: Place<'a>) {
        if let Place::Entity(..) = place
            && self.past_of(name, instance).is_some_and(|past| past.deleted_at.is_some())
        {
            return self.gone_simplified();
        }
        if let Place::Entity(view, links @ 1..) = place
            && !instance.datum.targets().is_empty()
        {
            return self.simplified_links(name, &instance.datum, view, links);
        }
        let chosen = match &instance.datum {
            Datum::LanguageProperty(map) => {
                self.rendering.lang.as_ref().and_then(|lang| lang.choose(map))
            }
            _ => None,
        };
        if let Some((_, text)) = chosen {
            return json::one_or_many(self.out, text, |out, text| json::string(out, text));
        }
        let own = instance.kind();
        let wrapped = self.fallback.kind(own) == own;
        self.altered |= !wrapped;
        match &instance.datum {
            Datum::Property(value) => json::value(self.out, value, self.speller),
            Datum::GeoProperty(geometry) => geometry.write_json(self.out),
            Datum::Relationship(objects) => {
                json::one_or_many(self.out, objects, |out, id| json::string(out, id.as_str()));
            }
            Datum::LanguageProperty(map) => {
                self.wrap("languageMap", wrapped, |writer| writer.language_map(map));
            }
            Datum::VocabProperty(words) => self.wrap("vocab", wrapped, |writer| {
                json::one_or_many(writer.out, words, |out, word| {
                    writer.speller.name(out, *word);
                });
            }),
            Datum::ListProperty(items) => {
                json::array(self.out, items, |out, item| json::value(out, item, self.speller));
            }
            Datum::ListRelationship(objects) => self.ids(objects),
            Datum::JsonProperty(raw) => self.wrap("json", wrapped, |writer| writer.raw(raw)),
            // Only patches hold one.
            Datum::Bare(bare) => json::value(self.out, &bare.value, self.speller),
        }
    }

    /// Appends `{"member": …}`, or what is inside it for readers who do not know the member.
    fn wrap(&mut self, member: &str, wrapped: bool, write: impl FnOnce(&mut Self)) {
        if !wrapped {
            return write(self);
        }
        self.out.push(b'{');
        json::string(self.out, member);
        self.out.push(b':');
        write(self);
        self.out.push(b'}');
    }

    /// Appends several instances as `{"dataset": {…}}`, their values by datasetId.
    pub(super) fn simplified_dataset(
        &mut self,
        name: AttrName,
        instances: &[&'a Instance],
        place: Place<'a>,
    ) {
        self.out.extend_from_slice(b"{\"dataset\":{");
        for instance in instances {
            json::comma(self.out);
            json::string(self.out, instance.dataset().map_or("@none", |dataset| dataset.as_str()));
            self.out.push(b':');
            self.simplified(name, instance, place);
        }
        self.out.extend_from_slice(b"}}");
    }

    /// Appends linked entities in place of their ids; ids stay where there is no entity.
    fn simplified_links(&mut self, name: AttrName, datum: &'a Datum, view: View<'a>, links: u32) {
        let many = !matches!(datum, Datum::Relationship(OneOrMany::One(_)));
        if many {
            self.out.push(b'[');
        }
        for (index, id) in datum.targets().iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            match self.follow(id) {
                Some(target) => self.inside(target, view.linked(name), links - 1),
                None => json::string(self.out, id.as_str()),
            }
        }
        if many {
            self.out.push(b']');
        }
    }

    /// Appends `entity` or `entityList` with the linked entities that are there.
    pub(super) fn inlined(&mut self, name: AttrName, datum: &'a Datum, view: View<'a>, links: u32) {
        let start = self.out.len();
        let (head, many): (&[u8], bool) = match datum {
            Datum::Relationship(OneOrMany::One(_)) => (b",\"entity\":", false),
            Datum::Relationship(OneOrMany::Many(_)) => (b",\"entity\":[", true),
            Datum::ListRelationship(_) if self.fallback.old_kinds => (b",\"entity\":[", true),
            Datum::ListRelationship(_) => (b",\"entityList\":[", true),
            _ => return,
        };
        self.out.extend_from_slice(head);
        let mut found = false;
        for id in datum.targets() {
            if let Some(target) = self.follow(id) {
                json::comma(self.out);
                found = true;
                self.inside(target, view.linked(name), links - 1);
            }
        }
        match (found, many) {
            (false, _) => self.out.truncate(start),
            (true, true) => self.out.push(b']'),
            (true, false) => {}
        }
    }

    /// The linked entity, unless it is around already.
    fn follow(&mut self, id: &EntityId) -> Option<&'a Stored> {
        let join = self.rendering.join.as_ref()?;
        let is_full = self.inlined.get() >= join.limit || self.out.len() >= join.bytes;
        if is_full || self.around.contains(&id) || join.contained_by.contains(id) {
            return None;
        }
        let target = self.linked.get(id)?;
        target.is_alive(self.now).then_some(target)
    }

    fn inside(&mut self, target: &'a Stored, view: View<'a>, links: u32) {
        self.inlined.set(self.inlined.get() + 1);
        self.entity(target, view, links);
    }
}
