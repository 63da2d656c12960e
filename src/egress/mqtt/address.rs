//! What the URI of an MQTT endpoint says, and what `notifierInfo` adds (7.2):
//! `mqtt[s]://[user][:password]@host[:port]/topic[/subtopic]*`.

use url::Url;

use crate::egress::TargetError;

/// An MQTT server, as whom, and in which version it is spoken to: what one connection is for.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// Whether over TLS.
    pub secure: bool,
    /// A name, or an address without brackets.
    pub host: String,
    pub port: u16,
    pub version: Version,
    /// Empty for nobody.
    pub user: String,
    /// Empty for none.
    pub password: String,
}

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// 3.1.1
    V3,
    /// 5.0
    V5,
}

/// How sure a message arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "the protocol calls them so")]
pub enum Quality {
    /// QoS 0
    AtMostOnce,
    /// QoS 1
    AtLeastOnce,
    /// QoS 2
    ExactlyOnce,
}

/// The longest text that the protocol can carry.
const LONGEST: usize = 65_535;

/// The topic that the path of an endpoint names.
pub fn topic_of(url: &Url) -> Result<String, TargetError> {
    let refuse = |why: &str| Err(TargetError(format!("the endpoint {why}")));
    if url.query().is_some() {
        return refuse("has a question mark: in a topic it is written %3F");
    }
    if url.fragment().is_some() {
        return refuse("names a topic with #, which stands for many topics");
    }
    let topic = decoded(url.path().strip_prefix('/').unwrap_or_default())?;
    if topic.is_empty() {
        return refuse("names no topic");
    }
    if topic.contains(['+', '#']) {
        return refuse("names a topic with + or #, which stands for many topics");
    }
    if topic.chars().any(char::is_control) {
        return refuse("names a topic with a control character");
    }
    if topic.starts_with('$') {
        return refuse("names a topic with $ in front, which is the MQTT server's own");
    }
    Ok(topic)
}

/// The version that `notifierInfo` asks for; 5.0 when it does not.
pub fn version_of(notifier: &[(String, String)]) -> Result<Version, TargetError> {
    match said(notifier, "MQTT-Version") {
        None => Ok(Version::V5),
        Some(text) => match text.to_ascii_lowercase().as_str() {
            "mqtt5.0" => Ok(Version::V5),
            "mqtt3.1.1" => Ok(Version::V3),
            _ => Err(TargetError(format!(
                "notifierInfo: MQTT-Version is mqtt3.1.1 or mqtt5.0, not {text:?}"
            ))),
        },
    }
}

/// The quality of service that `notifierInfo` asks for; 0 when it does not.
pub fn quality_of(notifier: &[(String, String)]) -> Result<Quality, TargetError> {
    match said(notifier, "MQTT-QoS") {
        None | Some("0") => Ok(Quality::AtMostOnce),
        Some("1") => Ok(Quality::AtLeastOnce),
        Some("2") => Ok(Quality::ExactlyOnce),
        Some(text) => {
            Err(TargetError(format!("notifierInfo: MQTT-QoS is 0, 1 or 2, not {text:?}")))
        }
    }
}

fn said<'a>(pairs: &'a [(String, String)], key: &str) -> Option<&'a str> {
    pairs.iter().find(|(own, _)| own.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str())
}

/// A part of a URI without its percent escapes.
pub fn decoded(part: &str) -> Result<String, TargetError> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escape = (first == b'%').then(|| after.get(..2)).flatten();
        let escaped = escape
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| TargetError(format!("the endpoint has a part that is not UTF-8: {part}")))?;
    match text.len() {
        0..=LONGEST => Ok(text),
        _ => Err(TargetError(format!("the endpoint has a part longer than {LONGEST} bytes"))),
    }
}
