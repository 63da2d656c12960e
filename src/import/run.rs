//! The pipeline: a thread reads and cuts the input while the sink takes the batch before.

use std::{io::Read, thread};

use tokio::sync::mpsc;

use super::{
    Format, Item, Mapping, Refused, Sink, SinkError, Summary, Verdict,
    read::{Reading, read},
    split::Splitter,
    table::{TableError, TableReader},
};

/// How to import.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    pub format: Format,
    /// Entities per batch. A few hundred let one flush of the disk serve many.
    pub batch: usize,
    /// The longest single value of the input, in bytes: an entity, or a payload of a feed.
    pub max_value: usize,
    /// How many values, or rows of a table, were taken by an earlier import and are left out.
    pub skip: u64,
    /// What the columns of a table mean; the layout of the temporal API if absent.
    pub mapping: Option<Mapping>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            format: Format::Auto,
            batch: 500,
            max_value: 16 * 1024 * 1024,
            skip: 0,
            mapping: None,
        }
    }
}

/// A batch is sent when its documents reach this many bytes, however few they are: with the two
/// batches under way this bounds the memory that an import needs.
const BATCH_BYTES: usize = 2 * 1024 * 1024;

/// Why an import ended before its input did; what was done until then is told too.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("the input cannot be read: {why}")]
    Input { why: std::io::Error, summary: Box<Summary> },
    #[error("{why}")]
    Table { why: TableError, summary: Box<Summary> },
    #[error("{why}")]
    Sink { why: SinkError, summary: Box<Summary> },
}

impl ImportError {
    /// What was taken and refused before the import ended.
    pub fn summary(&self) -> &Summary {
        match self {
            ImportError::Input { summary, .. }
            | ImportError::Table { summary, .. }
            | ImportError::Sink { summary, .. } => summary,
        }
    }
}

/// Reads entities from the input and hands them to the sink in batches, in order. `progress` is
/// called after every batch.
///
/// The input is read by a thread of its own, which ends with it or when the import is dropped.
pub async fn run<R: Read + Send + 'static>(
    input: R,
    options: Options,
    sink: &dyn Sink,
    mut progress: impl FnMut(&Summary),
) -> Result<Summary, ImportError> {
    let (sender, mut batches) = mpsc::channel(1);
    let skip = options.skip;
    thread::spawn(move || match options.format {
        Format::Csv => read_table(input, &options, &sender),
        _ => read_batches(input, &options, &sender),
    });
    let mut summary = Summary { done: skip, ..Summary::default() };
    while let Some(batch) = batches.recv().await {
        let batch: Batch = match batch {
            Ok(batch) => batch,
            Err(Broken::Input(why)) => {
                return Err(ImportError::Input { why, summary: Box::new(summary) });
            }
            Err(Broken::Table(why)) => {
                return Err(ImportError::Table { why, summary: Box::new(summary) });
            }
        };
        summary.bytes = batch.bytes;
        batch.reading.refused.into_iter().for_each(|refused| summary.refuse(refused));
        batch.reading.notes.into_iter().for_each(|note| summary.note(note));
        if !batch.reading.items.is_empty() {
            match sink.upsert(&batch.reading.items).await {
                Ok(verdicts) => count(&mut summary, &batch.reading.items, verdicts),
                Err(why) => return Err(ImportError::Sink { why, summary: Box::new(summary) }),
            }
        }
        summary.done = summary.done.max(batch.done);
        progress(&summary);
    }
    Ok(summary)
}

/// What the reading thread hands over.
struct Batch {
    reading: Reading,
    /// Bytes of input read until here.
    bytes: u64,
    /// Values, or rows of a table, that were read until here.
    done: u64,
}

/// Why reading ended early.
enum Broken {
    Input(std::io::Error),
    Table(TableError),
}

/// Reads a table, some rows of one entity at a time.
fn read_table(input: impl Read, options: &Options, sender: &mpsc::Sender<Result<Batch, Broken>>) {
    let bounds = (options.max_value, options.skip);
    let mut table = match TableReader::new(input, options.mapping.clone(), bounds) {
        Ok(table) => table,
        Err(error) => return drop(sender.blocking_send(Err(Broken::Table(error)))),
    };
    let mut batch = Batch { reading: Reading::default(), bytes: 0, done: options.skip };
    let mut size = 0;
    while let Some(rows) = table.next() {
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => {
                drop(sender.blocking_send(Ok(batch)));
                return drop(sender.blocking_send(Err(Broken::Table(error))));
            }
        };
        batch.bytes = table.bytes();
        batch.done = rows.done;
        batch.reading.notes.extend(rows.notes);
        match rows.item {
            Ok(item) => {
                size += item.json.len();
                batch.reading.items.push(item);
            }
            Err(refused) => batch.reading.refused.push(refused),
        }
        let count = batch.reading.items.len() + batch.reading.refused.len();
        if count >= options.batch.max(1) || size >= BATCH_BYTES {
            size = 0;
            let (bytes, done) = (batch.bytes, batch.done);
            if sender.blocking_send(Ok(batch)).is_err() {
                return;
            }
            batch = Batch { reading: Reading::default(), bytes, done };
        }
    }
    drop(sender.blocking_send(Ok(batch)));
}

fn read_batches(input: impl Read, options: &Options, sender: &mpsc::Sender<Result<Batch, Broken>>) {
    let mut splitter = Splitter::new(input, options.max_value);
    let mut reading = Reading::default();
    let mut size = 0;
    let mut done = options.skip;
    loop {
        let piece = match splitter.next() {
            Ok(Some(piece)) => piece,
            Ok(None) => {
                let batch = Batch { reading, bytes: splitter.bytes(), done };
                drop(sender.blocking_send(Ok(batch)));
                return;
            }
            Err(error) => {
                let bytes = splitter.bytes();
                if sender.blocking_send(Ok(Batch { reading, bytes, done })).is_ok() {
                    drop(sender.blocking_send(Err(Broken::Input(error))));
                }
                return;
            }
        };
        if piece.place.number <= options.skip {
            continue;
        }
        done = piece.place.number;
        let one = match piece.value {
            Ok(bytes) => read(piece.place, bytes, options.format),
            Err(why) => Reading {
                refused: vec![Refused { place: piece.place, id: None, why }],
                ..Reading::default()
            },
        };
        size += one.items.iter().map(|item| item.json.len()).sum::<usize>();
        reading.items.extend(one.items);
        reading.refused.extend(one.refused);
        reading.notes.extend(one.notes);
        let count = reading.items.len() + reading.refused.len();
        if count >= options.batch.max(1) || size >= BATCH_BYTES {
            size = 0;
            let batch =
                Batch { reading: std::mem::take(&mut reading), bytes: splitter.bytes(), done };
            if sender.blocking_send(Ok(batch)).is_err() {
                return;
            }
        }
    }
}

fn count(summary: &mut Summary, items: &[Item], verdicts: Vec<Verdict>) {
    for (item, verdict) in items.iter().zip(verdicts) {
        match verdict {
            Verdict::Created => summary.created += 1,
            Verdict::Updated => summary.updated += 1,
            Verdict::Taken => summary.taken_otherwise += 1,
            Verdict::Refused(why) => {
                summary.refuse(Refused { place: item.place, id: Some(item.id.clone()), why });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, io};

    use async_trait::async_trait;
    use parking_lot::Mutex;

    use super::*;

    /// Remembers ids; refuses those that end in "bad".
    #[derive(Default)]
    struct Memory {
        ids: Mutex<HashSet<String>>,
        batches: Mutex<Vec<usize>>,
        fails: bool,
    }

    #[async_trait]
    impl Sink for Memory {
        async fn upsert(&self, batch: &[Item]) -> Result<Vec<Verdict>, SinkError> {
            if self.fails {
                return Err(SinkError::Unreachable("nobody listens".into()));
            }
            self.batches.lock().push(batch.len());
            let verdict = |item: &Item| match item.id.ends_with("bad") {
                true => Verdict::Refused("it is bad".into()),
                false if self.ids.lock().insert(item.id.clone()) => Verdict::Created,
                false => Verdict::Updated,
            };
            Ok(batch.iter().map(verdict).collect())
        }
    }

    fn entities(count: usize) -> String {
        (0..count).map(|n| format!("{{\"id\":\"urn:x:{n}\",\"type\":\"T\"}}\n")).collect()
    }

    async fn import(input: impl Read + Send + 'static, sink: &Memory) -> Summary {
        let options = Options { batch: 10, ..Options::default() };
        run(input, options, sink, |_| {}).await.expect("input and sink are well")
    }

    #[tokio::test]
    async fn entities_arrive_in_batches_and_are_counted() {
        let sink = Memory::default();
        let input =
            entities(25) + "{\"id\":\"urn:x:3\",\"type\":\"T\"}\n{\"id\":\"urn:bad\"}\n7\n{";
        let bytes = input.len() as u64;
        let summary = import(io::Cursor::new(input), &sink).await;
        assert_eq!((summary.created, summary.updated, summary.refused), (25, 1, 3));
        assert_eq!(*sink.batches.lock(), [10, 10, 7]);
        assert_eq!(summary.bytes, bytes);
        let whys: Vec<_> = summary.first_refused.iter().map(|r| (r.place.line, &*r.why)).collect();
        assert!(whys.contains(&(27, "it is bad")), "{whys:?}");
    }

    #[tokio::test]
    async fn a_second_import_replaces() {
        let sink = Memory::default();
        import(io::Cursor::new(entities(12)), &sink).await;
        let summary = import(io::Cursor::new(entities(12)), &sink).await;
        assert_eq!((summary.created, summary.updated), (0, 12));
    }

    #[tokio::test]
    async fn a_sink_that_fails_ends_the_import() {
        let sink = Memory { fails: true, ..Memory::default() };
        let options = Options { batch: 10, ..Options::default() };
        let endless = io::repeat(b' ').take(50).chain(io::Cursor::new(entities(1000)));
        let error = run(endless, options, &sink, |_| {}).await.expect_err("the sink fails");
        assert!(matches!(error, ImportError::Sink { .. }));
        assert_eq!(error.summary().taken(), 0);
    }

    #[tokio::test]
    async fn an_input_that_breaks_off_keeps_what_came_before() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the cable was pulled"))
            }
        }
        let sink = Memory::default();
        let input = io::Cursor::new(entities(4)).chain(Broken);
        let error = run(input, Options::default(), &sink, |_| {}).await.expect_err("it breaks");
        assert!(error.to_string().contains("the cable was pulled"));
        assert_eq!(error.summary().created, 4);
    }

    #[tokio::test]
    async fn an_array_is_read_like_lines() {
        let sink = Memory::default();
        let input = "[{\"id\":\"urn:x:1\",\"type\":\"T\",\"ชื่อ\":\"ฝุ่น\"},{\"id\":\"urn:x:2\"}]";
        let summary = import(io::Cursor::new(input), &sink).await;
        assert_eq!(summary.created, 2);
    }

    #[tokio::test]
    async fn a_table_goes_on_after_the_rows_that_are_done() {
        let row = |n: u64| format!("urn:x:{n},T,a,2026-01-01T00:00:0{n}Z,{n}\n");
        let table = "id,type,attribute,observedAt,value\n".to_owned()
            + &(0..6).map(row).collect::<String>()
            + "urn:x:7,T,a,never,7\n";
        let options = |skip| Options { format: Format::Csv, batch: 2, skip, ..Options::default() };
        let sink = Memory::default();
        let mut done = Vec::new();
        let input = io::Cursor::new(table.clone());
        let summary = run(input, options(0), &sink, |summary| done.push(summary.done)).await;
        let summary = summary.expect("input and sink are well");
        assert_eq!((summary.created, summary.refused, summary.done), (6, 1, 7));
        // These few rows were read together: they are done when all of them are.
        assert_eq!(done, [0, 0, 0, 7]);
        let rest = run(io::Cursor::new(table), options(4), &sink, |_| {}).await;
        assert_eq!(rest.expect("input and sink are well").updated, 2);
        let broken = run(io::Cursor::new("a,b\n1,2\n"), options(0), &sink, |_| {}).await;
        assert!(matches!(broken, Err(ImportError::Table { .. })));
    }

    #[tokio::test]
    async fn values_that_are_done_are_left_out() {
        let sink = Memory::default();
        let options = Options { batch: 2, skip: 3, ..Options::default() };
        let summary = run(io::Cursor::new(entities(5)), options, &sink, |_| {}).await;
        let summary = summary.expect("input and sink are well");
        assert_eq!((summary.created, summary.done), (2, 5));
    }
}
