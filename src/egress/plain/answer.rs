//! Reading an answer, as large as is allowed and no larger, into memory that is accounted for as it
//! comes.

use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::head::{self, Fault, Head, LONGEST, Length};
use crate::egress::exchange::{AT_ONCE, AskError, Reply, take};
use crate::egress::{Budget, Room};

/// Why an answer was not read.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection was closed before any of the answer came.
    Closed(io::Error),
    /// It was closed, or what came is not HTTP.
    Broken(io::Error),
    /// Others can read it better.
    Odd,
    Ask(AskError),
}

/// What most answers fit into.
const USUAL: usize = 16 << 10;

/// The longest line that says how long a chunk is.
const LONGEST_LINE: usize = 1 << 10;

/// Reads an answer; and whether the connection can be used again.
pub(super) async fn read(
    stream: &mut TcpStream,
    most: usize,
    budget: Option<&Budget>,
) -> Result<(Reply, bool), Failure> {
    let mut intake = Intake { stream, buffer: BytesMut::with_capacity(USUAL) };
    let head = intake.head().await?;
    let mut body = Body { taken: BytesMut::new(), most, budget, room: None };
    match head.body {
        Length::Bytes(bytes) => intake.exactly(bytes, &mut body).await?,
        Length::Chunks => intake.chunks(&mut body).await?,
        Length::ToTheEnd => intake.until_closed(&mut body).await?,
    }
    // What nobody asked for follows: who knows whose answer would come next.
    let again = head.again && intake.buffer.is_empty();
    let Head { status, headers, .. } = head;
    let Body { taken, room, .. } = body;
    let reply = Reply { status, headers, body: Bytes::from(taken), room: room.map(Arc::new) };
    Ok((reply, again))
}

struct Intake<'s> {
    stream: &'s mut TcpStream,
    /// What came and was not read yet.
    buffer: BytesMut,
}

struct Body<'b> {
    taken: BytesMut,
    most: usize,
    budget: Option<&'b Budget>,
    room: Option<Room>,
}

impl Intake<'_> {
    /// Waits for more.
    async fn more(&mut self) -> Result<(), Failure> {
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => Err(Failure::Broken(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the connection was closed before the answer had come",
            ))),
            Ok(_) => Ok(()),
            Err(why) => Err(Failure::Broken(why)),
        }
    }

    async fn head(&mut self) -> Result<Head, Failure> {
        let mut known = 0;
        loop {
            if let Some(end) = head::end(&self.buffer, known) {
                let head = head::read(&self.buffer[..end]).map_err(|fault| match fault {
                    Fault::Malformed(why) => malformed(&why),
                    Fault::Odd => Failure::Odd,
                })?;
                self.buffer.advance(end);
                known = 0;
                match head.status {
                    // It wants another language.
                    101 => return Err(Failure::Odd),
                    // The answer is yet to come.
                    100..200 => continue,
                    _ => return Ok(head),
                }
            }
            if self.buffer.len() > LONGEST {
                return Err(malformed("its head is too long"));
            }
            // The last line may go on.
            known = self.buffer.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let fresh = self.buffer.is_empty();
            self.more().await.map_err(|failure| match failure {
                Failure::Broken(why) if fresh => Failure::Closed(why),
                failure => failure,
            })?;
        }
    }

    async fn exactly(&mut self, bytes: u64, body: &mut Body<'_>) -> Result<(), Failure> {
        let bytes = match usize::try_from(bytes) {
            Ok(bytes) if bytes <= body.most => bytes,
            _ => return Err(Failure::Ask(AskError::TooLarge(body.most))),
        };
        body.account(self.buffer.len().min(bytes))?;
        while self.buffer.len() < bytes {
            let before = self.buffer.len();
            if self.buffer.capacity() == before {
                self.buffer.reserve((bytes - before).min(AT_ONCE));
            }
            self.more().await?;
            body.account(self.buffer.len().min(bytes) - before)?;
        }
        // Most answers came whole: they stay where they are.
        body.taken = self.buffer.split_to(bytes);
        Ok(())
    }

    async fn until_closed(&mut self, body: &mut Body<'_>) -> Result<(), Failure> {
        loop {
            body.add(&mut self.buffer, usize::MAX)?;
            self.buffer.reserve(USUAL);
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(why) => return Err(Failure::Broken(why)),
            }
        }
    }

    async fn chunks(&mut self, body: &mut Body<'_>) -> Result<(), Failure> {
        loop {
            let mut left = self.size().await?;
            if left == 0 {
                break;
            }
            loop {
                left -= body.add(&mut self.buffer, left)?;
                if left == 0 {
                    break;
                }
                self.more().await?;
            }
            if !self.line().await?.is_empty() {
                return Err(malformed("a chunk is longer than it says"));
            }
        }
        // What is said of the body after it is not looked at.
        let mut lines = 0;
        while !self.line().await?.is_empty() {
            lines += 1;
            if lines > LONGEST_LINE {
                return Err(malformed("too much follows its last chunk"));
            }
        }
        Ok(())
    }

    /// How long the next chunk is, by the line before it.
    async fn size(&mut self) -> Result<usize, Failure> {
        loop {
            match httparse::parse_chunk_size(&self.buffer) {
                Ok(httparse::Status::Complete((line, size))) => {
                    self.buffer.advance(line);
                    // What is longer than can be counted is longer than is allowed.
                    return Ok(usize::try_from(size).unwrap_or(usize::MAX));
                }
                Ok(httparse::Status::Partial) if self.buffer.len() > LONGEST_LINE => {
                    return Err(malformed("the length of a chunk is too long"));
                }
                Ok(httparse::Status::Partial) => self.more().await?,
                Err(_) => return Err(malformed("the length of a chunk cannot be read")),
            }
        }
    }

    /// The next line, without its end.
    async fn line(&mut self) -> Result<BytesMut, Failure> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                let mut line = self.buffer.split_to(end + 1);
                line.truncate(end);
                if line.ends_with(b"\r") {
                    line.truncate(end - 1);
                }
                return Ok(line);
            }
            if self.buffer.len() > LONGEST_LINE {
                return Err(malformed("a line between its chunks is too long"));
            }
            self.more().await?;
        }
    }
}

impl Body<'_> {
    /// Takes as much as there is, up to so many bytes; returns how many.
    fn add(&mut self, from: &mut BytesMut, up_to: usize) -> Result<usize, Failure> {
        let bytes = from.len().min(up_to);
        if bytes > self.most - self.taken.len() {
            return Err(Failure::Ask(AskError::TooLarge(self.most)));
        }
        self.account(bytes)?;
        self.taken.extend_from_slice(&from[..bytes]);
        from.advance(bytes);
        Ok(bytes)
    }

    fn account(&mut self, bytes: usize) -> Result<(), Failure> {
        match self.budget {
            Some(budget) if bytes > 0 => take(budget, &mut self.room, bytes).map_err(Failure::Ask),
            _ => Ok(()),
        }
    }
}

fn malformed(why: &str) -> Failure {
    Failure::Broken(io::Error::new(io::ErrorKind::InvalidData, format!("no answer: {why}")))
}
