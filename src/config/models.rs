//! Models of data, and what follows when an entity is not as its model says.

use std::path::PathBuf;

use super::{Value, section::settings};

settings! {
    /// Models of data, and what follows when an entity is not as its model says.
    pub struct Models = "models" {
        /// What happens to entities that are not as the model of their type says, where a tenant
        /// decided nothing: `off`, nobody looks; `warn`, they are taken and counted; `enforce`,
        /// they are refused. Types without a model always pass.
        #[flag = "validation"]
        validation: Validation = Validation::Warn,
        /// A folder with further models, each a JSON Schema in a file of its own; they come before
        /// the ones that are shipped. Those in a folder within it are for the tenant that it is
        /// called like.
        folder: Option<PathBuf> = None,
        /// How many models of its own a tenant may have.
        tenant_models: usize = 500,
        /// How many entities that were not as their models say are remembered, with the reasons.
        findings: usize = 1_000,
    }
}

/// What happens to an entity that is not as its model says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Validation {
    /// Nobody looks.
    Off,
    /// It is taken, and counted.
    Warn,
    /// It is refused.
    Enforce,
}

impl Validation {
    /// Every choice.
    pub const ALL: [Validation; 3] = [Self::Off, Self::Warn, Self::Enforce];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Enforce => "enforce",
        }
    }

    /// What a word stands for.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|validation| validation.word() == word)
    }
}

impl Value for Validation {
    const HINT: &'static str = "off, warn or enforce";
    const NAME: &'static str = "WHAT";

    fn from_text(text: &str) -> Result<Self, String> {
        Self::from_word(text).ok_or_else(String::new)
    }

    fn show(&self) -> Option<toml::Value> {
        Some(self.word().into())
    }
}
