//! The indexes of the entities, made when they are not there.

use mongodb::IndexModel;
use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;

use super::Inner;
use super::connect::unusable;
use crate::store::StoreError;

/// Makes the indexes that are not there yet.
pub(super) async fn ensure(inner: &Inner) -> Result<(), StoreError> {
    let there = |field: &str| Some(doc! { field: { "$exists": true } });
    let all = [
        ("order", doc! { "_id.t": 1, "s": 1 }, None),
        ("types", doc! { "_id.t": 1, "ty": 1, "s": 1 }, None),
        ("keys", doc! { "_id.t": 1, "k.a": 1, "k.v": 1, "s": 1 }, None),
        ("places", doc! { "_id.t": 1, "g.a": 1, "g.p": "2dsphere" }, None),
        ("scopes", doc! { "_id.t": 1, "sc": 1, "s": 1 }, there("sc")),
        ("odd", doc! { "_id.t": 1, "odd": 1 }, there("odd")),
        ("expiry", doc! { "x": 1 }, there("x")),
        ("shapes", doc! { "_id.t": 1, "h": 1 }, None),
    ];
    let model = |(name, keys, filter): (&str, Document, Option<Document>)| {
        let options =
            IndexOptions::builder().name(name.to_owned()).partial_filter_expression(filter).build();
        IndexModel::builder().keys(keys).options(options).build()
    };
    inner.entities.create_indexes(all.map(model)).await.map_err(unusable)?;
    // Marks of records that were taken go after an hour.
    let options =
        IndexOptions::builder().expire_after(std::time::Duration::from_secs(3_600)).build();
    let gone = IndexModel::builder().keys(doc! { "gone": 1 }).options(options).build();
    let stamps = IndexModel::builder().keys(doc! { "v": 1 }).build();
    inner.records.create_indexes([gone, stamps]).await.map_err(unusable)?;
    Ok(())
}
