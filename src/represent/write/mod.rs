//! Writing entities: how they are to look, and one entity, one list, one collection at a time.
//!
//! Bytes are appended as they come; no tree is built.

mod downgrade;
mod fallback;
mod feature;
mod instance;
pub(in crate::represent) mod json;
mod past;
mod rendering;
mod simplified;
mod spell;
mod temporal;
#[cfg(test)]
mod tests;

use std::{cell::Cell, sync::Arc};

use bytes::Bytes;

use self::fallback::Fallback;
use super::linked::Linked;
use crate::jsonld::Context;
use crate::model::{
    AttrName, Attribute, Attributes, Entity, EntityId, Instance, Kept, Look, OneOrMany, Stored,
    Timestamp,
};
use crate::query::View;

pub use downgrade::downgraded;
pub(in crate::represent) use json::{comma, string};
pub use past::{Past, PastInstance};
pub use rendering::{Format, GeoJson, Join, JoinForm, NotAVersion, Rendering, SpecVersion};
pub(in crate::represent) use spell::Speller;
pub use temporal::{TemporalForm, TemporalRendering, write_evolution, write_evolutions};

/// What there is to know about an entity that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// The projection left nothing of it.
    pub empty: bool,
    /// Something was written differently, or left out, for the sake of an older version (4.3.6.8).
    pub altered: bool,
}

/// Appends one entity as a JSON object, a Feature if the rendering is GeoJSON. The object has no
/// `@context`.
pub fn write_entity(
    out: &mut Vec<u8>,
    entity: &Entity,
    rendering: &Rendering,
    context: &Context,
    now: Timestamp,
    linked: &Linked,
) -> Written {
    let (view, inlined) = (rendering.projection.view(), Cell::new(0));
    let speller = Speller::new(context);
    write_view(out, entity, rendering, view, &speller, now, linked, None, &inlined)
}

#[expect(clippy::too_many_arguments, reason = "each says another thing about one entity")]
fn write_view<'a>(
    out: &mut Vec<u8>,
    entity: &'a Entity,
    rendering: &'a Rendering,
    view: View<'a>,
    speller: &Speller<'_>,
    now: Timestamp,
    linked: &'a Linked,
    past: Option<&'a Past>,
    inlined: &Cell<usize>,
) -> Written {
    let mut writer = Writer {
        out,
        rendering,
        speller,
        now,
        linked,
        fallback: Fallback::for_version(rendering.version),
        altered: false,
        around: Vec::new(),
        inlined,
        past,
    };
    let links = rendering.inline_levels();
    let shown = match &rendering.geojson {
        Some(geojson) => writer.feature(entity, geojson, view, links),
        None => writer.entity(entity, view, links),
    };
    Written { empty: !shown, altered: writer.altered }
}

/// What becomes of an entity in a list if the projection leaves nothing of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bare {
    Stays,
    LeftOut,
}

/// Writes the entities of one answer: they share a rendering, a context and a time.
#[derive(Debug)]
pub struct Renderer<'a> {
    rendering: &'a Rendering,
    context: &'a Context,
    now: Timestamp,
    linked: &'a Linked,
    /// Of which look rendered fragments are kept, if they may be.
    look: Option<Look>,
    /// Whether they are kept only where they were asked for before.
    sparing: bool,
    /// `"@context":…}`, if it goes into the body.
    tail: Option<Vec<u8>>,
    /// How many entities were written inside others, in all of the answer.
    inlined: Cell<usize>,
}

static NO_LINKED: std::sync::LazyLock<Linked> = std::sync::LazyLock::new(Linked::default);

impl<'a> Renderer<'a> {
    /// A renderer of entities that are not joined with others, without an `@context` in the body.
    pub fn new(rendering: &'a Rendering, context: &'a Context, now: Timestamp) -> Self {
        let look = rendering.look(context.id());
        let inlined = Cell::new(0);
        let (linked, tail) = (&*NO_LINKED, None);
        Self { rendering, context, now, linked, look, sparing: false, tail, inlined }
    }

    /// Keeps renderings only of what was asked for in the same way before: for entities that most
    /// likely nobody else asks for as they are.
    pub fn sparing(mut self) -> Self {
        self.sparing = true;
        self
    }

    /// Joins with these entities.
    pub fn with_linked(mut self, linked: &'a Linked) -> Self {
        self.linked = linked;
        self
    }

    /// Puts the `@context` into the body: into each entity, or once into a FeatureCollection.
    pub fn with_context_in_body(mut self) -> Self {
        self.tail = Some(["\"@context\":", &self.context.link().body, "}"].concat().into_bytes());
        self
    }

    /// Appends one entity, or Feature. A rendering that was kept beside the stored entity is
    /// used; one that may serve again is kept.
    pub fn stored(&self, out: &mut Vec<u8>, stored: &Stored) -> Written {
        let written = self.fragment(out, stored);
        self.close(out);
        written
    }

    /// What [`Renderer::stored`] would write, if it was kept just so: shared, not copied.
    pub fn kept(&self, stored: &Stored) -> Option<Bytes> {
        match self.tail {
            None => stored.rendered.get(self.look?),
            Some(_) => None,
        }
    }

    /// Appends one entity, or Feature, that no store holds.
    pub fn entity(&self, out: &mut Vec<u8>, entity: &Entity) -> Written {
        let written = self.current(out, entity);
        self.close(out);
        written
    }

    /// Appends the body of an answer with several entities: an array, or a FeatureCollection. Each
    /// has its place, even if the projection leaves nothing of it, since each was counted; those
    /// that were joined flat follow.
    pub fn all(&self, out: &mut Vec<u8>, entities: &[Arc<Stored>]) -> Written {
        let entities = entities.iter().map(|entity| (&**entity, None));
        self.list(out, entities, Bare::Stays)
    }

    /// Appends entities with what happened to them. One that was deleted is shown with its id and
    /// type, whatever is picked; others of which the projection leaves nothing are left out.
    pub fn all_with<'e>(
        &self,
        out: &mut Vec<u8>,
        entities: impl IntoIterator<Item = (&'e Stored, Option<&'e Past>)>,
    ) -> Written {
        self.list(out, entities, Bare::LeftOut)
    }

    fn list<'e>(
        &self,
        out: &mut Vec<u8>,
        entities: impl IntoIterator<Item = (&'e Stored, Option<&'e Past>)>,
        bare: Bare,
    ) -> Written {
        let collection = self.rendering.geojson.is_some();
        if collection {
            out.extend_from_slice(b"{\"type\":\"FeatureCollection\",\"features\":");
        }
        let mut all = Written { empty: true, altered: false };
        out.push(b'[');
        for (entity, past) in entities {
            self.item(out, &mut all, bare, |out| match past {
                None => self.fragment(out, entity),
                Some(past) => self.changed(out, entity, past),
            });
        }
        for (entity, view) in self.linked.flat(&self.rendering.projection) {
            if self.rendering.join.as_ref().is_some_and(|join| out.len() >= join.bytes) {
                break;
            }
            self.item(out, &mut all, Bare::LeftOut, |out| self.viewed(out, entity, view, None));
        }
        out.push(b']');
        if collection {
            out.push(b'}');
            self.close(out);
        }
        all
    }

    fn item(
        &self,
        out: &mut Vec<u8>,
        all: &mut Written,
        bare: Bare,
        write: impl FnOnce(&mut Vec<u8>) -> Written,
    ) {
        let start = out.len();
        json::comma(out);
        let written = write(out);
        all.altered |= written.altered;
        all.empty &= written.empty;
        if written.empty && bare == Bare::LeftOut {
            out.truncate(start);
        } else if self.rendering.geojson.is_none() {
            self.close(out);
        }
    }

    fn changed(&self, out: &mut Vec<u8>, entity: &Entity, past: &Past) -> Written {
        let view = match past.deleted_at {
            Some(_) => View::WHOLE,
            None => self.rendering.projection.view(),
        };
        self.viewed(out, entity, view, Some(past))
    }

    fn current(&self, out: &mut Vec<u8>, entity: &Entity) -> Written {
        self.viewed(out, entity, self.rendering.projection.view(), None)
    }

    fn viewed(
        &self,
        out: &mut Vec<u8>,
        entity: &Entity,
        view: View<'_>,
        past: Option<&Past>,
    ) -> Written {
        self.spelled(out, entity, view, past, &Speller::new(self.context))
    }

    fn spelled(
        &self,
        out: &mut Vec<u8>,
        entity: &Entity,
        view: View<'_>,
        past: Option<&Past>,
        speller: &Speller<'_>,
    ) -> Written {
        let Self { rendering, now, linked, ref inlined, .. } = *self;
        write_view(out, entity, rendering, view, speller, now, linked, past, inlined)
    }

    /// Appends what was kept of this look; what was kept of the same form under another context,
    /// its names spelled anew; or what is written now.
    fn fragment(&self, out: &mut Vec<u8>, stored: &Stored) -> Written {
        let Some(look) = self.look else { return self.current(out, stored) };
        match &*stored.rendered.kept() {
            Some(kept) if kept.look == look => {
                out.extend_from_slice(&kept.bytes);
                Written::default()
            }
            Some(kept)
                if kept.look.form == look.form
                    && let Some(names) = &kept.names =>
            {
                self.keeping(out, stored, look, |out, speller| {
                    speller.respell(out, &kept.bytes, names);
                    Written::default()
                })
            }
            _ if stored.is_transient() => self.current(out, stored),
            _ => self.keeping(out, stored, look, |out, speller| {
                let view = self.rendering.projection.view();
                self.spelled(out, stored, view, None, speller)
            }),
        }
    }

    /// Appends what is written, and keeps it if it may serve again.
    fn keeping(
        &self,
        out: &mut Vec<u8>,
        stored: &Stored,
        look: Look,
        write: impl FnOnce(&mut Vec<u8>, &Speller<'_>) -> Written,
    ) -> Written {
        let wanted = match self.sparing {
            true => stored.rendered.wants_again(look),
            false => stored.rendered.wants(look),
        };
        if !wanted {
            return write(out, &Speller::new(self.context));
        }
        let start = out.len();
        let speller = Speller::noting(self.context, start);
        let written = write(out, &speller);
        if !written.empty {
            let bytes = Bytes::copy_from_slice(&out[start..]);
            stored.rendered.keep(Kept { look, bytes, names: speller.noted() });
        }
        written
    }

    /// Puts the `@context` at the end of the object that was just written.
    fn close(&self, out: &mut Vec<u8>) {
        if let Some(tail) = &self.tail {
            out.pop();
            json::comma(out);
            out.extend_from_slice(tail);
        }
    }
}

/// Writes one entity and those inside it.
struct Writer<'w, 'a> {
    out: &'w mut Vec<u8>,
    rendering: &'a Rendering,
    speller: &'w Speller<'w>,
    now: Timestamp,
    linked: &'a Linked,
    fallback: Fallback,
    altered: bool,
    /// The entities around the one that is being written: they are not written again inside it.
    around: Vec<&'a EntityId>,
    /// How many entities were written inside others, in all of the answer.
    inlined: &'w Cell<usize>,
    /// What happened to the entity that is written, and not to those inside it.
    past: Option<&'a Past>,
}

/// Where an attribute stands.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// In an entity, of which this is shown, and from which so many links may be followed.
    Entity(View<'a>, u32),
    /// In another attribute.
    Attribute,
}

impl<'a> Writer<'_, 'a> {
    /// Appends an entity; false if the projection leaves nothing of it.
    fn entity(&mut self, entity: &'a Entity, view: View<'a>, links: u32) -> bool {
        self.out.push(b'{');
        let start = self.out.len();
        if view.keeps_id() {
            self.out.extend_from_slice(b"\"id\":");
            json::string(self.out, entity.id.as_str());
        }
        self.members(entity, view, links);
        let shown = self.out.len() > start;
        self.stamps(entity);
        self.out.push(b'}');
        shown
    }

    /// Appends the members that follow the id, but for the system's.
    fn members(&mut self, entity: &'a Entity, view: View<'a>, links: u32) {
        if view.keeps_type() {
            json::comma(self.out);
            self.out.extend_from_slice(b"\"type\":");
            self.types(&entity.types);
        }
        if view.keeps_scope() && !entity.scopes.is_empty() {
            self.scopes(entity);
        }
        self.around.push(&entity.id);
        self.attributes(&entity.attributes, Place::Entity(view, links));
        self.around.pop();
    }

    fn types(&mut self, types: &OneOrMany<AttrName>) {
        match types.as_slice() {
            [first, _, ..] if self.fallback.single => {
                self.altered = true;
                self.speller.name(self.out, *first);
            }
            [only] => self.speller.name(self.out, *only),
            several => {
                json::array(self.out, several, |out, name| self.speller.name(out, *name));
            }
        }
    }

    fn scopes(&mut self, entity: &Entity) {
        if self.fallback.no_scope {
            self.altered = true;
            return;
        }
        json::comma(self.out);
        self.out.extend_from_slice(b"\"scope\":");
        match entity.scopes.as_slice() {
            [only] => json::string(self.out, only.as_str()),
            several => {
                json::array(self.out, several, |out, scope| json::string(out, scope.as_str()))
            }
        }
    }

    /// The system's members of an entity, shown only where they are asked for (4.8).
    fn stamps(&mut self, entity: &Entity) {
        if let Some(time) = self.past.and_then(|past| past.deleted_at)
            && self.around.is_empty()
        {
            self.stamp(b"\"deletedAt\":", time);
        }
        if !self.rendering.sys_attrs {
            return;
        }
        if let Some(time) = entity.expires_at {
            self.expires_at(time);
        }
        self.system_stamp(b"\"createdAt\":", entity.created_at);
        self.system_stamp(b"\"modifiedAt\":", entity.modified_at);
    }

    fn expires_at(&mut self, time: Timestamp) {
        if self.fallback.no_expiry {
            self.altered = true;
        } else {
            self.stamp(b"\"expiresAt\":", time);
        }
    }

    /// Appends a time that the system keeps, unless another broker did not tell it.
    fn system_stamp(&mut self, key: &[u8], time: Timestamp) {
        if time != Timestamp::from_micros(0) {
            self.stamp(key, time);
        }
    }

    fn stamp(&mut self, key: &[u8], time: Timestamp) {
        json::comma(self.out);
        self.out.extend_from_slice(key);
        json::time(self.out, time);
    }

    fn attributes(&mut self, attributes: &'a Attributes, place: Place<'a>) {
        for (name, attribute) in attributes.iter() {
            match place {
                Place::Entity(view, _) if !view.keeps_attribute(name) => {}
                place => self.attribute(name, attribute, place),
            }
        }
    }

    /// Appends the instances that are shown: an object for one, an array for several (4.5.5).
    fn attribute(&mut self, name: AttrName, attribute: &'a Attribute, place: Place<'a>) {
        let several: Vec<&Instance>;
        let shown = match attribute.instances() {
            [only] if self.shows(only, place) => only,
            [_] => return,
            instances => {
                let alive = instances.iter().filter(|instance| self.shows(instance, place));
                several = self.restrict(alive.collect());
                match several.as_slice() {
                    [] => return,
                    [only] => only,
                    several => return self.instances(name, several, place),
                }
            }
        };
        self.key(name);
        match self.rendering.format {
            Format::Simplified => self.simplified(name, shown, place),
            _ => self.instance(name, shown, place, true),
        }
    }

    fn instances(&mut self, name: AttrName, instances: &[&'a Instance], place: Place<'a>) {
        self.key(name);
        if self.rendering.format == Format::Simplified {
            return self.simplified_dataset(name, instances, place);
        }
        self.out.push(b'[');
        for (index, instance) in instances.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.instance(name, instance, place, false);
        }
        self.out.push(b']');
    }

    /// Before version 1.3 an attribute had one instance.
    fn restrict<'i>(&mut self, instances: Vec<&'i Instance>) -> Vec<&'i Instance> {
        if !self.fallback.single || instances.len() < 2 {
            return instances;
        }
        self.altered = true;
        let default = instances.iter().find(|instance| instance.dataset().is_none());
        default.or(instances.first()).map(|instance| vec![*instance]).unwrap_or_default()
    }

    fn key(&mut self, name: AttrName) {
        json::comma(self.out);
        self.speller.name(self.out, name);
        self.out.push(b':');
    }

    /// Whether an instance is shown: it is valid now, and of a dataset that was asked for.
    fn shows(&self, instance: &Instance, place: Place<'_>) -> bool {
        if instance.more.is_none() && self.rendering.datasets.is_empty() {
            return true;
        }
        let asked = matches!(place, Place::Attribute) || self.rendering.asks_for(instance);
        asked && instance.is_alive(self.now)
    }
}
