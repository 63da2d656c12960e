//! Fetching, within the rules.

use std::cell::RefCell;
use std::fs;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use reqwest::{
    StatusCode,
    header::{ACCEPT, HeaderMap, LOCATION},
    redirect,
};
use url::Url;

use crate::config::{Egress, Post};

use super::plain::Kept;
use super::{EgressError, Guard, Refused, resolve::GuardedResolver};

/// The one outbound client; cheap to clone, connections are shared.
#[derive(Debug, Clone)]
pub struct Client {
    pub(super) http: reqwest::Client,
    pub(super) guard: Arc<Guard>,
    recipe: Arc<Recipe>,
    redirects: usize,
    timeout: Duration,
    most: usize,
}

/// What HTTP clients are made from.
#[derive(Debug)]
struct Recipe {
    settings: Egress,
    idle: usize,
}

thread_local! {
    /// What this thread asks by, each with the recipe that it was made from.
    static OWN: RefCell<Vec<(Weak<Recipe>, Own)>> = const { RefCell::new(Vec::new()) };
}

/// What a thread asks by.
#[derive(Debug, Clone)]
pub(super) struct Own {
    pub http: reqwest::Client,
    /// Connections for plain questions.
    pub kept: Arc<Kept>,
}

/// What was fetched.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Where it came from in the end.
    pub url: Url,
    /// The headers of the answer.
    pub headers: HeaderMap,
    /// The body, unpacked.
    pub body: Bytes,
}

impl Recipe {
    fn make(&self, guard: &Arc<Guard>) -> Result<reqwest::Client, EgressError> {
        let settings = &self.settings;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("Lanna/", env!("CARGO_PKG_VERSION")))
            // A proxy would resolve names by itself, past the guard.
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(settings.connect_timeout)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(self.idle)
            .tcp_nodelay(true)
            // Some receivers look for headers as people write them.
            .http1_title_case_headers()
            .dns_resolver(Arc::new(GuardedResolver { guard: Arc::clone(guard) }));
        if let Some(file) = &settings.ca {
            let setup = |why: String| EgressError::Setup(format!("{}: {why}", file.display()));
            let pem = fs::read(file).map_err(|why| setup(why.to_string()))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|why| setup(why.to_string()))?;
            for certificate in certificates {
                builder = builder.add_root_certificate(certificate);
            }
        }
        builder.build().map_err(|why| EgressError::Setup(why.to_string()))
    }
}

impl Client {
    /// A client with these rules.
    pub fn new(settings: &Egress) -> Result<Self, EgressError> {
        Self::keeping(settings, Post::default().idle_connections)
    }

    /// A client that keeps so many idle connections to one host.
    pub(super) fn keeping(settings: &Egress, idle: usize) -> Result<Self, EgressError> {
        let guard = Arc::new(Guard::new(settings));
        let recipe = Arc::new(Recipe { settings: settings.clone(), idle });
        Ok(Self {
            http: recipe.make(&guard)?,
            guard,
            recipe,
            redirects: settings.redirects,
            timeout: settings.timeout,
            most: settings.response.bytes(),
        })
    }

    /// The same with connections of this thread's own: who waits for an answer is not woken by
    /// another thread.
    pub(super) fn of_thread(&self) -> Own {
        OWN.with_borrow_mut(|own| {
            let recipe = Arc::as_ptr(&self.recipe);
            if let Some((_, found)) = own.iter().find(|(known, _)| known.as_ptr() == recipe) {
                return found.clone();
            }
            own.retain(|(known, _)| known.strong_count() > 0);
            let kept = Arc::new(Kept::new(self.recipe.idle));
            let Ok(http) = self.recipe.make(&self.guard) else {
                return Own { http: self.http.clone(), kept };
            };
            let made = Own { http, kept };
            own.push((Arc::downgrade(&self.recipe), made.clone()));
            made
        })
    }

    /// How long it may take to reach a server.
    pub(super) fn connect_timeout(&self) -> Duration {
        self.recipe.settings.connect_timeout
    }

    /// Fetches a document. Success is a 2xx answer, read whole, within the limits.
    pub async fn get(&self, url: &str, accept: &str) -> Result<Fetched, EgressError> {
        match tokio::time::timeout(self.timeout, self.follow(url, accept)).await {
            Ok(result) => result,
            Err(_) => Err(EgressError::TooSlow { url: url.to_owned(), after: self.timeout }),
        }
    }

    async fn follow(&self, url: &str, accept: &str) -> Result<Fetched, EgressError> {
        let refuse = |why: String| Refused { url: url.to_owned(), why };
        let mut here = Url::parse(url).map_err(|why| refuse(why.to_string()))?;
        for _ in 0..=self.redirects {
            self.guard.check(&here)?;
            let answer = self.http.get(here.clone()).header(ACCEPT, accept).send().await;
            let answer = answer.map_err(|error| unreachable(&here, error))?;
            match redirected(&here, answer.status(), answer.headers()) {
                Some(there) => here = there.map_err(refuse)?,
                None => return self.read(here, answer).await,
            }
        }
        Err(EgressError::TooManyRedirects { url: url.to_owned(), most: self.redirects })
    }

    async fn read(&self, url: Url, answer: reqwest::Response) -> Result<Fetched, EgressError> {
        self.read_up_to(url, answer, self.most).await
    }

    /// How many redirects are followed.
    pub(super) fn redirects(&self) -> usize {
        self.redirects
    }

    pub(super) async fn read_up_to(
        &self,
        url: Url,
        answer: reqwest::Response,
        most: usize,
    ) -> Result<Fetched, EgressError> {
        let status = answer.status();
        if !status.is_success() {
            return Err(EgressError::Status { url: url.into(), status: status.as_u16() });
        }
        let too_large = || EgressError::TooLarge { url: url.to_string(), most };
        if answer.content_length().is_some_and(|length| length > most as u64) {
            return Err(too_large());
        }
        let mut answer = answer;
        let headers = std::mem::take(answer.headers_mut());
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| unreachable(&url, error))? {
            if chunk.len() > most - body.len() {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Fetched { url, headers, body: body.into() })
    }
}

/// Where an answer sends us, if it does.
pub(super) fn redirected(
    here: &Url,
    status: StatusCode,
    headers: &HeaderMap,
) -> Option<Result<Url, String>> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = headers.get(LOCATION)?.to_str();
    Some(match location {
        Ok(location) => here.join(location).map_err(|why| format!("it redirects wrongly: {why}")),
        Err(_) => Err("it redirects to something unreadable".to_owned()),
    })
}

/// What went wrong below HTTP; a refusal of the resolver is told as what it is.
pub(super) fn unreachable(url: &Url, error: reqwest::Error) -> EgressError {
    let mut why = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        if let Some(refused) = cause.downcast_ref::<Refused>() {
            return Refused { url: url.to_string(), why: refused.why.clone() }.into();
        }
        why = cause.to_string();
        source = cause.source();
    }
    EgressError::Unreachable { url: url.to_string(), why }
}
