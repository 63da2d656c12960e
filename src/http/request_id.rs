//! The id of a request: taken over from a proxy or made up, sent back in `X-Request-Id`, and put
//! into every log line that is written while the request is handled.

use std::{
    cell::{Cell, RefCell},
    fmt,
    sync::atomic::{AtomicU32, Ordering},
};

use actix_web::http::header::{HeaderName, HeaderValue};

/// `X-Request-Id`.
pub static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken over.
const MAX_LENGTH: usize = 128;

/// The id of a request.
#[derive(Debug, Clone)]
pub enum RequestId {
    /// Made up: a number of the process, of the worker and of the request.
    Own { process: u32, worker: u16, number: u64 },
    /// Taken over.
    Given(HeaderValue),
}

impl RequestId {
    /// The id that a client or a proxy gave, when it is one that logs can hold safely.
    pub fn given(value: &HeaderValue) -> Option<Self> {
        let bytes = value.as_bytes();
        let fits = !bytes.is_empty() && bytes.len() <= MAX_LENGTH;
        let plain = bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=@".contains(b));
        (fits && plain).then(|| Self::Given(value.clone()))
    }

    /// The id as a header.
    pub fn to_header(&self) -> HeaderValue {
        match self {
            Self::Given(value) => value.clone(),
            Self::Own { process, worker, number } => {
                let mut text = [b'0'; 20];
                hex(&mut text[0..8], u64::from(*process));
                text[8] = b'-';
                hex(&mut text[9..11], u64::from(*worker));
                hex(&mut text[11..20], *number);
                HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("0"))
            }
        }
    }
}

fn hex(out: &mut [u8], mut number: u64) {
    for byte in out.iter_mut().rev() {
        *byte = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_header().to_str().unwrap_or_default())
    }
}

/// Makes ids for the requests of one worker.
#[derive(Debug)]
pub struct Numbers {
    process: u32,
    worker: u16,
    next: Cell<u64>,
}

impl Numbers {
    /// A source whose ids no other source of this process gives.
    pub fn new(process: u32) -> Self {
        static WORKERS: AtomicU32 = AtomicU32::new(0);
        let worker = WORKERS.fetch_add(1, Ordering::Relaxed) as u16;
        Self { process, worker, next: Cell::new(1) }
    }

    /// The next id.
    pub fn next(&self) -> RequestId {
        let number = self.next.get();
        self.next.set(number + 1);
        RequestId::Own { process: self.process, worker: self.worker, number }
    }
}

thread_local! {
    static CURRENT: RefCell<Option<RequestId>> = const { RefCell::new(None) };
}

/// Runs a piece of work on behalf of a request: what it logs carries the id.
pub fn within<R>(id: &RequestId, work: impl FnOnce() -> R) -> R {
    struct Restore(Option<RequestId>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    let _restore = Restore(CURRENT.replace(Some(id.clone())));
    work()
}

/// The request on whose behalf this thread is working just now.
pub fn current() -> Option<RequestId> {
    CURRENT.with_borrow(Clone::clone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_ids_differ_and_given_ones_are_kept_when_sane() {
        let numbers = Numbers::new(0xabc);
        let (first, second) = (numbers.next().to_string(), numbers.next().to_string());
        assert_ne!(first, second);
        assert!(first.starts_with("00000abc-") && first.ends_with("000000001"), "{first}");
        let given = |text| RequestId::given(&HeaderValue::from_str(text).unwrap());
        assert_eq!(given("trace-1:a/b").unwrap().to_string(), "trace-1:a/b");
        assert!(given("").is_none());
        assert!(given("two words").is_none());
        assert!(given(&"x".repeat(129)).is_none());
    }

    #[test]
    fn the_current_request_ends_with_the_work() {
        let numbers = Numbers::new(1);
        let (outer, inner) = (numbers.next(), numbers.next());
        within(&outer, || {
            within(&inner, || assert_eq!(current().unwrap().to_string(), inner.to_string()));
            assert_eq!(current().unwrap().to_string(), outer.to_string());
        });
        assert!(current().is_none());
    }
}
