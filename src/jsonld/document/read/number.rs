//! Numbers, exactly as far as 64 bits go.

use super::{ParseError, Reader, place};
use crate::model::Number;

/// So many digits fit an `i64`, whatever they are.
const SURE_DIGITS: usize = 18;

impl Reader<'_, '_> {
    /// Reads a number, at its sign or first digit: an integer if it is written as one and fits.
    pub(super) fn number(&mut self) -> Result<Number, ParseError> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        if negative {
            self.at += 1;
        }
        let first = self.at;
        let mut sum: i64 = 0;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            sum = sum.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
            self.at += 1;
        }
        let digits = self.at - first;
        if digits == 0 {
            return Err(self.not_json("expected a digit"));
        }
        if digits > 1 && self.bytes[first] == b'0' {
            self.at = first + 1;
            return Err(self.not_json("a number does not start with zero"));
        }
        if !matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            return match (digits <= SURE_DIGITS, negative) {
                (true, true) if sum == 0 => Ok(Number::Float(-0.0)),
                (true, true) => Ok(Number::Int(-sum)),
                (true, false) => Ok(Number::Int(sum)),
                (false, _) => self.long(start),
            };
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        self.float(start)
    }

    /// At least one digit.
    fn digits(&mut self) -> Result<(), ParseError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.not_json("expected a digit")) } else { Ok(()) }
    }

    /// A whole number of many digits.
    fn long(&self, start: usize) -> Result<Number, ParseError> {
        let text = &self.text[start..self.at];
        if let Ok(number) = text.parse() {
            Ok(Number::Int(number))
        } else if let Ok(number) = text.parse() {
            Ok(Number::UInt(number))
        } else {
            self.float(start)
        }
    }

    fn float(&self, start: usize) -> Result<Number, ParseError> {
        match self.text[start..self.at].parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Number::Float(number)),
            _ => {
                let (line, column) = place(self.bytes, start);
                Err(ParseError::NumberTooLarge { line, column })
            }
        }
    }
}
