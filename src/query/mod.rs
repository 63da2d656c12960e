//! The query languages (4.9, 4.10, 4.15, 4.17, 4.19, 4.21, 4.23): text becomes a checked tree,
//! trees become an [`EntityPlan`], and [`EntityPlan::matches`] is the evaluator that every store
//! answers to.
//!
//! Knows no store and no HTTP. Names are expanded against the request's @context once, when the
//! text is read.

mod collation;
mod error;
mod filter;
mod geo;
mod history;
mod index;
mod language;
mod limits;
mod moment;
mod names;
mod order;
mod pattern;
mod plan;
mod projection;
mod rounds;
mod scan;
mod scope;
mod select;
mod spelling;
mod term;
#[cfg(test)]
mod testing;

pub use collation::{Collation, ROOT_KEY, root_key};
pub use error::{ErrorKind, QueryError};
pub use filter::{
    Check, Filter, FilterOptions, Link, Literal, Member, Operand, Path, Relation, Test, Text,
    TypeHint,
};
pub use geo::{GeoFilter, GeoParams};
#[cfg(test)]
pub(crate) use history::reference as history_reference;
pub use history::{
    Aggregate, Aggregated, Bucket, Chronicle, Column, Evolution, HistoryLimits, HistoryPlan,
    Ledger, Line, Method, Period, Periods, Series, Span, Summary, TellError, Told, Visit, Window,
    WindowParams, parse_last_n,
};
pub use index::{Hint, Key, KeyRange, keys_of};
pub use language::LanguageFilter;
pub use limits::Limits;
pub use moment::Moment;
pub use names::{parse_attrs, parse_names, parse_types};
pub use order::{Direction, Edge, Order, OrderElement, OrderKey, OrderParams, Place};
pub use pattern::Pattern;
pub use plan::{Anchor, EntityPlan, Lookup, Lookups, NoLookup, Page, Selector};
pub use projection::{Branch, Item, Projection, Tree, View};
pub use rounds::Rounds;
pub use scope::{ScopeFilter, ScopePattern};
pub use select::Alternatives;
pub use spelling::{Spelled, compacted, spelled};
pub use term::Term;
