//! The data folder: whose it is, and of which format.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::store::StoreError;

/// How often a folder that this very process still holds is tried again, ten milliseconds apart.
const LETTING_GO: u32 = 200;

/// The format this version writes. A change of what is on disk takes the next number and a step
/// in [`Folder::migrate`].
const FORMAT: u32 = 4;

/// A data folder that is ours until it is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

impl Folder {
    /// Makes the folder if it is not there, and takes it for this process alone.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let cannot = |what: &str, error: std::io::Error| {
            StoreError::Unusable(format!(
                "cannot {what} the data folder {}: {error}",
                path.display()
            ))
        };
        fs::create_dir_all(path).map_err(|error| cannot("make", error))?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join("lock"))
            .map_err(|error| cannot("lock", error))?;
        let mut tried = 0;
        let mut owner = String::new();
        let locked = loop {
            let locked = lock.try_lock();
            if !matches!(locked, Err(TryLockError::WouldBlock)) {
                break locked;
            }
            owner.clear();
            let _ = lock.rewind().and_then(|()| lock.read_to_string(&mut owner));
            tried += 1;
            // A store of this process that was closed lets go when its last read has ended.
            if owner.trim() != std::process::id().to_string() || tried > LETTING_GO {
                break locked;
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let owner = match owner.trim() {
                    "" => String::new(),
                    number => format!(" (number {number})"),
                };
                return Err(StoreError::Unusable(format!(
                    "the data folder {} is in use by another process{owner}; \
                     stop that one, or give this one a folder of its own",
                    path.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(cannot("lock", error)),
        }
        // Only for the message above, so that failing to say it does no harm.
        let _ = lock.set_len(0).and_then(|()| lock.rewind());
        let _ = writeln!(lock, "{}", std::process::id());
        let folder = Self { path: path.to_owned(), _lock: lock };
        folder.check_format()?;
        Ok(folder)
    }

    /// Where the engine keeps its files.
    pub fn engine(&self) -> PathBuf {
        self.path.join("engine")
    }

    fn check_format(&self) -> Result<(), StoreError> {
        let file = self.path.join("format");
        let found = match fs::read_to_string(&file) {
            Ok(text) => text.trim().parse().map_err(|_| {
                StoreError::Unusable(format!("{} does not hold a number", file.display()))
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if self.engine().exists() {
                    return Err(StoreError::Unusable(format!(
                        "{} is missing, so the format of the data is unknown; \
                         put the number of the format there (this version writes {FORMAT})",
                        file.display()
                    )));
                }
                self.write_format()?;
                FORMAT
            }
            Err(error) => {
                return Err(StoreError::Unusable(format!(
                    "cannot read {}: {error}",
                    file.display()
                )));
            }
        };
        if found > FORMAT {
            return Err(StoreError::Unusable(format!(
                "the data folder {} is of format {found}, written by a newer version; \
                 this one reads up to {FORMAT}",
                self.path.display()
            )));
        }
        for format in found..FORMAT {
            self.migrate(format)?;
        }
        if found < FORMAT { self.write_format() } else { Ok(()) }
    }

    /// Turns data of this format into data of the next.
    fn migrate(&self, format: u32) -> Result<(), StoreError> {
        // From 2 on what was recorded lately lies in a log, from 3 on what is little of an entity
        // in sheaves, from 4 on events in sheets: nothing does yet, and what lies elsewhere is read
        // as before.
        if matches!(format, 1..=3) {
            return Ok(());
        }
        Err(StoreError::Unusable(format!(
            "the data folder {} is of format {format}, which no version ever wrote",
            self.path.display()
        )))
    }

    /// Writes the number beside the file and moves it there, so that it is whole or absent.
    fn write_format(&self) -> Result<(), StoreError> {
        let write = || {
            let beside = self.path.join("format.new");
            let mut file = File::create(&beside)?;
            writeln!(file, "{FORMAT}")?;
            file.sync_all()?;
            fs::rename(&beside, self.path.join("format"))?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|error: std::io::Error| StoreError::from_io(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_user_is_told_which_folder_is_taken() {
        let place = tempfile::tempdir().unwrap();
        let first = Folder::open(place.path()).unwrap();
        let refusal = Folder::open(place.path()).unwrap_err().to_string();
        assert!(refusal.contains(&place.path().display().to_string()), "{refusal}");
        assert!(refusal.contains("in use by another process"), "{refusal}");
        drop(first);
        Folder::open(place.path()).unwrap();
    }

    #[test]
    fn data_of_a_newer_version_are_left_alone() {
        let place = tempfile::tempdir().unwrap();
        drop(Folder::open(place.path()).unwrap());
        fs::write(place.path().join("format"), format!("{}\n", FORMAT + 1)).unwrap();
        let refusal = Folder::open(place.path()).unwrap_err().to_string();
        assert!(refusal.contains("written by a newer version"), "{refusal}");
        for wrong in ["0\n", "first\n", ""] {
            fs::write(place.path().join("format"), wrong).unwrap();
            assert!(Folder::open(place.path()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn data_of_earlier_formats_become_those_of_this() {
        for earlier in 1..FORMAT {
            let place = tempfile::tempdir().unwrap();
            fs::write(place.path().join("format"), format!("{earlier}\n")).unwrap();
            drop(Folder::open(place.path()).unwrap());
            let format = fs::read_to_string(place.path().join("format")).unwrap();
            assert_eq!(format.trim(), FORMAT.to_string());
        }
    }
}
