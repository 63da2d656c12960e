//! Every path that is served, with the methods it takes: one table, from which come 404 and 405,
//! the labels of the metrics and the paths of the OpenAPI document.

use actix_web::http::Method;

macro_rules! places {
    ($($(#[doc = $doc:literal])* $Place:ident = $template:literal [$($METHOD:ident)*];)*) => {
        /// A path that is served.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Place {
            $($(#[doc = $doc])* $Place,)*
        }

        impl Place {
            /// All of them.
            pub const ALL: &'static [Place] = &[$(Place::$Place),*];

            /// The path, with its variable parts in braces.
            pub const fn template(self) -> &'static str {
                match self { $(Place::$Place => $template,)* }
            }

            /// The methods it takes; HEAD goes with GET, and OPTIONS is answered everywhere.
            pub const fn methods(self) -> &'static [Method] {
                match self { $(Place::$Place => &[$(Method::$METHOD),*],)* }
            }
        }
    };
}

places! {
    /// The greeting.
    Root = "/" [GET];
    /// The browsable API description.
    Docs = "/docs" [GET];
    /// The API description.
    OpenApi = "/openapi.json" [GET];
    /// Version, limits, state.
    Health = "/health" [GET];
    /// Whether requests should be sent here.
    Ready = "/ready" [GET];
    /// Counters for Prometheus.
    Metrics = "/metrics" [GET];
    /// The models of data.
    Models = "/models" [GET PATCH];
    /// What models find in entities that are not kept.
    ModelsCheck = "/models/check" [POST];
    /// Entities that were not as their models say.
    ModelsFindings = "/models/findings" [GET];
    /// A model of data.
    Model = "/models/{model}" [GET PUT PATCH DELETE];
    /// Its JSON Schema.
    ModelSchema = "/models/{model}/schema" [GET];
    /// An entity that is as it says.
    ModelExample = "/models/{model}/example" [GET];
    /// What is derived, and by which numbers.
    Derived = "/derived" [GET];
    /// What is derived of an entity, and why.
    DerivedEntity = "/derived/{entityId}" [GET];
    /// How feeds fare.
    Feeds = "/feeds" [GET];
    /// A feed; documents are sent to it.
    Feed = "/feeds/{feed}" [GET POST];
    /// What it refused.
    FeedRejected = "/feeds/{feed}/rejected" [GET];
    /// How deliveries stand.
    AdminSubscriptions = "/admin/subscriptions" [GET];
    /// How those of one subscription stand.
    AdminSubscription = "/admin/subscriptions/{subscriptionId}" [GET];
    /// What could not be delivered.
    DeadLetters = "/admin/dead-letters" [GET DELETE];
    /// One of them.
    DeadLetter = "/admin/dead-letters/{letterId}" [GET DELETE];
    /// Trying some of them again.
    ReplayDeadLetters = "/admin/dead-letters/replay" [POST];
    /// Trying one again.
    ReplayDeadLetter = "/admin/dead-letters/{letterId}/replay" [POST];
    /// What is held of the past.
    AdminHistory = "/admin/history" [GET];
    /// What is recorded, and for how long.
    HistoryRules = "/admin/history/rules" [GET];
    /// The same of one type.
    HistoryRule = "/admin/history/rules/{type}" [GET PUT DELETE];
    /// What sources tell of subscriptions
    SourceInbox = "/ngsi-ld/ex/remote-notify" [POST];
    /// 6.4
    Entities = "/ngsi-ld/v1/entities" [GET POST DELETE];
    /// 6.5
    Entity = "/ngsi-ld/v1/entities/{entityId}" [GET PUT PATCH DELETE];
    /// 6.6
    EntityAttributes = "/ngsi-ld/v1/entities/{entityId}/attrs" [POST PATCH];
    /// 6.7
    EntityAttribute = "/ngsi-ld/v1/entities/{entityId}/attrs/{attrId}" [PUT PATCH DELETE];
    /// 6.10
    Subscriptions = "/ngsi-ld/v1/subscriptions" [GET POST];
    /// 6.11
    Subscription = "/ngsi-ld/v1/subscriptions/{subscriptionId}" [GET PATCH DELETE];
    /// Notifications as server-sent events
    SubscriptionEvents = "/ngsi-ld/v1/subscriptions/{subscriptionId}/events" [GET];
    /// 6.8
    CsourceRegistrations = "/ngsi-ld/v1/csourceRegistrations" [GET POST];
    /// 6.9
    CsourceRegistration = "/ngsi-ld/v1/csourceRegistrations/{registrationId}" [GET PATCH DELETE];
    /// 6.12
    CsourceSubscriptions = "/ngsi-ld/v1/csourceSubscriptions" [GET POST];
    /// 6.13
    CsourceSubscription = "/ngsi-ld/v1/csourceSubscriptions/{subscriptionId}" [GET PATCH DELETE];
    /// 6.14
    BatchCreate = "/ngsi-ld/v1/entityOperations/create" [POST];
    /// 6.15
    BatchUpsert = "/ngsi-ld/v1/entityOperations/upsert" [POST];
    /// 6.16
    BatchUpdate = "/ngsi-ld/v1/entityOperations/update" [POST];
    /// 6.17
    BatchDelete = "/ngsi-ld/v1/entityOperations/delete" [POST];
    /// 6.31
    BatchMerge = "/ngsi-ld/v1/entityOperations/merge" [POST];
    /// 6.23
    BatchQuery = "/ngsi-ld/v1/entityOperations/query" [POST];
    /// 6.18
    TemporalEntities = "/ngsi-ld/v1/temporal/entities" [GET POST];
    /// 6.19
    TemporalEntity = "/ngsi-ld/v1/temporal/entities/{entityId}" [GET DELETE];
    /// 6.20
    TemporalAttributes = "/ngsi-ld/v1/temporal/entities/{entityId}/attrs" [POST];
    /// 6.21
    TemporalAttribute = "/ngsi-ld/v1/temporal/entities/{entityId}/attrs/{attrId}" [DELETE];
    /// 6.22
    TemporalInstance = "/ngsi-ld/v1/temporal/entities/{entityId}/attrs/{attrId}/{instanceId}" [PATCH DELETE];
    /// 6.24
    TemporalQuery = "/ngsi-ld/v1/temporal/entityOperations/query" [POST];
    /// 6.25
    Types = "/ngsi-ld/v1/types" [GET];
    /// 6.26
    Type = "/ngsi-ld/v1/types/{type}" [GET];
    /// 6.27
    Attributes = "/ngsi-ld/v1/attributes" [GET];
    /// 6.28
    Attribute = "/ngsi-ld/v1/attributes/{attrId}" [GET];
    /// 6.29
    Contexts = "/ngsi-ld/v1/jsonldContexts" [GET POST];
    /// 6.30
    Context = "/ngsi-ld/v1/jsonldContexts/{contextId}" [GET DELETE];
    /// 6.34
    EntityMaps = "/ngsi-ld/v1/entityMaps" [GET POST];
    /// 6.32
    EntityMap = "/ngsi-ld/v1/entityMaps/{entityMapId}" [GET PATCH DELETE];
    /// 6.35
    TemporalEntityMaps = "/ngsi-ld/v1/temporal/entityMaps" [GET POST];
    /// 6.36
    Snapshots = "/ngsi-ld/v1/snapshots" [POST DELETE];
    /// 6.37
    Snapshot = "/ngsi-ld/v1/snapshots/{snapshotId}" [GET PATCH DELETE];
    /// 6.38
    SnapshotClone = "/ngsi-ld/v1/snapshots/{snapshotId}/clone" [POST];
    /// 6.33
    SourceIdentity = "/ngsi-ld/v1/info/sourceIdentity" [GET];
}

impl Place {
    /// The place of a path that has neither doubled nor trailing slashes.
    pub fn of(path: &str) -> Option<Self> {
        let Some(rest) = path.strip_prefix("/ngsi-ld/v1/") else {
            return Some(match path {
                "/" | "" => Self::Root,
                "/docs" => Self::Docs,
                "/openapi.json" => Self::OpenApi,
                "/health" => Self::Health,
                "/ready" => Self::Ready,
                "/metrics" => Self::Metrics,
                "/models" => Self::Models,
                "/derived" => Self::Derived,
                "/feeds" => Self::Feeds,
                "/ngsi-ld/ex/remote-notify" => Self::SourceInbox,
                path => {
                    let (first, rest) = path.strip_prefix('/')?.split_once('/')?;
                    return match first {
                        "admin" => Self::of_admin(rest),
                        "derived" => (!rest.contains('/')).then_some(Self::DerivedEntity),
                        "feeds" => Self::of_feed(rest),
                        "models" => Self::of_model(rest),
                        _ => None,
                    };
                }
            });
        };
        if let Some(id) = rest.strip_prefix("entities/")
            && memchr::memchr(b'/', id.as_bytes()).is_none()
        {
            // What is asked for most is found first.
            return Some(Self::Entity);
        }
        if let Some(rest) = rest.strip_prefix("temporal/") {
            return Self::of_temporal(rest);
        }
        let mut parts = rest.splitn(5, '/');
        let mut part = || parts.next();
        Some(match (part()?, part(), part(), part(), part()) {
            ("entities", None, ..) => Self::Entities,
            ("entities", Some(_), None, ..) => Self::Entity,
            ("entities", Some(_), Some("attrs"), None, _) => Self::EntityAttributes,
            ("entities", Some(_), Some("attrs"), Some(_), None) => Self::EntityAttribute,
            ("entityOperations", Some(operation), None, ..) => match operation {
                "create" => Self::BatchCreate,
                "upsert" => Self::BatchUpsert,
                "update" => Self::BatchUpdate,
                "delete" => Self::BatchDelete,
                "merge" => Self::BatchMerge,
                "query" => Self::BatchQuery,
                _ => return None,
            },
            ("subscriptions", None, ..) => Self::Subscriptions,
            ("subscriptions", Some(_), None, ..) => Self::Subscription,
            ("subscriptions", Some(_), Some("events"), None, _) => Self::SubscriptionEvents,
            ("csourceRegistrations", None, ..) => Self::CsourceRegistrations,
            ("csourceRegistrations", Some(_), None, ..) => Self::CsourceRegistration,
            ("csourceSubscriptions", None, ..) => Self::CsourceSubscriptions,
            ("csourceSubscriptions", Some(_), None, ..) => Self::CsourceSubscription,
            ("types", None, ..) => Self::Types,
            ("types", Some(_), None, ..) => Self::Type,
            ("attributes", None, ..) => Self::Attributes,
            ("attributes", Some(_), None, ..) => Self::Attribute,
            ("jsonldContexts", None, ..) => Self::Contexts,
            ("jsonldContexts", Some(_), None, ..) => Self::Context,
            ("entityMaps", None, ..) => Self::EntityMaps,
            ("entityMaps", Some(_), None, ..) => Self::EntityMap,
            ("snapshots", None, ..) => Self::Snapshots,
            ("snapshots", Some(_), None, ..) => Self::Snapshot,
            ("snapshots", Some(_), Some("clone"), None, _) => Self::SnapshotClone,
            ("info", Some("sourceIdentity"), None, ..) => Self::SourceIdentity,
            _ => return None,
        })
    }

    fn of_model(rest: &str) -> Option<Self> {
        Some(match rest.split_once('/') {
            None => match rest {
                "check" => Self::ModelsCheck,
                "findings" => Self::ModelsFindings,
                _ => Self::Model,
            },
            Some((_, "schema")) => Self::ModelSchema,
            Some((_, "example")) => Self::ModelExample,
            Some(_) => return None,
        })
    }

    fn of_feed(rest: &str) -> Option<Self> {
        Some(match rest.split_once('/') {
            None => Self::Feed,
            Some((_, "rejected")) => Self::FeedRejected,
            Some(_) => return None,
        })
    }

    /// The place of a path below `temporal`.
    fn of_temporal(rest: &str) -> Option<Self> {
        let mut parts = rest.splitn(6, '/');
        let mut part = || parts.next();
        Some(match (part()?, part(), part(), part(), part(), part()) {
            ("entities", None, ..) => Self::TemporalEntities,
            ("entities", Some(_), None, ..) => Self::TemporalEntity,
            ("entities", Some(_), Some("attrs"), None, ..) => Self::TemporalAttributes,
            // Without the name of an attribute there is no instance.
            ("entities", Some(_), Some("attrs"), Some(""), Some(_), None)
            | ("entities", Some(_), Some("attrs"), Some(_), None, _) => Self::TemporalAttribute,
            ("entities", Some(_), Some("attrs"), Some(_), Some(_), None) => Self::TemporalInstance,
            ("entityOperations", Some("query"), None, ..) => Self::TemporalQuery,
            ("entityMaps", None, ..) => Self::TemporalEntityMaps,
            _ => return None,
        })
    }

    fn of_admin(rest: &str) -> Option<Self> {
        let mut parts = rest.splitn(4, '/');
        Some(match (parts.next()?, parts.next(), parts.next(), parts.next()) {
            ("history", None, ..) => Self::AdminHistory,
            ("history", Some("rules"), None, _) => Self::HistoryRules,
            ("history", Some("rules"), Some(_), None) => Self::HistoryRule,
            ("subscriptions", None, ..) => Self::AdminSubscriptions,
            ("subscriptions", Some(_), None, _) => Self::AdminSubscription,
            ("dead-letters", None, ..) => Self::DeadLetters,
            ("dead-letters", Some("replay"), None, _) => Self::ReplayDeadLetters,
            ("dead-letters", Some(_), None, _) => Self::DeadLetter,
            ("dead-letters", Some(_), Some("replay"), None) => Self::ReplayDeadLetter,
            _ => return None,
        })
    }

    /// Whether an operation answers here, and not a page or a state of the server itself.
    pub const fn is_of_api(self) -> bool {
        !matches!(
            self,
            Self::Root | Self::Docs | Self::OpenApi | Self::Health | Self::Ready | Self::Metrics
        )
    }

    /// Whether an operation here works on the data of a snapshot, if the request names one (6.3.22).
    pub fn is_of_data(self) -> bool {
        matches!(
            self,
            Self::Entities
                | Self::Entity
                | Self::EntityAttributes
                | Self::EntityAttribute
                | Self::Subscriptions
                | Self::Subscription
                | Self::BatchCreate
                | Self::BatchUpsert
                | Self::BatchUpdate
                | Self::BatchDelete
                | Self::BatchMerge
                | Self::BatchQuery
                | Self::TemporalEntities
                | Self::TemporalEntity
                | Self::TemporalAttributes
                | Self::TemporalAttribute
                | Self::TemporalInstance
                | Self::TemporalQuery
                | Self::Types
                | Self::Type
                | Self::Attributes
                | Self::Attribute
                | Self::EntityMaps
                | Self::EntityMap
                | Self::TemporalEntityMaps
        )
    }

    /// What the header `Allow` says, HEAD and OPTIONS included.
    pub fn allow(self) -> String {
        let mut allow = String::new();
        for method in self.methods() {
            allow.push_str(method.as_str());
            allow.push_str(if method == Method::GET { ", HEAD, " } else { ", " });
        }
        allow + "OPTIONS"
    }
}

/// The path without a trailing slash, and without doubled ones before its resource; or nothing
/// when it has none, which is the usual case and costs one scan. Clients in the field send both.
/// Two slashes further on mean that an identifier is missing, which is for the operation to say.
pub fn tidied(path: &str) -> Option<String> {
    let trailing = path.len() > 1 && path.ends_with('/');
    let bytes = path.as_bytes();
    let doubled = bytes.windows(2).any(|pair| pair == b"//");
    if !trailing && !doubled {
        return None;
    }
    let mut tidy = String::with_capacity(path.len());
    let mut rest = path;
    // Three parts lead to the resource: /ngsi-ld/v1/entities.
    for _ in 0..3 {
        rest = rest.trim_start_matches('/');
        let (part, after) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if !part.is_empty() {
            tidy.push('/');
            tidy.push_str(part);
        }
        rest = after;
    }
    tidy.push_str(rest.strip_suffix('/').unwrap_or(rest));
    let tidy = if tidy.is_empty() { "/".to_owned() } else { tidy };
    (tidy != path).then_some(tidy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_leads_to_its_place() {
        for place in Place::ALL {
            let path: String = place
                .template()
                .split('/')
                .map(|part| if part.starts_with('{') { "urn:x:1" } else { part })
                .collect::<Vec<_>>()
                .join("/");
            assert_eq!(Place::of(&path), Some(*place), "{path}");
        }
    }

    #[test]
    fn other_paths_lead_nowhere() {
        for path in [
            "/ngsi-ld",
            "/ngsi-ld/v1",
            "/ngsi-ld/v1/entity",
            "/ngsi-ld/v1/entities/a/b",
            "/ngsi-ld/v1/entities/a/attrs/b/c",
            "/ngsi-ld/v1/entityOperations",
            "/ngsi-ld/v1/entityOperations/burn",
            "/ngsi-ld/v2/entities",
            "/healthy",
        ] {
            assert_eq!(Place::of(path), None, "{path}");
        }
    }

    #[test]
    fn slashes_are_tidied_only_where_there_are_too_many() {
        for (path, tidy) in [
            ("/ngsi-ld/v1/entities", None),
            ("/", None),
            ("/ngsi-ld/v1/entities/", Some("/ngsi-ld/v1/entities")),
            ("/ngsi-ld/v1//entities", Some("/ngsi-ld/v1/entities")),
            ("//", Some("/")),
            ("//ngsi-ld///v1/entities/", Some("/ngsi-ld/v1/entities")),
            ("/ngsi-ld/v1/entities//attrs/a", None),
            ("/ngsi-ld/v1/entities//attrs/", Some("/ngsi-ld/v1/entities//attrs")),
        ] {
            assert_eq!(tidied(path).as_deref(), tidy, "{path}");
        }
    }

    #[test]
    fn allow_names_what_is_answered() {
        assert_eq!(Place::Entities.allow(), "GET, HEAD, POST, DELETE, OPTIONS");
        assert_eq!(Place::BatchCreate.allow(), "POST, OPTIONS");
    }
}
