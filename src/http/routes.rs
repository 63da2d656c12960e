//! The whole API on one screen: which operation answers which method of which place.

use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, ResponseError};

use super::params::decode_percent;
use super::places::Place;
use super::problem::Problem;
use super::request::Incoming;
use super::{
    admin, attributes, batch, contexts, discovery, entities, events, info, models, subscriptions,
    temporal,
};
use crate::broker::{Broker, Error};

/// Mounts the API. It answers whatever the frame lets through and nobody else answers, so that
/// finding the operation costs no router.
pub fn routes(config: &mut ServiceConfig) {
    config.default_service(web::to(dispatch));
}

async fn dispatch(
    request: HttpRequest,
    payload: web::Payload,
    broker: web::Data<Broker>,
) -> HttpResponse {
    let incoming = Incoming::new(&request, payload.into_inner(), &broker);
    match answer(&request, incoming).await {
        Ok(response) => response,
        Err(problem) => problem.error_response(),
    }
}

async fn answer(request: &HttpRequest, incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    let path = request.uri().path();
    let Some(place) = Place::of(path) else { return Err(Problem::not_found("no such path")) };
    let part = |place| part(path, place);
    match (place, request.method()) {
        (Place::Entities, &Method::POST) => entities::create(incoming).await,
        (Place::Entities, &Method::DELETE) => entities::purge(incoming).await,
        (Place::Entities, _) => entities::query(incoming).await,
        (Place::Entity, &Method::PUT) => entities::replace(incoming, &part(0)?).await,
        (Place::Entity, &Method::PATCH) => entities::merge(incoming, &part(0)?).await,
        (Place::Entity, &Method::DELETE) => entities::delete(incoming, &part(0)?).await,
        (Place::Entity, _) => entities::retrieve(incoming, &part(0)?).await,
        (Place::EntityAttributes, &Method::POST) => attributes::append(incoming, &part(0)?).await,
        (Place::EntityAttributes, _) => attributes::update(incoming, &part(0)?).await,
        (Place::EntityAttribute, &Method::PUT) => {
            attributes::replace(incoming, &part(0)?, &part(2)?).await
        }
        (Place::EntityAttribute, &Method::DELETE) => {
            attributes::delete(incoming, &part(0)?, &part(2)?).await
        }
        (Place::EntityAttribute, _) => {
            attributes::partial_update(incoming, &part(0)?, &part(2)?).await
        }
        (Place::SubscriptionEvents, _) => events::listen(incoming, &part(0)?).await,
        (Place::AdminSubscriptions, _) => admin::subscriptions(incoming).await,
        (Place::AdminSubscription, _) => admin::subscription(incoming, &admin_part(path)?).await,
        (Place::DeadLetters, &Method::DELETE) => admin::drop_letters(incoming, None).await,
        (Place::DeadLetters, _) => admin::dead_letters(incoming).await,
        (Place::DeadLetter, &Method::DELETE) => {
            admin::drop_letters(incoming, Some(&admin_part(path)?)).await
        }
        (Place::DeadLetter, _) => admin::dead_letter(incoming, &admin_part(path)?).await,
        (Place::ReplayDeadLetters, _) => admin::replay(incoming, None).await,
        (Place::ReplayDeadLetter, _) => admin::replay(incoming, Some(&admin_part(path)?)).await,
        (Place::BatchCreate, _) => batch::create(incoming).await,
        (Place::BatchUpsert, _) => batch::upsert(incoming).await,
        (Place::BatchUpdate, _) => batch::update(incoming).await,
        (Place::BatchMerge, _) => batch::merge(incoming).await,
        (Place::BatchDelete, _) => batch::delete(incoming).await,
        (Place::BatchQuery, _) => entities::query_by_body(incoming).await,
        (Place::TemporalEntities, &Method::POST) => temporal::upsert(incoming).await,
        (Place::TemporalEntities, _) => temporal::query(incoming).await,
        (Place::TemporalEntity, &Method::DELETE) => temporal::delete(incoming, &part(1)?).await,
        (Place::TemporalEntity, _) => temporal::retrieve(incoming, &part(1)?).await,
        (Place::TemporalAttributes, _) => temporal::add(incoming, &part(1)?).await,
        (Place::TemporalAttribute, _) => {
            temporal::delete_attribute(incoming, &part(1)?, &part(3)?).await
        }
        (Place::TemporalInstance, &Method::PATCH) => {
            temporal::modify_instance(incoming, &part(1)?, &part(3)?, &part(4)?).await
        }
        (Place::TemporalInstance, _) => {
            temporal::delete_instance(incoming, &part(1)?, &part(3)?, &part(4)?).await
        }
        (Place::TemporalQuery, _) => temporal::query_by_body(incoming).await,
        (Place::Types, _) => discovery::types(incoming).await,
        (Place::Type, _) => discovery::entity_type(incoming, &part(0)?).await,
        (Place::Attributes, _) => discovery::attributes(incoming).await,
        (Place::Attribute, _) => discovery::attribute(incoming, &part(0)?).await,
        (Place::Subscriptions, &Method::POST) => subscriptions::create(incoming).await,
        (Place::Subscriptions, _) => subscriptions::query(incoming).await,
        (Place::Subscription, &Method::PATCH) => subscriptions::update(incoming, &part(0)?).await,
        (Place::Subscription, &Method::DELETE) => subscriptions::delete(incoming, &part(0)?).await,
        (Place::Subscription, _) => subscriptions::retrieve(incoming, &part(0)?).await,
        (Place::Contexts, &Method::POST) => contexts::add(incoming).await,
        (Place::Contexts, _) => contexts::list(incoming).await,
        (Place::Context, &Method::DELETE) => contexts::delete(incoming, &part(0)?).await,
        (Place::Context, _) => contexts::serve(incoming, &part(0)?).await,
        (Place::SourceIdentity, _) => info::source_identity(incoming).await,
        (Place::Models, &Method::PATCH) => models::decide_all(incoming).await,
        (Place::Models, _) => models::list(incoming).await,
        (Place::ModelsCheck, _) => models::check(incoming).await,
        (Place::ModelsFindings, _) => models::findings(incoming).await,
        (Place::Model, &Method::PUT) => models::put(incoming, &models::name(path)?).await,
        (Place::Model, &Method::PATCH) => models::decide(incoming, &models::name(path)?).await,
        (Place::Model, &Method::DELETE) => models::delete(incoming, &models::name(path)?).await,
        (Place::Model, _) => models::show(incoming, &models::name(path)?).await,
        (Place::ModelSchema, _) => models::schema(incoming, &models::name(path)?).await,
        (Place::ModelExample, _) => models::example(incoming, &models::name(path)?).await,
        _ => Err(Problem::not_found("no operation of the API is here")),
    }
}

/// A variable part of the path, counted after the collection, decoded.
fn part(path: &str, place: usize) -> Result<String, Error> {
    let after = path.splitn(5, '/').nth(4).unwrap_or_default();
    decode_percent(after.split('/').nth(place).unwrap_or_default())
}

/// The variable part of a path under /admin, decoded.
fn admin_part(path: &str) -> Result<String, Error> {
    decode_percent(path.split('/').nth(3).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_paths_are_decoded() {
        let path = "/ngsi-ld/v1/entities/urn:%E0%B8%81/attrs/x%2Fy";
        assert_eq!(part(path, 0).ok().as_deref(), Some("urn:ก"));
        assert_eq!(part(path, 2).ok().as_deref(), Some("x/y"));
        assert_eq!(part("/ngsi-ld/v1/entities//attrs/a", 0).ok().as_deref(), Some(""));
    }
}
