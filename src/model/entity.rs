//! The Entity (4.5.1, 5.2.4).

use std::sync::Arc;

use super::{Attributes, EntityId, OneOrMany, Rendered, Scope, Timestamp, TypeName};

/// An Entity with expanded names. At least one type; attributes in the order they came.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    pub id: EntityId,
    /// Never empty.
    pub types: OneOrMany<TypeName>,
    pub scopes: Vec<Scope>,
    pub attributes: Attributes,
    pub created_at: Timestamp,
    pub modified_at: Timestamp,
    /// When the entity ceases to be valid (4.22).
    pub expires_at: Option<Timestamp>,
}

impl Entity {
    /// Whether the entity is still valid.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| end > now)
    }

    /// Whether the entity or anything in it will expire.
    pub fn is_transient(&self) -> bool {
        self.expires_at.is_some()
            || self.attributes.iter().any(|(_, attribute)| attribute.is_transient())
    }

    /// The entity as it is at a time: without the instances and sub-attributes that have expired.
    pub fn without_expired(&self, now: Timestamp) -> Entity {
        let mut entity = self.clone();
        if entity.is_transient() {
            entity.attributes.expire(now);
        }
        entity
    }

    /// Whether the entity has this type, among others.
    pub fn has_type(&self, name: TypeName) -> bool {
        self.types.as_slice().contains(&name)
    }

    /// Adds types that are not there yet; types are never taken away (4.16).
    pub fn add_types(&mut self, types: &[TypeName]) -> bool {
        let mut added = false;
        for name in types {
            if !self.has_type(*name) {
                self.types.push(*name);
                added = true;
            }
        }
        added
    }
}

/// An entity as a store hands it out: shared, never changed, with a place beside it where a
/// reader keeps what it rendered.
#[derive(Debug)]
pub struct Stored {
    pub entity: Entity,
    pub rendered: Rendered,
}

impl Stored {
    /// Wraps an entity.
    pub fn new(entity: Entity) -> Arc<Self> {
        Arc::new(Self { entity, rendered: Rendered::default() })
    }

    /// Wraps an entity that no store keeps: it is answered once and goes, and so does how it was
    /// written.
    pub fn passing(entity: Entity) -> Arc<Self> {
        Arc::new(Self { entity, rendered: Rendered::never() })
    }

    /// The entity; a copy of it if others hold it, too.
    pub fn into_entity(stored: Arc<Self>) -> Entity {
        Arc::try_unwrap(stored).map_or_else(|shared| shared.entity.clone(), |own| own.entity)
    }
}

impl std::ops::Deref for Stored {
    type Target = Entity;

    fn deref(&self) -> &Entity {
        &self.entity
    }
}
