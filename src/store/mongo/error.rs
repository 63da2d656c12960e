//! What the driver's errors mean to those who use a store.

use mongodb::error::{Error, ErrorKind, WriteFailure};

use crate::store::StoreError;

/// The server gave an operation up because it took too long.
const TIME_LIMIT: [i32; 2] = [50, 262];
/// The server's disk is full.
const DISK_FULL: i32 = 14_031;
/// A unique index holds the key already.
const DUPLICATE: [i32; 2] = [11_000, 11_001];
/// A document would be larger than the server takes.
const TOO_LARGE: [i32; 3] = [10_334, 17_419, 17_420];
/// Members that are not primary, are stepping down, starting or shutting down, or lost their
/// connections: another try may meet a primary.
const PASSING: [i32; 14] =
    [6, 7, 64, 89, 91, 100, 112, 134, 189, 9_001, 10_107, 11_600, 11_602, 13_435];

/// The code the server gave, if it did.
pub(super) fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(error) => Some(error.code),
        ErrorKind::Write(WriteFailure::WriteError(error)) => Some(error.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(error)) => Some(error.code),
        ErrorKind::InsertMany(error) => {
            let first = error.write_errors.as_ref().and_then(|all| all.first());
            first.map(|error| error.code)
        }
        _ => None,
    }
}

/// Whether a document of this `_id` is there already.
pub(super) fn is_duplicate(code: i32) -> bool {
    DUPLICATE.contains(&code)
}

/// Whether a document would be larger than the server takes.
pub(super) fn is_too_large(code: i32) -> bool {
    TOO_LARGE.contains(&code)
}

/// Whether an operation was never sent, since there was nobody to send it to.
pub(super) fn is_unsent(error: &Error) -> bool {
    matches!(&*error.kind, ErrorKind::ServerSelection { .. } | ErrorKind::DnsResolve { .. })
}

/// Whether nobody can tell what became of a write, so that it has to be looked at.
pub(super) fn is_passing(error: &Error) -> bool {
    match &*error.kind {
        ErrorKind::Io(_)
        | ErrorKind::ServerSelection { .. }
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::DnsResolve { .. }
        | ErrorKind::InvalidResponse { .. } => true,
        _ => code(error).is_some_and(is_passing_code),
    }
}

/// See [`is_passing`].
pub(super) fn is_passing_code(code: i32) -> bool {
    PASSING.contains(&code)
}

/// What a failed read means.
pub(super) fn from_read(error: &Error) -> StoreError {
    match code(error) {
        Some(code) => from_code(code, &message(error)),
        None => StoreError::Broken(format!("MongoDB cannot be reached: {}", short(error))),
    }
}

/// What the server said.
fn message(error: &Error) -> String {
    match &*error.kind {
        ErrorKind::Command(error) => error.message.clone(),
        ErrorKind::Write(WriteFailure::WriteError(error)) => error.message.clone(),
        ErrorKind::Write(WriteFailure::WriteConcernError(error)) => error.message.clone(),
        kind => kind.to_string(),
    }
}

/// What a failed write means that surely was not done.
pub(super) fn from_write(error: &Error) -> StoreError {
    from_read(error)
}

/// What a code of the server means.
pub(super) fn from_code(code: i32, why: &str) -> StoreError {
    let why: String = why.chars().take(MAX_TEXT).collect();
    if TIME_LIMIT.contains(&code) {
        StoreError::TooSlow
    } else if code == DISK_FULL || why.contains("No space left") {
        StoreError::Full(why)
    } else {
        StoreError::Broken(format!("MongoDB answered {code}: {why}"))
    }
}

/// The longest text of an error that is passed on.
const MAX_TEXT: usize = 300;

fn short(error: &Error) -> String {
    error.kind.to_string().chars().take(MAX_TEXT).collect()
}
