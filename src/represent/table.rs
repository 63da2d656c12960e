//! What is told of entities over time as a table: one row per instance, or per period of an
//! aggregation, for spreadsheets (CSV, RFC 4180) and data frames (Arrow).

mod arrow;
mod comma;
mod rows;

pub use self::arrow::ArrowTable;
pub use self::comma::CsvTable;
pub use self::rows::{Columns, Shape};

use crate::jsonld::Context;
use crate::query::Evolution;

/// A table that is written bit by bit: a head, pages of rows, an end.
pub trait Table: Send {
    /// What stands before the first row.
    fn begin(&mut self) -> Vec<u8>;

    /// The rows of some evolutions.
    fn rows(&mut self, evolutions: &[Evolution], columns: &Columns, context: &Context) -> Vec<u8>;

    /// What stands after the last row.
    fn end(&mut self) -> Vec<u8>;
}
