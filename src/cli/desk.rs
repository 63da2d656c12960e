//! Asking a running broker, for the commands that operate one.

use std::{
    fmt::Write as _,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use lanna::config::Config;
use lanna::egress::{Direct, DirectAnswer, EgressError};
use lanna::model::TenantId;
use serde_json::Value;
use url::Url;

/// Whom to ask, and how to print what it says.
#[derive(Debug, PartialEq)]
pub struct Whom {
    /// The broker; the one that the configuration would start when absent.
    pub to: Option<String>,
    pub tenant: TenantId,
    /// Print what the broker answers.
    pub json: bool,
}

/// Why it failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0:?} is no address of a broker, like http://127.0.0.1:9090")]
    Address(String),
    #[error("{}: {why}", .file.display())]
    Token { file: PathBuf, why: io::Error },
    #[error(transparent)]
    Egress(#[from] EgressError),
    #[error("the broker answered {status}: {detail}")]
    Answer { status: u16, detail: String },
    #[error("the broker answered something else than was asked: {0}")]
    NotJson(#[from] serde_json::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Asks on a runtime of its own, and writes the answer to standard output.
pub fn ask<F: Future<Output = Result<String, Failure>>>(
    asked: impl FnOnce() -> Result<F, Failure>,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let text = runtime.block_on(async { asked()?.await })?;
    match io::stdout().write_all(text.as_bytes()) {
        // A reader that went away has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// A broker, ready to be asked.
pub struct Desk {
    client: Direct,
    base: Url,
    headers: Vec<(&'static str, String)>,
    pub json: bool,
}

impl Desk {
    /// Gets ready to ask.
    pub fn new(config: &Config, asked: &Whom) -> Result<Self, Failure> {
        let base = asked.to.clone().unwrap_or_else(|| usual(config));
        let wrong = || Failure::Address(base.clone());
        let url = Url::parse(&base).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong());
        }
        let mut headers = Vec::new();
        if let Some(name) = asked.tenant.name() {
            headers.push(("NGSILD-Tenant", name.to_owned()));
        }
        if let Some(file) = &config.admin.token_file {
            headers.push(("Authorization", format!("Bearer {}", token(file)?)));
        }
        let client = Direct::new(Duration::from_secs(60))?;
        Ok(Self { client, base: url, headers, json: asked.json })
    }

    /// Asks something under /admin; what is no success is a failure.
    pub async fn ask(
        &self,
        method: &str,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<DirectAnswer, Failure> {
        self.send(method, path, query, Vec::new()).await
    }

    /// The same with a body of JSON.
    pub async fn put(&self, path: &[&str], body: &Value) -> Result<DirectAnswer, Failure> {
        self.send("PUT", path, &[], body.to_string().into_bytes()).await
    }

    async fn send(
        &self,
        method: &str,
        path: &[&str],
        query: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<DirectAnswer, Failure> {
        let mut url = self.base.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().push("admin").extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        if !body.is_empty() {
            headers.push(("Content-Type", "application/json"));
        }
        let answer = match method {
            "PUT" => self.client.put(&url, &headers, body).await?,
            "POST" => self.client.post(&url, &headers, Vec::new()).await?,
            "DELETE" => self.client.delete(&url, &headers).await?,
            _ => self.client.get(&url, &headers).await?,
        };
        match answer.status {
            200..=299 => Ok(answer),
            status => {
                let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                let detail = problem["detail"].as_str().unwrap_or("it does not say why").to_owned();
                Err(Failure::Answer { status, detail })
            }
        }
    }

    /// All pages of a list whose elements have ids.
    pub async fn all(&self, path: &str, query: &[(&str, &str)]) -> Result<Vec<Value>, Failure> {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let after = all.last().and_then(|last| last["id"].as_str()).map(str::to_owned);
            let mut query = query.to_vec();
            query.push(("limit", "1000"));
            query.extend(after.as_deref().map(|after| ("after", after)));
            let answer = self.ask("GET", &[path], &query).await?;
            let page: Vec<Value> = serde_json::from_slice(&answer.body)?;
            let last = page.is_empty() || !answer.headers.contains_key("link");
            all.extend(page);
            if last {
                return Ok(all);
            }
        }
    }
}

/// The broker that this configuration would start.
fn usual(config: &Config) -> String {
    let scheme = if config.server.tls_cert.is_some() { "https" } else { "http" };
    match config.server.listen.first() {
        Some(address) if address.ip().is_unspecified() => {
            format!("{scheme}://127.0.0.1:{}", address.port())
        }
        Some(address) => format!("{scheme}://{address}"),
        None => format!("{scheme}://127.0.0.1:9090"),
    }
}

fn token(file: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|why| Failure::Token { file: file.to_owned(), why })?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// A value as a cell.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// One value to a line.
pub fn lines(all: &[Value]) -> String {
    all.iter().map(|one| format!("{one}\n")).collect()
}

/// Columns that stand below each other; the last may be as wide as it is. What came from receivers
/// begins no lines of its own and moves no cursor.
pub fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return "none\n".to_owned();
    }
    let clean = |cell: &String| cell.replace(char::is_control, " ");
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(clean).collect()).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or_default().max(head[column].len())
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut out = String::new();
    let mut line = |cells: Vec<&str>| {
        for (column, cell) in cells.iter().enumerate() {
            // Writing into a string does not fail.
            let _ = match column + 1 == cells.len() {
                true => writeln!(out, "{cell}"),
                false => write!(out, "{cell:<width$}  ", width = widths[column]),
            };
        }
    };
    line(head.to_vec());
    for row in &rows {
        line(row.iter().map(String::as_str).collect());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_columns_and_lets_no_cell_out() {
        let rows = vec![
            vec!["urn:a".to_owned(), "12".to_owned(), "said\n\u{1b}[2J no".to_owned()],
            vec!["urn:longer".to_owned(), "3".to_owned(), "-".to_owned()],
        ];
        expect_test::expect![[r#"
            ID          QUEUED  LAST ERROR
            urn:a       12      said  [2J no
            urn:longer  3       -
        "#]]
        .assert_eq(&table(&["ID", "QUEUED", "LAST ERROR"], rows));
        assert_eq!(table(&["ID"], Vec::new()), "none\n");
    }

    #[test]
    fn the_usual_broker_is_the_one_that_would_be_started() {
        let mut config = Config::default();
        assert_eq!(usual(&config), format!("http://{}", config.server.listen[0]));
        config.server.listen = vec!["0.0.0.0:1234".parse().unwrap()];
        assert_eq!(usual(&config), "http://127.0.0.1:1234");
    }
}
