//! Where a message goes: an endpoint of a subscription (5.2.15), checked once.

use std::{fmt, sync::Arc, time::Duration};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::{Host, Url};

use super::mqtt::{self, Address, Quality};

/// Where messages go; cheap to clone.
#[derive(Clone)]
pub struct Target {
    place: Arc<Place>,
    timeout: Option<Duration>,
}

/// What an endpoint leads to.
pub(super) enum Place {
    /// A web server.
    Web(Web),
    /// A topic of an MQTT server.
    Topic(Topic),
    /// Only those who listen to the stream of events.
    Stream,
}

/// A web server.
pub(super) struct Web {
    pub url: Url,
    /// From `receiverInfo`.
    pub headers: HeaderMap,
    party: String,
}

/// A topic of an MQTT server.
pub(super) struct Topic {
    pub address: Arc<Address>,
    pub name: String,
    pub quality: Quality,
    /// From `receiverInfo`.
    pub metadata: Vec<(String, String)>,
    party: String,
    shown: String,
}

/// Why an endpoint cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TargetError(pub(super) String);

/// The endpoint of a subscription that is only listened to, at its `/events`.
pub const STREAM: &str = "lanna:events";

/// Headers that are the broker's: how a message is framed, what it is, whose it is.
const RESERVED: [&str; 19] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "link",
    "ngsild-snapshot",
    "ngsild-tenant",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "http2-settings",
];

impl Target {
    /// Reads an endpoint: its URI, the pairs of `receiverInfo` and `notifierInfo`, and how long
    /// it is waited for. The error is a sentence for whoever wrote the endpoint.
    pub fn parse(
        uri: &str,
        receiver: &[(String, String)],
        notifier: &[(String, String)],
        timeout: Option<Duration>,
    ) -> Result<Self, TargetError> {
        let place = if uri == STREAM {
            Place::Stream
        } else {
            let url = Url::parse(uri)
                .map_err(|why| TargetError(format!("the endpoint {uri:?} is no URL: {why}")))?;
            match url.scheme() {
                "http" | "https" => Place::Web(web(url, receiver)?),
                "mqtt" | "mqtts" => Place::Topic(topic(&url, receiver, notifier)?),
                scheme => {
                    return Err(TargetError(format!(
                        "the endpoint has the scheme {scheme}; http, https, mqtt and mqtts are \
                         served, and {STREAM} for those who listen to the stream of events"
                    )));
                }
            }
        };
        Ok(Self { place: Arc::new(place), timeout })
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// How long it is waited for, when the endpoint says so.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// The endpoint as it may be shown: without a password.
    pub fn uri(&self) -> &str {
        match &*self.place {
            Place::Web(web) => web.url.as_str(),
            Place::Topic(topic) => &topic.shown,
            Place::Stream => STREAM,
        }
    }

    /// Who answers there: endpoints with the same party fail and recover together.
    pub fn party(&self) -> &str {
        match &*self.place {
            Place::Web(web) => &web.party,
            Place::Topic(topic) => &topic.party,
            Place::Stream => STREAM,
        }
    }

    /// Refuses more of `receiverInfo` than so many pairs, or so many bytes as they take in a
    /// request's head.
    pub fn bound_receiver_info(&self, pairs: usize, bytes: usize) -> Result<(), TargetError> {
        let lengths: Vec<usize> = match &*self.place {
            Place::Web(web) => {
                web.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).collect()
            }
            Place::Topic(topic) => {
                topic.metadata.iter().map(|(name, value)| name.len() + value.len()).collect()
            }
            Place::Stream => Vec::new(),
        };
        // A colon, a space, and the end of the line.
        let all: usize = lengths.iter().map(|length| length + 4).sum();
        match lengths.len() > pairs || all > bytes {
            true => Err(TargetError(format!(
                "receiverInfo has more than {pairs} pairs or {bytes} bytes"
            ))),
            false => Ok(()),
        }
    }

    /// Whether nothing is to be sent, because the subscription is only listened to.
    pub fn is_stream(&self) -> bool {
        matches!(*self.place, Place::Stream)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.uri())
    }
}

fn web(url: Url, receiver: &[(String, String)]) -> Result<Web, TargetError> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(TargetError(
            "the endpoint carries a user name or a password: send them in receiverInfo, as \
             Authorization"
                .to_owned(),
        ));
    }
    let mut headers = HeaderMap::with_capacity(receiver.len());
    for (name, value) in checked(receiver)? {
        headers.append(name, value);
    }
    let party = url.origin().ascii_serialization();
    Ok(Web { url, headers, party })
}

/// The pairs of `receiverInfo` as headers: both sides legal, none of them the broker's.
fn checked(receiver: &[(String, String)]) -> Result<Vec<(HeaderName, HeaderValue)>, TargetError> {
    let pairs = receiver.iter().map(|(key, value)| {
        let name = HeaderName::from_bytes(key.as_bytes())
            .map_err(|_| TargetError(format!("receiverInfo: {key:?} is no name of a header")))?;
        if RESERVED.contains(&name.as_str()) {
            return Err(TargetError(format!("receiverInfo: {key} is set by the broker")));
        }
        let mut value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
            TargetError(format!("receiverInfo: the value of {key} holds what no header may hold"))
        })?;
        value.set_sensitive(true);
        Ok((name, value))
    });
    pairs.collect()
}

fn topic(
    url: &Url,
    receiver: &[(String, String)],
    notifier: &[(String, String)],
) -> Result<Topic, TargetError> {
    checked(receiver)?;
    let name = mqtt::topic_of(url)?;
    let host = match url.host() {
        // A name of a special kind is not normalized by the parser: what resolves decides.
        Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        _ => return Err(TargetError("the endpoint names no MQTT server".to_owned())),
    };
    let secure = url.scheme() == "mqtts";
    let port = url.port().unwrap_or(if secure { 8883 } else { 1883 });
    let party = match host.contains(':') {
        true => format!("{}://[{host}]:{port}", url.scheme()),
        false => format!("{}://{host}:{port}", url.scheme()),
    };
    let address = Address {
        secure,
        host,
        port,
        version: mqtt::version_of(notifier)?,
        user: mqtt::decoded(url.username())?,
        password: mqtt::decoded(url.password().unwrap_or_default())?,
    };
    let user = if address.user.is_empty() { String::new() } else { format!("{}@", url.username()) };
    let shown =
        format!("{}://{user}{}{}", url.scheme(), &party[url.scheme().len() + 3..], url.path());
    Ok(Topic {
        address: Arc::new(address),
        name,
        quality: mqtt::quality_of(notifier)?,
        metadata: receiver.to_vec(),
        party,
        shown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::mqtt::Version;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    fn parsed(
        uri: &str,
        receiver: &[(&str, &str)],
        notifier: &[(&str, &str)],
    ) -> Result<Target, String> {
        Target::parse(uri, &pairs(receiver), &pairs(notifier), None).map_err(|error| error.0)
    }

    fn topic_of(target: &Target) -> &Topic {
        match target.place() {
            Place::Topic(topic) => topic,
            _ => panic!("{target:?} is no topic"),
        }
    }

    #[test]
    fn endpoints_of_each_kind_are_read() {
        for (uri, shown, party) in [
            ("http://A.example/n?x=1", "http://a.example/n?x=1", "http://a.example"),
            ("https://a.example:8443/", "https://a.example:8443/", "https://a.example:8443"),
            ("mqtt://a.example/b/c", "mqtt://a.example:1883/b/c", "mqtt://a.example:1883"),
            ("mqtts://a.example/b", "mqtts://a.example:8883/b", "mqtts://a.example:8883"),
            (
                "mqtt://u:secret@a.example:8085/b",
                "mqtt://u@a.example:8085/b",
                "mqtt://a.example:8085",
            ),
            ("mqtt://[::1]:1884/b", "mqtt://[::1]:1884/b", "mqtt://[::1]:1884"),
            (STREAM, STREAM, STREAM),
        ] {
            let target = parsed(uri, &[], &[]).unwrap_or_else(|why| panic!("{uri}: {why}"));
            assert_eq!((target.uri(), target.party()), (shown, party));
            assert!(!format!("{target:?}").contains("secret"));
            assert_eq!(target.is_stream(), uri == STREAM);
        }
    }

    #[test]
    fn a_topic_has_its_user_quality_and_version() {
        let target = parsed(
            "mqtt://us%40er:pass%3Aword@a.example/air/%E0%B8%9D%E0%B8%B8%E0%B9%88%E0%B8%99",
            &[("X-Key", "value")],
            &[("MQTT-Version", "mqtt3.1.1"), ("MQTT-QoS", "2"), ("Prefer", "body=json")],
        )
        .expect("a target");
        let topic = topic_of(&target);
        assert_eq!((&*topic.address.user, &*topic.address.password), ("us@er", "pass:word"));
        assert_eq!(topic.address.version, Version::V3);
        assert_eq!((topic.quality, &*topic.name), (Quality::ExactlyOnce, "air/ฝุ่น"));
        assert_eq!(topic.metadata, pairs(&[("X-Key", "value")]));
        let target = parsed("mqtt://a/b", &[], &[]).expect("a target");
        assert_eq!(topic_of(&target).address.version, Version::V5);
        assert_eq!(topic_of(&target).quality, Quality::AtMostOnce);
    }

    #[test]
    fn what_receiver_info_says_is_bounded() {
        for uri in ["http://a.example/", "mqtt://a.example/b"] {
            let target = parsed(uri, &[("X-Key", "value"), ("X-Other", "v")], &[]).expect(uri);
            assert_eq!(target.bound_receiver_info(2, 26), Ok(()));
            for (pairs, bytes) in [(1, 26), (2, 25)] {
                let error = target.bound_receiver_info(pairs, bytes).expect_err("too much");
                assert!(error.0.contains("receiverInfo has more than"), "{error}");
            }
        }
    }

    #[test]
    fn a_wrong_endpoint_is_refused_with_a_reason() {
        for (uri, why) in [
            ("nowhere", "is no URL"),
            ("ftp://a.example/", "scheme ftp"),
            ("lanna:other", "scheme lanna"),
            ("http://user:secret@a.example/", "user name"),
            ("mqtt:///topic", "names no MQTT server"),
            ("mqtt://a.example", "names no topic"),
            ("mqtt://a.example/", "names no topic"),
            ("mqtt://a.example/a/+/b", "stands for many"),
            ("mqtt://a.example/a/%23", "stands for many"),
            ("mqtt://a.example/a%00b", "control character"),
            ("mqtt://a.example/a%FF", "not UTF-8"),
            ("mqtt://a.example/a?b=c", "question mark"),
        ] {
            let found = parsed(uri, &[], &[]).expect_err(uri);
            assert!(found.contains(why), "{uri}: {found}");
        }
        for (key, value, why) in [
            ("MQTT-QoS", "3", "MQTT-QoS is 0, 1 or 2"),
            ("MQTT-Version", "mqtt4", "MQTT-Version is mqtt3.1.1 or mqtt5.0"),
        ] {
            let found = parsed("mqtt://a/b", &[], &[(key, value)]).expect_err(value);
            assert!(found.contains(why), "{found}");
        }
    }

    #[test]
    fn a_header_cannot_smuggle_another_nor_take_the_brokers_place() {
        for (key, value, why) in [
            ("X-A", "b\r\nX-Evil: 1", "no header may hold"),
            ("X-A", "b\nX-Evil: 1", "no header may hold"),
            ("X-A", "b\0", "no header may hold"),
            ("X-A: b\r\nX-Evil", "1", "is no name"),
            ("X A", "1", "is no name"),
            ("", "1", "is no name"),
            ("Héader", "1", "is no name"),
            ("Host", "evil.example", "set by the broker"),
            ("content-LENGTH", "0", "set by the broker"),
            ("Transfer-Encoding", "chunked", "set by the broker"),
            ("Content-Type", "text/plain", "set by the broker"),
            ("Connection", "close", "set by the broker"),
            ("Link", "<x>", "set by the broker"),
            ("NGSILD-Tenant", "other", "set by the broker"),
        ] {
            for uri in ["http://a.example/", "mqtt://a.example/b"] {
                let found = parsed(uri, &[(key, value)], &[]).expect_err(key);
                assert!(found.contains(why), "{key:?}: {found}");
            }
        }
        let many: Vec<_> = (0..65).map(|number| (format!("x-{number}"), String::new())).collect();
        let long = [("x-a".to_owned(), "b".repeat(5000))];
        for receiver in [&many[..], &long[..]] {
            let target = Target::parse("http://a.example/", receiver, &[], None);
            let target = target.expect("the names are legal");
            assert!(target.bound_receiver_info(64, 4_096).is_err());
            assert!(target.bound_receiver_info(65, 8_192).is_ok());
        }
        for (key, value) in
            [("Authorization", "Bearer a.b"), ("fiware-service", "ลำปาง"), ("X-Empty", "")]
        {
            assert!(parsed("http://a.example/", &[(key, value)], &[]).is_ok(), "{key}");
        }
    }
}
