//! The HTTP binding (6): routes, headers, statuses, and how the broker is served.
//!
//! The only room that knows actix and status codes. Handlers read as sentences; everything that
//! concerns every request (ids, tenants, metrics, CORS, compression) is in `frame.rs`, everything
//! that went wrong becomes an answer in `problem.rs`.

pub mod places;
pub mod problem;
mod questions;

pub mod body;
pub mod negotiate;

pub mod frame;
pub mod request_id;
pub mod state;
mod tables;
mod temporal;

mod params;
mod registrations;
mod request;
mod viewing;
mod warning;

mod answer;
mod pages;

mod admin;
mod attributes;
mod batch;
mod contexts;
mod derived;
mod discovery;
mod entities;
mod entity_maps;
mod events;
mod federated;
mod feeds;
pub use entities::read_query;
mod info;
mod routes;
mod snapshots;
mod subscriptions;

mod cors;
mod health;
mod history;
pub mod metrics;
mod models;
mod openapi;
mod pack;
mod root;

pub mod report;
pub mod server;

#[cfg(test)]
mod tests;
