//! What is done about a disk that failed, before the engine is opened anew.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;

/// Whether the disk takes a few mebibytes.
pub(super) fn probe(folder: &Path) -> std::io::Result<()> {
    let path = folder.join("probe");
    let write = || {
        let mut file = File::create(&path)?;
        for _ in 0..64 {
            file.write_all(&[1; 64 << 10])?;
        }
        file.sync_all()
    };
    let written = write();
    fs::remove_file(&path)?;
    written
}

/// Writes the journals again, in place. After a sync that failed, what the system shows of a file
/// may differ from what is on the disk, and would never get there by itself: a later loss of power
/// would leave a gap, and all that was appended behind it would be lost.
pub(super) fn rewrite_journals(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            rewrite(&mut OpenOptions::new().read(true).write(true).open(&path)?)?;
        }
    }
    Ok(())
}

fn rewrite(file: &mut File) -> std::io::Result<()> {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let count = file.read(&mut bytes)?;
        if count == 0 {
            return file.sync_all();
        }
        // A journal's room is set aside as zeros, which take none until they are written.
        if bytes[..count].iter().any(|byte| *byte != 0) {
            file.seek_relative(-(count as i64))?;
            file.write_all(&bytes[..count])?;
        }
    }
}
