//! `lanna subscriptions`: asks a running broker how its deliveries stand, and tells it what to do
//! with notifications that could not be delivered.

use lanna::config::Config;
use lanna::egress::DirectAnswer;
use serde_json::Value;

use super::desk::{self, Desk, Failure, Whom, lines, table, text};

/// What to ask, and whom.
#[derive(Debug, PartialEq)]
pub struct Subscriptions {
    pub what: What,
    pub whom: Whom,
}

/// What to ask.
#[derive(Debug, PartialEq)]
pub enum What {
    /// All subscriptions, or those that fail.
    List { failing: bool },
    /// The notifications that could not be delivered.
    DeadLetters { subscription: Option<String> },
    /// Try some of them once more.
    Replay(Which),
    /// Forget some of them.
    Drop(Which),
}

/// Which dead letters.
#[derive(Debug, PartialEq)]
pub enum Which {
    These(Vec<String>),
    Of(String),
    All,
}

/// Asks, and writes the answer to standard output.
pub fn run(config: &Config, asked: Subscriptions) -> Result<(), Failure> {
    desk::ask(|| {
        let desk = Desk::new(config, &asked.whom)?;
        Ok(answer(desk, asked.what))
    })
}

async fn answer(desk: Desk, what: What) -> Result<String, Failure> {
    match &what {
        What::List { failing } => list(&desk, *failing).await,
        What::DeadLetters { subscription } => letters(&desk, subscription.as_deref()).await,
        What::Replay(which) => act(&desk, "replay", which).await,
        What::Drop(which) => act(&desk, "drop", which).await,
    }
}

async fn list(desk: &Desk, failing: bool) -> Result<String, Failure> {
    let query: &[(&str, &str)] = if failing { &[("failing", "true")] } else { &[] };
    let all = desk.all("subscriptions", query).await?;
    if desk.json {
        return Ok(lines(&all));
    }
    let rows = all.iter().map(|one| {
        vec![
            text(&one["id"]),
            text(&one["status"]),
            text(&one["queued"]),
            text(&one["timesSent"]),
            text(&one["timesFailed"]),
            text(&one["uri"]),
            text(&one["lastError"]),
        ]
    });
    let head = ["ID", "STATUS", "QUEUED", "SENT", "FAILED", "ENDPOINT", "LAST ERROR"];
    Ok(table(&head, rows.collect()))
}

async fn letters(desk: &Desk, subscription: Option<&str>) -> Result<String, Failure> {
    let query: Vec<_> = subscription.map(|id| ("subscription", id)).into_iter().collect();
    let all = desk.all("dead-letters", &query).await?;
    if desk.json {
        return Ok(lines(&all));
    }
    let rows = all.iter().map(|one| {
        vec![
            text(&one["id"]),
            text(&one["subscription"]),
            text(&one["lastTried"]),
            text(&one["attempts"]),
            text(&one["uri"]),
            text(&one["reason"]),
        ]
    });
    let head = ["ID", "SUBSCRIPTION", "LAST TRIED", "ATTEMPTS", "ENDPOINT", "REASON"];
    Ok(table(&head, rows.collect()))
}

async fn act(desk: &Desk, verb: &str, which: &Which) -> Result<String, Failure> {
    let replay = verb == "replay";
    let method = if replay { "POST" } else { "DELETE" };
    let done = if replay { "replayed" } else { "dropped" };
    let mut count = 0;
    match which {
        Which::These(ids) => {
            for id in ids {
                let path = ["dead-letters", id.as_str(), "replay"];
                let path = if replay { &path[..] } else { &path[..2] };
                count += counted(&desk.ask(method, path, &[]).await?, done)?;
            }
        }
        Which::Of(_) | Which::All => {
            let query = match which {
                Which::Of(id) => ("subscription", id.as_str()),
                _ => ("all", "true"),
            };
            let path = ["dead-letters", "replay"];
            let path = if replay { &path[..] } else { &path[..1] };
            count += counted(&desk.ask(method, path, &[query]).await?, done)?;
        }
    }
    Ok(match desk.json {
        true => format!("{{\"{done}\":{count}}}\n"),
        false => format!("{count} dead letters {done}\n"),
    })
}

fn counted(answer: &DirectAnswer, word: &str) -> Result<u64, Failure> {
    let body: Value = serde_json::from_slice(&answer.body)?;
    Ok(body[word].as_u64().unwrap_or_default())
}
