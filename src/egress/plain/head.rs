//! The head of a request as it is written, and of an answer as it is read (RFC 9112).

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::egress::exchange::AskError;

/// The longest head of an answer that is read.
pub(super) const LONGEST: usize = 64 << 10;

/// The most headers of an answer that are read.
const MOST: usize = 128;

/// Whether a header is about the connection or the form of the message, which are ours.
pub(super) fn concerns_the_way(name: &str) -> bool {
    const WAY: [&str; 10] = [
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "keep-alive",
        "range",
    ];
    WAY.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// A GET as it is sent.
pub(super) fn request(
    to: &str,
    target: &str,
    headers: &[(String, String)],
) -> Result<Vec<u8>, AskError> {
    let mut out = Vec::with_capacity(512);
    let parts = [
        "GET ",
        target,
        " HTTP/1.1\r\nHost: ",
        to,
        "\r\nUser-Agent: Lanna/",
        env!("CARGO_PKG_VERSION"),
        "\r\n",
    ];
    parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
    for (name, value) in headers {
        let good = !name.is_empty() && name.bytes().all(is_of_token) && value.bytes().all(is_plain);
        if !good {
            return Err(AskError::Refused(format!("there can be no header {name:?}")));
        }
        // Some receivers look for headers as people write them.
        let mut begins = true;
        out.extend(name.bytes().map(|byte| {
            let begun = std::mem::replace(&mut begins, byte == b'-');
            if begun { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() }
        }));
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Ok(out)
}

fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_plain(byte: u8) -> bool {
    byte == b'\t' || (b' '..0x7f).contains(&byte)
}

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Length,
    /// Whether the connection can be used again.
    pub again: bool,
}

/// How long the body of an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    Bytes(u64),
    Chunks,
    /// As long as something comes.
    ToTheEnd,
}

/// What is wrong with a head.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Malformed(String),
    /// Nothing, but others can read it better.
    Odd,
}

/// Where the head ends that the bytes begin with, if all of it has come; lines before `from` are
/// known not to end it.
pub(super) fn end(bytes: &[u8], from: usize) -> Option<usize> {
    for at in memchr::memchr_iter(b'\n', &bytes[from..]) {
        let at = from + at;
        let before = bytes[..at].strip_suffix(b"\r").unwrap_or(&bytes[..at]);
        // Nothing is before an empty line but the end of the line before.
        if before.is_empty() || before.ends_with(b"\n") {
            return Some(at + 1);
        }
    }
    None
}

/// Reads a head, the empty line included.
pub(super) fn read(bytes: &[u8]) -> Result<Head, Fault> {
    let mut lines = [httparse::EMPTY_HEADER; MOST];
    let mut answer = httparse::Response::new(&mut lines);
    match answer.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
        Ok(_) => return Err(Fault::Malformed("it begins with an empty line".to_owned())),
        Err(wrong) => return Err(Fault::Malformed(wrong.to_string())),
    }
    let status = answer.code.filter(|status| *status >= 100);
    let status = status.ok_or_else(|| Fault::Malformed("it has no status".to_owned()))?;
    let mut headers = HeaderMap::with_capacity(answer.headers.len());
    for line in &*answer.headers {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok();
        let value = HeaderValue::from_bytes(line.value).ok();
        let both = name.zip(value);
        let both = both.ok_or_else(|| Fault::Malformed("a header cannot be read".to_owned()))?;
        headers.append(both.0, both.1);
    }
    let body = match status {
        100..200 | 204 | 304 => Length::Bytes(0),
        _ => length(&headers)?,
    };
    if headers.get("content-encoding").is_some_and(|coding| coding != "identity") {
        return Err(Fault::Odd);
    }
    let modern = answer.version == Some(1);
    let again = modern && body != Length::ToTheEnd && !closes(&headers);
    Ok(Head { status, headers, body, again })
}

fn length(headers: &HeaderMap) -> Result<Length, Fault> {
    let mut codings = headers.get_all("transfer-encoding").iter();
    if let Some(coding) = codings.next() {
        // Whoever says both may want us to see another answer than others do.
        if headers.contains_key("content-length") {
            return Err(Fault::Malformed("it has two lengths".to_owned()));
        }
        return match coding.as_bytes().eq_ignore_ascii_case(b"chunked") && codings.next().is_none()
        {
            true => Ok(Length::Chunks),
            false => Err(Fault::Odd),
        };
    }
    let mut said = headers.get_all("content-length").iter().map(|value| {
        let digits = value.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        digits.and_then(|digits| digits.parse::<u64>().ok())
    });
    match said.next() {
        None => Ok(Length::ToTheEnd),
        Some(Some(first)) if said.all(|other| other == Some(first)) => Ok(Length::Bytes(first)),
        Some(_) => Err(Fault::Malformed("its length cannot be read".to_owned())),
    }
}

fn closes(headers: &HeaderMap) -> bool {
    let values = headers.get_all("connection").iter();
    values
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|word| !word.trim().eq_ignore_ascii_case("keep-alive")))
}
