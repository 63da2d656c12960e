//! A stream of bytes, cut into JSON values one at a time, in bounded memory.
//!
//! Three layouts are told apart by how the input begins: a JSON array of values, one value to a
//! line (NDJSON), or values written one after another over any number of lines.

use std::io::{self, Read};

use super::Place;

/// One value of the input, or what stands where one should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub place: Place,
    /// The bytes of the value, not yet parsed, or why there is none.
    pub value: Result<Vec<u8>, String>,
}

/// How the values are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Unknown,
    /// In an array whose bracket has been read; true before its first element.
    Array {
        first: bool,
    },
    Lines,
    Values,
    Done,
}

/// How much is read at a time.
const CHUNK: usize = 256 * 1024;

/// Cuts the input of a reader into values.
pub(super) struct Splitter<R> {
    input: R,
    /// Bytes that were read and not yet handed out, from `start` on.
    buffer: Vec<u8>,
    start: usize,
    ended: bool,
    layout: Layout,
    /// The longest value that is taken, in bytes.
    max_value: usize,
    line: u64,
    number: u64,
    bytes: u64,
}

impl<R: Read> Splitter<R> {
    /// A splitter that refuses values longer than so many bytes.
    pub fn new(input: R, max_value: usize) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            start: 0,
            ended: false,
            layout: Layout::Unknown,
            max_value,
            line: 1,
            number: 0,
            bytes: 0,
        }
    }

    /// Bytes of input handed out so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next value, or none at the end.
    pub fn next(&mut self) -> io::Result<Option<Piece>> {
        loop {
            match self.layout {
                Layout::Done => return Ok(None),
                Layout::Unknown => self.layout = self.detect()?,
                Layout::Lines => match self.next_line()? {
                    Some(piece) => return Ok(Some(piece)),
                    None => self.layout = Layout::Done,
                },
                Layout::Values => {
                    return match self.skip_space()? {
                        None => Ok(None),
                        Some(_) => self.next_value().map(Some),
                    };
                }
                Layout::Array { first } => return self.next_element(first),
            }
        }
    }

    /// Looks at the beginning without taking more than an array's bracket.
    fn detect(&mut self) -> io::Result<Layout> {
        self.fill(3)?;
        if self.rest().starts_with(b"\xef\xbb\xbf") {
            self.take(3);
        }
        Ok(match self.skip_space()? {
            None => Layout::Done,
            Some(b'[') => {
                self.take(1);
                Layout::Array { first: true }
            }
            Some(_) if self.begins_with_lines()? => Layout::Lines,
            Some(_) => Layout::Values,
        })
    }

    /// Whether one of the first two lines is a JSON object, as in NDJSON: of an object that is
    /// spread over lines no line is one. The second is asked in case the first is damaged.
    fn begins_with_lines(&mut self) -> io::Result<bool> {
        let mut begin = 0;
        for _ in 0..2 {
            let end = self.find_line_end(begin)?;
            let line = self.rest()[begin..end.unwrap_or(self.rest().len())].trim_ascii();
            let whole = serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok();
            match end {
                _ if whole && line.starts_with(b"{") => return Ok(true),
                None => return Ok(false),
                Some(end) => begin = end + 1,
            }
        }
        Ok(false)
    }

    /// Where the line ends that begins here, unless the input ends first or it is too long.
    fn find_line_end(&mut self, begin: usize) -> io::Result<Option<usize>> {
        let mut searched = begin;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.rest()[searched..]) {
                return Ok(Some(searched + at));
            }
            searched = self.rest().len();
            if searched > begin + self.max_value || !self.more()? {
                return Ok(None);
            }
        }
    }

    fn next_line(&mut self) -> io::Result<Option<Piece>> {
        if self.skip_space()?.is_none() {
            return Ok(None);
        }
        let place = self.count();
        let mut too_long = false;
        let length = loop {
            if let Some(end) = self.find_line_end(0)? {
                break end;
            }
            let length = self.rest().len();
            if length <= self.max_value {
                break length;
            }
            too_long = true;
            self.take(length);
        };
        let value = match too_long || length > self.max_value {
            true => Err(self.too_long()),
            false => Ok(self.rest()[..length].trim_ascii().to_vec()),
        };
        self.take(length);
        Ok(Some(Piece { place, value }))
    }

    fn next_element(&mut self, first: bool) -> io::Result<Option<Piece>> {
        self.layout = Layout::Array { first: false };
        let byte = match (self.skip_space()?, first) {
            (Some(b']'), _) => {
                self.take(1);
                self.layout = Layout::Done;
                return match self.skip_space()? {
                    None => Ok(None),
                    Some(_) => Ok(Some(self.give_up("something follows the end of the array"))),
                };
            }
            (Some(b','), false) => {
                self.take(1);
                self.skip_space()?
            }
            (Some(_), false) => {
                return Ok(Some(self.give_up("a comma or ] is missing before this")));
            }
            (byte, _) => byte,
        };
        match byte {
            None => Ok(Some(self.give_up("the input ends inside the array"))),
            Some(b',' | b']') => Ok(Some(self.give_up("a value is missing here"))),
            Some(_) => self.next_value().map(Some),
        }
    }

    /// Nothing that follows can be told apart any more.
    fn give_up(&mut self, why: &str) -> Piece {
        self.layout = Layout::Done;
        let place = self.count();
        Piece { place, value: Err(format!("{why}; nothing after it was read")) }
    }

    /// The value that begins here: brackets are matched and texts passed over, nothing is checked.
    fn next_value(&mut self) -> io::Result<Piece> {
        let place = self.count();
        let mut scan = Scan::default();
        let mut kept = Vec::new();
        let mut length = 0;
        loop {
            let end = scan.feed(self.rest());
            let part = end.unwrap_or(self.rest().len());
            length += part;
            if length <= self.max_value {
                kept.extend_from_slice(&self.rest()[..part]);
            }
            self.take(part);
            if end.is_some() || !self.more()? {
                break;
            }
        }
        let value = match (length > self.max_value, scan.is_complete()) {
            (true, _) => Err(self.too_long()),
            (false, true) => Ok(kept),
            (false, false) => Err("the input ends inside this value".into()),
        };
        Ok(Piece { place, value })
    }

    fn too_long(&self) -> String {
        format!("it is longer than {} bytes", self.max_value)
    }

    fn count(&mut self) -> Place {
        self.number += 1;
        Place { line: self.line, number: self.number }
    }

    /// What was read and not yet taken.
    fn rest(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    fn take(&mut self, length: usize) {
        let end = self.start + length;
        let lines = memchr::memchr_iter(b'\n', &self.buffer[self.start..end]).count();
        self.line += lines as u64;
        self.bytes += length as u64;
        self.start = end;
    }

    /// Passes over white space; the byte after it.
    fn skip_space(&mut self) -> io::Result<Option<u8>> {
        loop {
            let rest = self.rest();
            let space = rest.iter().position(|byte| !byte.is_ascii_whitespace());
            let byte = space.map(|at| rest[at]);
            let length = space.unwrap_or(rest.len());
            self.take(length);
            if byte.is_some() || !self.more()? {
                return Ok(byte);
            }
        }
    }

    /// Reads on until so many bytes are there, if the input has them.
    fn fill(&mut self, length: usize) -> io::Result<()> {
        while self.rest().len() < length && self.more()? {}
        Ok(())
    }

    /// Reads another chunk; false at the end of the input.
    fn more(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        let length = self.buffer.len();
        self.buffer.resize(length + CHUNK, 0);
        let read = loop {
            match self.input.read(&mut self.buffer[length..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(length + *read.as_ref().unwrap_or(&0));
        self.ended = read? == 0;
        Ok(!self.ended)
    }
}

/// Finds where a JSON value ends while its bytes pass by.
#[derive(Default)]
struct Scan {
    depth: usize,
    in_text: bool,
    escaped: bool,
    /// A number or a word, which ends where another character begins.
    bare: bool,
    done: bool,
}

impl Scan {
    /// Looks at more bytes; how many of them still belong to the value, once its end is seen.
    fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, &byte) in bytes.iter().enumerate() {
            if self.in_text {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_text = false,
                    _ => {}
                }
                if self.in_text || self.depth > 0 {
                    continue;
                }
            } else {
                match byte {
                    b',' | b']' | b'}' if self.bare => {
                        self.done = true;
                        return Some(at);
                    }
                    byte if self.bare && byte.is_ascii_whitespace() => {
                        self.done = true;
                        return Some(at);
                    }
                    b'"' => {
                        self.in_text = true;
                        continue;
                    }
                    b'{' | b'[' => {
                        self.depth += 1;
                        continue;
                    }
                    b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                    _ => self.bare |= self.depth == 0,
                }
                if self.depth > 0 || self.bare {
                    continue;
                }
            }
            self.done = true;
            return Some(at + 1);
        }
        None
    }

    /// Whether the value was whole when the bytes ended.
    fn is_complete(&self) -> bool {
        self.done || (self.bare && !self.in_text && self.depth == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that hands out a few bytes at a time.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(self.0.len()).min(out.len());
            out[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    fn split(text: &str) -> Vec<String> {
        let mut answers = Vec::new();
        for step in [1, 2, 7, 4096] {
            let mut splitter = Splitter::new(Drip(text.as_bytes(), step), 60);
            let mut pieces = Vec::new();
            while let Some(piece) = splitter.next().expect("reads from memory") {
                let value = match piece.value {
                    Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                    Err(why) => format!("! {why}"),
                };
                pieces.push(format!("{}: {value}", piece.place.line));
            }
            answers.push(pieces);
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:#?}");
        answers.remove(0)
    }

    #[test]
    fn arrays_are_cut_into_their_elements() {
        assert_eq!(split(r#"[]"#), [""; 0]);
        assert_eq!(
            split("\u{feff} [ {\"a\":\"]}\\\"\"},\n {\"b\":[1,{}]} , 5,\"ไทย\"\n]\n"),
            ["1: {\"a\":\"]}\\\"\"}", "2: {\"b\":[1,{}]}", "2: 5", "2: \"ไทย\""]
        );
    }

    #[test]
    fn lines_are_cut_and_a_broken_one_harms_no_other() {
        assert_eq!(split("{\"a\":\n{\"b\":2}"), ["1: {\"a\":", "2: {\"b\":2}"]);
        assert_eq!(
            split("{\"a\":1}\n\n{\"a\":\n  {\"b\":2}  \r\n{\"c\":3}"),
            ["1: {\"a\":1}", "3: {\"a\":", "4: {\"b\":2}", "5: {\"c\":3}"]
        );
    }

    #[test]
    fn values_may_spread_over_lines() {
        assert_eq!(split("{\n\"a\": 1\n}\n{\"b\":\n2}"), ["1: {\n\"a\": 1\n}", "4: {\"b\":\n2}"]);
        assert_eq!(split("{\"a\": 1}"), ["1: {\"a\": 1}"]);
    }

    #[test]
    fn what_is_too_long_or_cut_off_is_refused() {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(70));
        assert_eq!(split(&format!("[{long},1]")), ["1: ! it is longer than 60 bytes", "1: 1"]);
        assert_eq!(
            split(&format!("{{}}\n{long}\n{{\"b\":2}}")),
            ["1: {}", "2: ! it is longer than 60 bytes", "3: {\"b\":2}"]
        );
        assert_eq!(
            split("[{\"a\":1},{\"b\":"),
            [
                "1: {\"a\":1}",
                "1: ! the input ends inside this value",
                "1: ! the input ends inside the array; nothing after it was read"
            ]
        );
        assert_eq!(
            split("[1 2]"),
            ["1: 1", "1: ! a comma or ] is missing before this; nothing after it was read"]
        );
        assert_eq!(
            split("[1,]"),
            ["1: 1", "1: ! a value is missing here; nothing after it was read"]
        );
        assert_eq!(
            split("[1]\nx"),
            ["1: 1", "2: ! something follows the end of the array; nothing after it was read"]
        );
    }

    #[test]
    fn nothing_is_an_input_too() {
        assert_eq!(split(""), [""; 0]);
        assert_eq!(split(" \n\n"), [""; 0]);
    }
}
