//! Years of readings: stations that measure `pm25` at fixed times, made one after another and never
//! kept, written as a table or sent to a broker's temporal API.
//!
//!     readings print --stations 100 --count 35040 > readings.csv
//!     readings send --stations 100 --count 35040 --to 127.0.0.1:9090 --batch 1000 --connections 2
//!     readings found --stations 100 --to 127.0.0.1:9090
//!
//! `print` writes the lines `station,time,value`, times in seconds since 1970. `send` posts, station
//! after station, `--batch` readings of one to a request, and then the next of each; `found`
//! creates the stations as entities, with their last reading. What a station measures depends on
//! its number and the time alone, so that two programs can be asked about the same data.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use jiff::Timestamp;

/// When the readings begin: 2025-01-01T00:00:00Z.
const BEGIN: i64 = 1_735_689_600;

struct Arguments {
    stations: u64,
    /// Readings of each station.
    count: u64,
    /// Seconds between two readings.
    every: u64,
    to: String,
    batch: u64,
    connections: u64,
}

fn main() -> io::Result<()> {
    let mut words = std::env::args().skip(1);
    let what = words.next().unwrap_or_default();
    let arguments = arguments(words)?;
    let began = Instant::now();
    match what.as_str() {
        "print" => print(&arguments)?,
        "send" => send(&arguments)?,
        "found" => found(&arguments)?,
        _ => return Err(io::Error::other("say print, send or found")),
    }
    let (seconds, readings) = (began.elapsed().as_secs_f64(), arguments.stations * arguments.count);
    writeln!(io::stderr(), "{{\"readings\": {readings}, \"seconds\": {seconds:.3}}}")
}

fn arguments(mut words: impl Iterator<Item = String>) -> io::Result<Arguments> {
    let mut arguments = Arguments {
        stations: 10,
        count: 1_000,
        every: 900,
        to: String::new(),
        batch: 1_000,
        connections: 2,
    };
    while let Some(word) = words.next() {
        let value =
            words.next().ok_or_else(|| io::Error::other(format!("{word} needs a value")))?;
        let number = || value.parse::<u64>().map_err(|_| io::Error::other("not a number"));
        match word.as_str() {
            "--stations" => arguments.stations = number()?.max(1),
            "--count" => arguments.count = number()?,
            "--every" => arguments.every = number()?.max(1),
            "--batch" => arguments.batch = number()?.max(1),
            "--connections" => arguments.connections = number()?.max(1),
            "--to" => arguments.to = value,
            _ => return Err(io::Error::other(format!("{word} is not known"))),
        }
    }
    Ok(arguments)
}

fn print(arguments: &Arguments) -> io::Result<()> {
    let mut out = io::BufWriter::with_capacity(1 << 20, io::stdout().lock());
    writeln!(out, "station,time,value")?;
    for station in 0..arguments.stations {
        for reading in 0..arguments.count {
            let time = BEGIN + (reading * arguments.every) as i64;
            let tenths = tenths(station, time);
            writeln!(out, "{station},{time},{}.{}", tenths / 10, tenths % 10)?;
        }
    }
    out.flush()
}

/// What a station measures at a time, in tenths: a course of the day with some noise.
fn tenths(station: u64, time: i64) -> u64 {
    let minute = (time as u64 / 60) % 1_440;
    let course = minute.abs_diff(840) / 4;
    let mut x = (time as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (station << 40);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x ^= x >> 27;
    50 + course + x % 100
}

/// Sends over several connections, each taking the next batch that nobody took.
fn send(arguments: &Arguments) -> io::Result<()> {
    let (next, rounds) = (AtomicU64::new(0), arguments.count.div_ceil(arguments.batch));
    thread::scope(|scope| {
        let sender = || -> io::Result<()> {
            let mut line = Line::open(&arguments.to)?;
            let mut body = Vec::new();
            loop {
                let turn = next.fetch_add(1, Ordering::Relaxed);
                if turn >= rounds * arguments.stations {
                    return Ok(());
                }
                let (round, station) = (turn / arguments.stations, turn % arguments.stations);
                let first = round * arguments.batch;
                let last = (first + arguments.batch).min(arguments.count);
                write_history(&mut body, arguments, station, first..last)?;
                line.post("/ngsi-ld/v1/temporal/entities", &body)?;
            }
        };
        let senders: Vec<_> = (0..arguments.connections).map(|_| scope.spawn(sender)).collect();
        let ended = |sender: thread::ScopedJoinHandle<'_, io::Result<()>>| {
            sender.join().unwrap_or_else(|_| Err(io::Error::other("a sender panicked")))
        };
        senders.into_iter().try_for_each(ended)
    })
}

fn write_history(
    body: &mut Vec<u8>,
    arguments: &Arguments,
    station: u64,
    readings: std::ops::Range<u64>,
) -> io::Result<()> {
    body.clear();
    write!(body, "{{\"id\":\"urn:ngsi-ld:Station:{station}\",\"type\":\"Station\",\"pm25\":[")?;
    let first = readings.start;
    for reading in readings {
        let time = BEGIN + (reading * arguments.every) as i64;
        let tenths = tenths(station, time);
        let at = Timestamp::from_second(time).map_err(io::Error::other)?;
        write!(
            body,
            "{}{{\"type\":\"Property\",\"value\":{}.{},\"observedAt\":\"{at}\",\"unitCode\":\"GQ\"}}",
            if reading == first { "" } else { "," },
            tenths / 10,
            tenths % 10,
        )?;
    }
    body.extend_from_slice(b"]}");
    Ok(())
}

/// Creates the stations as entities, a thousand to a request.
fn found(arguments: &Arguments) -> io::Result<()> {
    let mut line = Line::open(&arguments.to)?;
    let mut body = Vec::new();
    for first in (0..arguments.stations).step_by(1_000) {
        body.clear();
        for station in first..(first + 1_000).min(arguments.stations) {
            write!(
                body,
                "{}{{\"id\":\"urn:ngsi-ld:Station:{station}\",\"type\":\"Station\",\
                 \"location\":{{\"type\":\"GeoProperty\",\"value\":{{\"type\":\"Point\",\
                 \"coordinates\":[99.{station:04},18.28]}}}},\
                 \"pm25\":{{\"type\":\"Property\",\"value\":{}.5,\"unitCode\":\"GQ\",\
                 \"observedAt\":\"2024-12-31T23:45:00Z\"}}}}",
                if station == first { '[' } else { ',' },
                station % 90,
            )?;
        }
        body.push(b']');
        line.post("/ngsi-ld/v1/entityOperations/upsert", &body)?;
    }
    Ok(())
}

/// A connection to the broker.
struct Line {
    stream: TcpStream,
    answers: BufReader<TcpStream>,
    address: String,
}

impl Line {
    fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let answers = BufReader::new(stream.try_clone()?);
        Ok(Self { stream, answers, address: address.to_owned() })
    }

    /// Posts, and waits for an answer of success.
    fn post(&mut self, path: &str, body: &[u8]) -> io::Result<()> {
        write!(
            self.stream,
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            self.address,
            body.len()
        )?;
        self.stream.write_all(body)?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let status = line.trim().to_owned();
        let mut length = 0;
        loop {
            line.clear();
            if self.answers.read_line(&mut line)? == 0 {
                return Err(io::Error::other("the broker closed the connection"));
            }
            let header = line.trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        let mut answer = vec![0; length];
        self.answers.read_exact(&mut answer)?;
        match [" 201", " 204"].iter().any(|good| status.contains(good)) {
            true => Ok(()),
            false => {
                Err(io::Error::other(format!("{status}: {}", String::from_utf8_lossy(&answer))))
            }
        }
    }
}
