//! How a Subscription's notifications look and where they go (5.2.14, 5.2.15, 5.2.22).

use std::time::Duration;

use crate::represent::write::Rendering;

/// NotificationParams (5.2.14).
#[derive(Debug, Clone)]
pub struct NotificationParams {
    /// `format`, `attributes`, `pick`, `omit`, `sysAttrs`, `join`, `joinLevel`, and what the
    /// Subscription itself says of looks: `lang`, `datasetId`, `ngsildConformance`.
    pub rendering: Rendering,
    /// Attributes that changed are shown with what they were before.
    pub show_changes: bool,
    pub endpoint: Endpoint,
}

/// Where notifications go (5.2.15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A URI; which schemes can be sent to is not known here.
    pub uri: Box<str>,
    pub accept: Accept,
    /// What is sent along, as headers where there are headers.
    pub receiver_info: Vec<KeyValuePair>,
    /// Settings of the sender.
    pub notifier_info: Vec<KeyValuePair>,
    /// How long the receiver may take to answer.
    pub timeout: Option<Duration>,
    /// How long nothing is sent after a failure.
    pub cooldown: Option<Duration>,
}

/// The media type of notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Accept {
    #[default]
    Json,
    LdJson,
    GeoJson,
}

/// A key and a value (5.2.22).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValuePair {
    pub key: Box<str>,
    pub value: Box<str>,
}

impl Accept {
    /// All of them.
    pub const ALL: [Accept; 3] = [Accept::Json, Accept::LdJson, Accept::GeoJson];

    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Accept::Json => "application/json",
            Accept::LdJson => "application/ld+json",
            Accept::GeoJson => "application/geo+json",
        }
    }
}

impl Endpoint {
    /// Whether a GeoJSON body goes without `@context`, as `Prefer: body=json` in the receiver's
    /// information asks (5.3.1).
    pub fn prefers_plain_body(&self) -> bool {
        self.receiver_info.iter().any(|pair| {
            pair.key.eq_ignore_ascii_case("Prefer")
                && pair.value.split(',').any(|one| one.trim() == "body=json")
        })
    }
}
