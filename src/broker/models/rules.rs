//! What a tenant decided: models of its own, and what follows from which model.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::config::Validation;
use crate::jsonld::Context;
use crate::model::{TenantId, TypeName};
use crate::schema::Model;
use crate::store::{Records, Shelf, Store, StoreError};

/// The key of what applies to all models of a tenant.
pub(super) const EVERY_MODEL: &str = "*";

/// What a tenant decided.
#[derive(Default, Clone)]
pub(super) struct TenantRules {
    /// Models of its own, by every name of their types.
    pub own: FxHashMap<TypeName, Arc<Model>>,
    /// What follows, by the short name of the model.
    validation: FxHashMap<Box<str>, Validation>,
}

/// A decision as it is kept.
#[derive(Serialize, Deserialize)]
pub(super) struct Decision {
    pub validation: String,
}

/// What the shelves are called.
pub(in crate::broker) const MODELS: &str = "models";
pub(in crate::broker) const VALIDATION: &str = "validation";

/// The shelf of a tenant's own models, by their short names.
pub(super) fn models_shelf(tenant: &TenantId) -> Shelf {
    Shelf::of(tenant, MODELS)
}

/// The shelf of a tenant's decisions, by the short names of models.
pub(super) fn decisions_shelf(tenant: &TenantId) -> Shelf {
    Shelf::of(tenant, VALIDATION)
}

/// Adds a model under every name of its type.
pub(super) fn add(models: &mut FxHashMap<TypeName, Arc<Model>>, model: Arc<Model>) {
    for name in model.other_names() {
        models.entry(*name).or_insert_with(|| model.clone());
    }
    models.insert(model.type_name, model);
}

impl TenantRules {
    /// What the store keeps of a tenant's decisions.
    pub async fn load(store: &dyn Store, tenant: &TenantId) -> Result<Self, StoreError> {
        let mut rules = Self::default();
        for (name, schema) in store.records(&models_shelf(tenant)).await? {
            match Model::read(schema, &Context::core()) {
                Ok(model) => add(&mut rules.own, Arc::new(model)),
                // It was a model when it was taken; the others must not suffer.
                Err(why) => tracing::error!(%why, "the model {name} of a tenant cannot be used"),
            }
        }
        let decisions: Records<'_, Decision> = Records::on(store, decisions_shelf(tenant));
        for (name, decision) in decisions.all().await? {
            if let Some(validation) = Validation::from_word(&decision.validation) {
                rules.validation.insert(name.into(), validation);
            }
        }
        Ok(rules)
    }

    /// What follows from a model, if the tenant decided.
    pub fn validation(&self, model: &str) -> Option<Validation> {
        self.validation.get(model).or_else(|| self.validation.get(EVERY_MODEL)).copied()
    }

    /// The tenant's own model of this short name.
    pub fn named(&self, name: &str) -> Option<&Arc<Model>> {
        self.own.values().find(|model| *model.name == *name)
    }

    /// The short names of the tenant's own models.
    pub fn names(&self) -> BTreeSet<&str> {
        self.own.values().map(|model| &*model.name).collect()
    }

    /// Whether the tenant decided nothing but to let everything pass.
    pub fn is_idle(&self) -> bool {
        self.validation.values().all(|validation| *validation == Validation::Off)
    }

    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.validation.is_empty()
    }
}
