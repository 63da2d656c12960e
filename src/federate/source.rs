//! A registered source as it is asked: what it registered, how it fares, what it answered lately.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::answers::Answers;
use super::health::Health;
use crate::egress::Budget;
use crate::model::{Datum, Name, Value};
use crate::represent::registration::{Mode, Operation, Registration};

/// A registered source.
#[derive(Debug)]
pub struct Source {
    pub registration: Arc<Registration>,
    /// The address that paths of the API are appended to.
    base: Box<str>,
    pub health: Health,
    /// What it answered and may be used again.
    pub answers: Answers,
    /// What its answers may take of the memory for those of all.
    share: OnceLock<Budget>,
}

/// The member of RegistrationManagementInfo, where it stands as a property.
const LOCAL_ONLY: &str = "https://uri.etsi.org/ngsi-ld/localOnly";

/// Where the API begins below an endpoint.
const ROOT: &str = "/ngsi-ld/v1";

impl Source {
    /// A source that begins to fare as it did before.
    pub fn new(registration: Arc<Registration>, health: Health) -> Self {
        // An endpoint that names the root of the API already means the same.
        let endpoint = registration.endpoint.trim_end_matches('/');
        let endpoint = endpoint.strip_suffix(ROOT).unwrap_or(endpoint).trim_end_matches('/');
        Self {
            base: [endpoint, ROOT].concat().into(),
            registration,
            health,
            answers: Answers::default(),
            share: OnceLock::new(),
        }
    }

    /// What its answers may take of the memory that there is for those of all sources: so much that
    /// one of them alone cannot fill it.
    pub fn share(&self, of_all: &Budget, bytes: usize) -> &Budget {
        self.share.get_or_init(|| of_all.share(bytes / 2))
    }

    /// The id of the registration.
    pub fn id(&self) -> &str {
        self.registration.id.as_str()
    }

    /// How its data stand to those that are here.
    pub fn mode(&self) -> Mode {
        self.registration.mode
    }

    /// Whether it says of any of its entities which they are: by an id, or by a pattern.
    pub fn names_entities(&self) -> bool {
        let infos = self.registration.information.iter();
        infos
            .flat_map(|info| &info.entities)
            .any(|one| one.id.is_some() || one.id_pattern.is_some())
    }

    /// Whether it can be asked for this.
    pub fn supports(&self, operation: Operation) -> bool {
        self.registration.supports(operation)
    }

    /// The first of these that it can be asked for.
    pub fn first_of(&self, operations: &[Operation]) -> Option<Operation> {
        operations.iter().copied().find(|operation| self.supports(*operation))
    }

    /// The URL of a path below the root of the API.
    pub fn url(&self, path: &str) -> String {
        [&self.base, path].concat()
    }

    /// Whether it is asked for what it has itself only. Taken where it stands as a property of the
    /// source's own, too.
    pub fn is_asked_alone(&self) -> bool {
        let said = |name| {
            let attribute = self.registration.described.attributes.get(name)?;
            let own = attribute.instances().first()?;
            Some(matches!(own.datum, Datum::Property(Value::Bool(true))))
        };
        self.registration.management.local_only
            || Name::known(LOCAL_ONLY).and_then(said).unwrap_or(false)
    }

    /// How long it may take to answer, of the time that there is.
    pub fn patience(&self, most: Duration) -> Duration {
        self.registration.management.timeout.map_or(most, |own| own.min(most))
    }
}
