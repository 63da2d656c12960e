//! Distributed operations (4.3.6): what context sources that registered themselves have and do.
//!
//! A tenant without registrations pays one look at a number: its calls have no [`Origin`], and
//! nothing here is entered.

mod ask;
mod batch;
mod census;
mod failure;
mod maps;
mod order;
mod past;
mod planted;
mod purge;
mod reads;
mod receive;
mod reports;
mod subscribed;
mod writes;

use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{OnceCell, Semaphore};

use super::{Broker, Call, Error, RegistryFollower};
use crate::config;
use crate::egress::{Asker, Budget, Room};
use crate::federate::{Familiar, Patience, Register, Shelf, Via, Way, is_alias};
use crate::jsonld::Context;
use crate::model::{RegistrationId, TenantId, Timestamp};
use crate::represent::registration::Registration;
use crate::represent::subscription::DeliveryReport;

pub(super) use batch::{Intent, Kind};
pub use census::Inquiry;
pub use failure::{SourceFailure, Why};
pub(super) use past::{PastEverywhere, PastQuery};
pub use planted::INBOX;
pub(super) use reads::{Everywhere, Retrieved, held_here};
pub(super) use writes::{Body, Missing, Place, Telling, about, entity_path, past_path};
pub use writes::{Settled, Updated};

/// How many times as long as a request something may take that nobody waits for.
const UNHURRIED: u32 = 60;

/// The sources of all tenants, and how they are asked.
pub struct Federation {
    /// All registrations that can be used.
    pub register: Register,
    asker: Arc<dyn Asker>,
    settings: config::Federation,
    /// How deep and how large an answer may be.
    lanes: Semaphore,
    shelf: Shelf,
    /// What sources told before, word for word.
    familiar: Familiar,
    /// The memory that answers fill which are being read and put together.
    budget: Budget,
    /// The address under which sources reach this broker.
    base: String,
    planted: planted::Planted,
    /// What the names of this broker towards its tenants begin with, or are made from.
    seed: OnceCell<String>,
    /// Those names, as far as they were needed.
    aliases: RwLock<HashMap<TenantId, Arc<str>>>,
}

/// How a request came that may concern sources.
#[derive(Debug)]
pub struct Origin {
    pub via: Via,
    /// Those of its headers that registrations have passed on to their sources, names in lower case.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// When the answer has to be given.
    pub deadline: Instant,
    /// How long one source may take at most.
    pub patience: Duration,
    /// The source that told of what this is about: what it knows it has said, so it is not asked.
    pub told_by: Option<RegistrationId>,
    /// The name of this broker towards the tenant.
    pub alias: Arc<str>,
    /// The memory of the answers that the request is made of, until it is answered.
    pub held: Held,
}

/// The memory that a request has taken of what all have together.
#[derive(Debug, Default)]
pub struct Held(Mutex<Vec<Arc<Room>>>);

impl Held {
    /// Takes over the room of an answer.
    pub fn take(&self, room: Option<Arc<Room>>) {
        if let Some(room) = room {
            self.0.lock().push(room);
        }
    }

    /// Lets go of everything: the answers are not needed any more.
    pub fn let_go(&self) {
        self.0.lock().clear();
    }

    /// Whether nothing was taken so far.
    pub fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}

/// The headers of a request.
pub trait Headers<'h> {
    /// The values of a header, whatever the case of its name, as far as they are plain text.
    fn all(&self, name: &str) -> Vec<&'h str>;
}

impl Federation {
    /// No sources yet.
    pub fn new(asker: Arc<dyn Asker>, settings: config::Federation, base: String) -> Self {
        Self {
            register: Register::default(),
            asker,
            lanes: Semaphore::new(settings.in_flight.clamp(1, Semaphore::MAX_PERMITS)),
            shelf: Shelf::new(settings.cache.bytes()),
            familiar: Familiar::new(settings.familiar.bytes()),
            budget: Budget::new(settings.answers.bytes()),
            seed: OnceCell::new(),
            aliases: RwLock::default(),
            base,
            planted: planted::Planted::default(),
            settings,
        }
    }

    fn patience(&self) -> Patience {
        Patience { failures: self.settings.failures, pause: self.settings.pause }
    }

    /// Whether entities may lie at several sources, where a query does not say.
    pub fn splits_entities(&self) -> bool {
        self.settings.split_entities
    }
}

impl RegistryFollower for Federation {
    fn put(&self, tenant: &TenantId, registration: &Arc<Registration>) {
        self.register.put(tenant, registration.clone(), DeliveryReport::default());
    }

    fn remove(&self, tenant: &TenantId, id: &RegistrationId) {
        self.register.remove(tenant, id);
    }
}

impl Origin {
    /// The way up to here, and the name to go on with.
    pub fn way(&self) -> Way<'_> {
        Way { via: &self.via, alias: &self.alias }
    }

    /// How much time one source is given now.
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now()).min(self.patience)
    }
}

impl Broker {
    /// The sources.
    pub fn federation(&self) -> &Arc<Federation> {
        &self.federation
    }

    /// Whether a tenant has registrations: one look at a number where nobody has any.
    pub fn federates(&self, tenant: &TenantId) -> bool {
        self.federation.register.has(tenant)
    }

    /// How a request of a tenant that has sources came. Most concern none of them after all, so
    /// this does next to nothing; it is a matter of time only once for each tenant.
    pub async fn origin<'h>(
        &self,
        tenant: &TenantId,
        headers: &dyn Headers<'h>,
    ) -> Result<Arc<Origin>, Error> {
        let alias = self.alias(tenant).await?;
        Ok(self.origin_by(alias, tenant, headers))
    }

    /// The same without waiting, if the name of this broker towards the tenant is known.
    pub fn origin_at_once<'h>(
        &self,
        tenant: &TenantId,
        headers: &dyn Headers<'h>,
    ) -> Option<Arc<Origin>> {
        let alias = self.federation.aliases.read().get(tenant).cloned()?;
        Some(self.origin_by(alias, tenant, headers))
    }

    fn origin_by<'h>(
        &self,
        alias: Arc<str>,
        tenant: &TenantId,
        headers: &dyn Headers<'h>,
    ) -> Arc<Origin> {
        let via = Via::parse(headers.all("via").into_iter());
        let mut kept = Vec::new();
        for name in self.federation.register.passed_headers(tenant) {
            if name.eq_ignore_ascii_case("via") {
                continue;
            }
            let values = headers.all(&name).into_iter();
            kept.extend(values.map(|value| (name.to_lowercase().into(), value.into())));
        }
        let headers = kept;
        let patience = self.federation.settings.timeout;
        let deadline = Instant::now() + patience;
        let held = Held::default();
        Arc::new(Origin { via, headers, deadline, patience, told_by: None, alias, held })
    }

    /// A call that nobody waits for: with time enough for many pages of each source.
    pub(super) async fn unhurried(
        &self,
        tenant: &TenantId,
        context: &Arc<Context>,
        via: Via,
    ) -> Result<Call, Error> {
        let origin = match self.federation.register.has(tenant) {
            true => {
                let patience = self.federation.settings.timeout;
                let deadline = Instant::now() + patience.saturating_mul(UNHURRIED);
                let alias = self.alias(tenant).await?;
                let (headers, held) = (Vec::new(), Held::default());
                Some(Arc::new(Origin {
                    via,
                    headers,
                    deadline,
                    patience,
                    told_by: None,
                    alias,
                    held,
                }))
            }
            false => None,
        };
        let (tenant, context) = (tenant.clone(), context.clone());
        Ok(Call { tenant, now: Timestamp::now(), context, origin })
    }

    /// The name of this broker towards a tenant, by which loops are noticed (5.2.40).
    pub async fn alias(&self, tenant: &TenantId) -> Result<Arc<str>, Error> {
        if let Some(known) = self.federation.aliases.read().get(tenant) {
            return Ok(known.clone());
        }
        let own = self.federation.settings.alias.as_deref().filter(|own| is_alias(own));
        let seed = self.federation.seed.get_or_try_init(|| self.identity()).await?;
        let alias: Arc<str> = super::source_identity::alias_of(own, seed, tenant).into();
        if self.federation.register.has(tenant) {
            self.federation.aliases.write().insert(tenant.clone(), alias.clone());
        }
        Ok(alias)
    }
}

impl Call {
    /// What sources answered to it so far is not needed any more.
    pub(super) fn let_go(&self) {
        if let Some(origin) = self.origin() {
            origin.held.let_go();
        }
    }

    /// How the request came, if it may concern sources.
    pub(super) fn origin(&self) -> Option<&Origin> {
        self.origin.as_deref()
    }
}

/// Nothing is left out without a word.
fn too_far(most: usize) -> Error {
    Error::TooManyResults(format!(
        "more than {most} entities lie at one place, which is as far as sources are read for one \
         answer: narrow the query down, or read it by pages with entityMap=true and without count"
    ))
}
