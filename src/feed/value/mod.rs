//! Values as feeds write them: numbers in texts, times of a zone and a calendar, units.

pub mod number;
pub mod time;
pub mod unit;
