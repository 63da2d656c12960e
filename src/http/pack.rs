//! Compression of answers, when the client asks for it and it is worth the work.

use std::io::Write;

use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};

/// Smaller bodies fit into one packet anyway.
pub const LEAST: usize = 1_024;

/// Larger bodies are packed on another thread, so that a worker's other clients do not wait.
pub const MUCH: usize = 128 << 10;

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    Brotli,
}

impl Coding {
    /// The coding that the client weighs highest; gzip among equals, which costs less.
    pub fn wanted(accept_encoding: &HeaderValue) -> Option<Self> {
        let text = accept_encoding.to_str().ok()?;
        let weight = |name: &str| {
            let mut wildcard = 0.0;
            for part in text.split(',') {
                let (coding, weight) = part.split_once(';').unwrap_or((part, "q=1"));
                let weight = weight.trim().strip_prefix("q=").unwrap_or("1");
                let weight: f32 = weight.trim().parse().unwrap_or(0.0);
                match coding.trim() {
                    coding if coding.eq_ignore_ascii_case(name) => return weight,
                    "*" => wildcard = weight,
                    _ => {}
                }
            }
            wildcard
        };
        let (gzip, brotli) = (weight("gzip"), weight("br"));
        match () {
            () if gzip > 0.0 && gzip >= brotli => Some(Self::Gzip),
            () if brotli > 0.0 => Some(Self::Brotli),
            () => None,
        }
    }

    /// The value of `Content-Encoding`.
    pub fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
        })
    }

    /// Packs a body, fast rather than small.
    pub fn pack(self, body: &[u8]) -> std::io::Result<Vec<u8>> {
        let packed = Vec::with_capacity(body.len() / 4);
        match self {
            Self::Gzip => {
                let mut packer = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
                packer.write_all(body)?;
                packer.finish()
            }
            Self::Brotli => {
                let mut packer = brotli::CompressorWriter::new(packed, 32 << 10, 2, 20);
                packer.write_all(body)?;
                packer.flush()?;
                Ok(packer.into_inner())
            }
        }
    }
}

/// Whether an answer with these headers shrinks when packed: text does, and what is packed
/// already does not.
pub fn shrinks(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let text = kind.starts_with(b"text/")
        || [&b"application/json"[..], b"application/ld+json", b"application/geo+json"]
            .iter()
            .any(|json| kind.starts_with(json));
    text && !headers.contains_key(CONTENT_ENCODING)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_client_chooses_the_coding() {
        for (accepted, expected) in [
            ("gzip, deflate, br", Some(Coding::Gzip)),
            ("br", Some(Coding::Brotli)),
            ("gzip;q=0.5, br;q=0.9", Some(Coding::Brotli)),
            ("gzip;q=0, *", Some(Coding::Brotli)),
            ("*", Some(Coding::Gzip)),
            ("identity", None),
            ("gzip;q=0", None),
            ("gzip;q=much", None),
            ("", None),
        ] {
            let header = HeaderValue::from_str(accepted).unwrap();
            assert_eq!(Coding::wanted(&header), expected, "{accepted}");
        }
    }

    #[test]
    fn what_is_packed_unpacks_to_the_same() {
        let body = br#"{"id":"urn:ngsi-ld:Vehicle:A1","type":"Vehicle"},"#.repeat(100);
        let mut unpacked = Vec::new();
        let packed = Coding::Gzip.pack(&body).unwrap();
        assert!(packed.len() < body.len() / 10);
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, body);
        let packed = Coding::Brotli.pack(&body).unwrap();
        assert!(packed.len() < body.len() / 10);
        unpacked.clear();
        brotli::Decompressor::new(&packed[..], 4_096).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, body);
    }
}
