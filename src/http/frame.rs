//! What surrounds every request: its id, the echo of its tenant, limits of its head, unknown paths
//! and methods, CORS, compression, counters and the access log.
//!
//! One layer instead of one for each concern, because each layer costs a future, and most requests
//! need nothing but an id, a counter and a look at four headers.

use std::{
    future::{Future, Ready, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use actix_web::{
    Error, HttpResponse, ResponseError,
    body::{BodySize, BoxBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform},
    http::{
        ConnectionType, Method, StatusCode, Uri,
        header::{
            ACCEPT_ENCODING, ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CONTENT_ENCODING, HeaderName,
            HeaderValue, VARY,
        },
    },
};
use bytes::Bytes;

use super::{
    cors::Cors,
    events::EVENT_STREAM,
    metrics::Tally,
    pack::{self, Coding},
    places::{Place, tidied},
    problem::Problem,
    questions::Questions,
    request_id::{Numbers, RequestId, X_REQUEST_ID, within},
    routes::{self, Work},
    state::State,
};

/// `NGSILD-Tenant` (6.3.14).
pub static NGSILD_TENANT: HeaderName = HeaderName::from_static("ngsild-tenant");

/// `NGSILD-Snapshot` (6.3.22).
pub static NGSILD_SNAPSHOT: HeaderName = HeaderName::from_static("ngsild-snapshot");

/// The layer around the routes, to be given to `App::wrap`.
#[derive(Clone)]
pub struct Frame {
    state: Arc<State>,
}

impl Frame {
    /// A layer that counts into this state and keeps its limits.
    pub fn new(state: Arc<State>) -> Self {
        Self { state }
    }
}

type Answer = Result<ServiceResponse<BoxBody>, Error>;

impl<S> Transform<S, ServiceRequest> for Frame
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error> + 'static,
    S::Future: Unpin,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Transform = Framed<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, routes: S) -> Self::Future {
        let limits = &self.state.config.limits;
        ready(Ok(Framed {
            routes,
            desk: Rc::new(Desk {
                numbers: Numbers::new(self.state.process),
                tally: self.state.metrics.tally(),
                cors: Cors::new(&self.state.config.cors),
                questions: Rc::default(),
                most_uri: limits.uri.bytes(),
                most_headers: limits.headers.bytes(),
                state: Arc::clone(&self.state),
            }),
        }))
    }
}

/// The routes of one worker within their frame.
pub struct Framed<S> {
    routes: S,
    desk: Rc<Desk>,
}

/// What one worker needs at hand for every request.
struct Desk {
    state: Arc<State>,
    numbers: Numbers,
    tally: Arc<Tally>,
    cors: Cors,
    questions: Rc<Questions>,
    most_uri: usize,
    most_headers: usize,
}

impl<S> Service<ServiceRequest> for Framed<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error> + 'static,
    S::Future: Unpin,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Future = Answering<S::Future>;

    actix_web::dev::forward_ready!(routes);

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        let mut visit = self.desk.welcome(&request);
        let stage = match self.desk.admit(&mut request, &mut visit) {
            Ok(()) => within(&visit.id, || self.begin(&visit, request)),
            Err(response) => Stage::Answered(request.into_response(*response)),
        };
        Answering { stage: Some(stage), visit }
    }
}

impl<S> Framed<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    /// Operations of the API begin here, all else is found by the router.
    fn begin(&self, visit: &Visit, mut request: ServiceRequest) -> Stage<S::Future> {
        let place = visit.place.filter(|place| place.is_of_api());
        match place.and_then(|place| routes::begin(place, &mut request, &visit.desk.questions)) {
            Some(work) => Stage::Operating { request, work },
            None => Stage::Answering(self.routes.call(request)),
        }
    }
}

impl Desk {
    fn welcome(self: &Rc<Self>, request: &ServiceRequest) -> Visit {
        self.tally.begin();
        let given = request.headers().get(&X_REQUEST_ID).and_then(RequestId::given);
        Visit {
            started: Instant::now(),
            id: given.unwrap_or_else(|| self.numbers.next()),
            place: None,
            method: request.method().clone(),
            desk: Rc::clone(self),
        }
    }

    /// Lets a request through to the routes, or answers it at the door.
    fn admit(
        &self,
        request: &mut ServiceRequest,
        visit: &mut Visit,
    ) -> Result<(), Box<HttpResponse>> {
        let uri = request.uri();
        let refused = |problem: Problem| Err(Box::new(problem.error_response()));
        if uri.path_and_query().is_some_and(|text| text.as_str().len() > self.most_uri) {
            return refused(too_long(self.most_uri));
        }
        let headers = request.headers().iter();
        let bytes: usize = headers.map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        if bytes > self.most_headers {
            return refused(too_many_headers(self.most_headers));
        }
        if let Some(tidy) = tidied(uri.path())
            && let Some(uri) = with_path(uri, &tidy)
        {
            request.match_info_mut().get_mut().update(&uri);
            request.head_mut().uri = uri;
        }
        visit.place = Place::of(request.uri().path());
        let Some(place) = visit.place else {
            return refused(nowhere(request.uri().path()));
        };
        if request.method() == Method::HEAD && place == Place::SubscriptionEvents {
            // There is nothing to leave out: its body never ends.
            let head = HttpResponse::Ok().content_type(EVENT_STREAM).finish();
            return Err(Box::new(head));
        }
        if request.method() == Method::HEAD {
            // The answer keeps its length; the connection leaves out its body.
            request.head_mut().method = Method::GET;
        }
        if place.methods().contains(request.method()) {
            return Ok(());
        }
        if place == Place::Entities && [Method::PUT, Method::PATCH].contains(request.method()) {
            return refused(Problem::bad_request("the path names no entity"));
        }
        if request.method() == Method::OPTIONS {
            return Err(Box::new(self.options(place, request)));
        }
        refused(not_here(request.method(), place))
    }

    fn options(&self, place: Place, request: &ServiceRequest) -> HttpResponse {
        let mut response = HttpResponse::NoContent();
        response.insert_header((ALLOW, place.allow()));
        let mut response = response.finish();
        if request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            self.cors.preflight(place, request.headers(), response.headers_mut());
        }
        response
    }
}

/// One request on its way through.
struct Visit {
    started: Instant,
    id: RequestId,
    place: Option<Place>,
    method: Method,
    desk: Rc<Desk>,
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.desk.tally.end();
    }
}

impl Visit {
    /// Puts the headers on that every answer bears, and packs the body if that is wanted.
    fn dress(&self, mut answer: ServiceResponse<BoxBody>) -> Dressed {
        let request = answer.request().clone();
        let asked = request.headers();
        let head = answer.response_mut().head_mut();
        head.headers_mut().insert(X_REQUEST_ID.clone(), self.id.to_header());
        if let Some(tenant) = asked.get(&NGSILD_TENANT) {
            head.headers_mut().insert(NGSILD_TENANT.clone(), tenant.clone());
        }
        if let Some(snapshot) = asked.get(&NGSILD_SNAPSHOT) {
            head.headers_mut().insert(NGSILD_SNAPSHOT.clone(), snapshot.clone());
        }
        self.desk.cors.mark(asked, head.headers_mut());
        if self.desk.state.is_draining() {
            head.set_connection_type(ConnectionType::Close);
        }
        let coding = asked.get(ACCEPT_ENCODING).and_then(Coding::wanted);
        drop(request);
        match coding {
            Some(coding) if worth_packing(&answer) => packed(answer, coding),
            _ => Dressed::Ready(answer),
        }
    }

    fn record(&self, answer: &ServiceResponse<BoxBody>) {
        let status = answer.status().as_u16();
        let took = self.started.elapsed();
        self.desk.tally.answered(self.place, &self.method, status, took);
        macro_rules! log {
            ($level:ident) => {
                tracing::$level!(
                    target: "lanna::access",
                    method = %self.method,
                    path = answer.request().path(),
                    query = answer.request().query_string(),
                    status,
                    micros = took.as_micros() as u64,
                    "answered"
                )
            };
        }
        match status {
            // A load balancer that learns of the drain learns nothing new to the log.
            500.. if self.place != Some(Place::Ready) => log!(warn),
            _ => log!(debug),
        }
    }
}

/// The answer to a request, while it is made.
pub struct Answering<F> {
    stage: Option<Stage<F>>,
    visit: Visit,
}

enum Stage<F> {
    /// An operation of the API is at work.
    Operating { request: ServiceRequest, work: Work },
    /// The routes are at work.
    Answering(F),
    /// There is an answer that still needs its headers.
    Answered(ServiceResponse<BoxBody>),
    /// A large body is being packed on another thread.
    Packing(Box<Packing>),
}

/// An answer with all its headers.
enum Dressed {
    Ready(ServiceResponse<BoxBody>),
    Packing(Box<Packing>),
}

struct Packing {
    answer: ServiceResponse<()>,
    coding: Coding,
    plain: Bytes,
    work: tokio::task::JoinHandle<std::io::Result<Vec<u8>>>,
}

impl<F: Future<Output = Answer> + Unpin> Future for Answering<F> {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let Self { stage, visit } = &mut *self;
        within(&visit.id.clone(), || {
            let dressed = match stage.take().expect("an answer is polled until it is ready") {
                Stage::Operating { request, mut work } => {
                    match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
                        Ok(Poll::Pending) => {
                            *stage = Some(Stage::Operating { request, work });
                            return Poll::Pending;
                        }
                        Ok(Poll::Ready(answer)) => {
                            drop(work);
                            visit.dress(request.into_response(answer))
                        }
                        Err(panic) => return Poll::Ready(Err(visit.broken(panic).into())),
                    }
                }
                Stage::Answering(mut routes) => {
                    match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut routes).poll(cx))) {
                        Ok(Poll::Pending) => {
                            *stage = Some(Stage::Answering(routes));
                            return Poll::Pending;
                        }
                        Ok(Poll::Ready(Ok(answer))) => visit.dress(answer),
                        Ok(Poll::Ready(Err(error))) => return Poll::Ready(Err(error)),
                        Err(panic) => return Poll::Ready(Err(visit.broken(panic).into())),
                    }
                }
                Stage::Answered(answer) => visit.dress(answer),
                Stage::Packing(packing) => Dressed::Packing(packing),
            };
            let answer = match dressed {
                Dressed::Ready(answer) => answer,
                Dressed::Packing(mut packing) => match Pin::new(&mut packing.work).poll(cx) {
                    Poll::Pending => {
                        *stage = Some(Stage::Packing(packing));
                        return Poll::Pending;
                    }
                    Poll::Ready(packed) => packing.done(packed.ok().and_then(Result::ok)),
                },
            };
            visit.record(&answer);
            Poll::Ready(Ok(answer))
        })
    }
}

impl Visit {
    fn broken(&self, panic: Box<dyn std::any::Any + Send>) -> Problem {
        let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        let problem = Problem::internal(text.as_deref().unwrap_or("a panic without words"));
        self.desk.tally.answered(self.place, &self.method, 500, self.started.elapsed());
        problem.with_header(X_REQUEST_ID.clone(), self.id.to_header())
    }
}

fn worth_packing(answer: &ServiceResponse<BoxBody>) -> bool {
    let size = match answer.response().body().size() {
        BodySize::Sized(size) => size,
        _ => 0,
    };
    size > pack::LEAST as u64 && pack::shrinks(answer.headers())
}

fn packed(mut answer: ServiceResponse<BoxBody>, coding: Coding) -> Dressed {
    answer.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
    let mut plain = None;
    let answer = answer.map_body(|_, body| match body.try_into_bytes() {
        Ok(bytes) => {
            plain = Some(bytes);
            BoxBody::new(())
        }
        Err(stream) => stream,
    });
    let Some(plain) = plain else {
        return Dressed::Ready(answer);
    };
    let answer = answer.map_body(|_, _| ());
    if plain.len() <= pack::MUCH {
        let bytes = coding.pack(&plain).ok();
        return Dressed::Ready(refilled(answer, coding, plain, bytes));
    }
    let body = plain.clone();
    let work = tokio::task::spawn_blocking(move || coding.pack(&body));
    Dressed::Packing(Box::new(Packing { answer, coding, plain, work }))
}

impl Packing {
    fn done(self, packed: Option<Vec<u8>>) -> ServiceResponse<BoxBody> {
        refilled(self.answer, self.coding, self.plain, packed)
    }
}

fn refilled(
    mut answer: ServiceResponse<()>,
    coding: Coding,
    plain: Bytes,
    packed: Option<Vec<u8>>,
) -> ServiceResponse<BoxBody> {
    match packed {
        Some(bytes) => {
            answer.headers_mut().insert(CONTENT_ENCODING, coding.header());
            answer.map_body(|_, ()| BoxBody::new(Bytes::from(bytes)))
        }
        None => answer.map_body(|_, ()| BoxBody::new(plain)),
    }
}

fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    parts.path_and_query = Some(text.parse().ok()?);
    Uri::from_parts(parts).ok()
}

fn too_long(most: usize) -> Problem {
    Problem::plain(
        StatusCode::URI_TOO_LONG,
        "The URL is too long",
        format!(
            "at most {most} bytes are taken; long queries can be sent as \
             POST /ngsi-ld/v1/entityOperations/query"
        ),
    )
}

fn too_many_headers(most: usize) -> Problem {
    Problem::plain(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "The headers are too large",
        format!("at most {most} bytes of headers are taken"),
    )
}

fn nowhere(path: &str) -> Problem {
    let path: String = path.chars().take(200).collect();
    Problem::plain(
        StatusCode::NOT_FOUND,
        "There is nothing under this path",
        format!("{path} is no path of this API; /docs describes those that are"),
    )
}

fn not_here(method: &Method, place: Place) -> Problem {
    let allow = place.allow();
    let header = HeaderValue::from_str(&allow).unwrap_or_else(|_| HeaderValue::from_static(""));
    Problem::plain(
        StatusCode::METHOD_NOT_ALLOWED,
        "The path does not take this method",
        format!("{} does not take {method}; it takes {allow}", place.template()),
    )
    .with_header(ALLOW, header)
}
