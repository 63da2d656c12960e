//! Files that somebody lays into a folder. A file that was taken is noted in the store after its
//! readings are, and before it is moved: so a restart in between neither repeats nor loses it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::Feed;
use super::feed::{Document, TakeError};
use super::keep::FileMark;
use crate::config::ByteSize;
use crate::feed::mapping::source::{After, Folder};

/// A file that was written to a moment ago is not complete yet.
const SETTLED: Duration = Duration::from_secs(2);

/// How many files are taken in one turn.
const MOST: usize = 1_000;

struct Found {
    path: PathBuf,
    name: String,
    mark: FileMark,
}

/// Takes the files that are there; how long to wait for the next look.
pub(super) async fn step(
    feed: &Arc<Feed>,
    folder: &Folder,
    most: ByteSize,
) -> Result<Duration, String> {
    let most = most.min(feed.shared().config.feeds.most);
    let place = folder.folder();
    let ending = folder.ending.clone();
    let own = place.clone();
    let found = tokio::task::spawn_blocking(move || list(&own, &ending)).await;
    let (found, all) = found
        .map_err(|why| why.to_string())?
        .map_err(|why| format!("{}: {why}", place.display()))?;
    let broken = |why: crate::store::StoreError| why.to_string();
    for file in &found {
        if feed.shared().is_closing() || !feed.is_held() {
            break;
        }
        let done = feed.is_done(&file.name, &file.mark).await.map_err(broken)?;
        let refused = match done {
            true => None,
            false => take(feed, file, most).await?,
        };
        if !done {
            // It does not come again, so what was refused of it is kept first.
            feed.keep(true).await;
            feed.mark_done(&file.name, &file.mark).await.map_err(broken)?;
        }
        if finish(folder, file, refused.as_deref()).await {
            feed.unmark(&file.name).await.map_err(broken)?;
        }
    }
    for marked in feed.marked().await.map_err(broken)? {
        if marked != "*mqtt" && !all.contains(&marked) {
            feed.unmark(&marked).await.map_err(broken)?;
        }
    }
    Ok(folder.every)
}

/// Takes a file; why it was refused, if it cannot be read at all.
async fn take(feed: &Arc<Feed>, file: &Found, most: ByteSize) -> Result<Option<String>, String> {
    if file.mark.size > most.0 {
        let why =
            format!("it has {} bytes, and {} is the most (source.most)", file.mark.size, most.0);
        feed.failed(&format!("{}: {why}", file.name));
        return Ok(Some(why));
    }
    let path = file.path.clone();
    let bytes = tokio::task::spawn_blocking(move || std::fs::read(path)).await;
    let bytes = bytes.map_err(|why| why.to_string())?;
    let bytes = bytes.map_err(|why| format!("{}: {why}", file.path.display()))?;
    let document = Document { bytes: bytes.into(), topic: None, file: Some(file.name.clone()) };
    match feed.run(&[document]).await {
        Ok(taken) => {
            let name = &file.name;
            tracing::info!(
                feed = feed.name(),
                file = name,
                records = taken.records,
                rejected = taken.rejected,
                "a file was taken"
            );
            Ok(None)
        }
        Err(TakeError::NotReadable(why)) => {
            feed.failed(&format!("{}: {why}", file.name));
            Ok(Some(why))
        }
        Err(TakeError::Store(why)) => Err(why),
    }
}

/// The files that are complete, by name, and the names of all that are there.
fn list(folder: &Path, ending: &str) -> std::io::Result<(Vec<Found>, Vec<String>)> {
    let (mut found, mut all) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let metadata = entry.metadata()?;
        if !metadata.is_file() || name.starts_with('.') || !name.ends_with(ending) {
            continue;
        }
        all.push(name.clone());
        let modified = metadata.modified()?;
        let age = SystemTime::now().duration_since(modified).unwrap_or_default();
        if age < SETTLED || name.ends_with(".part") || name.ends_with(".tmp") {
            continue;
        }
        let since = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let modified = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        let mark = FileMark { size: metadata.len(), modified };
        found.push(Found { path: entry.path(), name, mark });
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found.truncate(MOST);
    Ok((found, all))
}

/// Does with a file what is to be done; whether it is gone.
async fn finish(folder: &Folder, file: &Found, refused: Option<&str>) -> bool {
    let (after, place) = (folder.after, folder.folder());
    let (path, name) = (file.path.clone(), file.name.clone());
    let refused = refused.map(str::to_owned);
    let finished = tokio::task::spawn_blocking(move || match after {
        After::Keep => Ok(false),
        After::Delete if refused.is_none() => std::fs::remove_file(path).map(|()| true),
        _ => aside(&place, &path, &name, refused.as_deref()).map(|()| true),
    });
    match finished.await {
        Ok(Ok(gone)) => gone,
        Ok(Err(why)) => {
            // It is marked as done, so it is only in the way.
            tracing::warn!(file = file.name, %why, "a file that is done cannot be moved");
            false
        }
        Err(_) => false,
    }
}

/// Moves a file into the folder beside it, under a name that nothing there has.
fn aside(folder: &Path, path: &Path, name: &str, refused: Option<&str>) -> std::io::Result<()> {
    let to = folder.join(if refused.is_some() { "failed" } else { "done" });
    std::fs::create_dir_all(&to)?;
    let mut target = to.join(name);
    if target.exists() {
        let now = crate::model::Timestamp::now().to_string().replace(':', "");
        target = to.join(format!("{now}-{name}"));
    }
    std::fs::rename(path, &target)?;
    if let Some(why) = refused {
        let mut note = target.into_os_string();
        note.push(".why.txt");
        std::fs::write(note, format!("{why}\n"))?;
    }
    Ok(())
}
