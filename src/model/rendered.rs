//! What a reader keeps beside an entity: how it was written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::{ArcSwapOption, Guard};
use bytes::Bytes;

use super::Name;

/// What the bytes of a rendering depend on besides the entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Look {
    /// Equal only where the same is written but for how names are spelled.
    pub form: u64,
    /// Equal only where every name is spelled alike.
    pub spelling: u64,
}

impl Look {
    /// Both halves of each part, mixed.
    fn half(self) -> u32 {
        let mixed = self.form ^ self.spelling.rotate_left(32);
        mixed as u32 ^ (mixed >> 32) as u32
    }
}

/// A rendering of an entity that does not depend on the time.
#[derive(Debug)]
pub struct Kept {
    pub look: Look,
    pub bytes: Bytes,
    /// The names in the bytes, in order; None if more than their spelling depends on the spelling
    /// of names.
    pub names: Option<Box<[Spelled]>>,
}

/// Where a name stands in a rendering, quotation marks included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spelled {
    pub name: Name,
    pub from: u32,
    pub to: u32,
}

/// The rendering that is kept of an entity, if one is.
#[derive(Debug)]
pub struct Rendered {
    /// None for an entity that is answered once and goes: nothing is kept of it.
    kept: Option<ArcSwapOption<Kept>>,
    /// Of the look that was asked for last and was not there.
    missed: AtomicU32,
}

impl Default for Rendered {
    fn default() -> Self {
        Self { kept: Some(ArcSwapOption::default()), missed: AtomicU32::default() }
    }
}

impl Rendered {
    /// For an entity that is answered once and goes.
    pub fn never() -> Self {
        Self { kept: None, missed: AtomicU32::default() }
    }

    /// What is kept.
    pub fn kept(&self) -> Guard<Option<Arc<Kept>>> {
        self.kept.as_ref().map_or_else(|| Guard::from_inner(None), ArcSwapOption::load)
    }

    /// The bytes that were kept of this look, if they are still there.
    pub fn get(&self, look: Look) -> Option<Bytes> {
        let kept = self.kept.as_ref()?.load();
        kept.as_ref().filter(|kept| kept.look == look).map(|kept| kept.bytes.clone())
    }

    /// Whether what is rendered with this look now should be kept: if nothing is, or if it was
    /// asked for twice in a row. Readers who all want something else do not drive out each other's.
    pub fn wants(&self, look: Look) -> bool {
        let Some(kept) = &self.kept else { return false };
        self.wants_again(look) || kept.load().is_none()
    }

    /// Whether it should be kept since it was asked for twice in a row, and only then.
    pub fn wants_again(&self, look: Look) -> bool {
        self.missed.swap(look.half(), Ordering::Relaxed) == look.half() && self.kept.is_some()
    }

    /// Keeps a rendering in place of the one before.
    pub fn keep(&self, rendering: Kept) {
        if let Some(kept) = &self.kept {
            kept.store(Some(Arc::new(rendering)));
        }
    }

    /// How many bytes are kept.
    pub fn size(&self) -> usize {
        self.kept()
            .as_ref()
            .map_or(0, |kept| kept.bytes.len() + kept.names.as_deref().map_or(0, size_of_val))
    }

    /// Gives the memory back.
    pub fn forget(&self) {
        if let Some(kept) = &self.kept {
            kept.store(None);
        }
    }
}
