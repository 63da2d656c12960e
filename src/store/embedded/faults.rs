//! Failures on demand, for tests.

use parking_lot::Mutex;

use super::engine::WriteFailure;

/// What the next writes will fail with.
#[derive(Default)]
pub(super) struct Faults(Mutex<Option<WriteFailure>>);

impl Faults {
    /// Lets every write fail, or none.
    pub fn set(&self, failure: Option<impl Into<WriteFailure>>) {
        *self.0.lock() = failure.map(Into::into);
    }

    pub fn check(&self) -> Result<(), WriteFailure> {
        match &*self.0.lock() {
            Some(failure) => Err(failure.clone()),
            None => Ok(()),
        }
    }
}
