//! Distributed operations (4.3.6) as far as they can be thought through without a network: which
//! sources a request is for and which part of it is for each, how it is sent, how answers become
//! one, and what to say of sources that failed.
//!
//! Knows neither how requests are carried nor how anything is kept.

mod answers;
mod familiar;
mod forward;
mod health;
mod index;
mod matching;
mod merge;
mod register;
mod source;
mod split;
#[cfg(test)]
mod tests;
mod via;
mod warning;

pub use answers::{Answers, Shelf};
pub use familiar::{Familiar, Familiarity, Glance};
pub use forward::{Around, Carriage, Draft, Naming, Payload, path_part, question, types_text};
pub use health::{Ending, Health, Patience};
pub use matching::{About, Leg, Matched, Want, Way};
pub use merge::{Union, Weight};
pub use register::Register;
pub use source::Source;
pub use split::{Rest, Sending, Share, Split};
pub use via::{Via, is_alias};
pub use warning::{Warning, WarningCode};
