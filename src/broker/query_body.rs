//! A Query body (5.2.23) says what the parameters of a URL say.

use super::{Broker, Error, GeoTexts, HistoryTexts, QueryTexts, SelectorTexts, ViewTexts};
use crate::jsonld::Document;
use crate::represent::{QueryBody, TemporalForm, read_query, read_temporal_query};

impl Broker {
    /// Adds what a Query body says to what the URL said already (6.23.3.1).
    pub fn read_query(
        &self,
        body: &Document<'_>,
        texts: &mut QueryTexts,
        view: &mut ViewTexts,
    ) -> Result<(), Error> {
        put_query(read_query(body)?, texts, view);
        Ok(())
    }

    /// Adds what a Query body of temporal evolution says to what the URL said already (6.24.3.1).
    /// One that says how to aggregate asks for aggregates.
    pub fn read_temporal_query(
        &self,
        body: &Document<'_>,
        texts: &mut QueryTexts,
        history: &mut HistoryTexts,
        view: &mut ViewTexts,
    ) -> Result<(), Error> {
        let (body, time) = read_temporal_query(body)?;
        put_query(body, texts, view);
        history.timerel = time.timerel;
        history.time_at = time.time_at;
        history.end_time_at = time.end_time_at;
        history.time_property = time.time_property;
        history.last_n = time.last_n;
        if time.aggr_methods.is_some() || time.aggr_period.is_some() {
            history.aggr_methods = time.aggr_methods.or(history.aggr_methods.take());
            history.aggr_period = time.aggr_period.or(history.aggr_period.take());
            history.form.get_or_insert(TemporalForm::AggregatedValues);
            history.mentions_aggregates = true;
        }
        Ok(())
    }
}

fn put_query(body: QueryBody, texts: &mut QueryTexts, view: &mut ViewTexts) {
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
    texts.split_entities = body.split_entities;
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
    texts.map.wanted = body.entity_map;
    texts.map.lifetime = body.entity_map_lifetime;
}
