//! URL parameters: take what an operation knows, then [`Params::finish`] refuses what is left
//! (6.3.20).

use std::borrow::Cow;

use crate::broker::Error;
use crate::model::{EntityId, TenantId, Timestamp};

/// The parameters of a request, decoded, each once.
pub struct Params<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Params<'a> {
    /// Reads the part of a URL after the question mark. A parameter without a value, which some
    /// clients send for lists they have nothing for, counts as absent; one that is repeated, or
    /// is not UTF-8, is refused.
    pub fn parse(query: &'a str) -> Result<Self, Error> {
        let mut pairs: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if pairs.iter().any(|(other, _)| *other == name) {
                return Err(Error::request(format!("the parameter {name} is given twice")));
            }
            pairs.push((name, value));
        }
        Ok(Self { pairs })
    }

    /// The value of a parameter, which is then known; absent if empty.
    #[inline]
    pub fn take(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let place = self.pairs.iter().position(|(own, _)| own == name)?;
        Some(self.pairs.swap_remove(place).1).filter(|value| !value.is_empty())
    }

    /// `true` or `false`, in any letter case.
    pub fn take_flag(&mut self, name: &'static str) -> Result<Option<bool>, Error> {
        let Some(text) = self.take(name) else { return Ok(None) };
        if text.eq_ignore_ascii_case("true") {
            Ok(Some(true))
        } else if text.eq_ignore_ascii_case("false") {
            Ok(Some(false))
        } else {
            Err(Error::bad(format!("{name} is true or false, not {text:?}")))
        }
    }

    /// A whole number that is not negative.
    pub fn take_number(&mut self, name: &'static str) -> Result<Option<u64>, Error> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|_| !text.starts_with('+'));
        match number {
            Some(number) => Ok(Some(number)),
            None => {
                Err(Error::bad(format!("{name} is a whole number from 0 upward, not {text:?}")))
            }
        }
    }

    /// Texts between commas, none of them empty.
    pub fn take_list(&mut self, name: &'static str) -> Result<Vec<String>, Error> {
        let Some(text) = self.take(name) else { return Ok(Vec::new()) };
        text.split(',')
            .map(|item| match item.trim() {
                "" => Err(Error::bad(format!("{name} has an empty item"))),
                item => Ok(item.to_owned()),
            })
            .collect()
    }

    /// Identifiers of entities between commas.
    pub fn take_ids(&mut self, name: &'static str) -> Result<Vec<EntityId>, Error> {
        let list = self.take_list(name)?;
        list.iter()
            .map(|text| EntityId::parse(text).map_err(|why| Error::bad(format!("{name}: {why}"))))
            .collect()
    }

    /// A DateTime.
    pub fn take_time(&mut self, name: &'static str) -> Result<Option<Timestamp>, Error> {
        let Some(text) = self.take(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|why| Error::bad(format!("{name}: {why}")))
    }

    /// Whether `options` holds the one word that this operation knows.
    pub fn take_option(&mut self, word: &'static str) -> Result<bool, Error> {
        Ok(self.take_choice("options", &[word])?.is_some())
    }

    /// A parameter that is one of some words.
    pub fn take_choice(
        &mut self,
        name: &'static str,
        words: &[&'static str],
    ) -> Result<Option<&'static str>, Error> {
        let Some(text) = self.take(name) else { return Ok(None) };
        match words.iter().find(|word| **word == text) {
            Some(word) => Ok(Some(word)),
            None => Err(Error::request(format!(
                "{name} can be {} here, not {text:?}",
                words.join(" or ")
            ))),
        }
    }

    /// Whether `format`, or `options` as older clients say it, calls the body simplified; it can
    /// say nothing else where a body is described (5.6.17).
    pub fn take_simplified(&mut self) -> Result<bool, Error> {
        let words = ["simplified", "keyValues"];
        let format = self.take_choice("format", &words)?;
        let options = self.take_choice("options", &words)?;
        Ok(format.or(options).is_some())
    }

    /// Refuses the request if any parameter was not taken.
    pub fn finish(self) -> Result<(), Error> {
        match self.pairs.first() {
            None => Ok(()),
            Some((name, _)) => {
                Err(Error::request(format!("this operation has no parameter {name:?}")))
            }
        }
    }
}

/// Decodes a name or value as forms do: percent escapes, and a plus sign for a space.
fn decode(text: &str) -> Result<Cow<'_, str>, Error> {
    if !text.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return Ok(Cow::Borrowed(text));
    }
    decode_percent(&text.replace('+', " ")).map(|text| Cow::Owned(text.into_owned()))
}

/// Decodes percent escapes; a percent sign that begins none stands for itself.
pub fn decode_percent(text: &str) -> Result<Cow<'_, str>, Error> {
    let bytes = text.as_bytes();
    if memchr::memchr(b'%', bytes).is_none() {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while let Some(&byte) = bytes.get(place) {
        let escape = (byte == b'%').then(|| bytes.get(place + 1..place + 3)).flatten();
        let escaped = escape
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped {
            Some(escaped) => {
                decoded.push(escaped);
                place += 3;
            }
            None => {
                decoded.push(byte);
                place += 1;
            }
        }
    }
    String::from_utf8(decoded)
        .map(Cow::Owned)
        .map_err(|_| Error::request("the URL is not UTF-8".to_owned()))
}

/// The tenant a header names.
pub fn tenant(header: Option<&[u8]>) -> Result<TenantId, Error> {
    let Some(header) = header else { return Ok(TenantId::DEFAULT) };
    let name = std::str::from_utf8(header)
        .map_err(|_| Error::bad("NGSILD-Tenant is not UTF-8".to_owned()))?;
    match name.trim() {
        "" => Ok(TenantId::DEFAULT),
        name => TenantId::named(name).map_err(|why| Error::bad(why.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_as_forms_do() {
        let mut params =
            Params::parse("q=name%3D%3D%22%E0%B8%9D%E0%B8%B8%E0%B9%88%E0%B8%99%22&a=b+c&attrs=")
                .expect("fine");
        assert_eq!(params.take("q").as_deref(), Some("name==\"ฝุ่น\""));
        assert_eq!(params.take("a").as_deref(), Some("b c"));
        assert_eq!(params.take("attrs"), None);
        assert!(params.finish().is_ok());
    }

    #[test]
    fn what_is_left_over_is_refused_by_name() {
        let params = Params::parse("limits=5").expect("fine");
        let error = params.finish().expect_err("unknown");
        assert!(error.to_string().contains("limits"), "{error}");
    }

    #[test]
    fn a_repeated_parameter_is_refused() {
        assert!(Params::parse("q=a&q=b").is_err());
    }

    #[test]
    fn broken_escapes_and_texts_harm_nobody() {
        assert_eq!(decode_percent("a%2").ok().as_deref(), Some("a%2"));
        assert_eq!(decode_percent("%zz").ok().as_deref(), Some("%zz"));
        assert!(decode_percent("%ff").is_err());
    }
}
