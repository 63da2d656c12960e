//! What a setting can hold, and how it is read from a text (environment, flag) or from TOML.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// What was written for a setting.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// In the environment or on the command line.
    Text(&'a str),
    /// In the file.
    Toml(&'a toml::Value),
}

impl Input<'_> {
    pub(super) fn read<V: Value>(self) -> Result<V, String> {
        match self {
            Self::Text(text) => V::from_text(text.trim()),
            Self::Toml(value) => V::from_toml(value),
        }
        .map_err(|why| if why.is_empty() { format!("expected {}", V::HINT) } else { why })
    }
}

/// A type that a setting can have.
pub trait Value: Sized {
    /// What a value looks like, as the help says it.
    const HINT: &'static str;
    /// What stands for a value in the help.
    const NAME: &'static str;
    /// True when a bare flag means `true`.
    const SWITCH: bool = false;
    /// True when there may be several.
    const LIST: bool = false;

    /// Reads what stands in the environment or on the command line; an empty message means
    /// "expected [`Self::HINT`]".
    fn from_text(text: &str) -> Result<Self, String>;

    /// Reads what stands in the file: a string like [`Self::from_text`] unless the type says more.
    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        Self::from_text(value.as_str().ok_or_else(String::new)?)
    }

    /// The value as it would stand in the file; absent when nothing is set.
    fn show(&self) -> Option<toml::Value>;
}

impl Value for bool {
    const HINT: &'static str = "true or false";
    const NAME: &'static str = "BOOL";
    const SWITCH: bool = true;

    fn from_text(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err(String::new()),
        }
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        value.as_bool().ok_or_else(String::new)
    }

    fn show(&self) -> Option<toml::Value> {
        Some((*self).into())
    }
}

impl Value for usize {
    const HINT: &'static str = "a whole number";
    const NAME: &'static str = "NUMBER";

    fn from_text(text: &str) -> Result<Self, String> {
        text.replace('_', "").parse().map_err(|_| String::new())
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        let number = value.as_integer().ok_or_else(String::new)?;
        usize::try_from(number).map_err(|_| String::new())
    }

    fn show(&self) -> Option<toml::Value> {
        Some(toml::Value::Integer(i64::try_from(*self).unwrap_or(i64::MAX)))
    }
}

impl Value for String {
    const HINT: &'static str = "a text";
    const NAME: &'static str = "TEXT";

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn show(&self) -> Option<toml::Value> {
        Some(self.as_str().into())
    }
}

impl Value for PathBuf {
    const HINT: &'static str = "a path";
    const NAME: &'static str = "PATH";

    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err(String::new()) } else { Ok(text.into()) }
    }

    fn show(&self) -> Option<toml::Value> {
        Some(self.display().to_string().into())
    }
}

impl Value for url::Url {
    const HINT: &'static str = "an http or https URL";
    const NAME: &'static str = "URL";

    fn from_text(text: &str) -> Result<Self, String> {
        let url = url::Url::parse(text).map_err(|error| error.to_string())?;
        if matches!(url.scheme(), "http" | "https") { Ok(url) } else { Err(String::new()) }
    }

    fn show(&self) -> Option<toml::Value> {
        Some(self.as_str().into())
    }
}

impl Value for SocketAddr {
    const HINT: &'static str = "an address and a port, like 127.0.0.1:9090";
    const NAME: &'static str = "ADDRESS:PORT";

    fn from_text(text: &str) -> Result<Self, String> {
        text.replace("localhost:", "127.0.0.1:").parse().map_err(|_| String::new())
    }

    fn show(&self) -> Option<toml::Value> {
        Some(self.to_string().into())
    }
}

impl Value for Duration {
    const HINT: &'static str = "a duration, like 100ms, 10s, 5m or 1h";
    const NAME: &'static str = "TIME";

    fn from_text(text: &str) -> Result<Self, String> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| String::new())?;
        let millis = match unit.trim() {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(String::new()),
        };
        number.checked_mul(millis).map(Duration::from_millis).ok_or_else(String::new)
    }

    fn show(&self) -> Option<toml::Value> {
        let millis = self.as_millis();
        let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
        let whole = units.iter().find(|(size, _)| millis > 0 && millis.is_multiple_of(*size));
        let (size, unit) = whole.unwrap_or(&(1, "ms"));
        Some(format!("{}{unit}", millis / size).into())
    }
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// So many times 1024 bytes.
    pub const fn kibi(number: u64) -> Self {
        Self(number << 10)
    }

    /// So many times 1024² bytes.
    pub const fn mebi(number: u64) -> Self {
        Self(number << 20)
    }

    /// The number of bytes, as far as this machine can address them.
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

const BYTE_UNITS: [(u64, &str); 7] = [
    (1 << 30, "GiB"),
    (1_000_000_000, "GB"),
    (1 << 20, "MiB"),
    (1_000_000, "MB"),
    (1 << 10, "KiB"),
    (1_000, "KB"),
    (1, "B"),
];

impl Value for ByteSize {
    const HINT: &'static str = "a size, like 64KiB, 8MiB or 2GiB";
    const NAME: &'static str = "SIZE";

    fn from_text(text: &str) -> Result<Self, String> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| String::new())?;
        let unit = if unit.is_empty() { "B" } else { unit.trim() };
        let known = BYTE_UNITS.iter().find(|(_, name)| name.eq_ignore_ascii_case(unit));
        let (size, _) = known.ok_or_else(String::new)?;
        number.checked_mul(*size).map(Self).ok_or_else(String::new)
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        match value.as_integer() {
            Some(number) => u64::try_from(number).map(Self).map_err(|_| String::new()),
            None => Self::from_text(value.as_str().ok_or_else(String::new)?),
        }
    }

    fn show(&self) -> Option<toml::Value> {
        Some(self.to_string().into())
    }
}

impl std::fmt::Display for ByteSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let binary = BYTE_UNITS.iter().filter(|(size, _)| size.is_power_of_two());
        let mut whole = binary.filter(|(size, _)| self.0.is_multiple_of(*size) && self.0 > 0);
        let (size, unit) = whole.next().unwrap_or(&(1, "B"));
        write!(f, "{}{unit}", self.0 / size)
    }
}

/// A document that answers for a URL without the network, written `URL=FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preload {
    /// The URL that the document is asked for by.
    pub url: String,
    /// Where it lies.
    pub file: PathBuf,
}

impl Value for Preload {
    const HINT: &'static str = "URL=FILE";
    const NAME: &'static str = "URL=FILE";

    fn from_text(text: &str) -> Result<Self, String> {
        // URLs may hold "=" in a query, files seldom do: the last one parts them.
        let (url, file) = text.rsplit_once('=').ok_or_else(String::new)?;
        url::Url::from_text(url)?;
        Ok(Self { url: url.to_owned(), file: PathBuf::from_text(file)? })
    }

    fn show(&self) -> Option<toml::Value> {
        Some(format!("{}={}", self.url, self.file.display()).into())
    }
}

impl<V: Value> Value for Option<V> {
    const HINT: &'static str = V::HINT;
    const NAME: &'static str = V::NAME;

    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(None) } else { V::from_text(text).map(Some) }
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        V::from_toml(value).map(Some)
    }

    fn show(&self) -> Option<toml::Value> {
        self.as_ref().and_then(Value::show)
    }
}

impl<V: Value> Value for Vec<V> {
    const HINT: &'static str = V::HINT;
    const NAME: &'static str = V::NAME;
    const LIST: bool = true;

    /// In the environment and on the command line, commas part the elements.
    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        text.split(',').map(|element| V::from_text(element.trim())).collect()
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::Array(elements) => elements.iter().map(V::from_toml).collect(),
            single => V::from_toml(single).map(|element| vec![element]),
        }
    }

    fn show(&self) -> Option<toml::Value> {
        Some(toml::Value::Array(self.iter().filter_map(Value::show).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads_back<V: Value + PartialEq + std::fmt::Debug>(text: &str, expected: V) {
        let value = V::from_text(text).unwrap_or_else(|why| panic!("{text}: {why}"));
        assert_eq!(value, expected, "{text}");
        if let Some(shown) = value.show() {
            assert_eq!(V::from_toml(&shown).as_ref(), Ok(&value), "{shown}");
        }
    }

    #[test]
    fn values_are_read_and_shown_alike() {
        reads_back("8MiB", ByteSize::mebi(8));
        reads_back("1000", ByteSize(1000));
        reads_back("2 gib", ByteSize(2 << 30));
        reads_back("5MB", ByteSize(5_000_000));
        reads_back("100ms", Duration::from_millis(100));
        reads_back("90s", Duration::from_secs(90));
        reads_back("1h", Duration::from_secs(3600));
        reads_back("0s", Duration::ZERO);
        reads_back("yes", true);
        reads_back("10_000", 10_000_usize);
        reads_back("localhost:9090", SocketAddr::from(([127, 0, 0, 1], 9090)));
        reads_back("[::1]:80,127.0.0.1:81", {
            vec![SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 80)), ([127, 0, 0, 1], 81).into()]
        });
        reads_back::<Option<PathBuf>>("", None);
        let preload =
            Preload { url: "https://example.org/a?v=1".into(), file: "/srv/a.jsonld".into() };
        reads_back("https://example.org/a?v=1=/srv/a.jsonld", preload);
    }

    #[test]
    fn values_of_another_shape_are_refused() {
        assert!(ByteSize::from_text("8 apples").is_err());
        assert!(ByteSize::from_text("99999999999999999999").is_err());
        assert!(ByteSize::from_text("18446744073709551615GiB").is_err());
        assert!(Duration::from_text("10").is_err());
        assert!(usize::from_text("-1").is_err());
        assert!(bool::from_text("perhaps").is_err());
        assert!(url::Url::from_text("ftp://example.org").is_err());
        assert!(Preload::from_text("https://example.org/").is_err());
    }
}
