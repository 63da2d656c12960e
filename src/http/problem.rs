//! Everything that went wrong becomes an answer here, and only here (5.5.2, 6.3.2).

use std::{borrow::Cow, fmt};

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{ContentType, HeaderName, HeaderValue, RETRY_AFTER},
    },
};
use serde::Serialize;

use super::answer::{MOST_WARNINGS, WARNING};
use crate::broker::{Error, SourceFailure, Why};
use crate::egress::NoRoom;
use crate::federate::Warning;
use crate::feed::TakeError;
use crate::jsonld::{ContextError, HostError, ParseError, RemoveError, ServeError};
use crate::model::{Refusal, Violation};
use crate::query::{self, QueryError};
use crate::store::StoreError;
use crate::subscribe::SubscribeError;

/// The error types of the specification (5.5.2), each with the status that it usually has (6.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// There is an element with this id already.
    AlreadyExists,
    /// The input violates the data rules of the operation.
    BadRequestData,
    /// The request clashes with the current state.
    Conflict,
    /// Something failed that should not have.
    InternalError,
    /// Not JSON, preconditions violated, unknown or incompatible parameters.
    InvalidRequest,
    /// A remote @context cannot be fetched.
    LdContextNotAvailable,
    /// A tenant was named and there is only one.
    NoMultiTenantSupport,
    /// No such tenant.
    NonexistentTenant,
    /// The endpoint cannot execute the operation.
    OperationNotSupported,
    /// No such entity, attribute, type or context.
    ResourceNotFound,
    /// The query costs too much.
    TooComplexQuery,
    /// More results were asked for than any answer holds.
    TooManyResults,
}

impl ErrorKind {
    /// All of them.
    pub const ALL: [ErrorKind; 12] = [
        Self::AlreadyExists,
        Self::BadRequestData,
        Self::Conflict,
        Self::InternalError,
        Self::InvalidRequest,
        Self::LdContextNotAvailable,
        Self::NoMultiTenantSupport,
        Self::NonexistentTenant,
        Self::OperationNotSupported,
        Self::ResourceNotFound,
        Self::TooComplexQuery,
        Self::TooManyResults,
    ];

    /// The URI in the member `type`.
    pub const fn uri(self) -> &'static str {
        macro_rules! uri {
            ($name:literal) => {
                concat!("https://uri.etsi.org/ngsi-ld/errors/", $name)
            };
        }
        match self {
            Self::AlreadyExists => uri!("AlreadyExists"),
            Self::BadRequestData => uri!("BadRequestData"),
            Self::Conflict => uri!("Conflict"),
            Self::InternalError => uri!("InternalError"),
            Self::InvalidRequest => uri!("InvalidRequest"),
            Self::LdContextNotAvailable => uri!("LdContextNotAvailable"),
            Self::NoMultiTenantSupport => uri!("NoMultiTenantSupport"),
            Self::NonexistentTenant => uri!("NonexistentTenant"),
            Self::OperationNotSupported => uri!("OperationNotSupported"),
            Self::ResourceNotFound => uri!("ResourceNotFound"),
            Self::TooComplexQuery => uri!("TooComplexQuery"),
            Self::TooManyResults => uri!("TooManyResults"),
        }
    }

    /// The status of Table 6.3.2-1; the table has no row for Conflict, the operations say 409.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequestData | Self::InvalidRequest => 400,
            Self::TooComplexQuery | Self::TooManyResults => 403,
            Self::NonexistentTenant | Self::ResourceNotFound => 404,
            Self::AlreadyExists | Self::Conflict => 409,
            Self::OperationNotSupported => 422,
            Self::InternalError => 500,
            Self::NoMultiTenantSupport => 501,
            Self::LdContextNotAvailable => 504,
        }
    }

    /// What it means in a few words.
    pub const fn title(self) -> &'static str {
        match self {
            Self::AlreadyExists => "It exists already",
            Self::BadRequestData => "The data of the request break a rule",
            Self::Conflict => "It clashes with the current state",
            Self::InternalError => "Something failed inside the broker",
            Self::InvalidRequest => "The request is not valid",
            Self::LdContextNotAvailable => "An @context cannot be fetched",
            Self::NoMultiTenantSupport => "This broker has no tenants",
            Self::NonexistentTenant => "There is no such tenant",
            Self::OperationNotSupported => "The operation is not supported",
            Self::ResourceNotFound => "There is no such resource",
            Self::TooComplexQuery => "The query is too complex",
            Self::TooManyResults => "Too many results were asked for",
        }
    }
}

/// An answer that says what went wrong: RFC 7807 members, sent as `application/json` (6.3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The error type.
    pub kind: ErrorKind,
    /// The same words for every occurrence.
    pub title: Cow<'static, str>,
    /// What was wrong this time, and what would be right.
    pub detail: String,
    /// Headers that belong to the status, such as `Allow`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What is wrong with an entity that is not as its model says.
    pub violations: Vec<Violation>,
    /// The registration of the source that failed, where it was one of several.
    pub registration: Option<Box<str>>,
    /// True where the specification wants no body (411, 415).
    pub bare: bool,
}

impl Problem {
    /// A problem with the status that its kind usually has.
    pub fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self {
            status: kind.status(),
            kind,
            title: Cow::Borrowed(kind.title()),
            detail: detail.into(),
            headers: Vec::new(),
            violations: Vec::new(),
            registration: None,
            bare: false,
        }
    }

    /// 400 BadRequestData.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadRequestData, detail)
    }

    /// 400 InvalidRequest.
    pub fn invalid_request(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidRequest, detail)
    }

    /// 404 ResourceNotFound.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::ResourceNotFound, detail)
    }

    /// 500: the cause goes to the log, with the id of the request, and not to the client.
    pub fn internal(cause: impl fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed inside the broker");
        Self::new(
            ErrorKind::InternalError,
            "The log of the broker tells more under the id in the header X-Request-Id.",
        )
    }

    /// A plain HTTP error that the specification gives no type of its own.
    pub fn plain(
        status: StatusCode,
        title: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) -> Self {
        let kind = match status.as_u16() {
            404 => ErrorKind::ResourceNotFound,
            405 | 501 => ErrorKind::OperationNotSupported,
            500.. => ErrorKind::InternalError,
            _ => ErrorKind::InvalidRequest,
        };
        Self { status: status.as_u16(), title: title.into(), ..Self::new(kind, detail) }
    }

    /// A status without a body (6.3.4 wants 411 and 415 so).
    pub fn bare(status: StatusCode) -> Self {
        Self { bare: true, ..Self::plain(status, "", "") }
    }

    /// The problem with one header more.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// What became of one of several parts; of a source's it says whose (5.2.17).
    pub fn of_part(error: Error) -> Self {
        let registration = match &error {
            Error::Source(failure) => Some(failure.registration.as_str().into()),
            _ => None,
        };
        Self { registration, ..Self::from(error) }
    }

    /// Says what went wrong at sources besides (6.3.17).
    pub fn warn(&mut self, warnings: &[Warning]) {
        for warning in warnings.iter().take(MOST_WARNINGS) {
            if let Ok(value) = HeaderValue::from_str(&warning.to_string()) {
                self.headers.push((WARNING.clone(), value));
            }
        }
    }

    /// The body: what also stands in the member `error` of a batch result (5.2.17).
    pub fn body(&self) -> ProblemDetails<'_> {
        ProblemDetails {
            kind: self.kind.uri(),
            title: &self.title,
            detail: &self.detail,
            status: self.status,
            violations: &self.violations,
        }
    }
}

/// What an operation refuses, as an answer: the one place that gives the errors of the rooms
/// below a status.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::Body(error) => Self::new(body_kind(&error), detail),
            Error::Context(error) => Self::new(context_kind(&error), detail),
            Error::Query(error) => Self::new(query_kind(&error), detail),
            Error::Refused(Refusal::Unfit { violations, .. }) => {
                Self { violations, ..Self::bad_request(detail) }
            }
            Error::Refused(refusal) => Self::new(refusal_kind(&refusal), detail),
            Error::HostContext(error) => Self::new(host_kind(&error), detail),
            Error::ServeContext(error) => Self::new(serve_kind(error), detail),
            Error::RemoveContext(error) => Self::new(remove_kind(&error), detail),
            Error::Store(error) => store_problem(&error, detail),
            Error::NoRoom(error) => no_room(error, detail),
            Error::Read(_) | Error::BadRequestData(_) => Self::bad_request(detail),
            Error::Conflict(_) => Self::new(ErrorKind::Conflict, detail),
            Error::AlreadyExists(_) => Self::new(ErrorKind::AlreadyExists, detail),
            Error::Subscribe(SubscribeError::Taken(_)) => {
                Self::new(ErrorKind::AlreadyExists, detail)
            }
            Error::Subscribe(SubscribeError::Target(_)) => Self::bad_request(detail),
            Error::Subscribe(SubscribeError::Forbidden(_)) => Self::plain(
                StatusCode::FORBIDDEN,
                "The rules of this broker forbid the endpoint",
                detail,
            ),
            Error::Subscribe(SubscribeError::TooMany(_)) => {
                Self::new(ErrorKind::TooManyResults, detail)
            }
            Error::Untouched(_) => Self::new(ErrorKind::AlreadyExists, detail),
            Error::InvalidRequest(_) => Self::invalid_request(detail),
            Error::NotFound(_) => Self::not_found(detail),
            Error::NotSupported(_) => Self::new(ErrorKind::OperationNotSupported, detail),
            Error::TooManyResults(_) => Self::new(ErrorKind::TooManyResults, detail),
            Error::NotImplemented(_) => {
                Self::plain(StatusCode::NOT_IMPLEMENTED, "This broker cannot do that", detail)
            }
            Error::Source(failure) => source_problem(failure, detail),
            Error::Warned(error, warnings) => {
                let mut problem = Self::from(*error);
                problem.warn(&warnings);
                problem
            }
            Error::Internal(_) => Self::internal(detail),
        }
    }
}

/// Why a document of a feed was not taken.
impl From<TakeError> for Problem {
    fn from(error: TakeError) -> Self {
        match error {
            TakeError::NotReadable(why) => Self::bad_request(why),
            TakeError::Store(why) => Self::plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "The store takes nothing just now",
                why,
            )
            .with_header(RETRY_AFTER, HeaderValue::from_static("5")),
        }
    }
}

/// An error as ProblemDetails, for those who are told of it later.
pub fn details(error: Error) -> serde_json::Value {
    let problem = Problem::from(error);
    // A number and texts become JSON always.
    serde_json::to_value(problem.body()).unwrap_or_default()
}

/// What a source did not do (6.3.17).
fn source_problem(failure: SourceFailure, detail: String) -> Problem {
    let gateway = |status, title| Problem::plain(status, title, detail.clone());
    match failure.why {
        Why::Silent(_) => gateway(StatusCode::GATEWAY_TIMEOUT, "A source did not answer"),
        Why::Loop => gateway(StatusCode::LOOP_DETECTED, "Registrations lead in circles"),
        Why::Bad(_) => gateway(StatusCode::BAD_GATEWAY, "A source failed"),
        Why::Unsupported(_) => Problem::new(ErrorKind::Conflict, detail),
        Why::NotFound(_) => Problem::not_found(detail),
        Why::Answered { status, kind, .. } => {
            let known = ErrorKind::ALL.into_iter();
            let kind = known.into_iter().find(|own| own.uri().ends_with(&format!("/{kind}")));
            let kind = kind.or((status == 409).then_some(ErrorKind::AlreadyExists));
            match (kind, StatusCode::from_u16(status)) {
                (Some(kind), _) => Problem { status, ..Problem::new(kind, detail) },
                (None, Ok(status)) => gateway(status, "A source failed"),
                (None, Err(_)) => gateway(StatusCode::BAD_GATEWAY, "A source failed"),
            }
        }
    }
}

fn refusal_kind(refusal: &Refusal) -> ErrorKind {
    match refusal {
        Refusal::AlreadyExists(_) => ErrorKind::AlreadyExists,
        Refusal::NoSuchEntity(_)
        | Refusal::NoSuchAttribute { .. }
        | Refusal::NoSuchInstance { .. }
        | Refusal::NoScope => ErrorKind::ResourceNotFound,
        Refusal::KindChange { .. }
        | Refusal::Incomplete(_)
        | Refusal::TooLarge(_)
        | Refusal::Unfit { .. } => ErrorKind::BadRequestData,
    }
}

fn body_kind(error: &ParseError) -> ErrorKind {
    match error {
        ParseError::NotJson { .. } => ErrorKind::InvalidRequest,
        _ => ErrorKind::BadRequestData,
    }
}

fn context_kind(error: &ContextError) -> ErrorKind {
    match error {
        ContextError::NotAvailable(..) => ErrorKind::LdContextNotAvailable,
        ContextError::Invalid(_) | ContextError::NotAName(..) => ErrorKind::BadRequestData,
        ContextError::TooManyNames(_) => ErrorKind::TooManyResults,
    }
}

fn host_kind(error: &HostError) -> ErrorKind {
    match error {
        HostError::Context(error) => context_kind(error),
        HostError::Full(_) => ErrorKind::TooManyResults,
        HostError::Shelf(_) => ErrorKind::InternalError,
    }
}

fn serve_kind(error: ServeError) -> ErrorKind {
    match error {
        ServeError::Unknown => ErrorKind::ResourceNotFound,
        ServeError::OnlyCached => ErrorKind::OperationNotSupported,
    }
}

fn remove_kind(error: &RemoveError) -> ErrorKind {
    match error {
        RemoveError::Unknown => ErrorKind::ResourceNotFound,
        RemoveError::NotCached | RemoveError::Shipped => ErrorKind::BadRequestData,
        RemoveError::NotAvailable(..) => ErrorKind::LdContextNotAvailable,
        RemoveError::Shelf(_) => ErrorKind::InternalError,
    }
}

/// A store that cannot work now is asked again later; nothing was lost, since nothing was
/// acknowledged.
fn store_problem(error: &StoreError, detail: String) -> Problem {
    let later = |title| {
        Problem::plain(StatusCode::SERVICE_UNAVAILABLE, title, detail.clone())
            .with_header(RETRY_AFTER, HeaderValue::from_static("5"))
    };
    match error {
        StoreError::UnknownTenant(_) => Problem::new(ErrorKind::NonexistentTenant, detail),
        StoreError::BadAnchor(_) => Problem::bad_request(detail),
        StoreError::Unanswerable(error) => Problem::new(query_kind(error), detail),
        StoreError::Busy => later("The broker has too much to do"),
        StoreError::TooSlow => Problem::new(ErrorKind::TooComplexQuery, detail),
        StoreError::Full(_) => {
            Problem::plain(StatusCode::INSUFFICIENT_STORAGE, "The disk is full", detail)
        }
        StoreError::Broken(_) | StoreError::Unusable(_) | StoreError::Uncertain(_) => {
            tracing::error!(%error, "the store failed");
            later("The store does not work just now")
        }
        StoreError::BadRecord { .. } => Problem::internal(error),
    }
}

fn no_room(error: NoRoom, detail: String) -> Problem {
    let status = match error {
        NoRoom::Broker(_) => StatusCode::SERVICE_UNAVAILABLE,
        NoRoom::Tenant(_) => StatusCode::TOO_MANY_REQUESTS,
    };
    Problem::plain(status, "There are too many listeners", detail)
        .with_header(RETRY_AFTER, HeaderValue::from_static("5"))
}

fn query_kind(error: &QueryError) -> ErrorKind {
    match error.kind {
        query::ErrorKind::Syntax | query::ErrorKind::Incompatible => ErrorKind::BadRequestData,
        query::ErrorKind::TooComplex => ErrorKind::TooComplexQuery,
        query::ErrorKind::Inapplicable => ErrorKind::InvalidRequest,
    }
}

/// The members of a problem on the wire.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ProblemDetails<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    title: &'a str,
    detail: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "<[Violation]>::is_empty")]
    violations: &'a [Violation],
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status, self.title, self.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        for (name, value) in &self.headers {
            response.append_header((name.clone(), value.clone()));
        }
        if self.bare {
            return response.finish();
        }
        let body = serde_json::to_vec(&self.body()).unwrap_or_default();
        response.insert_header(ContentType::json()).body(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_the_status_of_the_specification() {
        let table: Vec<String> = ErrorKind::ALL
            .iter()
            .map(|kind| format!("{} {}", kind.status(), kind.uri().rsplit('/').next().unwrap()))
            .collect();
        expect_test::expect![[r#"
            409 AlreadyExists
            400 BadRequestData
            409 Conflict
            500 InternalError
            400 InvalidRequest
            504 LdContextNotAvailable
            501 NoMultiTenantSupport
            404 NonexistentTenant
            422 OperationNotSupported
            404 ResourceNotFound
            403 TooComplexQuery
            403 TooManyResults"#]]
        .assert_eq(&table.join("\n"));
    }

    #[test]
    fn a_problem_is_plain_json_and_bare_ones_are_empty() {
        let response = Problem::bad_request("speed: not a number").error_response();
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers().get("content-type").unwrap(), "application/json");
        let bare = Problem::bare(StatusCode::UNSUPPORTED_MEDIA_TYPE).error_response();
        assert_eq!(bare.status(), 415);
        assert!(bare.headers().get("content-type").is_none());
    }
}
