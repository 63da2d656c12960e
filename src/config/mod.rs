//! Configuration: one file per concern, each default beside its reason.
//!
//! A setting has one name, `section.key`. It is written `key` under `[section]` in the TOML file,
//! `LANNA_SECTION_KEY` in the environment and `--section-key` (or a shorter flag of its own) on
//! the command line; the command line wins over the environment, the environment over the file,
//! the file over the default. A name that does not exist is refused with the nearest that does.
//!
//! This room knows no other room but the ones whose limits it sets.

mod admin;
mod contexts;
mod cors;
mod derive;
mod egress;
mod error;
mod federation;
mod feeds;
mod limits;
mod load;
mod log;
mod maps;
mod models;
mod mongodb;
mod mqtt;
mod nearest;
mod notify;
mod post;
mod section;
mod server;
mod snapshots;
mod store;
mod stream;
mod value;

pub use admin::Admin;
pub use contexts::Contexts;
pub use cors::Cors;
pub use derive::Derive;
pub use egress::{Egress, Network, Ports};
pub use error::ConfigError;
pub use federation::Federation;
pub use feeds::Feeds;
pub use limits::Limits;
pub use load::{Choice, Sources};
pub use log::{Log, LogFormat};
pub use maps::Maps;
pub use models::{Models, Validation};
pub use mongodb::{MongoUrl, Mongodb};
pub use mqtt::Mqtt;
pub use nearest::nearest;
pub use notify::Notify;
pub use post::Post;
pub use section::{Key, Section};
pub use server::Server;
pub use snapshots::Snapshots;
pub use store::{Durability, Store};
pub use stream::Stream;
pub use value::{ByteSize, Preload, Value};

use section::config;

config! {
    /// Everything that can be set.
    pub struct Config {
        server: Server,
        store: Store,
        mongodb: Mongodb,
        contexts: Contexts,
        models: Models,
        derive: Derive,
        limits: Limits,
        maps: Maps,
        snapshots: Snapshots,
        egress: Egress,
        post: Post,
        mqtt: Mqtt,
        stream: Stream,
        notify: Notify,
        feeds: Feeds,
        federation: Federation,
        cors: Cors,
        admin: Admin,
        log: Log,
    }
}
