//! A Query body (5.2.23) says what the parameters of a URL say.

use super::{Broker, Error, GeoTexts, QueryTexts, SelectorTexts, ViewTexts};
use crate::jsonld::Document;
use crate::represent::read_query;

impl Broker {
    /// Adds what a Query body says to what the URL said already (6.23.3.1).
    pub fn read_query(
        &self,
        body: &Document<'_>,
        texts: &mut QueryTexts,
        view: &mut ViewTexts,
    ) -> Result<(), Error> {
        let body = read_query(body)?;
        if body.entity_map {
            return Err(Error::NotImplemented(
                "this broker makes no entity maps yet (5.14)".into(),
            ));
        }
        texts.selectors = body
            .entities
            .into_iter()
            .map(|one| SelectorTexts {
                ids: one.ids,
                id_pattern: one.id_pattern,
                types: Some(one.types),
            })
            .collect();
        texts.geo = GeoTexts {
            georel: body.georel,
            geometry: body.geometry,
            coordinates: body.coordinates,
            geoproperty: body.geoproperty,
        };
        texts.attrs.clone_from(&body.attrs);
        texts.q = body.q;
        texts.csf = body.csf;
        texts.scope_q = body.scope_q;
        texts.expand_values = body.expand_values;
        texts.json_keys = body.json_keys;
        texts.order_by = body.order_by;
        texts.collation = body.collation;
        texts.order_from = body.order_from;
        texts.order_geometry = body.order_geometry;
        view.attrs = body.attrs;
        view.pick = body.pick;
        view.omit = body.omit;
        view.lang = body.lang;
        view.datasets = body.dataset_id;
        view.join = body.join;
        view.join_level = body.join_level;
        view.contained_by = body.contained_by;
        Ok(())
    }
}
