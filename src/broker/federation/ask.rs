//! Asking sources: within the time that is left, with as many requests under way as are allowed,
//! and not where a source is to be left alone.

use std::sync::Arc;
use std::time::Instant;

use crate::egress::Method;
use futures_util::future::BoxFuture;

use super::super::{Broker, Call};
use super::Origin;
use crate::egress::{AskError, Question, Reply};
use crate::federate::{
    Carriage, Draft, Ending, Health, Naming, Source, Warning, WarningCode, question,
};
use crate::jsonld::{Context, ContextSource};
use crate::model::Timestamp;

/// What came of asking a source.
#[derive(Debug)]
pub(super) enum Heard {
    /// It answered, with whatever status.
    Reply(Reply),
    /// It answered the same before, and that may be used again.
    Kept(Reply),
    /// It did not answer, or is left alone.
    Silence(String),
    /// It answered more than is read.
    TooLarge(String),
    /// It answered, and there was no memory left to read it.
    NoRoom(String),
}

impl Broker {
    /// How names are written for a source.
    pub(super) async fn naming(&self, call: &Call, source: &Source, has_body: bool) -> Naming {
        self.naming_by(call, &call.context, source, has_body).await
    }

    /// How names that the client wrote by a context are written for a source.
    pub(super) async fn naming_by(
        &self,
        call: &Call,
        context: &Arc<Context>,
        source: &Source,
        has_body: bool,
    ) -> Naming {
        let Some(url) = source.registration.source.jsonld_context.as_deref() else {
            return Naming::of_client(context, has_body, source);
        };
        match self.contexts.resolve(&call.tenant, ContextSource::Url(url), call.now).await {
            Ok(context) => Naming::linked(context, url),
            Err(error) => {
                tracing::warn!(source = source.id(), url, %error, "names are written in full");
                Naming::plain()
            }
        }
    }

    /// Asks a source for something that may be asked twice. If its own entity map is of no use, it
    /// is asked without.
    pub(super) async fn ask(
        &self,
        origin: &Origin,
        source: &Source,
        draft: &Draft,
        naming: &Naming,
    ) -> Heard {
        let heard = self.ask_once(origin, source, draft, naming).await;
        match &heard {
            Heard::Reply(reply) if draft.map.is_some() && matches!(reply.status, 400 | 404) => {
                let draft = draft.clone().by_map(None);
                self.ask_once(origin, source, &draft, naming).await
            }
            _ => heard,
        }
    }

    async fn ask_once(
        &self,
        origin: &Origin,
        source: &Source,
        draft: &Draft,
        naming: &Naming,
    ) -> Heard {
        let question = self.question(origin, source, draft, naming);
        let lifetime = source.registration.management.cache_duration;
        let Some(lifetime) = lifetime.filter(|_| draft.method == Method::GET) else {
            return self.send(origin, source, question).await;
        };
        let asked = key(&question);
        if let Some(kept) = source.answers.get(&asked, lifetime, Instant::now()) {
            return Heard::Kept(kept);
        }
        let heard = self.send(origin, source, question).await;
        if let Heard::Reply(reply) = &heard
            && reply.status == 200
        {
            let shelf = &self.federation.shelf;
            source.answers.keep(asked, reply, lifetime, Instant::now(), shelf);
        }
        heard
    }

    /// Has a source do something.
    pub(super) async fn tell(
        &self,
        origin: &Origin,
        source: &Source,
        draft: &Draft,
        naming: &Naming,
    ) -> Heard {
        source.answers.clear();
        let question = self.question(origin, source, draft, naming);
        let heard = self.send(origin, source, question).await;
        source.answers.clear();
        match heard {
            // Whether it was done is not known, whatever the answer would have said.
            Heard::NoRoom(why) => Heard::Silence(why),
            heard => heard,
        }
    }

    fn question(
        &self,
        origin: &Origin,
        source: &Source,
        draft: &Draft,
        naming: &Naming,
    ) -> Question {
        let answers = self.federation.settings.answers.bytes();
        let carriage = Carriage {
            way: origin.way(),
            headers: &origin.headers,
            patience: origin.left(),
            most: self.federation.settings.response.bytes(),
            budget: source.share(&self.federation.budget, answers),
            compressed: self.federation.settings.compressed,
        };
        question(source, draft, naming, &carriage)
    }

    async fn send(&self, origin: &Origin, source: &Source, mut question: Question) -> Heard {
        let federation = &self.federation;
        let late = || Heard::Silence("there was no time left to ask".to_owned());
        let patience = source.patience(origin.left());
        if patience.is_zero() {
            return late();
        }
        if !source.health.admits(Instant::now()) {
            return Heard::Silence("it failed lately and is left alone for a moment".to_owned());
        }
        let mut attempt = Attempt { health: &source.health, ended: false };
        let begun = Instant::now();
        let _lane = match federation.lanes.try_acquire() {
            Ok(lane) => lane,
            Err(_) => match tokio::time::timeout(patience, federation.lanes.acquire()).await {
                Ok(Ok(lane)) => lane,
                _ => return late(),
            },
        };
        if origin.held.is_empty() && federation.budget.is_full() {
            // Who has some already goes on, and may find that it does not suffice.
            let left = patience.saturating_sub(begun.elapsed());
            if tokio::time::timeout(left, federation.budget.some_left()).await.is_err() {
                return late();
            }
        }
        question.patience = patience.saturating_sub(begun.elapsed());
        let answer = federation.asker.ask(question).await;
        let ending = match &answer {
            Ok(reply) => Ending::of(reply.status),
            Err(AskError::TooLarge(_) | AskError::Refused(_)) => Ending::Failed,
            Err(AskError::Unreachable(_) | AskError::TooSlow(_)) => Ending::Silent,
            // Which is nothing that the source could help.
            Err(AskError::NoRoom) => return Heard::NoRoom(AskError::NoRoom.to_string()),
        };
        attempt.ended = true;
        let cooldown = source.registration.management.cooldown;
        let now = (Instant::now(), Timestamp::now());
        source.health.ended(ending, cooldown, federation.patience(), now);
        match answer {
            Ok(reply) => Heard::Reply(reply),
            Err(error @ AskError::TooLarge(_)) => Heard::TooLarge(error.to_string()),
            Err(error) => Heard::Silence(error.to_string()),
        }
    }
}

/// A source that was about to be asked can be asked by others, if that is given up.
struct Attempt<'a> {
    health: &'a Health,
    ended: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.health.gave_up();
        }
    }
}

/// What tells one question from others: where, and all that the client's own headers may change.
/// The way it came means nothing.
fn key(question: &Question) -> String {
    let mut key = question.url.clone();
    for (name, value) in question.headers.iter().filter(|(name, _)| name != "Via") {
        key.push('\n');
        key.push_str(name);
        key.push(':');
        key.push_str(value);
    }
    key
}

/// Runs everything at once; what ends later does not hinder what ends before.
pub(super) async fn all<T>(jobs: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    futures_util::future::join_all(jobs).await
}

/// How many sources that would lead in circles are named.
const MOST_SAID: usize = 32;

/// What is said of a source that did not answer.
pub(super) fn silent(source: &Arc<Source>, why: &str) -> Warning {
    Warning::new(WarningCode::Silent, source.id(), why)
}

/// What is said of sources that would lead in circles.
pub(super) fn looping(sources: &[Arc<Source>]) -> Vec<Warning> {
    let some = sources.iter().take(MOST_SAID);
    some.map(|source| silent(source, "a loop of registrations was noticed")).collect()
}

/// What is said of sources that were too many to be asked, in one sentence.
pub(super) fn left_out(sources: &[Arc<Source>]) -> Option<Warning> {
    let first = sources.first()?;
    let more = match sources.len() - 1 {
        0 => String::new(),
        more => format!(", {more} others among them"),
    };
    let why = format!("more sources match than are asked (federation.sources){more}");
    Some(silent(first, &why))
}
