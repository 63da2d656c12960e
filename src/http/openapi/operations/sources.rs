//! Other brokers that have data, and who is told of them.

use super::parts::{CREATED, DONE, JSON, LD, PAGE, READS, SUBSCRIPTION_FRAGMENT, WRITES};
use super::{Answer, Body, SOURCES};

const SELECT_SOURCES: &[&str] = &[
    "type",
    "id",
    "idPattern",
    "attrs",
    "pick",
    "omit",
    "q",
    "csf",
    "scopeQ",
    "georel",
    "geometry",
    "coordinates",
    "geoproperty",
    "geometryProperty",
    "timerel",
    "timeAt",
    "endTimeAt",
    "timeproperty",
    "lang",
    "options",
];

const REGISTRATION: Body = Body {
    about: "The registration.",
    media: &[(JSON, "CSourceRegistration"), (LD, "CSourceRegistration")],
};

const REGISTRATION_FRAGMENT: Body = Body {
    about: "The members that change; each is replaced as a whole.",
    media: &[(JSON, "CSourceRegistrationFragment"), (LD, "CSourceRegistrationFragment")],
};

const SOURCE_SUBSCRIPTION: Body = Body {
    about: "The subscription: its `entities`, `watchedAttributes`, `geoQ`, `scopeQ`, `csf` and \
            `temporalQ` say which sources it is about.",
    media: &[(JSON, "Subscription"), (LD, "Subscription")],
};

operations! {
    Get CsourceRegistrations "queryRegistrations" in SOURCES ("5.10.2, 6.8.3.2"):
    "Query the registrations of context sources"
    "A type, an id, attributes, `q` or a geoquery has to say which."
    { parameters: &[SELECT_SOURCES, PAGE], headers: READS,
      answers: &[Answer { status: 200, about: "A page of registrations.",
        media: &[(JSON, "CSourceRegistrations"), (LD, "CSourceRegistrations")],
        headers: &["Link", "NGSILD-Results-Count"] }],
      refuses: &[403] }

    Post CsourceRegistrations "registerSource" in SOURCES ("5.9.2, 6.8.3.1"):
    "Register a context source"
    "One that has something for itself alone (exclusive) or to which requests are passed on (redirect) cannot claim what another one or this broker has."
    { headers: WRITES, body: Some(REGISTRATION), answers: &[CREATED], refuses: &[403, 409] }

    Get CsourceRegistration "retrieveRegistration" in SOURCES ("5.10.1, 6.9.3.1"):
    "Retrieve a registration" ""
    { parameters: &[&["options"]], headers: READS,
      answers: found!("CSourceRegistration", "The registration.") }

    Patch CsourceRegistration "updateRegistration" in SOURCES ("5.9.3, 6.9.3.2"):
    "Update a registration"
    "Each member that is sent replaces the one that is there; null takes it away."
    { headers: WRITES, body: Some(REGISTRATION_FRAGMENT), answers: &[DONE], refuses: &[409] }

    Delete CsourceRegistration "deleteRegistration" in SOURCES ("5.9.4, 6.9.3.3"):
    "Delete a registration" ""
    { headers: &["NGSILD-Tenant"], answers: &[DONE] }

    Get CsourceSubscriptions "querySourceSubscriptions" in SOURCES ("5.11.5, 6.12.3.2"):
    "List the subscriptions to registrations" ""
    { parameters: &[PAGE, &["options"]], headers: READS,
      answers: &[Answer { status: 200, about: "A page of subscriptions.",
        media: &[(JSON, "Subscriptions"), (LD, "Subscriptions")],
        headers: &["Link", "NGSILD-Results-Count"] }],
      refuses: &[403] }

    Post CsourceSubscriptions "createSourceSubscription" in SOURCES ("5.11.2, 6.12.3.1"):
    "Subscribe to registrations"
    "Its endpoint is told of all registrations that match, then of those that come, change or go, at least once."
    { headers: WRITES, body: Some(SOURCE_SUBSCRIPTION), answers: &[CREATED], refuses: &[403, 409] }

    Get CsourceSubscription "retrieveSourceSubscription" in SOURCES ("5.11.4, 6.13.3.1"):
    "Retrieve a subscription to registrations"
    "With what came of its notifications."
    { parameters: &[&["options"]], headers: READS,
      answers: found!("Subscription", "The subscription.") }

    Patch CsourceSubscription "updateSourceSubscription" in SOURCES ("5.11.3, 6.13.3.2"):
    "Update a subscription to registrations"
    "Its endpoint is told of all registrations that match then."
    { headers: WRITES, body: Some(SUBSCRIPTION_FRAGMENT), answers: &[DONE] }

    Delete CsourceSubscription "deleteSourceSubscription" in SOURCES ("5.11.6, 6.13.3.3"):
    "Delete a subscription to registrations" ""
    { headers: &["NGSILD-Tenant"], answers: &[DONE] }
}
