//! A sink that speaks HTTP: batch upsert (5.6.8) to any NGSI-LD broker that runs elsewhere.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use async_trait::async_trait;
use serde::Deserialize;
use tokio::sync::OnceCell;
use url::Url;

use super::{ContextChoice, Item, ItemContext, Mode, Sink, SinkError, Verdict};
use crate::egress::{Direct, DirectAnswer, EgressError};
use crate::model::TenantId;

/// How long one batch may take.
const TIMEOUT: Duration = Duration::from_secs(120);

/// How often a batch is sent again when the broker is away or busy, and how long the first pause
/// is; each is twice as long as the one before, half a minute in all.
const RETRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The media type of entities that bring their `@context`.
const LD_JSON: &str = "application/ld+json";
/// The media type of entities that do not.
const JSON: &str = "application/json";

/// A broker that runs elsewhere.
pub struct RemoteSink {
    client: Direct,
    base: Url,
    upsert: Url,
    tenant: Option<String>,
    /// The `Link` header of entities without a context, if one was chosen.
    link: Option<String>,
    /// The one of entities whose context comes with the broker, once it was asked for.
    shipped: OnceCell<String>,
    first_pause: Duration,
    /// Histories go one by one: the specification has no batch of them.
    history: bool,
}

impl RemoteSink {
    /// Gets ready to import into the broker at an address: `http://host:port`, with or without
    /// `/ngsi-ld/v1`. A context that is not at an address is given to the broker to host.
    pub async fn connect(
        broker: &str,
        tenant: &TenantId,
        context: &ContextChoice,
        mode: Mode,
    ) -> Result<Self, SinkError> {
        let base = base(broker)?;
        let client = Direct::new(TIMEOUT).map_err(|why| SinkError::Unreachable(why.to_string()))?;
        let mut upsert = join(&base, "entityOperations/upsert");
        if mode == Mode::Update {
            upsert.set_query(Some("options=update"));
        }
        let history = mode == Mode::History;
        if history {
            upsert = join(&base, "temporal/entities");
        }
        let tenant = tenant.name().map(str::to_owned);
        let (link, shipped) = (None, OnceCell::new());
        let first_pause = FIRST_PAUSE;
        let mut sink = Self { client, base, upsert, tenant, link, shipped, first_pause, history };
        sink.link = match context {
            ContextChoice::Default => None,
            ContextChoice::Url(url) => Some(link_to(url)),
            ContextChoice::Inline(context) => Some(link_to(&sink.host(context).await?)),
        };
        Ok(sink)
    }

    /// The `Link` header to a context that the broker came with.
    async fn link_to_shipped(&self, id: &str) -> Result<String, SinkError> {
        let mut url = join(&self.base, &format!("jsonldContexts/{id}"));
        let address = url.to_string();
        url.set_query(Some("details=true"));
        let answer = self.client.get(&url, &[]).await.map_err(unreachable)?;
        #[derive(Deserialize)]
        struct Details {
            #[serde(rename = "URL")]
            url: String,
        }
        match (answer.status, serde_json::from_slice::<Details>(&answer.body)) {
            (200, Ok(details)) => Ok(link_to(&details.url)),
            (200, Err(_)) => Ok(link_to(&address)),
            (status, _) => Err(SinkError::Denied(format!(
                "it does not host the context {id} ({status}): name one with --entity-context"
            ))),
        }
    }

    /// Lets the broker host a context (5.13.2); its address.
    async fn host(&self, context: &str) -> Result<String, SinkError> {
        let url = join(&self.base, "jsonldContexts");
        let body = format!("{{\"@context\":{context}}}").into_bytes();
        let headers = self.headers(JSON, None);
        let answer = self.client.post(&url, &headers, body).await.map_err(unreachable)?;
        let location = answer.headers.get("Location").and_then(|value| value.to_str().ok());
        match (answer.status, location.and_then(|location| url.join(location).ok())) {
            (201, Some(address)) => Ok(address.into()),
            _ => Err(SinkError::Denied(format!("it will not host the context: {}", told(&answer)))),
        }
    }

    fn headers<'a>(&'a self, kind: &'a str, link: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
        let mut headers = vec![("Content-Type", kind)];
        headers.extend(self.tenant.as_deref().map(|tenant| ("NGSILD-Tenant", tenant)));
        headers.extend(link.map(|link| ("Link", link)));
        headers
    }

    /// Sends items that have their context from the same place. What the broker refuses as a whole
    /// is halved until the bad ones stand alone.
    async fn send(&self, items: &[Item]) -> Result<Vec<Verdict>, SinkError> {
        let mut verdicts = Vec::with_capacity(items.len());
        if self.history {
            for item in items {
                let answer = self.post(std::slice::from_ref(item)).await?;
                verdicts.push(match answer.status {
                    201 => Verdict::Created,
                    204 => Verdict::Updated,
                    400 | 413 | 422 => Verdict::Refused(told(&answer)),
                    _ => return Err(SinkError::Denied(told(&answer))),
                });
            }
            return Ok(verdicts);
        }
        let mut parts = vec![items];
        while let Some(part) = parts.pop() {
            let answer = self.post(part).await?;
            match answer.status {
                201 | 204 | 207 => verdicts.extend(read_answer(&answer, part)?),
                400 | 413 | 422 if part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                400 | 413 | 422 => verdicts.push(Verdict::Refused(told(&answer))),
                _ => return Err(SinkError::Denied(told(&answer))),
            }
        }
        Ok(verdicts)
    }

    fn body(&self, items: &[Item]) -> Vec<u8> {
        match (self.history, items) {
            (true, [item]) => item.json.clone(),
            _ => body(items),
        }
    }

    /// Posts a batch, again and again if the broker is away or has too much to do: an upsert that
    /// was carried out already does the same once more.
    async fn post(&self, items: &[Item]) -> Result<DirectAnswer, SinkError> {
        let context = items.first().map_or(ItemContext::Chosen, |item| item.context);
        let headers = match (context, &self.link) {
            (ItemContext::Own, _) => self.headers(LD_JSON, None),
            (ItemContext::Shipped(id), None) => {
                let link = self.shipped.get_or_try_init(|| self.link_to_shipped(id)).await?;
                self.headers(JSON, Some(link))
            }
            (_, link) => self.headers(JSON, link.as_deref()),
        };
        let mut pause = self.first_pause;
        for _ in 0..RETRIES {
            let answer = self.client.post(&self.upsert, &headers, self.body(items)).await;
            match answer {
                Ok(answer) if ![429, 502, 503].contains(&answer.status) => return Ok(answer),
                Ok(_) | Err(EgressError::Unreachable { .. } | EgressError::TooSlow { .. }) => {}
                Err(why) => return Err(unreachable(why)),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        let answer = self.client.post(&self.upsert, &headers, self.body(items)).await;
        match answer.map_err(unreachable)? {
            answer if [429, 502, 503].contains(&answer.status) => {
                Err(SinkError::Unreachable(told(&answer)))
            }
            answer => Ok(answer),
        }
    }
}

#[async_trait]
impl Sink for RemoteSink {
    async fn upsert(&self, batch: &[Item]) -> Result<Vec<Verdict>, SinkError> {
        let mut verdicts = Vec::with_capacity(batch.len());
        for items in batch.chunk_by(|a, b| a.context == b.context) {
            verdicts.extend(self.send(items).await?);
        }
        Ok(verdicts)
    }
}

/// The address below which the API stands.
fn base(broker: &str) -> Result<Url, SinkError> {
    let text = match broker.contains("://") {
        true => broker.to_owned(),
        false => format!("http://{broker}"),
    };
    let denied = |why: String| SinkError::Denied(format!("{broker:?} is no address: {why}"));
    let mut url = Url::parse(&text).map_err(|why| denied(why.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(denied("write http://host:port".into()));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    let path = path.strip_suffix("/ngsi-ld/v1").unwrap_or(&path).to_owned();
    url.set_path(&format!("{path}/ngsi-ld/v1/"));
    url.set_query(None);
    Ok(url)
}

fn link_to(url: &str) -> String {
    format!("<{url}>; rel=\"http://www.w3.org/ns/json-ld#context\"; type=\"{LD_JSON}\"")
}

fn join(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path()));
    url
}

fn body(items: &[Item]) -> Vec<u8> {
    let size = items.iter().map(|item| item.json.len() + 1).sum::<usize>() + 1;
    let mut body = Vec::with_capacity(size);
    for (index, item) in items.iter().enumerate() {
        body.push(if index == 0 { b'[' } else { b',' });
        body.extend_from_slice(&item.json);
    }
    body.push(b']');
    body
}

fn unreachable(why: EgressError) -> SinkError {
    SinkError::Unreachable(why.to_string())
}

/// What a broker said, in one line.
fn told(answer: &DirectAnswer) -> String {
    #[derive(Deserialize, Default)]
    struct Problem {
        #[serde(default)]
        title: String,
        #[serde(default)]
        detail: String,
    }
    let problem: Problem = serde_json::from_slice(&answer.body).unwrap_or_default();
    match (problem.title.as_str(), problem.detail.as_str()) {
        ("", "") => format!("status {}", answer.status),
        (title, "") => title.to_owned(),
        ("", detail) => detail.to_owned(),
        (title, detail) => format!("{title}: {detail}"),
    }
}

/// The body of a 207.
#[derive(Deserialize)]
struct Results {
    #[serde(default)]
    errors: Vec<ResultError>,
}

#[derive(Deserialize)]
struct ResultError {
    #[serde(rename = "entityId")]
    id: Option<String>,
    #[serde(default)]
    error: serde_json::Value,
}

/// Tells from an answer to a batch what became of each item.
fn read_answer(answer: &DirectAnswer, items: &[Item]) -> Result<Vec<Verdict>, SinkError> {
    let confused = |why: serde_json::Error| SinkError::Confused(why.to_string());
    match answer.status {
        204 => Ok(vec![Verdict::Updated; items.len()]),
        201 => {
            let created: Vec<String> = serde_json::from_slice(&answer.body).map_err(confused)?;
            let mut new: HashSet<&str> = created.iter().map(String::as_str).collect();
            // Of items with the same id only the first made the entity.
            let verdict = |item: &Item| match new.remove(&*item.id) {
                true => Verdict::Created,
                false => Verdict::Updated,
            };
            Ok(items.iter().map(verdict).collect())
        }
        _ => {
            let results: Results = serde_json::from_slice(&answer.body).map_err(confused)?;
            let mut errors: HashMap<String, Vec<String>> = HashMap::new();
            for ResultError { id, error } in results.errors.into_iter().rev() {
                let part = |name| error.get(name).and_then(serde_json::Value::as_str);
                let why = part("detail").or(part("title")).unwrap_or("no reason was given");
                errors.entry(id.unwrap_or_default()).or_default().push(why.into());
            }
            let verdict = |item: &Item| match errors.get_mut(&item.id).and_then(Vec::pop) {
                Some(why) => Verdict::Refused(why),
                None => Verdict::Taken,
            };
            Ok(items.iter().map(verdict).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        sync::mpsc,
        thread,
    };

    use super::super::Place;
    use super::*;

    fn item(id: &str, context: ItemContext) -> Item {
        let json = format!("{{\"id\":\"{id}\"}}").into_bytes();
        Item { place: Place::default(), id: id.into(), json, context }
    }

    /// A broker that gives these answers in turn and tells what it was asked.
    fn broker(answers: Vec<(u16, &'static str)>) -> (String, mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it has an address").to_string();
        let (sender, asked) = mpsc::channel();
        thread::spawn(move || {
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().expect("a client comes");
                let mut request = Vec::new();
                let mut chunk = [0; 4096];
                loop {
                    let read = stream.read(&mut chunk).expect("it says something");
                    request.extend_from_slice(&chunk[..read]);
                    let text = String::from_utf8_lossy(&request).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length =
                        head.to_lowercase().split("content-length: ").nth(1).map_or(0, |rest| {
                            rest.split("\r\n").next().and_then(|n| n.parse().ok()).unwrap_or(0)
                        });
                    if body.len() >= length {
                        sender.send(text).expect("the test listens");
                        break;
                    }
                }
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).expect("the client listens");
            }
        });
        (address, asked)
    }

    async fn sink(address: &str, context: ContextChoice) -> RemoteSink {
        let tenant = TenantId::named("Lampang").expect("is a name");
        let mut sink = RemoteSink::connect(address, &tenant, &context, Mode::Update)
            .await
            .expect("the broker is there");
        sink.first_pause = Duration::from_millis(1);
        sink
    }

    #[tokio::test]
    async fn a_batch_is_posted_and_its_answer_understood() {
        let (address, asked) = broker(vec![(201, r#"["urn:a"]"#), (204, "")]);
        let context = ContextChoice::Url("https://example.org/c".into());
        let sink = sink(&format!("http://{address}/"), context).await;
        let batch = [
            item("urn:a", ItemContext::Chosen),
            item("urn:b", ItemContext::Chosen),
            item("urn:a", ItemContext::Chosen),
        ];
        let verdicts = sink.upsert(&batch).await.expect("the broker answers");
        assert_eq!(verdicts, [Verdict::Created, Verdict::Updated, Verdict::Updated]);
        let request = asked.recv().expect("it was asked");
        let head = request.to_lowercase();
        assert!(head.starts_with("post /ngsi-ld/v1/entityoperations/upsert?options=update "));
        assert!(head.contains("ngsild-tenant: lampang"), "{head}");
        assert!(head.contains("link: <https://example.org/c>; rel="), "{head}");
        assert!(head.contains("content-type: application/json"), "{head}");
        assert!(request.ends_with(r#"[{"id":"urn:a"},{"id":"urn:b"},{"id":"urn:a"}]"#));
        let verdicts =
            sink.upsert(&[item("urn:c", ItemContext::Own)]).await.expect("the broker answers");
        assert_eq!(verdicts, [Verdict::Updated]);
        let head = asked.recv().expect("it was asked").to_lowercase();
        assert!(head.contains("content-type: application/ld+json") && !head.contains("link:"));
    }

    #[tokio::test]
    async fn a_context_that_comes_with_the_broker_is_asked_for_once() {
        let details = r#"{"URL":"http://city.example/contexts/here","kind":"Hosted"}"#;
        let (address, asked) = broker(vec![(200, details), (204, ""), (204, "")]);
        let sink = sink(&address, ContextChoice::Default).await;
        for _ in 0..2 {
            let batch = [item("urn:a", ItemContext::Shipped("here"))];
            sink.upsert(&batch).await.expect("the broker answers");
        }
        let question = asked.recv().expect("it was asked");
        assert!(question.starts_with("GET /ngsi-ld/v1/jsonldContexts/here?details=true "));
        let head = asked.recv().expect("it was asked").to_lowercase();
        assert!(head.contains("link: <http://city.example/contexts/here>; rel="), "{head}");
    }

    #[tokio::test]
    async fn results_one_by_one_are_told_apart() {
        let (address, _asked) = broker(vec![(
            207,
            r#"{"success":["urn:a"],"errors":[{"entityId":"urn:b","error":{"title":"no","detail":"bad"}}]}"#,
        )]);
        let sink = sink(&address, ContextChoice::Default).await;
        let batch = [item("urn:a", ItemContext::Chosen), item("urn:b", ItemContext::Chosen)];
        let verdicts = sink.upsert(&batch).await.expect("the broker answers");
        assert_eq!(verdicts, [Verdict::Taken, Verdict::Refused("bad".into())]);
    }

    #[tokio::test]
    async fn a_batch_that_is_refused_whole_is_halved() {
        let bad = r#"{"title":"Bad","detail":"no URI"}"#;
        let (address, _asked) =
            broker(vec![(400, bad), (204, ""), (400, bad), (400, bad), (204, "")]);
        let sink = sink(&address, ContextChoice::Default).await;
        let batch = ["urn:a", "urn:b", "c", "urn:d"].map(|id| item(id, ItemContext::Chosen));
        let verdicts = sink.upsert(&batch).await.expect("the broker answers");
        let refused = Verdict::Refused("Bad: no URI".into());
        assert_eq!(verdicts, [Verdict::Updated, Verdict::Updated, refused, Verdict::Updated]);
    }

    #[tokio::test]
    async fn a_busy_broker_is_asked_again() {
        let (address, _asked) = broker(vec![(503, ""), (429, ""), (204, "")]);
        let sink = sink(&address, ContextChoice::Default).await;
        let verdicts =
            sink.upsert(&[item("urn:a", ItemContext::Chosen)]).await.expect("it has time at last");
        assert_eq!(verdicts, [Verdict::Updated]);
    }

    #[tokio::test]
    async fn a_broker_that_is_away_ends_the_import() {
        let sink = sink("127.0.0.1:1", ContextChoice::Default).await;
        let error =
            sink.upsert(&[item("urn:a", ItemContext::Chosen)]).await.expect_err("nobody is there");
        assert!(matches!(error, SinkError::Unreachable(_)), "{error}");
    }

    #[tokio::test]
    async fn a_broker_that_lets_nobody_in_ends_the_import() {
        let (address, _asked) = broker(vec![(403, r#"{"title":"Forbidden"}"#)]);
        let sink = sink(&address, ContextChoice::Default).await;
        let error =
            sink.upsert(&[item("urn:a", ItemContext::Chosen)]).await.expect_err("it denies");
        assert_eq!(error.to_string(), "the broker refuses the import: Forbidden");
    }

    #[test]
    fn addresses_may_be_short() {
        for (broker, url) in [
            ("localhost:9090", "http://localhost:9090/ngsi-ld/v1/"),
            ("https://a.example/", "https://a.example/ngsi-ld/v1/"),
            ("https://a.example/x/ngsi-ld/v1/", "https://a.example/x/ngsi-ld/v1/"),
        ] {
            assert_eq!(base(broker).map(String::from).ok().as_deref(), Some(url));
        }
        assert!(base("ftp://a.example").is_err());
        assert!(base("http://").is_err());
    }
}
