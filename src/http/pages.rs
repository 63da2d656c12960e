//! Links to the pages before and after (6.3.10).

use std::borrow::Cow;
use std::cell::OnceCell;

use actix_web::http::Uri;
use actix_web::http::header::HeaderValue;

use super::negotiate::Media;
use super::params::decode_percent;
use crate::broker::PageTexts;

/// The link to the page that follows one page of one query, once it was written: it is the same
/// each time.
#[derive(Debug, Default)]
pub struct NextPage(OnceCell<Option<HeaderValue>>);

impl NextPage {
    /// The `Link` headers of a page: `prev` unless it is the first, `next` unless it is the last.
    /// They repeat the parameters of the request, ordered by name.
    pub fn page_links(
        &self,
        uri: &Uri,
        page: &PageTexts,
        (found, more): (usize, bool),
        media: Media,
    ) -> impl Iterator<Item = HeaderValue> + use<> {
        let limit = page.limit.unwrap_or(found as u64);
        let prev = || link(uri, page.offset.saturating_sub(limit), limit, "prev", media);
        let next = || link(uri, page.offset.saturating_add(limit), limit, "next", media);
        let prev = if page.offset > 0 && limit > 0 { prev() } else { None };
        let next = match page.limit {
            _ if !more || limit == 0 => None,
            Some(_) => self.0.get_or_init(next).clone(),
            // It depends on how much was found.
            None => next(),
        };
        [prev, next].into_iter().flatten()
    }
}

/// The `Link` headers of a page of a query that is not kept.
pub fn page_links(
    uri: &Uri,
    page: &PageTexts,
    extent: (usize, bool),
    media: Media,
) -> impl Iterator<Item = HeaderValue> + use<> {
    NextPage::default().page_links(uri, page, extent, media)
}

fn link(uri: &Uri, offset: u64, limit: u64, rel: &str, media: Media) -> Option<HeaderValue> {
    let of_page = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        !pair.is_empty() && name != "offset" && name != "limit"
    };
    let query = uri.query().unwrap_or_default();
    let (limit, offset) = (format!("limit={limit}"), format!("offset={offset}"));
    let mut pairs: Vec<Cow<'_, str>> = query.split('&').filter(of_page).map(readable).collect();
    pairs.extend([Cow::Borrowed(&*limit), Cow::Borrowed(&*offset)]);
    pairs.sort_unstable();
    let mut link = String::with_capacity(uri.path().len() + query.len() + 96);
    link.extend(["<", uri.path(), "?"]);
    for (number, pair) in pairs.iter().enumerate() {
        link.extend([if number == 0 { "" } else { "&" }, pair]);
    }
    link.extend([">; rel=\"", rel, "\"; type=\"", media.as_str(), "\""]);
    HeaderValue::try_from(link).ok()
}

/// Takes escapes away that a query does not need (RFC 3986, 3.4), so that links stay legible; what
/// would end a parameter, a link or a header stays escaped.
fn readable(pair: &str) -> Cow<'_, str> {
    if pair.bytes().all(|byte| is_plain(byte.into())) {
        return Cow::Borrowed(pair);
    }
    let spaced = pair.replace('+', "%20");
    let Ok(decoded) = decode_percent(&spaced) else {
        return Cow::Borrowed(pair);
    };
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    if decoded.matches('=').count() != pair.matches('=').count() {
        // An escaped equals sign must stay one: leave the pair as it came.
        return format!("{name}={}", value.replace(',', "%2C")).into();
    }
    let mut readable = String::with_capacity(decoded.len());
    for c in decoded.chars() {
        if is_plain(c) {
            readable.push(c);
            continue;
        }
        let mut bytes = [0; 4];
        for byte in c.encode_utf8(&mut bytes).bytes() {
            readable.push_str(&format!("%{byte:02X}"));
        }
    }
    readable.into()
}

/// Characters that end neither a parameter nor a link nor a header.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(
            c,
            '-' | '.'
                | '_'
                | '~'
                | '!'
                | '$'
                | '\''
                | '('
                | ')'
                | '*'
                | ':'
                | '@'
                | '/'
                | '?'
                | ';'
                | '='
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(uri: &str, offset: u64, limit: u64, more: bool) -> Vec<String> {
        let uri: Uri = uri.parse().expect("a URI");
        let page = PageTexts { limit: Some(limit), offset, count: false };
        page_links(&uri, &page, (0, more), Media::Json)
            .map(|link| link.to_str().expect("plain").to_owned())
            .collect()
    }

    #[test]
    fn a_middle_page_links_both_ways_and_keeps_its_parameters() {
        assert_eq!(
            links("/ngsi-ld/v1/entities?type=A&limit=1&offset=1&count=true", 1, 1, true),
            [
                "</ngsi-ld/v1/entities?count=true&limit=1&offset=0&type=A>; rel=\"prev\"; type=\"application/json\"",
                "</ngsi-ld/v1/entities?count=true&limit=1&offset=2&type=A>; rel=\"next\"; type=\"application/json\"",
            ]
        );
    }

    #[test]
    fn the_only_page_has_no_links() {
        assert!(links("/ngsi-ld/v1/entities?type=A", 0, 20, false).is_empty());
        assert!(links("/ngsi-ld/v1/entities?type=A&limit=0&count=true", 0, 0, true).is_empty());
    }

    #[test]
    fn escapes_that_matter_stay() {
        let all = links(
            "/ngsi-ld/v1/entities?id=urn%3Aa%2Curn%3Ab&q=name%3D%3D%22%E0%B8%9D%22",
            0,
            1,
            true,
        );
        assert_eq!(
            all,
            [
                "</ngsi-ld/v1/entities?id=urn:a%2Curn:b&limit=1&offset=1&q=name%3D%3D%22%E0%B8%9D%22>; rel=\"next\"; type=\"application/json\""
            ]
        );
    }
}
