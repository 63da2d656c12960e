//! Strings: borrowed unless something is escaped.

use std::borrow::Cow;

use super::{ParseError, Reader};

/// Bytes that end a run of plain text: quote, backslash, control characters.
static SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        special[byte] = true;
        byte += 1;
    }
    special[b'"' as usize] = true;
    special[b'\\' as usize] = true;
    special
};

impl<'a> Reader<'a, '_> {
    /// Reads a string, at its opening quote.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, ParseError> {
        self.at += 1;
        let plain = self.run();
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = String::from(plain);
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(text));
                }
                Some(b'\\') => text.push(self.escaped()?),
                _ => return Err(self.not_json("a control character in a string")),
            }
            text.push_str(self.run());
        }
    }

    /// The plain text up to the next special byte.
    fn run(&mut self) -> &'a str {
        let start = self.at;
        let rest = &self.bytes[start..];
        self.at += rest.iter().position(|&byte| SPECIAL[byte as usize]).unwrap_or(rest.len());
        &self.text[start..self.at]
    }

    /// One escaped character, at its backslash.
    fn escaped(&mut self) -> Result<char, ParseError> {
        self.at += 1;
        let character = match self.peek() {
            Some(character @ (b'"' | b'\\' | b'/')) => char::from(character),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.escaped_unicode();
            }
            _ => return Err(self.not_json("no such escape")),
        };
        self.at += 1;
        Ok(character)
    }

    /// Four hexadecimal digits, or twice so for what lies beyond the basic plane.
    fn escaped_unicode(&mut self) -> Result<char, ParseError> {
        let unit = self.four_digits()?;
        if let Some(character) = char::from_u32(unit) {
            return Ok(character);
        }
        if unit >= 0xDC00 || !self.bytes[self.at..].starts_with(b"\\u") {
            return Err(self.not_json("half of a surrogate pair"));
        }
        self.at += 2;
        let second = self.four_digits()?;
        if !(0xDC00..0xE000).contains(&second) {
            return Err(self.not_json("half of a surrogate pair"));
        }
        let code = 0x1_0000 + ((unit - 0xD800) << 10) + (second - 0xDC00);
        char::from_u32(code).ok_or_else(|| self.not_json("no such character"))
    }

    fn four_digits(&mut self) -> Result<u32, ParseError> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            unit = unit * 16 + digit.ok_or_else(|| self.not_json("expected four hex digits"))?;
            self.at += 1;
        }
        Ok(unit)
    }
}
