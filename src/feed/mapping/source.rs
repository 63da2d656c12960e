//! The part of a mapping that says where a feed comes from.

use std::path::PathBuf;
use std::time::Duration;

use super::node::Table;
use crate::config::ByteSize;

/// Where a feed comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    pub way: Way,
    /// The most bytes of one document.
    pub most: ByteSize,
    /// How long a feed may bring nothing new before it counts as quiet.
    pub expect: Duration,
}

/// How a feed is got.
#[derive(Debug, Clone, PartialEq)]
pub enum Way {
    Http(Http),
    Folder(Folder),
    Mqtt(Mqtt),
    /// Somebody sends it to `POST /feeds/{name}`.
    Push,
}

/// A document that is asked for again and again. `${NAME}` stands for a variable of the
/// environment in every text.
#[derive(Debug, Clone, PartialEq)]
pub struct Http {
    pub url: String,
    pub post: bool,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
    pub every: Duration,
    pub timeout: Duration,
    /// How many records a page has, where `{offset}` and `{page}` in the URL say which.
    pub page: Option<usize>,
    pub pages: usize,
}

/// A folder into which somebody lays files.
#[derive(Debug, Clone, PartialEq)]
pub struct Folder {
    pub path: String,
    /// What the names of the files end with.
    pub ending: String,
    pub every: Duration,
    /// What happens to a file that is done.
    pub after: After,
}

/// What happens to a file that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It goes into the folder `done` beside it, or `failed`.
    Move,
    Delete,
    /// It stays, and is remembered.
    Keep,
}

/// A topic of an MQTT server.
#[derive(Debug, Clone, PartialEq)]
pub struct Mqtt {
    pub url: String,
    pub topic: String,
    pub user: String,
    pub password: String,
    pub version5: bool,
    /// 0 or 1.
    pub quality: u8,
}

/// How often is asked when a mapping does not say.
const EVERY: Duration = Duration::from_secs(600);
const FILES_EVERY: Duration = Duration::from_secs(30);
/// How long is waited for an answer: agencies' servers are slow when everybody asks.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long something that comes by itself may be away.
const EXPECT: Duration = Duration::from_secs(3_600);

impl Source {
    pub(super) fn read(table: &Table<'_>) -> Option<Self> {
        let ways = [("http", 0), ("folder", 1), ("mqtt", 2), ("push", 3)];
        let hint = "http, folder, mqtt or push";
        table.need("kind", hint)?;
        let way = match table.word("kind", &ways)? {
            0 => Way::Http(http(table)?),
            1 => Way::Folder(folder(table)?),
            2 => Way::Mqtt(mqtt(table)?),
            _ => Way::Push,
        };
        let usual = match &way {
            Way::Http(http) => http.every * 3,
            _ => EXPECT,
        };
        let expect = table.duration("expect").unwrap_or(usual);
        let most = table.bytes("most").unwrap_or(ByteSize::mebi(16));
        table.finish();
        Some(Self { way, most, expect })
    }

    /// In a word.
    pub fn word(&self) -> &'static str {
        match &self.way {
            Way::Http(_) => "http",
            Way::Folder(_) => "folder",
            Way::Mqtt(_) => "mqtt",
            Way::Push => "push",
        }
    }

    /// The same with the variables of the environment in their places.
    ///
    /// # Errors
    /// The names of the variables that are not there.
    pub fn resolved(&self, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, Vec<String>> {
        let mut missing = Vec::new();
        let mut source = self.clone();
        let mut fill = |text: &mut String| *text = filled(text, variable, &mut missing);
        match &mut source.way {
            Way::Http(http) => {
                fill(&mut http.url);
                http.headers.iter_mut().for_each(|(_, value)| fill(value));
                http.body.iter_mut().for_each(fill);
            }
            Way::Folder(folder) => fill(&mut folder.path),
            Way::Mqtt(mqtt) => {
                [&mut mqtt.url, &mut mqtt.topic, &mut mqtt.user, &mut mqtt.password]
                    .into_iter()
                    .for_each(fill);
            }
            Way::Push => {}
        }
        missing.sort();
        missing.dedup();
        if missing.is_empty() { Ok(source) } else { Err(missing) }
    }
}

impl Folder {
    /// The folder.
    pub fn folder(&self) -> PathBuf {
        PathBuf::from(&self.path)
    }
}

/// A text with its variables; those that are not there are noted.
fn filled(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
    missing: &mut Vec<String>,
) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, after)) = after.split_once('}') else { break };
        out.push_str(before);
        match variable(name) {
            Some(value) => out.push_str(value.trim()),
            None => missing.push(name.to_owned()),
        }
        rest = after;
    }
    out + rest
}

fn http(table: &Table<'_>) -> Option<Http> {
    let url = table.need("url", "the address that is asked")?;
    let text = url.text()?;
    if !(text.starts_with("http://") || text.starts_with("https://") || text.starts_with("${")) {
        url.blame("it has to begin with http:// or https://");
    }
    let post = table.word("method", &[("GET", false), ("POST", true)]).unwrap_or(false);
    let headers = table.take("headers").and_then(|node| node.table());
    let headers = headers.map_or(Vec::new(), |headers| headers.all());
    let headers = headers
        .into_iter()
        .filter_map(|(name, node)| Some((name.to_owned(), node.text()?.to_owned())))
        .collect();
    let body = table.take("body");
    if let (Some(body), false) = (&body, post) {
        body.blame("only POST has a body: write method = \"POST\"");
    }
    let page = table.count("page", 1, 100_000).map(|page| page as usize);
    if page.is_some() && !(text.contains("{offset}") || text.contains("{page}")) {
        url.blame("pages need {offset} or {page} in the address");
    }
    let every = table.take("every");
    let interval = table.duration("every").unwrap_or(EVERY);
    if let Some(every) = every
        && interval < Duration::from_secs(1)
    {
        every.blame("nobody may be asked more often than once a second");
    }
    Some(Http {
        url: text.to_owned(),
        post,
        headers,
        body: body.and_then(|body| body.text().map(str::to_owned)),
        every: interval,
        timeout: table.duration("timeout").unwrap_or(TIMEOUT),
        page,
        pages: table.count("pages", 1, 1_000).map_or(20, |pages| pages as usize),
    })
}

fn folder(table: &Table<'_>) -> Option<Folder> {
    let path = table.need("path", "the folder that is watched")?.text()?.to_owned();
    let after = [("move", After::Move), ("delete", After::Delete), ("keep", After::Keep)];
    Some(Folder {
        path,
        ending: table.text("ending").unwrap_or_default().to_owned(),
        every: table.duration("every").unwrap_or(FILES_EVERY),
        after: table.word("after", &after).unwrap_or(After::Move),
    })
}

fn mqtt(table: &Table<'_>) -> Option<Mqtt> {
    let url = table.need("url", "the server, like mqtt://host:1883")?;
    let text = url.text()?;
    if !(text.starts_with("mqtt://") || text.starts_with("mqtts://") || text.starts_with("${")) {
        url.blame("it has to begin with mqtt:// or mqtts://");
    }
    let topic = table.need("topic", "like meters/+/readings")?;
    let filter = topic.text()?;
    if let Err(why) = topic_filter(filter) {
        topic.blame(why);
    }
    let own = |key| table.text(key).unwrap_or_default().to_owned();
    Some(Mqtt {
        url: text.to_owned(),
        topic: filter.to_owned(),
        user: own("user"),
        password: own("password"),
        version5: table.word("version", &[("5.0", true), ("3.1.1", false)]).unwrap_or(true),
        quality: table.count("quality", 0, 1).map_or(1, |quality| quality as u8),
    })
}

/// Whether a text is a filter of topics: `+` and `#` stand alone between slashes, `#` last.
fn topic_filter(text: &str) -> Result<(), String> {
    let levels: Vec<&str> = text.split('/').collect();
    for (number, level) in levels.iter().enumerate() {
        let whole = *level == "+" || (*level == "#" && number + 1 == levels.len());
        if level.contains(['+', '#']) && !whole {
            return Err("+ stands alone between slashes, and # alone at the end".to_owned());
        }
    }
    if text.is_empty() { Err("a topic should be here".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_the_environment_are_filled_or_named() {
        let folder = |path: &str| Source {
            way: Way::Folder(Folder {
                path: path.to_owned(),
                ending: String::new(),
                every: FILES_EVERY,
                after: After::Keep,
            }),
            most: ByteSize::mebi(1),
            expect: EXPECT,
        };
        let variable = |name: &str| (name == "HOME").then(|| "/home/x".to_owned());
        assert_eq!(folder("${HOME}/in").resolved(&variable), Ok(folder("/home/x/in")));
        let missing = folder("${B}/${A}/${B}").resolved(&variable);
        assert_eq!(missing, Err(vec!["A".to_owned(), "B".to_owned()]));
        assert_eq!(folder("${open").resolved(&variable), Ok(folder("${open")));
    }

    #[test]
    fn filters_of_topics_are_checked() {
        for good in ["a", "a/+/b", "a/#", "#", "+"] {
            assert_eq!(topic_filter(good), Ok(()), "{good}");
        }
        for bad in ["", "a+/b", "#/a", "a#"] {
            assert!(topic_filter(bad).is_err(), "{bad}");
        }
    }
}
