//! Writing GeoJSON Features (4.5.16, 4.5.17).

use super::{GeoJson, Writer, json};
use crate::geo::Geometry;
use crate::model::{Datum, Entity, Instance};
use crate::query::View;

impl<'a> Writer<'_, 'a> {
    /// Appends a Feature; false if the projection leaves no properties.
    pub(super) fn feature(
        &mut self,
        entity: &'a Entity,
        geojson: &GeoJson,
        view: View<'a>,
        links: u32,
    ) -> bool {
        self.out.extend_from_slice(b"{\"id\":");
        json::string(self.out, entity.id.as_str());
        self.out.extend_from_slice(b",\"type\":\"Feature\",\"geometry\":");
        match self.geometry(entity, geojson) {
            Some(geometry) => geometry.write_json(self.out),
            None => self.out.extend_from_slice(b"null"),
        }
        self.out.extend_from_slice(b",\"properties\":{");
        let start = self.out.len();
        self.members(entity, view, links);
        let shown = self.out.len() > start || view.keeps_id();
        self.stamps(entity);
        self.out.extend_from_slice(b"}}");
        shown
    }

    /// The geometry of the instance that was asked for by its datasetId, or else of the default
    /// instance, or else of the only one.
    fn geometry(&self, entity: &'a Entity, geojson: &GeoJson) -> Option<&'a Geometry> {
        let name = geojson.geometry_property?;
        let attribute = entity.attributes.get(name)?;
        let gone = |instance: &Instance| self.past.is_some_and(|past| past.is_gone(name, instance));
        let mut shown = attribute
            .instances()
            .iter()
            .filter(|instance| instance.is_alive(self.now) && self.rendering.asks_for(instance))
            .filter(|instance| !gone(instance));
        let first: &Instance = shown.clone().find(|i| i.dataset().is_none()).or_else(|| {
            let first = shown.next()?;
            let chosen = shown.next().is_none() || !self.rendering.datasets.is_empty();
            chosen.then_some(first)
        })?;
        match &first.datum {
            Datum::GeoProperty(geometry) => Some(geometry),
            _ => None,
        }
    }
}
