//! The rules of where the broker may go.

use std::net::IpAddr;

use url::{Host, Url};

use crate::config::{Egress, Network, Ports};

use super::address::{Place, place, wrapped};

/// The rules forbid it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url} may not be reached: {why}")]
pub struct Refused {
    /// The URL, or the host it names.
    pub url: String,
    /// Which rule, and which setting changes it.
    pub why: String,
}

/// The rules of where the broker may go.
#[derive(Debug, Clone)]
pub struct Guard {
    allow_private: bool,
    allow: Vec<Network>,
    ports: Vec<Ports>,
    http: bool,
}

impl Guard {
    /// The rules of the configuration.
    pub fn new(settings: &Egress) -> Self {
        Self {
            allow_private: settings.allow_private,
            allow: settings.allow.clone(),
            ports: settings.ports.clone(),
            http: settings.http,
        }
    }

    /// Checks all of a URL that can be checked before its name is resolved.
    pub fn check(&self, url: &Url) -> Result<(), Refused> {
        let refuse = |why: String| Err(Refused { url: url.to_string(), why });
        match url.scheme() {
            "https" => {}
            "http" if self.http => {}
            "http" => return refuse("it is not https (egress.http)".into()),
            scheme => return refuse(format!("{scheme} is neither http nor https")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("it carries a user name or a password".into());
        }
        if let Some(why) = self.forbids_port(url.port_or_known_default().unwrap_or(0)) {
            return refuse(why);
        }
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) => None,
            None => return refuse("it names no host".into()),
        };
        match literal.and_then(|address| self.forbids(address)) {
            Some(why) => refuse(why),
            None => Ok(()),
        }
    }

    /// Checks all of an MQTT server that can be checked before its name is resolved.
    pub fn check_server(&self, secure: bool, host: &str, port: u16) -> Result<(), Refused> {
        let refuse = |why: String| Err(Refused { url: format!("{host}:{port}"), why });
        if !secure && !self.http {
            return refuse("it is not mqtts (egress.http)".into());
        }
        let literal = host.parse().ok().and_then(|address| self.forbids(address));
        match self.forbids_port(port).or(literal) {
            Some(why) => refuse(why),
            None => Ok(()),
        }
    }

    fn forbids_port(&self, port: u16) -> Option<String> {
        let allowed = self.ports.iter().any(|Ports(range)| range.contains(&port));
        (!allowed).then(|| format!("port {port} is not among those allowed (egress.ports)"))
    }

    /// Why an address may not be reached, if so.
    pub fn forbids(&self, address: IpAddr) -> Option<String> {
        let inner = match address {
            IpAddr::V6(six) => wrapped(six).map_or(address, IpAddr::V4),
            IpAddr::V4(_) => address,
        };
        let listed = || self.allow.iter().any(|network| network.contains(inner));
        match place(address) {
            Place::Public => None,
            Place::Private if self.allow_private || listed() => None,
            Place::Private => Some(format!(
                "{address} is an address of this machine or its network (--allow-private-egress, \
                 egress.allow)"
            )),
            Place::Metadata => Some(format!("{address} is an address of cloud metadata")),
            Place::Nowhere => Some(format!("{address} is not the address of a host")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Value;

    fn verdict(settings: &Egress, url: &str) -> Result<(), String> {
        let url = Url::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        Guard::new(settings).check(&url).map_err(|refused| refused.why)
    }

    #[test]
    fn strangers_urls_stay_outside() {
        let settings = Egress::default();
        for good in [
            "https://example.org/context.jsonld",
            "http://93.184.216.34/",
            "https://example.org:8443/",
            // Names are judged when they are resolved.
            "http://localhost:8080/",
        ] {
            assert_eq!(verdict(&settings, good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("ftp://example.org/", "neither http nor https"),
            ("file:///etc/passwd", "neither http nor https"),
            ("gopher://example.org/", "neither http nor https"),
            ("https://user:secret@example.org/", "user name"),
            ("https://example.org:22/", "port 22"),
            ("https://example.org:25/", "port 25"),
            ("http://127.0.0.1/", "of this machine"),
            ("http://2130706433/", "of this machine"),
            ("http://0x7f.1/", "of this machine"),
            ("http://017700000001/", "of this machine"),
            ("http://[::1]/", "of this machine"),
            ("http://[::ffff:7f00:1]/", "of this machine"),
            ("http://10.0.0.1/", "of this machine"),
            ("http://169.254.169.254/latest/meta-data", "cloud metadata"),
            ("http://[fd00:ec2::254]/", "cloud metadata"),
            ("http://0.0.0.0/", "not the address of a host"),
        ] {
            let found = verdict(&settings, bad).expect_err(bad);
            assert!(found.contains(why), "{bad}: {found}");
        }
    }

    #[test]
    fn mqtt_servers_are_judged_as_web_servers_are() {
        let verdict = |settings: &Egress, secure, host: &str, port| {
            Guard::new(settings).check_server(secure, host, port).map_err(|refused| refused.why)
        };
        let settings = Egress::default();
        assert_eq!(verdict(&settings, false, "mqtt.example.org", 1883), Ok(()));
        for (host, port, why) in [
            ("127.0.0.1", 1883, "of this machine"),
            ("::1", 1883, "of this machine"),
            ("169.254.169.254", 1883, "cloud metadata"),
            ("mqtt.example.org", 22, "port 22"),
        ] {
            let found = verdict(&settings, true, host, port).expect_err(host);
            assert!(found.contains(why), "{host}: {found}");
        }
        let strict = Egress { http: false, ..Egress::default() };
        assert!(verdict(&strict, false, "mqtt.example.org", 1883).is_err());
        assert_eq!(verdict(&strict, true, "mqtt.example.org", 8883), Ok(()));
    }

    #[test]
    fn private_networks_open_by_configuration_and_metadata_never() {
        let all = Egress { allow_private: true, ..Egress::default() };
        assert_eq!(verdict(&all, "http://127.0.0.1:8080/"), Ok(()));
        assert_eq!(verdict(&all, "http://192.168.0.9/"), Ok(()));
        assert!(verdict(&all, "http://169.254.169.254/").is_err());
        assert!(verdict(&all, "http://100.100.100.200/").is_err());
        assert!(verdict(&all, "http://[::ffff:169.254.169.254]/").is_err());
        let some = Egress {
            allow: vec![Network::from_text("10.20.0.0/16").unwrap()],
            http: false,
            ..Egress::default()
        };
        assert_eq!(verdict(&some, "https://10.20.30.40/"), Ok(()));
        assert_eq!(verdict(&some, "https://[::ffff:10.20.30.40]/"), Ok(()));
        assert!(verdict(&some, "https://10.21.0.1/").is_err());
        assert!(verdict(&some, "http://10.20.30.40/").is_err());
    }
}
