//! The plan of the house, kept: the order of the `mod` lines in `src/lib.rs` is the order of
//! dependency, and a room uses only rooms above it.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the sources has failed")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The rooms, in their order.
fn rooms() -> Vec<String> {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    lib.lines()
        .filter_map(|line| {
            let line = line.trim();
            let rest = line.strip_prefix("pub mod ").or_else(|| line.strip_prefix("mod "))?;
            Some(rest.strip_suffix(';')?.to_owned())
        })
        .collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The files of a room.
fn files_of(room: &str) -> Vec<PathBuf> {
    let single = root().join(format!("src/{room}.rs"));
    let mut files = if single.is_file() { vec![single] } else { Vec::new() };
    let mut folders = vec![root().join("src").join(room)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    assert!(!files.is_empty(), "the room {room} has no files");
    files
}

/// The code of a file without its comments, so that words in them are no uses.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| line.split(" // ").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// What follows each `crate::` in a piece of code: the room it names, or `{` for a group.
fn uses(code: &str) -> impl Iterator<Item = &str> {
    code.match_indices("crate::").filter_map(|(at, found)| {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            return None;
        }
        let rest = &code[at + found.len()..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        Some(if end == 0 { &rest[..rest.len().min(1)] } else { &rest[..end] })
    })
}

#[test]
fn a_room_uses_only_rooms_above_it() {
    let rooms = rooms();
    let mut wrong = Vec::new();
    for (place, room) in rooms.iter().enumerate() {
        for file in files_of(room) {
            for used in uses(&code(&file)) {
                let shown = file.strip_prefix(root()).unwrap_or(&file).display();
                match rooms.iter().position(|known| known == used) {
                    Some(above) if above <= place => {}
                    Some(_) => wrong.push(format!("{shown}: {room} is above {used}")),
                    None if used == "{" => wrong.push(format!(
                        "{shown}: write `use crate::room::…` one by one; a group could hide a room"
                    )),
                    None => wrong.push(format!("{shown}: {used} is no room")),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_room_says_what_it_holds() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let mut before = "";
    for line in lib.lines() {
        if line.starts_with("pub mod ") || line.starts_with("mod ") {
            assert!(before.starts_with("///"), "{line} has no line of documentation");
        }
        before = line;
    }
    for room in rooms() {
        let head = root().join("src").join(&room).join("mod.rs");
        let head = if head.is_file() { head } else { root().join(format!("src/{room}.rs")) };
        let text = fs::read_to_string(&head).unwrap();
        assert!(text.starts_with("//!"), "{} does not open with what it holds", head.display());
    }
}

/// What the lower rooms must never know, by the crates that would tell them.
#[test]
fn rooms_keep_to_their_subject() {
    let forbidden: &[(&[&str], &[&str])] = &[
        (
            &["geo", "model", "query", "represent"],
            &["actix_web", "reqwest", "fjall", "tokio", "std::fs", "std::net"],
        ),
        (&["jsonld"], &["actix_web", "reqwest", "fjall", "std::net"]),
        (&["config"], &["actix_web", "reqwest", "fjall", "tokio"]),
        (&["egress"], &["actix_web", "fjall"]),
        (&["store"], &["actix_web", "reqwest"]),
        (&["broker"], &["actix_web", "reqwest", "fjall"]),
    ];
    let rooms = rooms();
    let mut wrong = Vec::new();
    for (some, strangers) in forbidden {
        for room in some.iter().filter(|room| rooms.iter().any(|known| known == *room)) {
            for file in files_of(room) {
                let all = code(&file);
                // Tests may bring a store or a listener along.
                let is_test = file.iter().any(|part| part == "tests" || part == "tests.rs");
                let own = all.split("#[cfg(test)]").next().unwrap_or_default();
                for stranger in strangers.iter().filter(|stranger| own.contains(**stranger)) {
                    if !is_test {
                        wrong.push(format!("{}: {room} knows {stranger}", file.display()));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn uses_are_found_wherever_they_stand() {
    let code = "use crate::model::Name;\nlet x = crate::query::plan();\nmy_crate::no::one();\nuse \
                crate::{a, b};\n$crate::config::x";
    assert_eq!(uses(code).collect::<Vec<_>>(), ["model", "query", "{"]);
}
