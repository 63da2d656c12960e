//! The part of a mapping that says how times are written.

use jiff::tz::TimeZone;

use super::node::Table;
use crate::feed::value::time::{Era, TimeForm, Unix};

/// Reads how times are written; what a table does not say is as usual.
pub(super) fn time_form(table: &Table<'_>, usual: &TimeForm) -> TimeForm {
    let mut form = usual.clone();
    if let Some(node) = table.take("formats") {
        form.formats.clear();
        form.unix = None;
        for text in node.texts() {
            match text {
                "iso" => {}
                "unix" => form.unix = Some(Unix::Seconds),
                "unix-ms" => form.unix = Some(Unix::Millis),
                format if format.contains('%') => form.formats.push(format.to_owned()),
                other => node.blame(format!(
                    "{other:?} is no format: write it like %d/%m/%Y %H:%M, or iso, unix, unix-ms"
                )),
            }
        }
    }
    if let Some(node) = table.take("zone")
        && let Some(name) = node.text()
    {
        match TimeZone::get(name) {
            Ok(zone) => form.zone = zone,
            Err(_) => node.blame(format!("{name:?} is no time zone; one is Asia/Bangkok")),
        }
    }
    let eras = [("either", Era::Either), ("common", Era::Common), ("buddhist", Era::Buddhist)];
    form.era = table.word("era", &eras).unwrap_or(form.era);
    form.ignore_zone = table.flag("ignore_zone").unwrap_or(form.ignore_zone);
    form
}
