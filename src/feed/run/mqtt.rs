//! Messages of a topic. They are gathered for a moment, so that many share a commit, and
//! acknowledged when they are stored: what was not comes again.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::Feed;
use super::feed::{Document, TakeError};
use crate::config::ByteSize;
use crate::egress::{Arrived, ListenedTopic, Listening, TopicListener};
use crate::feed::mapping::source::Mqtt;

/// How often it is looked whether the feed is still ours.
const LOOK: Duration = Duration::from_millis(500);

/// Listens until the connection breaks, or the feed is not ours any more.
pub(super) async fn step(
    feed: &Arc<Feed>,
    mqtt: &Mqtt,
    most: ByteSize,
) -> Result<Duration, String> {
    let shared = feed.shared().clone();
    let settings = &shared.config.feeds;
    let topic = ListenedTopic {
        url: mqtt.url.clone(),
        user: mqtt.user.clone(),
        password: mqtt.password.clone(),
        version5: mqtt.version5,
        filter: mqtt.topic.clone(),
        sure: mqtt.quality > 0,
        client: feed.client_name().await.map_err(|why| why.to_string())?,
        most: most.min(settings.most).bytes(),
    };
    let listener = TopicListener::new(&shared.config, topic).map_err(|why| why.to_string())?;
    let mut listening = listener.connect().await?;
    tracing::info!(feed = feed.name(), topic = mqtt.topic, "listening");
    let mut first = true;
    while feed.is_held() && !shared.is_closing() {
        let message = match timeout(LOOK, listening.next()).await {
            Ok(message) => message?,
            Err(_) => {
                // Nothing came, but it could have.
                if std::mem::take(&mut first) {
                    feed.same_as_before();
                }
                feed.keep(false).await;
                continue;
            }
        };
        let messages = gather(&mut listening, message, settings.gather, settings.messages).await?;
        take(feed, &messages).await?;
        let numbers: Vec<u16> = messages.iter().map(|message| message.number).collect();
        listening.acknowledge(&numbers).await?;
        feed.keep(false).await;
    }
    listening.leave().await;
    Ok(Duration::ZERO)
}

/// The messages that come within a moment of the first.
async fn gather(
    listening: &mut Listening,
    first: Arrived,
    moment: Duration,
    most: usize,
) -> Result<Vec<Arrived>, String> {
    let until = Instant::now() + moment;
    let mut messages = vec![first];
    while messages.len() < most.max(1) {
        match timeout_at(until, listening.next()).await {
            Ok(message) => messages.push(message?),
            Err(_) => break,
        }
    }
    Ok(messages)
}

async fn take(feed: &Arc<Feed>, messages: &[Arrived]) -> Result<(), String> {
    let documents: Vec<Document> = messages
        .iter()
        .map(|message| Document {
            bytes: message.payload.clone(),
            topic: Some(message.topic.clone()),
            file: None,
        })
        .collect();
    match feed.run(&documents).await {
        Ok(_) => Ok(()),
        // It will not be better when it comes again.
        Err(TakeError::NotReadable(why)) => {
            feed.failed(&why);
            Ok(())
        }
        Err(TakeError::Store(why)) => Err(why),
    }
}
