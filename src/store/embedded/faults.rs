//! Failures on demand, for tests.

use parking_lot::Mutex;

use crate::store::StoreError;

/// What the next writes will fail with.
#[derive(Default)]
pub(super) struct Faults(Mutex<Option<StoreError>>);

impl Faults {
    /// Lets every write fail, or none.
    pub fn set(&self, error: Option<StoreError>) {
        *self.0.lock() = error;
    }

    pub fn check(&self) -> Result<(), StoreError> {
        match &*self.0.lock() {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }
}
