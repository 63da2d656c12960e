//! The information model (4.5, 5.2): names, Entity, Attribute, Instance, fragments, and what a
//! [`Write`] does to an Entity.
//!
//! No I/O, no wire form, no HTTP: names arrive expanded, time arrives as an argument.

mod attribute;
mod difference;
mod entity;
mod entity_map;
mod history;
mod id;
mod name;
mod one_or_many;
mod patch;
mod rendered;
mod scope;
mod selection;
mod time;
mod value;
mod violation;
mod write;

pub use attribute::{
    Attribute, Attributes, Bare, Datum, Instance, Kind, LanguageEntry, LanguageMap, More, Sealed,
};
pub use difference::{Difference, Turn, Turned};
pub use entity::{Entity, Stored};
pub use entity_map::{EntityMap, Held, Holder};
pub use history::{
    Chapter, Chronology, HistoryAction, HistoryChange, HistoryWrite, InstanceId, NotAnInstanceId,
    Recorded, Remembered, ScopeChange, TimeProperty,
};
pub use id::{
    DatasetId, EntityId, EntityMapId, NotATenant, NotAUri, RegistrationId, SnapshotId,
    SubscriptionId, TenantId, check_uri, limit_identifiers,
};
pub use name::{AttrName, Name, TooManyNames, TypeName};
pub use one_or_many::OneOrMany;
pub use patch::{AttributePatch, Edit, Fragment, InstanceEdit, InstancePatch, Otherwise};
pub use rendered::{Kept, Look, Rendered, Spelled};
pub use scope::{NotAScope, Scope, is_level, is_mark};
pub use selection::{TypeSelection, TypeTerm};
pub use time::{NotADateTime, Timestamp};
pub use value::{Number, Value};
pub use violation::Violation;
pub use write::{Action, Applied, Change, Instances, Outcome, Refusal, Write};
