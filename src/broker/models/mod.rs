//! Models of data at the door: which model applies to an entity, what follows from it, and what
//! was found.

mod findings;
mod operations;
mod rules;
#[cfg(test)]
mod tests;
mod warned;

use std::path::{Path, PathBuf};
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
use crate::model::{
    AttrName, Entity, EntityId, Instance, NotATenant, Refusal, TenantId, Timestamp, TypeName,
    Violation,
};
use crate::schema::{Model, ModelError, shipped_for};
use crate::store::{Guard, Told};

/// The models of all tenants, and what applies to whom. Entities are shown to it by the store.
pub struct Models {
    settings: config::Models,
    /// From the folder.
    installed: Installed,
    tenants: ArcSwap<FxHashMap<TenantId, Arc<TenantRules>>>,
    /// How many types an entity may have.
    most_types: usize,
    findings: Mutex<Findings>,
    warned: Warned,
}

/// Models by every name of their types.
type ByType = FxHashMap<TypeName, Arc<Model>>;

/// The models of a folder: those in it are for all tenants, those in a folder within it for the
/// tenant that it is called like.
#[derive(Default)]
struct Installed {
    all: ByType,
    tenants: FxHashMap<TenantId, ByType>,
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
    #[error("the folder {folder} is called like no tenant: {why}")]
    NotATenant { folder: String, why: NotATenant },
}

impl Models {
    /// The shipped models and those of the configured folder.
    ///
    /// # Errors
    /// If a file of the folder is no model.
    pub fn new(settings: &config::Models) -> Result<Self, FolderError> {
        let installed = match &settings.folder {
            None => Installed::default(),
            Some(folder) => Installed::read(folder)?,
        };
        Ok(Self {
            findings: Mutex::new(Findings::new(settings.findings)),
            warned: Warned::default(),
            settings: settings.clone(),
            installed,
            tenants: ArcSwap::default(),
            most_types: usize::MAX,
        })
    }

    /// Refuses entities that would have more types than that, as many as several writes gave them.
    pub fn with_type_limit(mut self, most: usize) -> Self {
        self.most_types = most;
        self
    }

    /// What applies to an entity of a type: its model, and what follows from it.
    fn applying(
        &self,
        tenant: &TenantId,
        rules: Option<&TenantRules>,
        name: TypeName,
    ) -> Option<(ModelRef, Validation)> {
        let model = self.model_of(tenant, rules, name)?;
        let decided = rules.and_then(|rules| rules.validation(&model.name));
        Some((model, decided.unwrap_or(self.settings.validation)))
    }

    /// The model that a tenant has of a type.
    pub fn of_type(&self, tenant: &TenantId, name: TypeName) -> Option<ModelRef> {
        self.model_of(tenant, self.rules(tenant).as_deref(), name)
    }

    /// The model of a type: the tenant's own, or of the folder, or a shipped one.
    fn model_of(
        &self,
        tenant: &TenantId,
        rules: Option<&TenantRules>,
        name: TypeName,
    ) -> Option<ModelRef> {
        let own = rules.and_then(|rules| rules.own.get(&name));
        match own.or_else(|| self.installed.of(tenant, name)) {
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
        judged: Judged<'_>,
        model: &Model,
        refused: bool,
        what: &[Violation],
    ) {
        let finding = Finding {
            at: Timestamp::now(),
            id: judged.id.clone(),
            model: model.name.clone(),
            refused,
            violations: what.into(),
        };
        if !refused {
            // What an operation changes bears its time.
            self.warned.add(tenant, judged.at, finding.clone());
        }
        self.findings.lock().note(tenant, finding);
    }

    /// Asks the models of some types, and does what follows from what they say.
    fn judge(
        &self,
        tenant: &TenantId,
        judged: Judged<'_>,
        ask: impl Fn(&Model) -> Vec<Violation>,
    ) -> Result<(), Refusal> {
        let tenants = self.tenants.load();
        // In a snapshot holds what its tenant decided.
        let home = tenant.snapshot_of();
        let home = home.as_ref().unwrap_or(tenant);
        let rules = tenants.get(home).map(|rules| &**rules);
        if self.is_idle(rules) {
            return Ok(());
        }
        for (place, name) in judged.types.iter().enumerate() {
            if judged.types[..place].contains(name) {
                continue;
            }
            let Some((model, validation)) = self.applying(home, rules, *name) else { continue };
            if validation == Validation::Off {
                continue;
            }
            let violations = ask(&model);
            if violations.is_empty() {
                self.findings.lock().pass(&model.name);
                continue;
            }
            let refused = validation == Validation::Enforce;
            self.note(tenant, judged, &model, refused, &violations);
            if refused {
                let (id, model) = (judged.id.clone(), model.name.clone());
                return Err(Refusal::Unfit { id, model, violations });
            }
        }
        Ok(())
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
        let most = self.most_types;
        if after.types.as_slice().len() > most {
            let why = format!("an entity may have at most {most} types here (limits.types)");
            return Err(Refusal::Incomplete(why));
        }
        let judged = Judged { id: &after.id, types: after.types.as_slice(), at: after.modified_at };
        self.judge(tenant, judged, |model| model.check(after))
    }

    fn check_past(&self, tenant: &TenantId, told: Told<'_>) -> Result<(), Refusal> {
        let held = |name, instance: &Instance| {
            let attribute = told.entity.and_then(|entity| entity.attributes.get(name));
            attribute.and_then(|attribute| attribute.instance(instance.dataset())).is_some_and(
                |own| {
                    own.datum == instance.datum
                        && own.unit == instance.unit
                        && own.observed_at == instance.observed_at
                },
            )
        };
        // What the entity becomes by it was judged with it.
        let rest = told.attributes.iter().flat_map(|(name, all)| {
            all.iter().filter(|one| !held(*name, one)).map(|one| (*name, one))
        });
        let rest: Vec<(AttrName, &Instance)> = rest.collect();
        if rest.is_empty() {
            return Ok(());
        }
        let judged = Judged { id: told.id, types: told.types, at: told.now };
        self.judge(tenant, judged, |model| model.check_instances(&rest))
    }
}

/// What is judged: an entity, or what is told of its past.
#[derive(Clone, Copy)]
struct Judged<'j> {
    id: &'j EntityId,
    types: &'j [TypeName],
    /// When the operation began.
    at: Timestamp,
}

impl Installed {
    /// The model of a type that a tenant has from the folder.
    fn of(&self, tenant: &TenantId, name: TypeName) -> Option<&Arc<Model>> {
        let own = self.tenants.get(tenant).and_then(|models| models.get(&name));
        own.or_else(|| self.all.get(&name))
    }

    /// All that a tenant has from the folder, its own last.
    fn seen_by(&self, tenant: &TenantId) -> impl Iterator<Item = &Arc<Model>> {
        let own = self.tenants.get(tenant).into_iter().flat_map(FxHashMap::values);
        self.all.values().chain(own)
    }

    fn read(folder: &Path) -> Result<Self, FolderError> {
        let (all, folders) = read_folder(folder)?;
        let mut tenants = FxHashMap::default();
        for own in folders {
            let name = own.file_name().unwrap_or_default().to_string_lossy();
            let tenant = TenantId::named(&name).map_err(|why| FolderError::NotATenant {
                folder: own.display().to_string(),
                why,
            })?;
            tenants.insert(tenant, read_folder(&own)?.0);
        }
        Ok(Self { all, tenants })
    }
}

/// The models of a folder, and the folders in it. Files that are not `.json` and whatever is hidden
/// are left alone.
fn read_folder(folder: &Path) -> Result<(ByType, Vec<PathBuf>), FolderError> {
    let unreadable = |why| FolderError::Unreadable { folder: folder.display().to_string(), why };
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if path.is_dir() {
            folders.push(path);
        } else if path.extension().is_some_and(|extension| extension == "json") {
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
    Ok((models, folders))
}
