//! Numbers as feeds write them, told from the many ways to say that there is none.

use serde_json::{Number, Value};

/// What stands where a number should be.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    Number(Number),
    /// One of the ways to say that there is none.
    Missing,
    /// Something else, as it was written.
    Unreadable(String),
}

/// Which numbers are none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Missing {
    /// Codes that stand for nothing, like -999.
    pub codes: Vec<f64>,
    /// Texts that do, in lower case.
    pub words: Vec<String>,
    /// Whatever is below this.
    pub below: Option<f64>,
}

/// Words that mean nothing everywhere.
const NOTHING: [&str; 8] = ["", "-", "--", "n/a", "na", "null", "nan", "none"];

impl Missing {
    /// Whether a text stands for nothing.
    pub fn is_nothing(&self, text: &str) -> bool {
        let text = text.trim();
        if text.len() > 40 {
            return false;
        }
        let small = text.to_lowercase();
        NOTHING.contains(&small.as_str()) || self.words.contains(&small)
    }

    /// Whether a number is a code for nothing.
    pub fn is_code(&self, number: f64) -> bool {
        self.codes.contains(&number) || self.below.is_some_and(|below| number < below)
    }

    /// Reads a number; `thousands` stands between groups of three digits.
    pub fn read(&self, value: Option<&Value>, thousands: Option<char>) -> Reading {
        let text = match value {
            None | Some(Value::Null) => return Reading::Missing,
            Some(Value::Number(number)) => return self.judged(number.clone()),
            Some(Value::String(text)) => text.trim(),
            Some(other) => return Reading::Unreadable(shortened(&other.to_string())),
        };
        if self.is_nothing(text) {
            return Reading::Missing;
        }
        let digits = plain(text, thousands);
        let digits = digits.as_deref().unwrap_or(text);
        let whole = digits.parse::<i64>().ok().map(Number::from);
        let number = whole.or_else(|| digits.parse::<f64>().ok().and_then(Number::from_f64));
        match number {
            Some(number) => self.judged(number),
            None => Reading::Unreadable(shortened(text)),
        }
    }

    fn judged(&self, number: Number) -> Reading {
        match number.as_f64() {
            Some(value) if self.is_code(value) => Reading::Missing,
            _ => Reading::Number(number),
        }
    }
}

/// The text with Arabic digits and without separators, where it has others.
fn plain(text: &str, thousands: Option<char>) -> Option<String> {
    if text.is_ascii() && thousands.is_none_or(|mark| !text.contains(mark)) {
        return None;
    }
    Some(text.chars().filter(|c| Some(*c) != thousands).map(arabic).collect())
}

/// A Thai digit as the world writes it.
pub fn arabic(c: char) -> char {
    match c {
        '๐'..='๙' => char::from(b'0' + (c as u32 - '๐' as u32) as u8),
        '−' => '-',
        other => other,
    }
}

/// As much of a text as a message should hold.
pub fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn missing() -> Missing {
        Missing {
            codes: vec![-1.0, -999.0, -9999.0], words: vec!["ไม่มี".into()], below: None
        }
    }

    #[test]
    fn numbers_are_told_from_the_many_ways_to_say_none() {
        let read = |value: Value| missing().read(Some(&value), Some(','));
        for (value, number) in [
            (json!("22.4"), json!(22.4)),
            (json!(" 7 "), json!(7)),
            (json!("0"), json!(0)),
            (json!(3.5), json!(3.5)),
            (json!("-0.3"), json!(-0.3)),
            (json!("1,234.5"), json!(1234.5)),
            (json!("๑๒.๕"), json!(12.5)),
        ] {
            let Value::Number(number) = number else { panic!("is a number") };
            assert_eq!(read(value.clone()), Reading::Number(number), "{value}");
        }
        for none in ["-1", "-999", "-9999", "-1.0", "", "-", "N/A", "n/a", "NaN", "ไม่มี"]
        {
            assert_eq!(read(json!(none)), Reading::Missing, "{none}");
        }
        assert_eq!(missing().read(None, None), Reading::Missing);
        assert_eq!(read(json!(-999)), Reading::Missing);
        for bad in [json!("1.2.3"), json!("inf"), json!("many"), json!([1]), json!(true)] {
            assert!(matches!(read(bad.clone()), Reading::Unreadable(_)), "{bad}");
        }
        assert!(matches!(missing().read(Some(&json!("1,2")), None), Reading::Unreadable(_)));
        let below = Missing { below: Some(0.0), ..Missing::default() };
        assert_eq!(below.read(Some(&json!("-0.5")), None), Reading::Missing);
    }

    proptest! {
        #[test]
        fn a_sentinel_never_becomes_data(pad in " {0,3}", decimals in 0_usize..4, which in 0_usize..3) {
            let code = missing().codes[which];
            let text = format!("{pad}{code:.decimals$}{pad}");
            prop_assert_eq!(missing().read(Some(&json!(text)), Some(',')), Reading::Missing);
            prop_assert_eq!(missing().read(Some(&json!(code)), None), Reading::Missing);
        }

        #[test]
        fn any_text_is_read_without_panic(text in "\\PC{0,30}") {
            missing().read(Some(&json!(text)), Some(','));
        }
    }
}
