//! The whole API on one screen: which operation answers which method of which place.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpResponse, ResponseError};

use super::params::decode_percent;
use super::places::Place;
use super::problem::Problem;
use super::questions::Questions;
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
/// The frame has found the place already, so no router is asked; and each operation has a future of
/// its own, no larger than it needs.
pub fn begin(
    place: Place,
    request: &mut ServiceRequest,
    questions: &Rc<Questions>,
) -> Option<Work> {
    let broker = request.app_data::<Data<Broker>>()?.clone();
    let payload = request.take_payload();
    let request = request.request().clone();
    let questions = Rc::clone(questions);
    macro_rules! work {
        (|$incoming:ident, $path:ident| $answer:expr) => {
            work(move || async move {
                let $path = request.uri().path();
                let $incoming = Incoming::new(&request, payload, &broker, &questions);
                let answer: Result<HttpResponse, Problem> = async { $answer }.await;
                let mut answer = answer.unwrap_or_else(|problem| problem.error_response());
                warning::mark(&request, &broker, &mut answer);
                federated::level_later(place, &request, &broker, &answer);
                answer
            })
        };
    }
    Some(match (place, request.method()) {
        (Place::Entity, &Method::GET) => {
            work!(|incoming, path| entities::retrieve(incoming, &part(path, 0)?).await)
        }
        (Place::Entities, &Method::GET) => work!(|incoming, _path| entities::query(incoming).await),
        (Place::EntityAttribute, &Method::PATCH) => {
            work!(|incoming, path| attributes::partial_update(
                incoming,
                &part(path, 0)?,
                &part(path, 2)?
            )
            .await)
        }
        (Place::Entities, &Method::POST) => {
            work!(|incoming, _path| entities::create(incoming).await)
        }
        (Place::Entities, &Method::DELETE) => {
            work!(|incoming, _path| entities::purge(incoming).await)
        }
        (Place::Entity, &Method::PUT) => {
            work!(|incoming, path| entities::replace(incoming, &part(path, 0)?).await)
        }
        (Place::Entity, &Method::PATCH) => {
            work!(|incoming, path| entities::merge(incoming, &part(path, 0)?).await)
        }
        (Place::Entity, &Method::DELETE) => {
            work!(|incoming, path| entities::delete(incoming, &part(path, 0)?).await)
        }
        (Place::EntityAttributes, &Method::POST) => {
            work!(|incoming, path| attributes::append(incoming, &part(path, 0)?).await)
        }
        (Place::EntityAttributes, _) => {
            work!(|incoming, path| attributes::update(incoming, &part(path, 0)?).await)
        }
        (Place::EntityAttribute, &Method::PUT) => {
            work!(|incoming, path| attributes::replace(incoming, &part(path, 0)?, &part(path, 2)?)
                .await)
        }
        (Place::EntityAttribute, &Method::DELETE) => {
            work!(|incoming, path| attributes::delete(incoming, &part(path, 0)?, &part(path, 2)?)
                .await)
        }
        (Place::SourceInbox, _) => work!(|incoming, _path| federated::told(incoming).await),
        (Place::SubscriptionEvents, _) => {
            work!(|incoming, path| events::listen(incoming, &part(path, 0)?).await)
        }
        (Place::AdminSubscriptions, _) => {
            work!(|incoming, _path| admin::subscriptions(incoming).await)
        }
        (Place::AdminSubscription, _) => {
            work!(|incoming, path| admin::subscription(incoming, &admin_part(path)?).await)
        }
        (Place::DeadLetters, &Method::DELETE) => {
            work!(|incoming, _path| admin::drop_letters(incoming, None).await)
        }
        (Place::DeadLetters, _) => work!(|incoming, _path| admin::dead_letters(incoming).await),
        (Place::DeadLetter, &Method::DELETE) => {
            work!(|incoming, path| admin::drop_letters(incoming, Some(&admin_part(path)?)).await)
        }
        (Place::DeadLetter, _) => {
            work!(|incoming, path| admin::dead_letter(incoming, &admin_part(path)?).await)
        }
        (Place::ReplayDeadLetters, _) => {
            work!(|incoming, _path| admin::replay(incoming, None).await)
        }
        (Place::ReplayDeadLetter, _) => {
            work!(|incoming, path| admin::replay(incoming, Some(&admin_part(path)?)).await)
        }
        (Place::AdminHistory, _) => work!(|incoming, _path| history::held(incoming).await),
        (Place::HistoryRules, _) => work!(|incoming, _path| history::rules(incoming).await),
        (Place::HistoryRule, &Method::PUT) => {
            work!(|incoming, path| history::put_rule(incoming, &rule_part(path)?).await)
        }
        (Place::HistoryRule, &Method::DELETE) => {
            work!(|incoming, path| history::delete_rule(incoming, &rule_part(path)?).await)
        }
        (Place::HistoryRule, _) => {
            work!(|incoming, path| history::rule(incoming, &rule_part(path)?).await)
        }
        (Place::BatchCreate, _) => work!(|incoming, _path| batch::create(incoming).await),
        (Place::BatchUpsert, _) => work!(|incoming, _path| batch::upsert(incoming).await),
        (Place::BatchUpdate, _) => work!(|incoming, _path| batch::update(incoming).await),
        (Place::BatchMerge, _) => work!(|incoming, _path| batch::merge(incoming).await),
        (Place::BatchDelete, _) => work!(|incoming, _path| batch::delete(incoming).await),
        (Place::BatchQuery, _) => work!(|incoming, _path| entities::query_by_body(incoming).await),
        (Place::TemporalEntities, &Method::POST) => {
            work!(|incoming, _path| temporal::upsert(incoming).await)
        }
        (Place::TemporalEntities, _) => work!(|incoming, _path| temporal::query(incoming).await),
        (Place::TemporalEntity, &Method::DELETE) => {
            work!(|incoming, path| temporal::delete(incoming, &part(path, 1)?).await)
        }
        (Place::TemporalEntity, _) => {
            work!(|incoming, path| temporal::retrieve(incoming, &part(path, 1)?).await)
        }
        (Place::TemporalAttributes, _) => {
            work!(|incoming, path| temporal::add(incoming, &part(path, 1)?).await)
        }
        (Place::TemporalAttribute, _) => work!(|incoming, path| temporal::delete_attribute(
            incoming,
            &part(path, 1)?,
            &part(path, 3)?
        )
        .await),
        (Place::TemporalInstance, &Method::PATCH) => {
            work!(|incoming, path| temporal::modify_instance(
                incoming,
                &part(path, 1)?,
                &part(path, 3)?,
                &part(path, 4)?
            )
            .await)
        }
        (Place::TemporalInstance, _) => work!(|incoming, path| temporal::delete_instance(
            incoming,
            &part(path, 1)?,
            &part(path, 3)?,
            &part(path, 4)?
        )
        .await),
        (Place::TemporalQuery, _) => {
            work!(|incoming, _path| temporal::query_by_body(incoming).await)
        }
        (Place::Types, _) => work!(|incoming, _path| discovery::types(incoming).await),
        (Place::Type, _) => {
            work!(|incoming, path| discovery::entity_type(incoming, &part(path, 0)?).await)
        }
        (Place::Attributes, _) => work!(|incoming, _path| discovery::attributes(incoming).await),
        (Place::Attribute, _) => {
            work!(|incoming, path| discovery::attribute(incoming, &part(path, 0)?).await)
        }
        (Place::Subscriptions | Place::CsourceSubscriptions, &Method::POST) => {
            work!(|incoming, _path| subscriptions::create(incoming, about(place)).await)
        }
        (Place::Subscriptions | Place::CsourceSubscriptions, _) => {
            work!(|incoming, _path| subscriptions::query(incoming, about(place)).await)
        }
        (Place::Subscription | Place::CsourceSubscription, &Method::PATCH) => {
            work!(|incoming, path| subscriptions::update(incoming, about(place), &part(path, 0)?)
                .await)
        }
        (Place::Subscription | Place::CsourceSubscription, &Method::DELETE) => {
            work!(|incoming, path| subscriptions::delete(incoming, about(place), &part(path, 0)?)
                .await)
        }
        (Place::Subscription | Place::CsourceSubscription, _) => {
            work!(|incoming, path| subscriptions::retrieve(incoming, about(place), &part(path, 0)?)
                .await)
        }
        (Place::CsourceRegistrations, &Method::POST) => {
            work!(|incoming, _path| registrations::create(incoming).await)
        }
        (Place::CsourceRegistrations, _) => {
            work!(|incoming, _path| registrations::query(incoming).await)
        }
        (Place::CsourceRegistration, &Method::PATCH) => {
            work!(|incoming, path| registrations::update(incoming, &part(path, 0)?).await)
        }
        (Place::CsourceRegistration, &Method::DELETE) => {
            work!(|incoming, path| registrations::delete(incoming, &part(path, 0)?).await)
        }
        (Place::CsourceRegistration, _) => {
            work!(|incoming, path| registrations::retrieve(incoming, &part(path, 0)?).await)
        }
        (Place::Contexts, &Method::POST) => work!(|incoming, _path| contexts::add(incoming).await),
        (Place::Contexts, _) => work!(|incoming, _path| contexts::list(incoming).await),
        (Place::Context, &Method::DELETE) => {
            work!(|incoming, path| contexts::delete(incoming, &part(path, 0)?).await)
        }
        (Place::Context, _) => {
            work!(|incoming, path| contexts::serve(incoming, &part(path, 0)?).await)
        }
        (Place::EntityMaps, &Method::POST) => {
            work!(|incoming, _path| entity_maps::create_by_body(incoming).await)
        }
        (Place::EntityMaps, _) => work!(|incoming, _path| entity_maps::create(incoming).await),
        (Place::EntityMap, &Method::PATCH) => {
            work!(|incoming, path| entity_maps::update(incoming, &part(path, 0)?).await)
        }
        (Place::EntityMap, &Method::DELETE) => {
            work!(|incoming, path| entity_maps::delete(incoming, &part(path, 0)?).await)
        }
        (Place::EntityMap, _) => {
            work!(|incoming, path| entity_maps::retrieve(incoming, &part(path, 0)?).await)
        }
        (Place::TemporalEntityMaps, &Method::POST) => {
            work!(|incoming, _path| entity_maps::create_temporal_by_body(incoming).await)
        }
        (Place::TemporalEntityMaps, _) => {
            work!(|incoming, _path| entity_maps::create_temporal(incoming).await)
        }
        (Place::Snapshots, &Method::DELETE) => {
            work!(|incoming, _path| snapshots::purge(incoming).await)
        }
        (Place::Snapshots, _) => work!(|incoming, _path| snapshots::create(incoming).await),
        (Place::Snapshot, &Method::PATCH) => {
            work!(|incoming, path| snapshots::update(incoming, &part(path, 0)?).await)
        }
        (Place::Snapshot, &Method::DELETE) => {
            work!(|incoming, path| snapshots::delete(incoming, &part(path, 0)?).await)
        }
        (Place::Snapshot, _) => {
            work!(|incoming, path| snapshots::retrieve(incoming, &part(path, 0)?).await)
        }
        (Place::SnapshotClone, _) => {
            work!(|incoming, path| snapshots::clone(incoming, &part(path, 0)?).await)
        }
        (Place::SourceIdentity, _) => {
            work!(|incoming, _path| info::source_identity(incoming).await)
        }
        (Place::Derived, _) => work!(|incoming, _path| derived::list(incoming).await),
        (Place::DerivedEntity, _) => {
            work!(|incoming, path| derived::explain(incoming, &derived::id(path)?).await)
        }
        (Place::Feeds, _) => work!(|incoming, _path| feeds::list(incoming).await),
        (Place::Feed, &Method::POST) => {
            work!(|incoming, path| feeds::push(incoming, &feeds::name(path)?).await)
        }
        (Place::Feed, _) => {
            work!(|incoming, path| feeds::show(incoming, &feeds::name(path)?).await)
        }
        (Place::FeedRejected, _) => {
            work!(|incoming, path| feeds::rejected(incoming, &feeds::name(path)?).await)
        }
        (Place::Models, &Method::PATCH) => {
            work!(|incoming, _path| models::decide_all(incoming).await)
        }
        (Place::Models, _) => work!(|incoming, _path| models::list(incoming).await),
        (Place::ModelsCheck, _) => work!(|incoming, _path| models::check(incoming).await),
        (Place::ModelsFindings, _) => work!(|incoming, _path| models::findings(incoming).await),
        (Place::Model, &Method::PUT) => {
            work!(|incoming, path| models::put(incoming, &models::name(path)?).await)
        }
        (Place::Model, &Method::PATCH) => {
            work!(|incoming, path| models::decide(incoming, &models::name(path)?).await)
        }
        (Place::Model, &Method::DELETE) => {
            work!(|incoming, path| models::delete(incoming, &models::name(path)?).await)
        }
        (Place::Model, _) => {
            work!(|incoming, path| models::show(incoming, &models::name(path)?).await)
        }
        (Place::ModelSchema, _) => {
            work!(|incoming, path| models::schema(incoming, &models::name(path)?).await)
        }
        (Place::ModelExample, _) => {
            work!(|incoming, path| models::example(incoming, &models::name(path)?).await)
        }
        _ => work!(|_incoming, _path| Err(Problem::not_found("no operation of the API is here"))),
    })
}

/// Makes the future of an operation where it is to lie: made on the caller's stack, those of all
/// operations would need room there.
fn work<F: Future<Output = HttpResponse> + 'static>(make: impl FnOnce() -> F) -> Work {
    Box::pin(make())
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
    let below = path.strip_prefix("/ngsi-ld/v1/").unwrap_or_default();
    decode_percent(below.split('/').nth(1 + place).unwrap_or_default())
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
