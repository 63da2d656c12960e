//! Reading a request's body: no larger, and no slower, than the limits allow.

use std::{pin::Pin, time::Duration};

use actix_web::{
    HttpRequest,
    dev::{Decompress, Payload},
    error::PayloadError,
    http::{
        StatusCode, Version,
        header::{self, ContentEncoding},
    },
};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use tokio::time::Instant;

use super::problem::{ErrorKind, Problem};

/// A client that keeps sending gains a second of patience with each so many bytes.
const BYTES_PER_SECOND: u64 = 8 << 10;

/// Reads the whole body.
///
/// Without a `Content-Length` it is 411 with an empty body (6.3.4; HTTP/2 frames lengths itself),
/// larger than `most` bytes 413, in an unknown encoding 415, slower than a pause of `patience` and
/// 8 KiB a second 408, cut off 400.
pub async fn read(
    request: &HttpRequest,
    payload: &mut Payload,
    most: usize,
    patience: Duration,
) -> Result<Bytes, Problem> {
    let headers = request.headers();
    match headers.get(header::CONTENT_LENGTH) {
        Some(length) => {
            let length = length.to_str().ok().and_then(|text| text.parse::<u64>().ok());
            if length.is_some_and(|length| length > most as u64) {
                return Err(too_large(most));
            }
        }
        None if request.version() < Version::HTTP_2 => {
            return Err(Problem::bare(StatusCode::LENGTH_REQUIRED));
        }
        None => {}
    }
    if !headers.contains_key(header::CONTENT_ENCODING) {
        return gather(payload, most, patience).await;
    }
    let coding = headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    match coding.and_then(|text| text.trim().parse::<ContentEncoding>().ok()) {
        Some(ContentEncoding::Identity) => gather(payload, most, patience).await,
        Some(
            coding @ (ContentEncoding::Gzip | ContentEncoding::Deflate | ContentEncoding::Brotli),
        ) => gather(&mut Decompress::new(payload.take(), coding), most, patience).await,
        _ => Err(Problem::bare(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
    }
}

async fn gather<S>(stream: &mut S, most: usize, patience: Duration) -> Result<Bytes, Problem>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    let Some(first) = next(stream, None, patience).await? else {
        return Ok(Bytes::new());
    };
    let started = Instant::now();
    if first.len() > most {
        return Err(too_large(most));
    }
    // Nearly every body is one chunk, which needs no copy.
    let Some(second) = next(stream, Some((started, first.len())), patience).await? else {
        return Ok(first);
    };
    let mut whole = BytesMut::with_capacity(first.len() + second.len());
    whole.extend_from_slice(&first);
    let mut chunk = second;
    loop {
        if chunk.len() > most - whole.len() {
            return Err(too_large(most));
        }
        whole.extend_from_slice(&chunk);
        match next(stream, Some((started, whole.len())), patience).await? {
            Some(more) => chunk = more,
            None => return Ok(whole.freeze()),
        }
    }
}

/// The next chunk. A timer is only set when the chunk is not there yet.
async fn next<S>(
    stream: &mut S,
    so_far: Option<(Instant, usize)>,
    patience: Duration,
) -> Result<Option<Bytes>, Problem>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    let ready = std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match Pin::new(&mut *stream).poll_next(cx) {
            std::task::Poll::Ready(chunk) => Some(chunk),
            std::task::Poll::Pending => None,
        })
    });
    let chunk = match ready.await {
        Some(chunk) => chunk,
        None => {
            let pause = Instant::now() + patience;
            let deadline = so_far.map_or(pause, |(started, bytes)| {
                let earned = Duration::from_secs(bytes as u64 / BYTES_PER_SECOND);
                pause.min(started + patience + earned)
            });
            tokio::time::timeout_at(deadline, stream.next()).await.map_err(|_| too_slow())?
        }
    };
    chunk.transpose().map_err(|error| match error {
        PayloadError::Overflow => Problem::plain(
            StatusCode::PAYLOAD_TOO_LARGE,
            "The body is too large",
            "the body is longer than any that is taken",
        ),
        PayloadError::Incomplete(_) | PayloadError::Io(_) => {
            Problem::new(ErrorKind::InvalidRequest, "the body was cut off before its end")
        }
        other => Problem::new(ErrorKind::InvalidRequest, format!("the body is broken: {other}")),
    })
}

fn too_large(most: usize) -> Problem {
    Problem::plain(
        StatusCode::PAYLOAD_TOO_LARGE,
        "The body is too large",
        format!("this operation takes at most {most} bytes; /health lists the limits"),
    )
}

fn too_slow() -> Problem {
    Problem::plain(
        StatusCode::REQUEST_TIMEOUT,
        "The body came too slowly",
        "the rest of the body did not arrive in time",
    )
    .with_header(header::CONNECTION, header::HeaderValue::from_static("close"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use actix_web::test::TestRequest;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(50);

    async fn read_of(request: TestRequest, most: usize) -> Result<Bytes, Problem> {
        let (request, mut payload) = request.to_http_parts();
        read(&request, &mut payload, most, PATIENCE).await
    }

    fn post(body: &[u8]) -> TestRequest {
        let body = body.to_vec();
        TestRequest::post().insert_header(("content-length", body.len())).set_payload(body)
    }

    #[actix_web::test]
    async fn a_body_is_read_up_to_its_limit() {
        assert_eq!(read_of(post(b"12345"), 5).await.unwrap(), "12345");
        assert_eq!(read_of(post(b"123456"), 5).await.unwrap_err().status, 413);
        let lying = TestRequest::post().set_payload("123456").insert_header(("content-length", 1));
        assert_eq!(read_of(lying, 5).await.unwrap_err().status, 413);
        let silent = read_of(TestRequest::post(), 5).await.unwrap_err();
        assert!(silent.status == 411 && silent.bare);
    }

    #[actix_web::test]
    async fn a_packed_body_is_measured_unpacked() {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(&[b' '; 100_000]).unwrap();
        let packed = packer.finish().unwrap();
        let gzip = || post(&packed).insert_header(("content-encoding", "gzip"));
        assert_eq!(read_of(gzip(), 100_000).await.unwrap().len(), 100_000);
        assert_eq!(read_of(gzip(), 99_999).await.unwrap_err().status, 413);
        let odd = post(b"x").insert_header(("content-encoding", "compress"));
        assert_eq!(read_of(odd, 10).await.unwrap_err().status, 415);
        let broken = post(b"not gzip").insert_header(("content-encoding", "gzip"));
        assert_eq!(read_of(broken, 10).await.unwrap_err().status, 400);
    }

    #[actix_web::test]
    async fn chunks_are_joined_and_a_slow_client_is_not_waited_for() {
        let chunks = |pause: Duration| {
            let chunks = ["ab", "cd", "e"].map(|text| Ok(Bytes::from_static(text.as_bytes())));
            Box::pin(futures_util::stream::iter(chunks).then(move |chunk| async move {
                tokio::time::sleep(pause).await;
                chunk
            }))
        };
        let whole = gather(&mut chunks(Duration::from_millis(1)), 5, PATIENCE).await;
        assert_eq!(whole.unwrap(), "abcde");
        let most = gather(&mut chunks(Duration::from_millis(1)), 4, PATIENCE).await;
        assert_eq!(most.unwrap_err().status, 413);
        let slow = gather(&mut chunks(PATIENCE * 2), 5, PATIENCE).await;
        assert_eq!(slow.unwrap_err().status, 408);
        let dripping = gather(&mut chunks(PATIENCE * 2 / 3), 5, PATIENCE).await;
        assert_eq!(dripping.unwrap_err().status, 408, "each pause is short, the whole is not");
    }
}
