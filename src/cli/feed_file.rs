//! `lanna import --feed`: a file as an agency published it becomes entities, by the mapping of its
//! feed.

use std::{
    io::{self, Read, Write},
    path::Path,
};

use lanna::{
    broker::shipped_context,
    config::Config,
    feed::{Input, Mapped, Mapping, Refused},
    import::{ContextChoice, Format, Mode},
    model::{TenantId, Timestamp},
};

use super::feeds;
use super::import::{Failure, Import};

/// The entities of a file, ready to be imported.
pub struct Entities {
    /// One to a line, normalized, those observed first before the others.
    pub lines: Vec<u8>,
    /// How many records nothing could be made of.
    pub refused: u64,
    /// What their names mean.
    pub context: ContextChoice,
}

/// Reads the file of an import by the mapping of a feed, which also says how entities are written
/// and, unless that was asked for, into which tenant.
pub fn read(config: &Config, name: &str, import: &mut Import) -> Result<Entities, Failure> {
    let mapping = feeds::named(config, name).map_err(Box::new)?;
    let bytes = contents(import.file.as_deref())?;
    let file = import.file.as_deref().and_then(|file| file.file_name()?.to_str());
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    let input = Input { bytes: &bytes, topic: None, file };
    let read = mapping.map(input, Timestamp::now(), |record| match record {
        Ok(mapped) => taken.push(mapped),
        Err(record) => refused.push(record),
    });
    read.map_err(|why| Failure::NotReadable { feed: name.to_owned(), why })?;
    tell(&refused)?;
    import.options.format = Format::NgsiLd;
    if !mapping.replace {
        import.mode = Mode::Update;
    }
    if import.tenant == TenantId::default() {
        import.tenant = mapping.tenant.clone();
    }
    let context = context(config, &mapping, import.to.as_deref());
    Ok(Entities { lines: lines(taken), refused: refused.len() as u64, context })
}

/// The context of the mapping, where the broker has it that is imported into.
fn context(config: &Config, mapping: &Mapping, to: Option<&str>) -> ContextChoice {
    let id = &mapping.context;
    ContextChoice::Url(match to {
        _ if id.contains("://") => id.clone(),
        None => shipped_context(config, id),
        Some(broker) => format!("{}/ngsi-ld/v1/jsonldContexts/{id}", broker.trim_end_matches('/')),
    })
}

fn contents(file: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let Some(file) = file else {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes)?;
        return Ok(bytes);
    };
    std::fs::read(file).map_err(|why| Failure::File { file: file.into(), why })
}

fn lines(mut taken: Vec<Mapped>) -> Vec<u8> {
    // Of several records of one entity the newest is to stay.
    taken.sort_by_key(|record| record.at);
    let mut lines = Vec::new();
    for record in taken {
        lines.extend(serde_json::to_vec(&record.entity).unwrap_or_default());
        lines.push(b'\n');
    }
    lines
}

fn tell(refused: &[Refused]) -> Result<(), io::Error> {
    const SHOWN: usize = 20;
    for record in refused.iter().take(SHOWN) {
        let id = record.id.as_deref().map_or(String::new(), |id| format!(" ({id})"));
        writeln!(io::stderr(), "refused: record {}{id}: {}", record.number, record.why)?;
    }
    if let Some(more) = refused.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        writeln!(io::stderr(), "refused: {more} more records")?;
    }
    Ok(())
}
