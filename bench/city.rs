//! A city that is as large as one likes: `AirQualityObserved` entities of twelve attributes, made
//! one after another and never kept, written to standard output or sent to a broker in batches.
//!
//!     city --count 1000000 > city.ndjson
//!     city --from 10000 --count 90000 --to 127.0.0.1:9090 --batch 1000 --connections 2
//!
//! What a query finds does not depend on how many entities there are, so that queries can be
//! compared over sizes. The first 10 000 stand around Mae Moh; 200 of them, and no others, have
//! pm25 above 90. Of the others one in a hundred has pm25 between 50 and 60, and one in twenty
//! stands in Bangkok.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::TcpStream,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

/// How many entities stand around Mae Moh.
const AROUND_MAE_MOH: u64 = 10_000;

struct Arguments {
    from: u64,
    count: u64,
    to: Option<String>,
    batch: u64,
    connections: u64,
}

fn main() -> io::Result<()> {
    let arguments = arguments()?;
    let began = Instant::now();
    let bytes = match &arguments.to {
        None => print(&arguments)?,
        Some(address) => send(&arguments, address)?,
    };
    let seconds = began.elapsed().as_secs_f64();
    writeln!(
        io::stderr(),
        "{{\"entities\": {}, \"bytes\": {bytes}, \"seconds\": {seconds:.3}}}",
        arguments.count
    )
}

fn arguments() -> io::Result<Arguments> {
    let mut arguments = Arguments { from: 0, count: 1000, to: None, batch: 1000, connections: 2 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value =
            words.next().ok_or_else(|| io::Error::other(format!("{word} needs a value")))?;
        let number = || value.parse::<u64>().map_err(|_| io::Error::other("not a number"));
        match word.as_str() {
            "--from" => arguments.from = number()?,
            "--count" => arguments.count = number()?,
            "--batch" => arguments.batch = number()?.max(1),
            "--connections" => arguments.connections = number()?.max(1),
            "--to" => arguments.to = Some(value),
            _ => return Err(io::Error::other(format!("{word} is not known"))),
        }
    }
    Ok(arguments)
}

fn print(arguments: &Arguments) -> io::Result<u64> {
    let mut out = io::BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let mut entity = Vec::new();
    let mut bytes = 0;
    for number in arguments.from..arguments.from + arguments.count {
        entity.clear();
        write_entity(&mut entity, number);
        entity.push(b'\n');
        bytes += entity.len() as u64;
        out.write_all(&entity)?;
    }
    out.flush()?;
    Ok(bytes)
}

/// Sends batches over several connections, each taking the next batch that nobody took.
fn send(arguments: &Arguments, address: &str) -> io::Result<u64> {
    let next = AtomicU64::new(arguments.from);
    let end = arguments.from + arguments.count;
    thread::scope(|scope| {
        let senders: Vec<_> = (0..arguments.connections)
            .map(|_| scope.spawn(|| send_some(&next, end, arguments.batch, address)))
            .collect();
        let sent = |sender: thread::ScopedJoinHandle<'_, io::Result<u64>>| match sender.join() {
            Ok(bytes) => bytes,
            Err(_) => Err(io::Error::other("a sender panicked")),
        };
        senders.into_iter().map(sent).sum()
    })
}

fn send_some(next: &AtomicU64, end: u64, batch: u64, address: &str) -> io::Result<u64> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    let mut body = Vec::new();
    let mut bytes = 0;
    loop {
        let first = next.fetch_add(batch, Ordering::Relaxed);
        if first >= end {
            return Ok(bytes);
        }
        body.clear();
        for number in first..(first + batch).min(end) {
            body.push(if number == first { b'[' } else { b',' });
            write_entity(&mut body, number);
        }
        body.push(b']');
        bytes += body.len() as u64;
        write!(
            stream,
            "POST /ngsi-ld/v1/entityOperations/upsert HTTP/1.1\r\nHost: {address}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )?;
        stream.write_all(&body)?;
        read_answer(&mut answers)?;
    }
}

fn read_answer(answers: &mut impl BufRead) -> io::Result<()> {
    let mut line = String::new();
    answers.read_line(&mut line)?;
    let status = line.trim().to_owned();
    let mut length = 0;
    loop {
        line.clear();
        if answers.read_line(&mut line)? == 0 {
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
    let mut body = vec![0; length];
    answers.read_exact(&mut body)?;
    match [" 201", " 204"].iter().any(|good| status.contains(good)) {
        true => Ok(()),
        false => Err(io::Error::other(format!("{status}: {}", String::from_utf8_lossy(&body)))),
    }
}

/// A number that looks random and is the same every time.
fn mixed(number: u64, salt: u64) -> u64 {
    let mut x = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(salt << 32 | salt);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A number between two others, with one decimal.
fn between(number: u64, salt: u64, low: u64, high: u64) -> f64 {
    (low * 10 + mixed(number, salt) % ((high - low) * 10)) as f64 / 10.0
}

fn write_entity(out: &mut Vec<u8>, number: u64) {
    let near = number < AROUND_MAE_MOH;
    let pm25 = match near {
        true if number.is_multiple_of(50) => between(number, 1, 91, 150),
        false if number.is_multiple_of(100) => between(number, 1, 50, 60),
        _ => between(number, 1, 5, 49),
    };
    let fraction = |salt| mixed(number, salt) as f64 / u64::MAX as f64;
    let (longitude, latitude) = match (near, number % 20) {
        (true, _) => (99.46 + 0.4 * fraction(2), 18.08 + 0.4 * fraction(3)),
        (false, 0) => (100.43 + 0.2 * fraction(2), 13.65 + 0.2 * fraction(3)),
        (false, _) => (101.0 + 4.0 * fraction(2), 14.0 + 4.0 * fraction(3)),
    };
    let minute = number % 60;
    let at = format!("2026-03-14T02:{minute:02}:00Z");
    let level = if pm25 > 37.5 { "starts to affect health" } else { "moderate" };
    let written = write!(
        out,
        "{{\"id\":\"urn:ngsi-ld:AirQualityObserved:city:{number}\",\"type\":\"AirQualityObserved\",\
         \"dateObserved\":{{\"type\":\"Property\",\"value\":\"{at}\"}},\
         \"location\":{{\"type\":\"GeoProperty\",\"value\":{{\"type\":\"Point\",\
         \"coordinates\":[{longitude:.6},{latitude:.6}]}}}},\
         \"stationName\":{{\"type\":\"LanguageProperty\",\"languageMap\":\
         {{\"th\":\"สถานี {number}\",\"en\":\"Station {number}\"}}}},\
         \"pm25\":{{\"type\":\"Property\",\"value\":{pm25},\"unitCode\":\"GQ\",\"observedAt\":\"{at}\"}},\
         \"pm10\":{{\"type\":\"Property\",\"value\":{},\"unitCode\":\"GQ\",\"observedAt\":\"{at}\"}},\
         \"o3\":{{\"type\":\"Property\",\"value\":{},\"unitCode\":\"61\",\"observedAt\":\"{at}\"}},\
         \"no2\":{{\"type\":\"Property\",\"value\":{},\"unitCode\":\"61\",\"observedAt\":\"{at}\"}},\
         \"so2\":{{\"type\":\"Property\",\"value\":{},\"unitCode\":\"61\",\"observedAt\":\"{at}\"}},\
         \"co\":{{\"type\":\"Property\",\"value\":{},\"unitCode\":\"59\",\"observedAt\":\"{at}\"}},\
         \"airQualityLevel\":{{\"type\":\"Property\",\"value\":\"{level}\"}},\
         \"dataProvider\":{{\"type\":\"Property\",\"value\":\"Lanna benchmark\"}},\
         \"refDevice\":{{\"type\":\"Relationship\",\"object\":\"urn:ngsi-ld:Device:{}\"}}}}",
        between(number, 4, 10, 120),
        between(number, 5, 1, 90),
        between(number, 6, 1, 60),
        between(number, 7, 0, 10),
        between(number, 8, 0, 3),
        number % 5000,
    );
    debug_assert!(written.is_ok(), "a vector takes whatever is written");
}
