//! The HTTP binding, tried over sockets: a module for each resource, named like its path.

mod admin;
mod attributes;
mod contexts;
mod csource_registrations;
mod csource_subscriptions;
mod derived;
mod discovery;
mod distributed;
mod entities;
mod entity;
mod entity_maps;
mod events;
mod everywhere;
mod federation;
mod feeds;
mod kept_answers;
mod models;
mod operations;
mod receivers;
mod shared;
mod snapshots;
mod sources;
mod subscriptions;
mod support;
mod temporal;
mod tenants;
