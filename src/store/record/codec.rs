//! Bytes in and out: variable-length numbers, texts, and reading that never trusts.

use super::Damaged;

/// Bytes being written.
#[derive(Debug, Default)]
pub(in crate::store) struct Out(pub Vec<u8>);

impl Out {
    pub fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// Seven bits a byte, the least significant first.
    pub fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// Small distances from zero are short, whatever their sign.
    pub fn signed(&mut self, number: i64) {
        self.number(((number << 1) ^ (number >> 63)) as u64);
    }

    pub fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    pub fn float(&mut self, number: f64) {
        self.0.extend_from_slice(&number.to_bits().to_le_bytes());
    }

    pub fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }
}

/// Bytes being read; whatever they are, reading ends with a value or [`Damaged`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::store) struct In<'a>(pub &'a [u8]);

impl<'a> In<'a> {
    pub fn byte(&mut self) -> Result<u8, Damaged> {
        let (&first, rest) = self.0.split_first().ok_or(Damaged("it ends early"))?;
        self.0 = rest;
        Ok(first)
    }

    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], Damaged> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Damaged("it ends early"))?;
        self.0 = rest;
        Ok(bytes)
    }

    pub fn number(&mut self) -> Result<u64, Damaged> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Damaged("a number is too long"))
    }

    pub fn signed(&mut self) -> Result<i64, Damaged> {
        let number = self.number()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// How many things follow; each takes at least a byte, so that a wrong count cannot ask for
    /// more memory than the record has bytes.
    pub fn count(&mut self) -> Result<usize, Damaged> {
        let count = self.number()?;
        if count > self.0.len() as u64 {
            return Err(Damaged("a count is larger than what follows"));
        }
        Ok(count as usize)
    }

    pub fn float(&mut self) -> Result<f64, Damaged> {
        let bytes = self.bytes(8)?.try_into().map_err(|_| Damaged("it ends early"))?;
        let number = f64::from_bits(u64::from_le_bytes(bytes));
        if number.is_finite() { Ok(number) } else { Err(Damaged("a number is not finite")) }
    }

    pub fn text(&mut self) -> Result<&'a str, Damaged> {
        let length = self.count()?;
        std::str::from_utf8(self.bytes(length)?).map_err(|_| Damaged("a text is not UTF-8"))
    }
}
