//! Import: files become entities in a broker (`lanna import`).
//!
//! Holds the readers of foreign shapes and the pipeline that takes them, in batches and bounded
//! memory, to a [`Sink`]. It knows nothing of how a sink keeps entities: one writes to the store
//! of this process, another speaks HTTP to a broker that runs elsewhere (5.6.8).
//!
//! ```text
//! bytes → Splitter → one JSON value at a time → Reader → entity documents → Sink → Summary
//! ```

mod key_values;
mod local;
mod read;
mod remote;
mod run;
mod shape;
mod sink;
mod split;
mod summary;
mod table;

pub use key_values::normalize;
pub use local::LocalSink;
pub use remote::RemoteSink;
pub use run::{ImportError, Options, run};
pub use sink::{ContextChoice, Item, ItemContext, Mode, Sink, SinkError, Verdict};
pub use summary::{Place, Refused, Summary};
pub use table::{AttributeColumn, Mapping, TimeColumn};

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Each value tells by its members which of the others it is.
    #[default]
    Auto,
    /// Entities, normalized or concise (4.5.1, 4.5.2), in a JSON array or one to a line.
    NgsiLd,
    /// Entities, simplified (4.5.4), in a JSON array or one to a line.
    KeyValues,
    /// Histories of entities (4.5.7), in a JSON array or one to a line.
    Temporal,
    /// Readings in a table, with the meaning of its columns in a [`Mapping`].
    Csv,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 5] =
        [Format::Auto, Format::NgsiLd, Format::KeyValues, Format::Temporal, Format::Csv];

    /// Whether it holds what entities were over time, rather than what they are.
    pub fn is_history(self) -> bool {
        matches!(self, Format::Temporal | Format::Csv)
    }

    /// The word that names the format on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Format::Auto => "auto",
            Format::NgsiLd => "ngsi-ld",
            Format::KeyValues => "key-values",
            Format::Temporal => "temporal",
            Format::Csv => "csv",
        }
    }
}

/// No format has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a format: use auto, ngsi-ld, key-values (or simplified), temporal or csv")]
pub struct NotAFormat(pub String);

impl std::str::FromStr for Format {
    type Err = NotAFormat;

    fn from_str(text: &str) -> Result<Self, NotAFormat> {
        // The specification calls key-values simplified (4.5.4).
        let text = if text == "simplified" { Format::KeyValues.word() } else { text };
        Format::ALL
            .into_iter()
            .find(|format| format.word() == text)
            .ok_or_else(|| NotAFormat(text.chars().take(40).collect()))
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}
