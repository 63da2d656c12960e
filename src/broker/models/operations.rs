//! Listing, showing, adding and removing models; deciding what follows from them; checking
//! entities without keeping them.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use serde_json::Value;

use super::rules::{Decision, EVERY_MODEL, TenantRules, decisions_shelf, models_shelf};
use super::{Finding, Models};
use crate::broker::{Broker, Call, Error};
use crate::config::Validation;
use crate::jsonld::{Context, Document};
use crate::model::{Entity, EntityId, TenantId, Violation};
use crate::represent::Reading;
use crate::schema::{Model, Shipped, shipped};
use crate::store::{Records, Store, StoreError};

/// A model, whoever holds it.
#[derive(Clone)]
pub enum ModelRef {
    Shipped(&'static Shipped),
    /// Of the tenant, or of the folder.
    Added(Arc<Model>),
}

impl Deref for ModelRef {
    type Target = Model;

    fn deref(&self) -> &Model {
        match self {
            Self::Shipped(shipped) => shipped.model(),
            Self::Added(model) => model,
        }
    }
}

/// A model and what follows from it.
pub struct ModelEntry {
    pub model: ModelRef,
    pub validation: Validation,
    /// Whether it is the tenant's own.
    pub own: bool,
}

impl ModelEntry {
    /// An entity that is as the model says, if one is known.
    pub fn example(&self) -> Option<Value> {
        match &self.model {
            ModelRef::Shipped(shipped) => Some(shipped.example()),
            ModelRef::Added(_) => None,
        }
    }
}

/// What a check found in an entity.
pub struct Checked {
    pub id: EntityId,
    /// The short name of each model that applies, and what is wrong.
    pub models: Vec<(Box<str>, Vec<Violation>)>,
}

impl Broker {
    /// Every model that a tenant sees, by short name.
    pub fn list_models(&self, tenant: &TenantId) -> Vec<ModelEntry> {
        self.models.list(tenant)
    }

    /// The model of this short name.
    pub fn show_model(&self, tenant: &TenantId, name: &str) -> Result<ModelEntry, Error> {
        let found = self.models.list(tenant).into_iter().find(|entry| *entry.model.name == *name);
        found.ok_or_else(|| Error::NotFound(format!("there is no model {name}")))
    }

    /// Takes a model of the tenant's own, in place of another of the same name. True if there was
    /// none. Names without an IRI of their own mean what the `@context` of the request says.
    pub async fn put_model(&self, call: &Call, name: &str, schema: Value) -> Result<bool, Error> {
        let model =
            Model::read(schema, &call.context).map_err(|why| Error::bad(why.to_string()))?;
        if *model.name != *name {
            let title = &model.name;
            return Err(Error::bad(format!("the title of the schema is {title}, not {name}")));
        }
        let own = self.models.rules(&call.tenant).map_or(0, |rules| rules.names().len());
        let is_new =
            self.models.rules(&call.tenant).is_none_or(|rules| rules.named(name).is_none());
        if is_new && own >= self.models.settings.tenant_models {
            return Err(Error::TooManyResults(format!("a tenant may have {own} models")));
        }
        let record = with_names(&model);
        self.store.put_record(&models_shelf(&call.tenant), name, record).await?;
        self.models.refresh(&*self.store, &call.tenant).await?;
        Ok(is_new)
    }

    /// Removes a model of the tenant's own.
    pub async fn delete_model(&self, tenant: &TenantId, name: &str) -> Result<(), Error> {
        if !self.store.take_record(&models_shelf(tenant), name).await? {
            return Err(Error::NotFound(format!("the tenant has no model {name} of its own")));
        }
        Ok(self.models.refresh(&*self.store, tenant).await?)
    }

    /// Decides what follows from a model, or from all that nothing else was decided of.
    pub async fn decide_validation(
        &self,
        tenant: &TenantId,
        name: Option<&str>,
        validation: Option<Validation>,
    ) -> Result<(), Error> {
        if let Some(name) = name {
            self.show_model(tenant, name)?;
        }
        let key = name.unwrap_or(EVERY_MODEL);
        let decisions: Records<'_, Decision> = Records::on(&*self.store, decisions_shelf(tenant));
        match validation {
            Some(validation) => {
                let decision = Decision { validation: validation.word().to_owned() };
                decisions.put(key, &decision).await?;
            }
            None => drop(decisions.take(key).await?),
        }
        Ok(self.models.refresh(&*self.store, tenant).await?)
    }

    /// The last entities of a tenant that were not as their models say, newest first.
    pub fn findings(
        &self,
        tenant: &TenantId,
        model: Option<&str>,
        entity: Option<&str>,
        limit: usize,
    ) -> Vec<Finding> {
        self.models.findings.lock().of(tenant, model, entity, limit)
    }

    /// What the models say of an entity that is not kept.
    pub fn check_entity(&self, tenant: &TenantId, entity: &Entity) -> Checked {
        let rules = self.models.rules(tenant);
        let models = entity.types.as_slice().iter().filter_map(|name| {
            let model = self.models.model_of(tenant, rules.as_deref(), *name)?;
            Some((model.name.clone(), model.check(entity)))
        });
        Checked { id: entity.id.clone(), models: models.collect() }
    }

    /// What the models say of an entity in any representation that can be created.
    pub fn check_document(
        &self,
        tenant: &TenantId,
        document: &Document<'_>,
        context: &Context,
    ) -> Result<Checked, Error> {
        let entity = self.reader_by(context, Reading::Whole).entity(document)?;
        Ok(self.check_entity(tenant, &entity))
    }

    /// The models at the door.
    pub fn models(&self) -> &Models {
        &self.models
    }
}

impl Models {
    /// Reads what all tenants decided.
    pub async fn load(&self, store: &dyn Store) -> Result<(), StoreError> {
        for tenant in store.tenants().await? {
            self.refresh(store, &tenant).await?;
        }
        Ok(())
    }

    /// Reads what a tenant decided anew.
    pub async fn refresh(&self, store: &dyn Store, tenant: &TenantId) -> Result<(), StoreError> {
        let rules = match TenantRules::load(store, tenant).await {
            Err(StoreError::UnknownTenant(_)) => TenantRules::default(),
            rules => rules?,
        };
        let rules = Arc::new(rules);
        self.tenants.rcu(|tenants| {
            let mut tenants = (**tenants).clone();
            match rules.is_empty() {
                true => tenants.remove(tenant),
                false => tenants.insert(tenant.clone(), rules.clone()),
            };
            tenants
        });
        Ok(())
    }

    /// Every model that a tenant sees, by short name.
    pub fn list(&self, tenant: &TenantId) -> Vec<ModelEntry> {
        let rules = self.rules(tenant);
        let mut entries: BTreeMap<Box<str>, (ModelRef, bool)> = shipped()
            .iter()
            .map(|shipped| (shipped.name.into(), (ModelRef::Shipped(shipped), false)))
            .collect();
        for model in self.installed.seen_by(tenant) {
            entries.insert(model.name.clone(), (ModelRef::Added(model.clone()), false));
        }
        for model in rules.iter().flat_map(|rules| rules.own.values()) {
            entries.insert(model.name.clone(), (ModelRef::Added(model.clone()), true));
        }
        let entries = entries.into_iter().map(|(name, (model, own))| {
            let decided = rules.as_ref().and_then(|rules| rules.validation(&name));
            let validation = decided.unwrap_or(self.settings.validation);
            ModelEntry { model, validation, own }
        });
        entries.collect()
    }
}

/// The schema of a model with the IRIs of its names written down, so that it means the same
/// without the context that it came with.
fn with_names(model: &Model) -> Value {
    let mut schema = model.schema().clone();
    schema["x-iri"] = model.type_name.as_str().into();
    for property in model.properties() {
        if let Some(Value::Object(members)) = schema["properties"].get_mut(&*property.term) {
            members.insert("x-iri".to_owned(), property.name.as_str().into());
        }
    }
    schema
}
