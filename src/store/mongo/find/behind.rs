//! The filter of what comes behind a place, in an order that the database knows.

use mongodb::bson::{Document, doc};

use crate::query::{Direction, Member, Order, Place};

/// Narrows a filter to what comes behind a place of an order by the stamps of entities; None if
/// the place is none of such an order.
pub(super) fn behind(filter: &Document, order: &Order, place: &Place) -> Option<Document> {
    let mut fields: Vec<(&str, &str, i64)> = Vec::new();
    for (element, time) in order.elements().iter().zip(place.times()?) {
        let field = match element.path.member {
            Some((Member::CreatedAt, _)) => "c",
            _ => "m",
        };
        // What decides on a field is what names it first.
        if fields.iter().all(|(other, ..)| *other != field) {
            let is_down = element.direction == Direction::Descending;
            fields.push((field, if is_down { "$lt" } else { "$gt" }, time));
        }
    }
    fields.push(("s", "$gt", i64::try_from(place.sequence()).ok()?));
    let branches = fields.iter().enumerate().map(|(number, (field, operator, value))| {
        let mut branch = Document::new();
        branch.extend(
            fields[..number].iter().map(|(field, _, value)| ((*field).to_owned(), (*value).into())),
        );
        branch.insert(*field, doc! { *operator: *value });
        branch
    });
    Some(doc! { "$and": [filter.clone(), { "$or": branches.collect::<Vec<_>>() }] })
}
