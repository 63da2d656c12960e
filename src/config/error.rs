//! What can be wrong with a configuration.

use std::path::PathBuf;

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {why}", .file.display())]
    Unreadable { file: PathBuf, why: std::io::Error },
    /// The file is not TOML.
    #[error("{} is not TOML: {why}", .file.display())]
    NotToml { file: PathBuf, why: Box<toml::de::Error> },
    /// There is no such setting.
    #[error("{place}: there is no setting {name}{}", hint(.meant))]
    Unknown { place: String, name: String, meant: Option<String> },
    /// The setting does not take such a value.
    #[error("{place}: {name} cannot be {value}: {why}")]
    BadValue { place: String, name: String, value: String, why: String },
    /// Settings that contradict each other.
    #[error("{0}")]
    Contradiction(String),
}

fn hint(meant: &Option<String>) -> String {
    match meant {
        Some(meant) => format!("; did you mean {meant}?"),
        None => "; lanna --help lists them all".to_owned(),
    }
}
