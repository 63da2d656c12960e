//! The samples that come with the mappings: what a first look is for. Their readings are made up.

use std::sync::Arc;

use super::mapper::Input;
use super::shipped::shipped_feeds;
use super::writer::Writer;
use crate::broker::Broker;
use crate::config::Config;
use crate::import::SinkError;
use crate::model::Timestamp;

/// Loads the sample of every mapping that is shipped into a broker, by that mapping; how many
/// records were taken.
///
/// # Errors
/// If the store takes nothing.
pub async fn load_samples(config: &Config, broker: Arc<Broker>) -> Result<u64, SinkError> {
    let now = Timestamp::now();
    let mut taken = 0;
    for feed in shipped_feeds() {
        let mapping = feed.mapping().map_err(|faults| SinkError::Denied(faults.to_string()))?;
        let mapping = Arc::new(mapping);
        let mut records = Vec::new();
        let input = Input { bytes: feed.sample, topic: feed.topic, file: None };
        let read = mapping.map(input, now, |record| records.extend(record));
        read.map_err(|why| SinkError::Denied(why.0))?;
        let writer = Writer::new(broker.clone(), mapping, config)?;
        let written = writer.write(records, now).await?;
        taken += written.stored + written.late + written.unchanged;
    }
    Ok(taken)
}
