//! Who is told of what changes, and what becomes of notifications.

use super::parts::{CREATED, DONE, JSON, LD, LETTERS, PAGE, READS, SUBSCRIPTION_FRAGMENT, WRITES};
use super::{Answer, Body, DELIVERY, SUBSCRIPTIONS};

const SUBSCRIPTION: Body =
    Body { about: "The subscription.", media: &[(JSON, "Subscription"), (LD, "Subscription")] };

const DROPPED: &[Answer] = &[Answer {
    status: 200,
    about: "How many were forgotten.",
    media: &[(JSON, "Dropped")],
    headers: &[],
}];

const REPLAYED: &[Answer] = &[Answer {
    status: 200,
    about: "How many are tried once more.",
    media: &[(JSON, "Replayed")],
    headers: &[],
}];

operations! {
    Get Subscriptions "querySubscriptions" in SUBSCRIPTIONS ("5.8.4, 6.10.3.2"):
    "List the subscriptions" ""
    { parameters: &[PAGE, &["options"]], headers: READS,
      answers: &[Answer { status: 200, about: "A page of subscriptions.",
        media: &[(JSON, "Subscriptions"), (LD, "Subscriptions")],
        headers: &["Link", "NGSILD-Results-Count"] }],
      refuses: &[403] }

    Post Subscriptions "createSubscription" in SUBSCRIPTIONS ("5.8.1, 6.10.3.1"):
    "Create a subscription"
    "From now on its endpoint is told of what changes, at least once."
    { headers: WRITES, body: Some(SUBSCRIPTION), answers: &[CREATED], refuses: &[403, 409] }

    Get Subscription "retrieveSubscription" in SUBSCRIPTIONS ("5.8.3, 6.11.3.1"):
    "Retrieve a subscription"
    "With what came of its notifications."
    { parameters: &[&["options"]], headers: READS,
      answers: found!("Subscription", "The subscription.") }

    Patch Subscription "updateSubscription" in SUBSCRIPTIONS ("5.8.2, 6.11.3.2"):
    "Update a subscription"
    "Each member that is sent replaces the one that is there; null takes it away."
    { headers: WRITES, body: Some(SUBSCRIPTION_FRAGMENT), answers: &[DONE] }

    Delete Subscription "deleteSubscription" in SUBSCRIPTIONS ("5.8.5, 6.11.3.3"):
    "Delete a subscription" ""
    { headers: &["NGSILD-Tenant", "NGSILD-Snapshot"], answers: &[DONE] }

    Get SubscriptionEvents "listen" in DELIVERY (""):
    "Listen to a subscription"
    "Its notifications as server-sent events, while they are sent. An event `gap` says that some were missed that nobody remembers. `HEAD` answers without listening."
    { parameters: &[&["tenant", "lastEventId"]], headers: &["NGSILD-Tenant", "Last-Event-ID"],
      answers: &[Answer { status: 200, about: "A stream that does not end by itself.",
        media: &[("text/event-stream", "text")], headers: &[] }],
      refuses: &[429, 501] }

    Post SourceInbox "tellOfSource" in DELIVERY ("5.8.6"):
    "Tell of a subscription that was planted at a source"
    "For context sources: the address of notifications that this broker gives them."
    { body: Some(Body { about: "A notification.", media: &[(JSON, "Notification"), (LD, "Notification")] }),
      answers: &[Answer { status: 200, about: "It was taken.", media: &[(JSON, "Notification")],
        headers: &[] }] }

    Get AdminSubscriptions "listDeliveries" in DELIVERY (""):
    "How the deliveries of subscriptions stand" ""
    { parameters: &[&["failing"], LETTERS], headers: &["NGSILD-Tenant"],
      answers: &[Answer { status: 200, about: "A page of them, in the order of ids.",
        media: &[(JSON, "Deliveries")], headers: &["Link"] }] }

    Get AdminSubscription "describeDelivery" in DELIVERY (""):
    "How the deliveries of one subscription stand" ""
    { parameters: &[&["tenant"]], headers: &["NGSILD-Tenant"],
      answers: &[Answer { status: 200, about: "How they stand.", media: &[(JSON, "Delivery")],
        headers: &[] }] }

    Get DeadLetters "listDeadLetters" in DELIVERY (""):
    "Notifications that could not be delivered" ""
    { parameters: &[&["subscription"], LETTERS], headers: &["NGSILD-Tenant"],
      answers: &[Answer { status: 200, about: "A page of them, the oldest first.",
        media: &[(JSON, "DeadLetters")], headers: &["Link"] }] }

    Delete DeadLetters "dropDeadLetters" in DELIVERY (""):
    "Forget dead letters"
    "Those of a subscription, or with `all=true` those of the tenant."
    { parameters: &[&["subscription", "all", "tenant"]], headers: &["NGSILD-Tenant"],
      answers: DROPPED }

    Get DeadLetter "retrieveDeadLetter" in DELIVERY (""):
    "One notification that could not be delivered" ""
    { parameters: &[&["tenant"]], headers: &["NGSILD-Tenant"],
      answers: &[Answer { status: 200, about: "The notification, and why.",
        media: &[(JSON, "DeadLetter")], headers: &[] }] }

    Delete DeadLetter "dropDeadLetter" in DELIVERY (""):
    "Forget a dead letter" ""
    { parameters: &[&["tenant"]], headers: &["NGSILD-Tenant"], answers: DROPPED }

    Post ReplayDeadLetters "replayDeadLetters" in DELIVERY (""):
    "Try dead letters once more"
    "Those of a subscription, or with `all=true` those of the tenant. Those that arrive are forgotten."
    { parameters: &[&["subscription", "all", "tenant"]], headers: &["NGSILD-Tenant"],
      answers: REPLAYED }

    Post ReplayDeadLetter "replayDeadLetter" in DELIVERY (""):
    "Try a dead letter once more"
    "It is forgotten if it arrives."
    { parameters: &[&["tenant"]], headers: &["NGSILD-Tenant"], answers: REPLAYED }
}
