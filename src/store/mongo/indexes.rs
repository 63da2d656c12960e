//! The indexes of the collection of entities.
//!
//! Each has a name with its revision, so that a broker knows which are there, creates those that
//! are not, and takes those away that an older broker left. The database makes each but once,
//! however many brokers ask for it at the same time.

use futures_util::TryStreamExt;
use mongodb::IndexModel;
use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;

use super::history::CHAPTERS;
use super::{Inner, error};
use crate::store::StoreError;

/// An index that queries need.
struct Index {
    /// Says what it is for; its revision follows when the definition changes.
    name: &'static str,
    keys: fn() -> Document,
    /// Which documents are in it; all, if absent.
    only: Option<fn() -> Document>,
}

const INDEXES: &[Index] = &[
    // Pages in the order of creation. When an entity expires is there so that counting need not
    // look at documents.
    Index { name: "pages_1", keys: || doc! { "_id.t": 1, "s": 1, "e": 1 }, only: None },
    Index { name: "types_1", keys: || doc! { "_id.t": 1, "ty": 1, "s": 1, "e": 1 }, only: None },
    // Attributes, and every key of each.
    Index {
        name: "values_1",
        keys: || doc! { "_id.t": 1, "k.a": 1, "k.v": 1, "s": 1 },
        only: None,
    },
    Index {
        name: "places_1",
        keys: || doc! { "_id.t": 1, "g.a": 1, "g.p": "2dsphere" },
        only: None,
    },
    Index {
        name: "scopes_1",
        keys: || doc! { "_id.t": 1, "sc": 1, "s": 1 },
        only: Some(|| doc! { "sc": { "$exists": true } }),
    },
    Index {
        name: "odd_1",
        keys: || doc! { "_id.t": 1, "odd": 1, "s": 1 },
        only: Some(|| doc! { "odd": { "$exists": true } }),
    },
    // What expires first, for the sweeper.
    Index {
        name: "expiry_1",
        keys: || doc! { "x": 1 },
        only: Some(|| doc! { "x": { "$exists": true } }),
    },
    // Of whom something was noted lately, by type and in all; and since when, for who folds.
    Index {
        name: "noted_1",
        keys: || doc! { "_id.t": 1, "hn": 1, "_id.i": 1 },
        only: Some(|| doc! { "hn": { "$exists": true } }),
    },
    Index {
        name: "recent_1",
        keys: || doc! { "_id.t": 1, "_id.i": 1 },
        only: Some(|| doc! { "hn": { "$exists": true } }),
    },
    Index {
        name: "fold_1",
        keys: || doc! { "f": 1 },
        only: Some(|| doc! { "f": { "$exists": true } }),
    },
    // How many entities have the same types, attributes and kinds.
    Index { name: "shapes_1", keys: || doc! { "_id.t": 1, "h": 1 }, only: None },
];

/// The first revision of the list above that this broker does not know: what a later broker noted
/// in the database stays as it is.
const REVISION: i32 = 2;

/// Creates the indexes that are not there yet.
pub(super) async fn ensure(inner: &Inner) -> Result<(), StoreError> {
    let model = |index: &Index| {
        let mut options = IndexOptions::default();
        options.name = Some(index.name.to_owned());
        options.partial_filter_expression = index.only.map(|only| only());
        IndexModel::builder().keys((index.keys)()).options(options).build()
    };
    let create = inner.entities.create_indexes(INDEXES.iter().map(model));
    create.await.map_err(|failure| error::from_write(&failure))?;
    of_records(inner).await?;
    of_chapters(inner).await?;
    if note_revision(inner).await? {
        drop_others(inner).await?;
    }
    Ok(())
}

/// Chapters by type and in all, and those in which something is to be folded.
async fn of_chapters(inner: &Inner) -> Result<(), StoreError> {
    let chapters = inner.database.collection::<Document>(CHAPTERS);
    let index = |keys: Document| IndexModel::builder().keys(keys);
    let noted = IndexOptions::builder()
        .partial_filter_expression(doc! { "f": { "$exists": true } })
        .build();
    let create = chapters.create_indexes([
        index(doc! { "_id.t": 1, "ty": 1, "_id.i": 1 }).build(),
        index(doc! { "_id.t": 1, "_id.i": 1 }).build(),
        index(doc! { "f": 1 }).options(noted).build(),
    ]);
    create.await.map(drop).map_err(|failure| error::from_write(&failure))
}

/// Marks of records that were taken go after an hour.
async fn of_records(inner: &Inner) -> Result<(), StoreError> {
    let hour = std::time::Duration::from_secs(3_600);
    let gone = IndexOptions::builder().expire_after(hour).build();
    let gone = IndexModel::builder().keys(doc! { "gone": 1 }).options(gone).build();
    let stamps = IndexModel::builder().keys(doc! { "v": 1 }).build();
    let create = inner.records.create_indexes([gone, stamps]);
    create.await.map(drop).map_err(|failure| error::from_write(&failure))
}

/// Notes which indexes this broker wants; false if a later broker wanted others.
async fn note_revision(inner: &Inner) -> Result<bool, StoreError> {
    let meta = inner.database.collection::<Document>("meta");
    let before = meta
        .find_one_and_update(doc! { "_id": "indexes" }, doc! { "$max": { "revision": REVISION } })
        .upsert(true)
        .await
        .map_err(|failure| error::from_write(&failure))?;
    let before = before.and_then(|before| before.get_i32("revision").ok());
    Ok(before.is_none_or(|before| before <= REVISION))
}

/// Takes away the indexes of earlier brokers. Those that are not Lanna's have names of other form.
async fn drop_others(inner: &Inner) -> Result<(), StoreError> {
    let failed = |failure: mongodb::error::Error| error::from_read(&failure);
    let names: Vec<IndexModel> =
        inner.entities.list_indexes().await.map_err(failed)?.try_collect().await.map_err(failed)?;
    for model in names {
        let name = model.options.and_then(|options| options.name).unwrap_or_default();
        if is_earlier(&name) {
            tracing::info!(index = name, "an index is not needed any more");
            // Another broker may have been quicker.
            if let Err(failure) = inner.entities.drop_index(&name).await
                && error::code(&failure) != Some(INDEX_NOT_FOUND)
            {
                return Err(error::from_write(&failure));
            }
        }
    }
    Ok(())
}

const INDEX_NOT_FOUND: i32 = 27;

/// Whether an index is an earlier revision of one of ours.
fn is_earlier(name: &str) -> bool {
    let Some((stem, revision)) = name.rsplit_once('_') else { return false };
    let Ok(revision) = revision.parse::<u32>() else { return false };
    INDEXES.iter().any(|index| {
        index.name.rsplit_once('_').is_some_and(|(own, current)| {
            own == stem && current.parse().is_ok_and(|current: u32| revision < current)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_earlier_revisions_of_our_own_indexes_are_taken_away() {
        for (name, expected) in [
            ("_id_", false),
            ("values_0", true),
            ("values_1", false),
            ("values_2", false),
            ("theirs_0", false),
            ("s_1", false),
        ] {
            assert_eq!(is_earlier(name), expected, "{name}");
        }
    }
}
