//! A document of a web server, asked for again and again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Feed;
use super::feed::Document;
use crate::config::ByteSize;
use crate::egress::{Ask, Seen};
use crate::feed::mapping::source::Http;

/// Asks once, page by page; how long to wait for the next time.
pub(super) async fn step(
    feed: &Arc<Feed>,
    http: &Http,
    most: ByteSize,
) -> Result<Duration, String> {
    let begun = Instant::now();
    let most = most.min(feed.shared().config.feeds.most).bytes();
    for number in 0..http.pages {
        let offset = number * http.page.unwrap_or(0);
        let url = http.url.replace("{offset}", &offset.to_string());
        let url = url.replace("{page}", &(number + 1).to_string());
        let single = http.page.is_none();
        let ask = Ask {
            url,
            // A POST without a body is a POST all the same.
            post: http.post.then(|| http.body.clone().unwrap_or_default().into()),
            headers: http.headers.clone(),
            timeout: http.timeout,
            most,
            seen: if single { feed.seen.lock().clone() } else { Seen::default() },
        };
        let fetched = feed.shared().client.ask(&ask).await.map_err(|why| why.to_string())?;
        let Some(fetched) = fetched else {
            feed.same_as_before();
            break;
        };
        if !feed.is_held() {
            return Ok(Duration::ZERO);
        }
        let document = Document { bytes: fetched.body, topic: None, file: None };
        let taken = feed.run(&[document]).await.map_err(|why| why.to_string())?;
        if single {
            // Only what was stored need not be asked for again.
            *feed.seen.lock() = Seen::of(&fetched.headers);
        }
        if http.page.is_none_or(|page| taken.records < page as u64) {
            break;
        }
    }
    Ok(http.every.saturating_sub(begun.elapsed()))
}
