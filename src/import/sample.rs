//! The sample that comes with the broker: what a first look is for.

use std::{io::Cursor, sync::Arc};

use super::{ContextChoice, ImportError, LocalSink, Mode, Options, Summary, run};
use crate::broker::Broker;
use crate::model::TenantId;

/// Made-up readings of the four stations around Mae Moh; see `examples/README.md`.
const LAMPANG: &[u8] = include_bytes!("../../examples/air4thai-lampang.json");

/// Loads the sample into the default tenant of a broker; stations that are there are replaced.
pub async fn load_sample(broker: Arc<Broker>) -> Result<Summary, ImportError> {
    let sink = LocalSink::new(broker, TenantId::DEFAULT, ContextChoice::Default, Mode::Replace)
        .map_err(|why| ImportError::Sink { why, summary: Box::default() })?;
    run(Cursor::new(LAMPANG), Options::default(), &sink, |_| {}).await
}
