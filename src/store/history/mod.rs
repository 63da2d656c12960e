//! History, as far as all stores keep it alike: the rules of recording, what a temporal query
//! found, blocks of compressed columns, and how they are read, packed and thinned.
//!
//! A series is what was recorded of one attribute and datasetId of one entity. What was recorded
//! lately is its tail; the rest are blocks, which follow one another in time without overlap.
//! Where tails and blocks lie is the store's own affair: it shows them as [`Volumes`].

mod archive;
mod block;
mod change;
mod head;
mod held;
mod ints;
mod merge;
mod numbers;
mod pack;
mod page;
mod recall;
mod rows;
mod rules;
mod series;
mod thin;

pub use self::archive::{Archive, Archives};
pub use self::rules::{
    EVERY_TYPE, FoundHistory, HISTORY_RULES, HeldHistory, HeldSeries, HistoryRule, HistoryRules,
    Keep, Recording, Stretch,
};

pub(in crate::store) use self::archive::{Bookmark, archive};
pub(in crate::store) use self::block::{count, last_time, read, write_row, write_rows};
pub(in crate::store) use self::change::{Deed, Item, patched, recorded_by, stamped, touched};
pub(in crate::store) use self::head::Head;
pub(in crate::store) use self::held::Held;
pub(in crate::store) use self::merge::{Kept, find_row};
pub(in crate::store) use self::pack::{PACK, Repacked, pack, pieces};
pub(in crate::store) use self::page::{Page, Source, after_anchor, may_be, source};
pub(in crate::store) use self::recall::{Recall, locate, to_recorded};
pub(in crate::store) use self::rows::{OBSERVED, Row, Rows, THINNED, is_observed};
pub(in crate::store) use self::series::{Line, Place, Reach, SeriesKey, ShowBlock, Volumes, next};
pub(in crate::store) use self::thin::{Ages, Rounds, Thinned, thin};
