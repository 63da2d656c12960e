//! The whole API on one screen: which operation answers which method of which place.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;

use actix_web::dev::{Payload, ServiceRequest};
use actix_web::http::Method;
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError};

use super::params::decode_percent;
use super::places::Place;
use super::problem::Problem;
use super::request::Incoming;
use super::{
    admin, attributes, batch, contexts, derived, discovery, entities, entity_maps, events,
    federated, feeds, history, info, models, registrations, snapshots, subscriptions, temporal,
    warning,
};
use crate::broker::{About, Broker, Error};

/// An operation at work.
pub type Work = Pin<Box<dyn Future<Output = HttpResponse>>>;

/// Begins the operation that a request asks for; None where the API is not served, because no
/// `Data<Broker>` was given to the application.
///
/// The frame has found the place already, so no router is asked. What is asked most often has a
/// future of its own, which is a tenth as large as that of all operations.
pub fn begin(place: Place, request: &mut ServiceRequest) -> Option<Work> {
    let broker = request.app_data::<Data<Broker>>()?.clone();
    let payload = request.take_payload();
    let request = request.request().clone();
    macro_rules! work {
        (|$incoming:ident, $path:ident| $answer:expr) => {
            Box::pin(async move {
                let $path = request.uri().path();
                let $incoming = Incoming::new(&request, payload, &broker);
                let answer: Result<HttpResponse, Problem> = async { $answer }.await;
                let mut answer = answer.unwrap_or_else(|problem| problem.error_response());
                warning::mark(&request, &broker, &mut answer);
                answer
            })
        };
    }
    Some(match (place, request.method()) {
        (Place::Entity, &Method::GET) => {
            work!(|incoming, path| entities::retrieve(incoming, &part(path, 0)?).await)
        }
        (Place::Entities, &Method::GET) => {
            work!(|incoming, _path| entities::query(incoming).await)
        }
        (Place::EntityAttribute, &Method::PATCH) => work!(|incoming, path| {
            attributes::partial_update(incoming, &part(path, 0)?, &part(path, 2)?).await
        }),
        _ => Box::pin(operate(place, request, payload, broker)),
    })
}

async fn operate(
    place: Place,
    request: HttpRequest,
    payload: Payload,
    broker: Data<Broker>,
) -> HttpResponse {
    let incoming = Incoming::new(&request, payload, &broker);
    let mut response = match answer(place, &request, incoming).await {
        Ok(response) => response,
        Err(problem) => return problem.error_response(),
    };
    warning::mark(&request, &broker, &mut response);
    federated::level_later(place, &request, &broker, &response);
    response
}

async fn answer(
    place: Place,
    request: &HttpRequest,
    incoming: Incoming<'_>,
) -> Result<HttpResponse, Problem> {
    let path = request.uri().path();
    let part = |place| part(path, place);
    match (place, request.method()) {
        (Place::Entities, &Method::POST) => entities::create(incoming).await,
        (Place::Entities, &Method::DELETE) => entities::purge(incoming).await,
        (Place::Entity, &Method::PUT) => entities::replace(incoming, &part(0)?).await,
        (Place::Entity, &Method::PATCH) => entities::merge(incoming, &part(0)?).await,
        (Place::Entity, &Method::DELETE) => entities::delete(incoming, &part(0)?).await,
        (Place::EntityAttributes, &Method::POST) => attributes::append(incoming, &part(0)?).await,
        (Place::EntityAttributes, _) => attributes::update(incoming, &part(0)?).await,
        (Place::EntityAttribute, &Method::PUT) => {
            attributes::replace(incoming, &part(0)?, &part(2)?).await
        }
        (Place::EntityAttribute, &Method::DELETE) => {
            attributes::delete(incoming, &part(0)?, &part(2)?).await
        }
        (Place::SourceInbox, _) => federated::told(incoming).await,
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
        (Place::AdminHistory, _) => history::held(incoming).await,
        (Place::HistoryRules, _) => history::rules(incoming).await,
        (Place::HistoryRule, &Method::PUT) => history::put_rule(incoming, &rule_part(path)?).await,
        (Place::HistoryRule, &Method::DELETE) => {
            history::delete_rule(incoming, &rule_part(path)?).await
        }
        (Place::HistoryRule, _) => history::rule(incoming, &rule_part(path)?).await,
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
        (Place::Subscriptions | Place::CsourceSubscriptions, &Method::POST) => {
            subscriptions::create(incoming, about(place)).await
        }
        (Place::Subscriptions | Place::CsourceSubscriptions, _) => {
            subscriptions::query(incoming, about(place)).await
        }
        (Place::Subscription | Place::CsourceSubscription, &Method::PATCH) => {
            subscriptions::update(incoming, about(place), &part(0)?).await
        }
        (Place::Subscription | Place::CsourceSubscription, &Method::DELETE) => {
            subscriptions::delete(incoming, about(place), &part(0)?).await
        }
        (Place::Subscription | Place::CsourceSubscription, _) => {
            subscriptions::retrieve(incoming, about(place), &part(0)?).await
        }
        (Place::CsourceRegistrations, &Method::POST) => registrations::create(incoming).await,
        (Place::CsourceRegistrations, _) => registrations::query(incoming).await,
        (Place::CsourceRegistration, &Method::PATCH) => {
            registrations::update(incoming, &part(0)?).await
        }
        (Place::CsourceRegistration, &Method::DELETE) => {
            registrations::delete(incoming, &part(0)?).await
        }
        (Place::CsourceRegistration, _) => registrations::retrieve(incoming, &part(0)?).await,
        (Place::Contexts, &Method::POST) => contexts::add(incoming).await,
        (Place::Contexts, _) => contexts::list(incoming).await,
        (Place::Context, &Method::DELETE) => contexts::delete(incoming, &part(0)?).await,
        (Place::Context, _) => contexts::serve(incoming, &part(0)?).await,
        (Place::EntityMaps, &Method::POST) => entity_maps::create_by_body(incoming).await,
        (Place::EntityMaps, _) => entity_maps::create(incoming).await,
        (Place::EntityMap, &Method::PATCH) => entity_maps::update(incoming, &part(0)?).await,
        (Place::EntityMap, &Method::DELETE) => entity_maps::delete(incoming, &part(0)?).await,
        (Place::EntityMap, _) => entity_maps::retrieve(incoming, &part(0)?).await,
        (Place::TemporalEntityMaps, &Method::POST) => {
            entity_maps::create_temporal_by_body(incoming).await
        }
        (Place::TemporalEntityMaps, _) => entity_maps::create_temporal(incoming).await,
        (Place::Snapshots, &Method::DELETE) => snapshots::purge(incoming).await,
        (Place::Snapshots, _) => snapshots::create(incoming).await,
        (Place::Snapshot, &Method::PATCH) => snapshots::update(incoming, &part(0)?).await,
        (Place::Snapshot, &Method::DELETE) => snapshots::delete(incoming, &part(0)?).await,
        (Place::Snapshot, _) => snapshots::retrieve(incoming, &part(0)?).await,
        (Place::SnapshotClone, _) => snapshots::clone(incoming, &part(0)?).await,
        (Place::SourceIdentity, _) => info::source_identity(incoming).await,
        (Place::Derived, _) => derived::list(incoming).await,
        (Place::DerivedEntity, _) => derived::explain(incoming, &derived::id(path)?).await,
        (Place::Feeds, _) => feeds::list(incoming).await,
        (Place::Feed, &Method::POST) => feeds::push(incoming, &feeds::name(path)?).await,
        (Place::Feed, _) => feeds::show(incoming, &feeds::name(path)?).await,
        (Place::FeedRejected, _) => feeds::rejected(incoming, &feeds::name(path)?).await,
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

/// What the subscriptions of a place are about.
fn about(place: Place) -> About {
    match place {
        Place::CsourceSubscriptions | Place::CsourceSubscription => About::Sources,
        _ => About::Entities,
    }
}

/// A variable part of the path, counted after the collection, decoded.
fn part(path: &str, place: usize) -> Result<Cow<'_, str>, Error> {
    let mut slashes = memchr::memchr_iter(b'/', path.as_bytes()).skip(3 + place);
    let begin = slashes.next().map_or(path.len(), |slash| slash + 1);
    let end = slashes.next().unwrap_or(path.len());
    decode_percent(&path[begin..end])
}

/// The variable part of a path under /admin, decoded.
fn admin_part(path: &str) -> Result<Cow<'_, str>, Error> {
    decode_percent(path.split('/').nth(3).unwrap_or_default())
}

/// The type in a path under /admin/history/rules, decoded.
fn rule_part(path: &str) -> Result<Cow<'_, str>, Error> {
    decode_percent(path.split('/').nth(4).unwrap_or_default())
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
