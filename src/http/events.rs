//! `/subscriptions/{subscriptionId}/events`: the notifications of a subscription as server-sent
//! events, for browsers and shells. Not of the specification; how it behaves is written in
//! `docs/notifications.md`.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::web::Data;
use bytes::Bytes;
use futures_util::{FutureExt, Stream, stream};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::params;
use super::problem::Problem;
use super::request::Incoming;
use super::state::State;
use crate::broker::{Broker, Error};
use crate::egress::{Listener, Missed, Told};
use crate::model::{SubscriptionId, TenantId};

/// What an event stream is called.
pub const EVENT_STREAM: &str = "text/event-stream";

/// How many missed notifications are read from the log at once.
const PAGE: usize = 256;

/// How much is sent together when several wait.
const TOGETHER: usize = 64 << 10;

/// How often a stream looks whether it should end.
const LOOK: Duration = Duration::from_secs(1);

/// Listen to a subscription.
pub async fn listen(incoming: Incoming<'_>, id: &str) -> Result<HttpResponse, Problem> {
    let mut params = incoming.params()?;
    let named = params.take("tenant");
    let last = params.take("lastEventId");
    params.finish()?;
    let tenant = tenant(&incoming, named.as_deref())?;
    let id = SubscriptionId::parse(id).map_err(|why| Error::bad(why.to_string()))?;
    let header = incoming.headers().get("Last-Event-ID");
    let last = match header.map(HeaderValue::to_str) {
        // What the browser heard last is newer than what its page began with.
        Some(text) => Some(text.unwrap_or_default().to_owned()),
        None => last.map(|last| last.into_owned()),
    };
    let after = last.as_deref().filter(|last| !last.is_empty()).map(place).transpose()?;
    let broker: Data<Broker> = incoming.data()?;
    let state: Data<State> = incoming.data()?;
    let listener = broker.listen(&tenant, &id, after).await?;
    let feed = Feed::new(listener, after, broker, state);
    let mut response = HttpResponse::Ok();
    response
        .insert_header((CONTENT_TYPE, EVENT_STREAM))
        .insert_header((CACHE_CONTROL, "no-store"))
        // nginx holds answers back otherwise.
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no"));
    Ok(response.streaming(feed.stream()))
}

/// The tenant of the header; or of the parameter, since an `EventSource` cannot send headers.
fn tenant(incoming: &Incoming<'_>, named: Option<&str>) -> Result<TenantId, Error> {
    let Some(named) = named else { return incoming.tenant() };
    let tenant = params::tenant(Some(named.as_bytes()))?;
    match incoming.headers().contains_key("NGSILD-Tenant") && incoming.tenant()? != tenant {
        true => Err(Error::bad("the header NGSILD-Tenant and the parameter tenant differ")),
        false => Ok(tenant),
    }
}

fn place(text: &str) -> Result<u64, Error> {
    text.trim().parse().map_err(|_| {
        Error::bad(format!("Last-Event-ID is a number that an event had as its id, not {text:?}"))
    })
}

/// What goes to one listener.
struct Feed {
    listener: Listener,
    broker: Data<Broker>,
    state: Data<State>,
    ready: VecDeque<Bytes>,
    /// What was missed after this place is still to be read from the log.
    resume: Option<u64>,
    /// Up to here it was read from the log, and may come once more as news.
    resumed: Option<u64>,
    /// The last place that was told, or was there before.
    last: u64,
    look: Interval,
    spoken: Instant,
}

impl Feed {
    fn new(
        mut listener: Listener,
        after: Option<u64>,
        broker: Data<Broker>,
        state: Data<State>,
    ) -> Self {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let retry = state.config.stream.retry.as_millis();
        // The first bytes come at once, so that nobody on the way waits for more.
        let ready = VecDeque::from([Bytes::from(format!("retry: {retry}\n\n"))]);
        let missed = listener.missed();
        let last = after.unwrap_or_else(|| broker.reach());
        let mut feed = Self {
            listener,
            broker,
            state,
            ready,
            resume: None,
            resumed: None,
            last,
            look,
            spoken: Instant::now(),
        };
        match missed {
            Missed::Unasked => {}
            Missed::All(told) if feed.is_told_of_changes() => feed.tell(told),
            Missed::All(_) | Missed::Unknown => feed.resume = after,
        }
        feed
    }

    /// Whether notifications have places of their own; those by the clock have not.
    fn is_told_of_changes(&self) -> bool {
        let (tenant, subscription) = self.listener.subscription();
        self.broker.tells_changes(tenant, subscription)
    }

    /// As the body of an answer.
    fn stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, |mut feed| async move {
            let bytes = feed.next().await?;
            feed.spoken = Instant::now();
            Some((Ok(bytes), feed))
        })
    }

    /// The next bytes; nothing at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some(bytes);
            }
            if let Some(after) = self.resume.take() {
                self.catch_up(after).await;
                continue;
            }
            tokio::select! {
                told = self.listener.next() => {
                    let first = told?;
                    self.tell_together(first);
                }
                _ = self.look.tick() => {
                    if self.state.is_draining() {
                        return None;
                    }
                    if let Some(after) = self.told_elsewhere() {
                        self.resume = Some(after);
                    }
                    if self.spoken.elapsed() >= self.state.config.stream.heartbeat {
                        return Some(Bytes::from_static(b": still here\n\n"));
                    }
                }
            }
        }
    }

    /// Where several brokers share a store, another may send the notifications of the subscription,
    /// and a receiver that fails holds them up: then the log is looked at, from this place.
    fn told_elsewhere(&self) -> Option<u64> {
        let (tenant, subscription) = self.listener.subscription();
        self.broker.told_elsewhere(tenant, subscription).then_some(self.last)
    }

    /// Reads from the log what was missed. What is there no longer is told as a gap: the listener
    /// then has to look for itself.
    async fn catch_up(&mut self, after: u64) {
        let (tenant, subscription) = self.listener.subscription();
        match self.broker.missed(tenant, subscription, after, PAGE).await {
            Ok(missed) => {
                if missed.gap {
                    self.ready.push_back(gap(after));
                }
                self.resumed = missed.told.last().map(|(place, _)| *place).or(self.resumed);
                self.tell(missed.told.into_iter().map(|(place, body)| (Some(place), body)));
                self.resume = missed.next;
            }
            Err(error) => {
                tracing::warn!(%error, "what a listener missed cannot be read");
                self.ready.push_back(gap(after));
            }
        }
    }

    fn tell(&mut self, told: impl IntoIterator<Item = Told>) {
        for (place, body) in told {
            let mut bytes = Vec::with_capacity(body.len() + 40);
            self.write(&mut bytes, place, &body);
            self.ready.push_back(bytes.into());
        }
    }

    /// What has no place among the changes is known by the one before it.
    fn write(&mut self, out: &mut Vec<u8>, place: Option<u64>, body: &[u8]) {
        self.last = self.last.max(place.unwrap_or(0));
        event(out, place.unwrap_or(self.last), body);
    }

    /// Sends a notification, and those that wait behind it, in one piece.
    fn tell_together(&mut self, first: Told) {
        let mut bytes = Vec::with_capacity(first.1.len() + 40);
        let mut next = Some(first);
        while let Some((place, body)) = next {
            if body.is_empty() {
                // What comes next is told after what the log has.
                self.resume = Some(self.last);
                break;
            }
            match (place, self.resumed) {
                // Told already, as something that was missed.
                (Some(place), Some(resumed)) if place <= resumed => {}
                _ => {
                    self.write(&mut bytes, place, &body);
                    self.resumed = self.resumed.filter(|_| place.is_none());
                }
            }
            next = match bytes.len() < TOGETHER {
                true => self.listener.next().now_or_never().flatten(),
                false => None,
            };
        }
        if !bytes.is_empty() {
            self.ready.push_back(bytes.into());
        }
    }
}

/// One notification as an event.
fn event(out: &mut Vec<u8>, place: u64, body: &[u8]) {
    out.extend_from_slice(format!("id: {place}\n").as_bytes());
    // JSON has line breaks only between its parts, where any number of lines means the same.
    for line in body.split(|byte| matches!(byte, b'\n' | b'\r')) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
}

/// Says that not everything after a place could be told.
fn gap(after: u64) -> Bytes {
    Bytes::from(format!("event: gap\ndata: {{\"after\":{after}}}\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_stays_one_event_however_it_is_written() {
        let mut bytes = Vec::new();
        event(&mut bytes, 7, b"{\"a\":1}");
        event(&mut bytes, 8, b"{\n\"a\":\r\n1}");
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            "id: 7\ndata: {\"a\":1}\n\nid: 8\ndata: {\ndata: \"a\":\ndata: \ndata: 1}\n\n"
        );
    }

    #[test]
    fn the_last_event_is_a_number() {
        assert_eq!(place(" 12 ").ok(), Some(12));
        for wrong in ["x", "-1", "1.5", "99999999999999999999"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
