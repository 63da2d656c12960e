//! Whether anything of the history of an entity changed, so that answers can be kept meanwhile.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::DefaultHashBuilder;

/// Among how many numbers the entities are divided: a change of one counts for all that share its
/// number.
const STRIPES: usize = 1 << 16;

/// Numbers that grow with each change.
pub(in crate::store::embedded) struct Stamps {
    stripes: Box<[AtomicU64]>,
    /// Changes of anything.
    all: AtomicU64,
    hasher: DefaultHashBuilder,
}

/// The number that an entity shares with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::embedded) struct Stripe(usize);

impl Default for Stamps {
    fn default() -> Self {
        let stripes = (0..STRIPES).map(|_| AtomicU64::new(0)).collect();
        Self { stripes, all: AtomicU64::new(0), hasher: DefaultHashBuilder::default() }
    }
}

impl Stamps {
    /// That of an entity.
    pub fn stripe(&self, tenant: u32, id: &[u8]) -> Stripe {
        Stripe(self.hasher.hash_one((tenant, id)) as usize % STRIPES)
    }

    /// The number as it is: as long as it stays, so does what is told.
    pub fn get(&self, stripe: Stripe) -> u64 {
        let all = self.all.load(Ordering::SeqCst);
        self.stripes[stripe.0].load(Ordering::SeqCst).wrapping_add(all)
    }

    /// Entities changed, and everyone sees it.
    pub fn changed(&self, stripes: &[Stripe]) {
        for stripe in stripes {
            self.stripes[stripe.0].fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Many may have changed.
    pub fn all_changed(&self) {
        self.all.fetch_add(1, Ordering::SeqCst);
    }
}
