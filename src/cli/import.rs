//! `lanna import`: entities from a file or a feed, into the store here or a broker elsewhere.

use std::{
    fs::File,
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, IsTerminal, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use lanna::{
    broker::{Broker, OpenError},
    config::Config,
    feed::NotReadable,
    import::{
        self, ContextChoice, ImportError, LocalSink, Mode, Options, RemoteSink, Sink, SinkError,
        Summary,
    },
    model::TenantId,
    store::StoreError,
};
use serde_json::Value;

use super::feed_file::{self, Entities};
use super::feeds;

/// What to import, and where to.
#[derive(Debug, Clone, PartialEq)]
pub struct Import {
    /// The file; standard input when absent.
    pub file: Option<PathBuf>,
    pub options: Options,
    /// The broker to import into; the store of the configuration when absent.
    pub to: Option<String>,
    pub tenant: TenantId,
    /// The address or the file of a context.
    pub context: Option<String>,
    pub mode: Mode,
    /// What the columns of a table mean, as a JSON file.
    pub mapping: Option<PathBuf>,
    /// The feed, or its mapping file, that the file is a document of.
    pub feed: Option<String>,
    /// How far the import is, is kept beside the file, and where it is, it goes on.
    pub resume: bool,
}

/// Why an import failed, wholly or in part.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{} cannot be read: {why}", .file.display())]
    File { file: PathBuf, why: io::Error },
    #[error("the context {} cannot be used: {why}", .file.display())]
    Context { file: PathBuf, why: serde_json::Error },
    #[error("the mapping {} cannot be used: {why}", .file.display())]
    Mapping { file: PathBuf, why: serde_json::Error },
    #[error(transparent)]
    Feed(#[from] Box<feeds::Failure>),
    #[error("it is no document of the feed {feed}: {why}")]
    NotReadable { feed: String, why: NotReadable },
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error("the import ended early: {0}")]
    Import(#[from] ImportError),
    #[error("the store was not closed in order: {0}")]
    Close(#[from] StoreError),
    #[error("{0} entities were refused")]
    Refused(u64),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Imports; the summary goes to standard output, progress to standard error.
pub fn run(config: &Config, mut import: Import) -> Result<(), Failure> {
    if let Some(file) = &import.mapping {
        let text = std::fs::read_to_string(file)
            .map_err(|why| Failure::File { file: file.clone(), why })?;
        let mapping = serde_json::from_str(&text)
            .map_err(|why| Failure::Mapping { file: file.clone(), why })?;
        import.options.mapping = Some(mapping);
    }
    if import.options.format.is_history() {
        import.mode = Mode::History;
    }
    let entities = match import.feed.clone() {
        Some(feed) => Some(feed_file::read(config, &feed, &mut import)?),
        None => None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let context = match (import.context.as_deref(), &entities) {
            (None, Some(entities)) => entities.context.clone(),
            (named, _) => context(named)?,
        };
        match import.to.clone() {
            Some(address) => {
                let sink =
                    RemoteSink::connect(&address, &import.tenant, &context, import.mode).await?;
                take(import, entities, &sink).await
            }
            None => {
                let broker = Arc::new(Broker::open(config).await?);
                let (tenant, mode) = (import.tenant.clone(), import.mode);
                let sink = LocalSink::new(broker.clone(), tenant, context, mode)?;
                let taken = take(import, entities, &sink).await;
                broker.close().await?;
                taken
            }
        }
    })
}

async fn take(import: Import, entities: Option<Entities>, sink: &dyn Sink) -> Result<(), Failure> {
    let unread = entities.as_ref().map_or(0, |entities| entities.refused);
    let (input, size): (Box<dyn Read + Send>, _) = match entities {
        Some(entities) => {
            let size = entities.lines.len() as u64;
            (Box::new(io::Cursor::new(entities.lines)), Some(size))
        }
        None => open(import.file.as_deref())?,
    };
    let mut progress = Progress::new(size);
    let bookmark = Bookmark::of(&import);
    let mut options = import.options;
    options.skip = bookmark.as_ref().map_or(0, Bookmark::read);
    let result = import::run(input, options, sink, |summary| {
        progress.show(summary);
        if let Some(bookmark) = &bookmark {
            bookmark.write(summary.done);
        }
    })
    .await;
    progress.end();
    if let (Ok(_), Some(bookmark)) = (&result, &bookmark) {
        bookmark.remove();
    }
    let summary = match &result {
        Ok(summary) => summary,
        Err(error) => error.summary(),
    };
    writeln!(io::stdout(), "{summary}")?;
    match result?.refused + unread {
        0 => Ok(()),
        refused => Err(Failure::Refused(refused)),
    }
}

/// The input, and its size where that is known.
fn open(file: Option<&Path>) -> Result<(Box<dyn Read + Send>, Option<u64>), Failure> {
    let Some(path) = file else { return Ok((Box::new(io::stdin()), None)) };
    let fail = |why| Failure::File { file: path.into(), why };
    let file = File::open(path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    if metadata.is_dir() {
        return Err(fail(io::ErrorKind::IsADirectory.into()));
    }
    Ok((Box::new(file), metadata.is_file().then_some(metadata.len())))
}

/// The context that was named: an address as it is, a file as the value of its `@context`.
fn context(named: Option<&str>) -> Result<ContextChoice, Failure> {
    let Some(named) = named else { return Ok(ContextChoice::Default) };
    if named.starts_with("http://") || named.starts_with("https://") {
        return Ok(ContextChoice::Url(named.into()));
    }
    let file = PathBuf::from(named);
    let text =
        std::fs::read_to_string(&file).map_err(|why| Failure::File { file: file.clone(), why })?;
    let mut value: Value =
        serde_json::from_str(&text).map_err(|why| Failure::Context { file, why })?;
    let inner = value.get_mut("@context").map(Value::take);
    Ok(ContextChoice::Inline(inner.unwrap_or(value).to_string()))
}

/// How far an import is, in a file beside its input: the number of values that are in the broker,
/// and which import it was.
struct Bookmark {
    file: PathBuf,
    import: String,
}

/// How much of a file's beginning tells it from another of the same name.
const BEGINNING: u64 = 4_096;

impl Bookmark {
    fn of(import: &Import) -> Option<Self> {
        let file = import.file.as_ref().filter(|_| import.resume)?;
        let mut beginning = Vec::new();
        if let Ok(file) = File::open(file) {
            // A file that cannot be read is said to be so elsewhere.
            let _ = file.take(BEGINNING).read_to_end(&mut beginning);
        }
        let mut hasher = DefaultHasher::new();
        let Import { to, tenant, context, options, .. } = import;
        (beginning, to, tenant, context).hash(&mut hasher);
        format!("{:?} {:?}", options.format, options.mapping).hash(&mut hasher);
        let mut name = file.clone().into_os_string();
        name.push(".imported");
        Some(Self { file: name.into(), import: format!("{:016x}", hasher.finish()) })
    }

    /// How much of the same import is done. Of another, into another tenant perhaps or of a file
    /// that was there before, nothing is.
    fn read(&self) -> u64 {
        let Ok(text) = std::fs::read_to_string(&self.file) else { return 0 };
        let mut lines = text.lines();
        let done = lines.next().and_then(|line| line.trim().parse().ok()).unwrap_or(0);
        if lines.next() == Some(&*self.import) {
            return done;
        }
        let file = self.file.display();
        let _ = writeln!(io::stderr(), "{file} is of another import: this one begins anew");
        0
    }

    /// What cannot be noted is done again: readings that are there already change nothing.
    fn write(&self, done: u64) {
        let next = self.file.with_extension("imported.next");
        if std::fs::write(&next, format!("{done}\n{}\n", self.import)).is_ok() {
            let _ = std::fs::rename(&next, &self.file);
        }
    }

    fn remove(&self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

/// Tells now and then how far an import is.
struct Progress {
    size: Option<u64>,
    began: Instant,
    shown: Instant,
    /// On a terminal one line is written over again and again.
    over: bool,
    dirty: bool,
}

impl Progress {
    fn new(size: Option<u64>) -> Self {
        let now = Instant::now();
        Self { size, began: now, shown: now, over: io::stderr().is_terminal(), dirty: false }
    }

    fn show(&mut self, summary: &Summary) {
        let pause = if self.over { Duration::from_millis(250) } else { Duration::from_secs(5) };
        if self.shown.elapsed() < pause {
            return;
        }
        self.shown = Instant::now();
        let rate = summary.taken() as f64 / self.began.elapsed().as_secs_f64();
        let share = match self.size {
            Some(size) if size > 0 => {
                format!(" ({} %)", (summary.bytes.min(size) * 100) / size)
            }
            _ => String::new(),
        };
        let line = format!(
            "{} entities taken, {} refused, {} MB read{share}, {rate:.0} a second",
            summary.taken(),
            summary.refused,
            summary.bytes / 1_000_000,
        );
        // Nobody is harmed if progress cannot be shown.
        let _ = match self.over {
            true => write!(io::stderr(), "\r{line}\x1b[K"),
            false => writeln!(io::stderr(), "{line}"),
        };
        self.dirty = self.over;
    }

    fn end(&mut self) {
        if self.dirty {
            let _ = writeln!(io::stderr());
        }
    }
}
