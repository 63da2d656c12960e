//! What history keeps of an entity beside its series.

use super::series::Line;
use crate::model::{
    AttrName, Chapter, EntityId, Instances, OneOrMany, ScopeChange, Timestamp, TypeName,
};
use crate::store::StoreError;
use crate::store::record::Damaged;

/// An entity as history knows it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::store) struct Head {
    pub created_at: Timestamp,
    /// When history was changed by itself; the entity may have been modified later.
    pub modified_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
    /// The entity came into being by being told of, and nobody wrote to it since.
    pub told: bool,
    /// Every type it had.
    pub types: Vec<TypeName>,
    /// Its series, in the order they began.
    pub lines: Vec<Line>,
}

impl Head {
    /// Of an entity that nothing was known of.
    pub fn new(created_at: Timestamp) -> Self {
        Self {
            created_at,
            modified_at: created_at,
            deleted_at: None,
            told: false,
            types: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// Adds types; whether any is new.
    pub fn add_types(&mut self, types: &[TypeName]) -> bool {
        let before = self.types.len();
        for name in types {
            if !self.types.contains(name) {
                self.types.push(*name);
            }
        }
        self.types.len() > before
    }

    /// Adds a line; whether it is new.
    pub fn add_line(&mut self, line: &Line) -> bool {
        let new = !self.lines.contains(line);
        if new {
            self.lines.push(line.clone());
        }
        new
    }

    /// Takes lines away.
    pub fn forget_lines(&mut self, lines: &[Line]) {
        self.lines.retain(|line| !lines.contains(line));
    }

    /// The lines of an attribute that are meant.
    pub fn lines_of(&self, attribute: AttrName, instances: &Instances) -> Vec<Line> {
        let meant = |line: &&Line| {
            line.series().is_some_and(|series| {
                series.attribute == attribute
                    && match instances {
                        Instances::All => true,
                        Instances::Default => series.dataset.is_none(),
                        Instances::Dataset(id) => series.dataset.as_ref() == Some(id),
                    }
            })
        };
        self.lines.iter().filter(meant).cloned().collect()
    }

    /// The entity's chapter, with these changes of scope.
    ///
    /// # Errors
    /// [`StoreError::Broken`] if the entity has no type.
    pub fn chapter(self, id: EntityId, scopes: Vec<ScopeChange>) -> Result<Chapter, StoreError> {
        let types = OneOrMany::from_vec(self.types)
            .ok_or(Damaged("the history of an entity has no type"))?;
        Ok(Chapter {
            id,
            types,
            created_at: self.created_at,
            modified_at: self.modified_at,
            deleted_at: self.deleted_at,
            scopes,
        })
    }
}
