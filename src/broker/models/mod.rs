//! Models of data at the door: which model applies to an entity, what follows from it, and what
//! was found.

mod findings;
mod operations;
mod rules;
#[cfg(test)]
mod tests;
mod warned;

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

pub use findings::{Counts, Finding};
pub use operations::{Checked, ModelEntry, ModelRef};

use self::findings::Findings;
use self::rules::TenantRules;
pub(super) use self::rules::{MODELS, VALIDATION};
use self::warned::Warned;
use crate::config;
use crate::config::Validation;
use crate::jsonld::Context;
use crate::model::{Entity, Refusal, TenantId, Timestamp, TypeName, Violation};
use crate::schema::{Model, ModelError, shipped_for};
use crate::store::Guard;

/// The models of all tenants, and what applies to whom. Entities are shown to it by the store.
pub struct Models {
    settings: config::Models,
    /// From the folder, by every name of their types.
    installed: FxHashMap<TypeName, Arc<Model>>,
    tenants: ArcSwap<FxHashMap<TenantId, Arc<TenantRules>>>,
    findings: Mutex<Findings>,
    warned: Warned,
}

/// Why the models of a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("the models in {folder} cannot be read: {why}")]
    Unreadable { folder: String, why: std::io::Error },
    #[error("{file} is no JSON: {why}")]
    NotJson { file: String, why: serde_json::Error },
    #[error("{file} is no model: {why}")]
    NotAModel { file: String, why: ModelError },
}

impl Models {
    /// The shipped models and those of the configured folder.
    ///
    /// # Errors
    /// If a file of the folder is no model.
    pub fn new(settings: &config::Models) -> Result<Self, FolderError> {
        let installed = match &settings.folder {
            None => FxHashMap::default(),
            Some(folder) => read_folder(folder)?,
        };
        Ok(Self {
            findings: Mutex::new(Findings::new(settings.findings)),
            warned: Warned::default(),
            settings: settings.clone(),
            installed,
            tenants: ArcSwap::default(),
        })
    }

    /// What applies to an entity of a type: its model, and what follows from it.
    fn applying(
        &self,
        rules: Option<&TenantRules>,
        name: TypeName,
    ) -> Option<(ModelRef, Validation)> {
        let model = self.model_of(rules, name)?;
        let decided = rules.and_then(|rules| rules.validation(&model.name));
        Some((model, decided.unwrap_or(self.settings.validation)))
    }

    /// The model of a type: the tenant's own, or of the folder, or a shipped one.
    fn model_of(&self, rules: Option<&TenantRules>, name: TypeName) -> Option<ModelRef> {
        let own = rules.and_then(|rules| rules.own.get(&name));
        match own.or_else(|| self.installed.get(&name)) {
            Some(model) => Some(ModelRef::Added(model.clone())),
            None => shipped_for(name).map(ModelRef::Shipped),
        }
    }

    /// Whether anything that is not `off` could apply in this tenant.
    fn is_idle(&self, rules: Option<&TenantRules>) -> bool {
        self.settings.validation == Validation::Off && rules.is_none_or(TenantRules::is_idle)
    }

    fn rules(&self, tenant: &TenantId) -> Option<Arc<TenantRules>> {
        self.tenants.load().get(tenant).cloned()
    }

    fn note(
        &self,
        tenant: &TenantId,
        entity: &Entity,
        model: &Model,
        refused: bool,
        what: &[Violation],
    ) {
        let finding = Finding {
            at: Timestamp::now(),
            id: entity.id.clone(),
            model: model.name.clone(),
            refused,
            violations: what.into(),
        };
        if !refused {
            // What an operation changes bears its time.
            self.warned.add(tenant, entity.modified_at, finding.clone());
        }
        self.findings.lock().note(tenant, finding);
    }

    /// What was found in entities that were taken all the same, of what an operation of this time
    /// wrote; told once.
    pub fn warnings(&self, tenant: &TenantId, now: Timestamp) -> Vec<Finding> {
        self.warned.take(tenant, now)
    }

    /// How many entities were checked, by model and outcome, of all tenants together.
    pub fn counts(&self) -> Vec<(Box<str>, Counts)> {
        self.findings.lock().counts()
    }
}

impl Guard for Models {
    fn check(&self, tenant: &TenantId, after: &Entity) -> Result<(), Refusal> {
        let tenants = self.tenants.load();
        let rules = tenants.get(tenant).map(|rules| &**rules);
        if self.is_idle(rules) {
            return Ok(());
        }
        for name in after.types.as_slice() {
            let Some((model, validation)) = self.applying(rules, *name) else { continue };
            if validation == Validation::Off {
                continue;
            }
            let violations = model.check(after);
            if violations.is_empty() {
                self.findings.lock().pass(&model.name);
                continue;
            }
            let refused = validation == Validation::Enforce;
            self.note(tenant, after, &model, refused, &violations);
            if refused {
                let (id, model) = (after.id.clone(), model.name.clone());
                return Err(Refusal::Unfit { id, model, violations });
            }
        }
        Ok(())
    }
}

/// The models of a folder, by every name of their types. Files that are not `.json` are left alone.
fn read_folder(folder: &Path) -> Result<FxHashMap<TypeName, Arc<Model>>, FolderError> {
    let unreadable = |why| FolderError::Unreadable { folder: folder.display().to_string(), why };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    let mut models = FxHashMap::default();
    for path in files {
        let file = path.display().to_string();
        let text = std::fs::read(&path).map_err(unreadable)?;
        let schema = serde_json::from_slice(&text)
            .map_err(|why| FolderError::NotJson { file: file.clone(), why })?;
        let model = Model::read(schema, &Context::core())
            .map_err(|why| FolderError::NotAModel { file, why })?;
        rules::add(&mut models, Arc::new(model));
    }
    Ok(models)
}
