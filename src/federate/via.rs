//! The way a request came (6.3.18): each broker that passes it on adds its name to the `Via`
//! header, so that nobody asks who is waiting for the answer.

/// The names in the `Via` headers of a request, as they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Via(Vec<Box<str>>);

/// How many brokers a request may have passed. Who passes more is taken for a loop of brokers that
/// do not say who they are.
pub const MOST_HOPS: usize = 32;

impl Via {
    /// Reads the values of the headers, each a list of `1.1 name (comment)` (RFC 9110, 7.6.3).
    pub fn parse<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let hops = values.flat_map(|value| value.split(',')).map(str::trim);
        Self(hops.filter(|hop| !hop.is_empty()).map(Into::into).collect())
    }

    /// Whether nobody was passed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a name is among those that were passed.
    pub fn names(&self, alias: &str) -> bool {
        self.0.iter().any(|hop| name_of(hop) == Some(alias))
    }

    /// Whether the request went in circles: it passed who has this name, or too many.
    pub fn loops_at(&self, alias: &str) -> bool {
        self.0.len() > MOST_HOPS || self.names(alias)
    }

    /// The header of a request that is passed on by who has this name.
    pub fn passed_on_by(&self, alias: &str) -> String {
        let mut text = String::new();
        for hop in &self.0 {
            text.push_str(hop);
            text.push_str(", ");
        }
        text.push_str("1.1 ");
        text.push_str(alias);
        text
    }
}

/// The name in `1.1 name` or `HTTP/1.1 name (comment)`.
fn name_of(hop: &str) -> Option<&str> {
    hop.split_ascii_whitespace().nth(1)
}

/// Whether a text can be a name in `Via` (a token of RFC 9110).
pub fn is_alias(text: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.len() <= 200 && text.bytes().all(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_passed_is_known_by_name_whatever_stands_around_it() {
        let via = Via::parse(["1.1 a, HTTP/1.1 b (first)", " 2 c ,"].into_iter());
        for (alias, passed) in [("a", true), ("b", true), ("c", true), ("1.1", false), ("d", false)]
        {
            assert_eq!(via.names(alias), passed, "{alias}");
        }
        assert_eq!(via.passed_on_by("d"), "1.1 a, HTTP/1.1 b (first), 2 c, 1.1 d");
        assert_eq!(Via::default().passed_on_by("d"), "1.1 d");
    }

    #[test]
    fn who_passed_too_many_goes_in_circles() {
        let long = vec!["1.1 x"; MOST_HOPS + 1].join(",");
        assert!(Via::parse([long.as_str()].into_iter()).loops_at("me"));
        assert!(!Via::parse(["1.1 x"].into_iter()).loops_at("me"));
    }
}
