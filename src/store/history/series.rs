//! Series: what tells them apart, the ids of their instances, and where they lie.

use std::ops::ControlFlow;

use super::rows::Rows;
use crate::model::{AttrName, DatasetId, InstanceId};
use crate::query::Series;
use crate::store::StoreError;

/// A series of an entity: of an attribute and a datasetId, or of the scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Line {
    Attribute(Series),
    Scopes,
}

impl Line {
    /// The series of an attribute.
    pub fn of(attribute: AttrName, dataset: Option<&DatasetId>) -> Self {
        Line::Attribute(Series { attribute, dataset: dataset.cloned() })
    }

    /// The series of an attribute, if it is one.
    pub fn series(&self) -> Option<&Series> {
        match self {
            Line::Attribute(series) => Some(series),
            Line::Scopes => None,
        }
    }
}

/// The time and the ordinal of a row: what tells it from all others of its series.
pub(in crate::store) type Place = (i64, u32);

/// The first place after another.
pub(in crate::store) fn next((time, ordinal): Place) -> Place {
    match ordinal.checked_add(1) {
        Some(ordinal) => (time, ordinal),
        None => (time.saturating_add(1), 0),
    }
}

/// Tells a series from all others of a store; what it looks like is up to the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::store) struct SeriesKey(pub Box<[u8]>);

impl SeriesKey {
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Tells the series of an entity apart in the ids of their instances.
    fn tag(&self) -> u32 {
        // FNV-1a: ids must be the same for ever.
        let hash = self.0.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        (hash ^ (hash >> 32)) as u32
    }

    /// The id of an instance, which says where it lies.
    pub fn instance(&self, (time, ordinal): Place) -> InstanceId {
        let time = (time as u64) ^ (1 << 63);
        let place = u128::from(time) << 32 | u128::from(ordinal);
        InstanceId(u128::from(self.tag()) << 96 | place)
    }

    /// Where the instance of this id would lie; None if it is of another series.
    pub fn place(&self, instance: InstanceId) -> Option<Place> {
        let time = ((instance.0 >> 32) as u64 ^ (1 << 63)) as i64;
        ((instance.0 >> 96) as u32 == self.tag()).then_some((time, instance.0 as u32))
    }
}

/// Which blocks of a series are shown, in which direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Reach {
    /// Blocks that end before this time need not be shown.
    pub from: Option<i64>,
    /// Blocks that begin here or later are not shown.
    pub before: Option<Place>,
    pub backwards: bool,
}

/// Is shown the place of a block's first row and the block's bytes, and says whether to go on.
pub(in crate::store) type ShowBlock<'s> =
    dyn FnMut(Place, &[u8]) -> Result<ControlFlow<()>, StoreError> + 's;

/// Where a store keeps series, as of one moment.
pub(in crate::store) trait Volumes {
    /// What was recorded of a series and is not in its blocks: settled, and with the rows that
    /// take others away.
    fn tail(&self, series: &SeriesKey) -> Result<Rows, StoreError>;

    /// Shows the blocks of a series in the order of their rows, or backwards, until told to stop.
    fn blocks(
        &self,
        series: &SeriesKey,
        reach: Reach,
        show: &mut ShowBlock<'_>,
    ) -> Result<(), StoreError>;
}
