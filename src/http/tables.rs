//! Answers of the temporal API as tables, sent bit by bit: memory holds one part of the history
//! at a time, however much is asked for.

use std::collections::VecDeque;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{Bytes, Data};
use futures_util::stream;

use super::negotiate::Media;
use super::problem::Problem;
use super::request::Incoming;
use super::temporal::{put_range, put_thinned};
use super::viewing::Viewing;
use crate::broker::{Broker, Call, History};
use crate::model::{EntityId, Timestamp};
use crate::query::{Evolution, HistoryPlan};
use crate::represent::table::{ArrowTable, Columns, CsvTable, Shape, Table};

/// What was found, as a table. Where one answer cannot hold it, the rest follows part by part, so
/// that a table is whole; only with lastN it is cut, and says so like any other answer.
pub fn answer(
    incoming: &Incoming<'_>,
    call: Call,
    viewing: &Viewing,
    history: History,
) -> Result<HttpResponse, Problem> {
    let Some(broker) = incoming.http.app_data::<Data<Broker>>() else {
        return Err(Problem::internal("the broker is not at hand"));
    };
    let rendering = &history.looks.rendering;
    let columns = Columns {
        shape: match &history.plan.aggregate {
            Some(aggregate) => Shape::Aggregates(aggregate.methods.clone()),
            None => Shape::Instances,
        },
        sys_attrs: rendering.sys_attrs,
        lang: rendering.lang.clone(),
    };
    let table: Box<dyn Table> = match viewing.media {
        Media::Arrow => Box::new(ArrowTable::new(&columns)),
        _ => Box::new(CsvTable::new(&columns)),
    };
    let goes_on = history.range.is_some() && history.plan.last_n.is_none();
    let range = history.range.filter(|_| !goes_on);
    let mut evolutions = history.told.evolutions;
    // Which entities it is about has been decided; each follows from its beginning.
    let ids = match goes_on {
        true => evolutions.drain(..).map(|one| one.chapter.id).collect(),
        false => VecDeque::new(),
    };
    let writing = Writing {
        broker: broker.clone(),
        call,
        table,
        columns,
        plan: history.plan,
        ids,
        after: None,
        stage: Stage::Begin(evolutions),
    };
    let body = stream::unfold(writing, Writing::next);
    let mut response = HttpResponse::build(StatusCode::OK).streaming(body);
    let kind = match viewing.media {
        Media::Csv => HeaderValue::from_static("text/csv; charset=utf-8; header=present"),
        media => media.header(),
    };
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    put_range(&mut response, range);
    put_thinned(&mut response, history.thinned);
    Ok(response)
}

/// A table on its way out.
struct Writing {
    broker: Data<Broker>,
    call: Call,
    table: Box<dyn Table>,
    columns: Columns,
    plan: HistoryPlan,
    /// The entities that remain, if they are asked for one by one.
    ids: VecDeque<EntityId>,
    /// After which time the first of them goes on.
    after: Option<Timestamp>,
    stage: Stage,
}

enum Stage {
    Begin(Vec<Evolution>),
    Middle,
    End,
}

/// Why the rest of a table is missing: the connection is closed before its end.
#[derive(Debug, thiserror::Error)]
#[error("the rest of the table cannot be read")]
struct Torn;

impl Writing {
    /// The next bytes; none at the end.
    async fn next(mut self) -> Option<(Result<Bytes, Torn>, Self)> {
        loop {
            let bytes = match std::mem::replace(&mut self.stage, Stage::Middle) {
                Stage::Begin(evolutions) => {
                    let mut bytes = self.table.begin();
                    bytes.extend(self.table.rows(&evolutions, &self.columns, &self.call.context));
                    bytes
                }
                Stage::Middle => match self.ids.front().cloned() {
                    Some(id) => match self.part_of(&id).await {
                        Ok(bytes) => bytes,
                        Err(torn) => return Some((Err(torn), self)),
                    },
                    None => {
                        self.stage = Stage::End;
                        self.table.end()
                    }
                },
                Stage::End => return None,
            };
            if !bytes.is_empty() {
                return Some((Ok(bytes.into()), self));
            }
        }
    }

    /// The rows of the next part of an entity.
    async fn part_of(&mut self, id: &EntityId) -> Result<Vec<u8>, Torn> {
        let told = self.broker.part_of_history(&self.call, &self.plan, id, self.after).await;
        let told = told.map_err(|error| {
            tracing::error!(%error, "a table was cut short");
            Torn
        })?;
        self.after = told.cut;
        if told.cut.is_none() {
            self.ids.pop_front();
        }
        Ok(self.table.rows(&told.evolutions, &self.columns, &self.call.context))
    }
}
