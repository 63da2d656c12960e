//! How log events are written: one line each, with the id of the request they belong to.

use std::fmt;

use lanna::{
    config::{Log, LogFormat},
    http::request_id,
    model::Timestamp,
};
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// Starts to log to standard error. The message of an error says what is wrong with the level.
pub fn start(settings: &Log) -> Result<(), String> {
    let filter = EnvFilter::builder()
        .parse(&settings.level)
        .map_err(|why| format!("log.level cannot be {:?}: {why}", settings.level))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .event_format(Line { json: settings.format == LogFormat::Json })
        .finish();
    tracing::subscriber::set_global_default(subscriber).map_err(|why| why.to_string())
}

/// One event, one line.
struct Line {
    json: bool,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let message = fields.0.shift_remove("message").unwrap_or_default();
        let message = message.as_str().unwrap_or_default();
        let level = event.metadata().level();
        let target = event.metadata().target();
        let (now, id) = (Timestamp::now(), request_id::current());
        if !self.json {
            return text(&mut out, now, level, target, message, &fields.0, id);
        }
        let mut line = Map::new();
        line.insert("time".into(), now.to_string().into());
        line.insert("level".into(), level.as_str().to_lowercase().into());
        line.insert("target".into(), target.into());
        line.insert("message".into(), message.into());
        if let Some(id) = id {
            line.insert("request_id".into(), id.to_string().into());
        }
        line.extend(fields.0);
        writeln!(out, "{}", Value::Object(line))
    }
}

fn text(
    out: &mut Writer<'_>,
    now: Timestamp,
    level: &tracing::Level,
    target: &str,
    message: &str,
    fields: &Map<String, Value>,
    id: Option<request_id::RequestId>,
) -> fmt::Result {
    write!(out, "{now} {level:<5} {target}: ")?;
    one_line(out, message)?;
    for (name, value) in fields {
        write!(out, " {name}=")?;
        match value {
            Value::String(text) if plain(text) => out.write_str(text)?,
            other => write!(out, "{other}")?,
        }
    }
    if let Some(id) = id {
        write!(out, " request_id={id}")?;
    }
    out.write_char('\n')
}

/// Whether a text can stand in a line without quotes.
fn plain(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| !c.is_whitespace() && !c.is_control() && !"\"=".contains(c))
}

/// What clients send ends up in messages: it must not begin lines of its own.
fn one_line(out: &mut Writer<'_>, text: &str) -> fmt::Result {
    text.chars().try_for_each(|c| match c.is_control() {
        true => write!(out, "{}", c.escape_default()),
        false => out.write_char(c),
    })
}

/// The fields of an event.
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(json: bool) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .event_format(Line { json })
            .finish();
        let id = request_id::Numbers::new(7).next();
        tracing::subscriber::with_default(subscriber, || {
            request_id::within(&id, || {
                tracing::info!(place = "แม่เมาะ", count = 3, note = "two words", "read\nall");
            });
            tracing::warn!("alone");
        });
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_of_text_stays_a_line() {
        let text = logged(false);
        let lines: Vec<&str> = text.lines().map(|line| line.split_once(' ').unwrap().1).collect();
        let first = "read\\nall place=แม่เมาะ count=3 note=\"two words\" request_id=00000007-";
        assert!(lines[0].contains(first), "{text}");
        assert!(lines[1].ends_with("alone"), "{text}");
    }

    #[test]
    fn a_line_of_json_is_an_object() {
        let text = logged(true);
        let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(first["message"], "read\nall");
        assert_eq!(first["place"], "แม่เมาะ");
        assert_eq!(first["count"], 3);
        assert!(first["request_id"].as_str().unwrap().starts_with("00000007-"));
        let second: Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
        assert!(second.get("request_id").is_none());
        assert_eq!(second["level"], "warn");
    }
}
