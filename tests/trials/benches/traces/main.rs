//! The bars of issue 13 for traces: how fast logs are imported and in how much memory, how fast traces are replayed and played,
//! and what recording adds to an APDU. Writes `bench/traces.json` into the target folder.
#![allow(clippy::print_stdout, clippy::cast_precision_loss, reason = "a program for the terminal")]

#[path = "../support/row.rs"]
#[allow(dead_code, reason = "shared with the other benchmarks")]
mod row;

use std::error::Error;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use onetap_pcsc_host::trace::{
    Evidence, Header, Key, LogFormat, Order, Predicates, Recorder, Screen, Stage, StageError, Trace,
    TraceCard, TraceReader, import, replay,
};
use onetap_pcsc_host::{Atr, Deadline, Disposition, InProcessReader, Reader, ReaderError};
use row::{Row, median};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// Rounds of each measurement.
const ROUNDS: usize = 9;
/// Exchanges in a round.
const EXCHANGES: usize = 20_000;
/// Bytes of a log in a round, and of the long one.
const LOG: u64 = 64 << 20;
const LONG_LOG: u64 = 1 << 30;

const COMMAND: &[u8] = b"\x00\xA4\x04\x00\x08\xA0\x00\x00\x01\x51\x00\x00\x00";
const RESPONSE: &[u8] = b"\x6F\x10\x84\x08\xA0\x00\x00\x01\x51\x00\x00\x00\xA5\x04\x9F\x65\x01\xFF\x90\x00";

/// What pcscd writes of two exchanges, as often as wanted.
const PCSCD: &str = "\
00000159 APDU: 00 A4 04 00 08 A0 00 00 01 51 00 00 00 
00000052 SW: 6F 10 84 08 A0 00 00 01 51 00 00 00 A5 04 9F 65 01 FF 90 00 
00000021 winscard_svc.c:372:ContextThread() Received command: TRANSMIT from client 14
00000114 APDU: 80 CA 00 66 00 
00000053 SW: 66 31 73 2F 06 07 2A 86 48 86 FC 6B 01 60 0C 06 0A 2A 86 48 86 FC 6B 02 02 03 01 63 09 06 07 2A 86 48 86 FC 6B 03 64 0B 06 09 2A 86 48 86 FC 6B 04 03 70 90 00 
";

/// A text over and over.
struct Repeated {
    text: &'static [u8],
    at: usize,
    left: u64,
}

impl Repeated {
    /// As many whole texts as `bytes` have room for.
    fn of(text: &'static str, bytes: u64) -> Self {
        let text = text.as_bytes();
        let left = bytes - bytes % text.len() as u64;
        Self { text, at: 0, left }
    }
}

impl Read for Repeated {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let count = rest.len().min(buffer.len()).min(usize::try_from(self.left).unwrap_or(usize::MAX));
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at = (self.at + count) % self.text.len();
        self.left -= count as u64;
        Ok(count)
    }
}

fn main() -> Fallible<()> {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut rows = vec![imported()?];
    rows.push(memory()?);
    rows.push(replayed()?);
    rows.push(played()?);
    rows.push(recorded(scratch)?);
    let rows: Vec<_> = rows.into_iter().map(|row| row.of_issue(13)).collect();
    let file = scratch.with_file_name("bench").join("traces.json");
    std::fs::create_dir_all(scratch.with_file_name("bench"))?;
    std::fs::write(&file, serde_json::to_vec_pretty(&rows)?)?;
    for row in &rows {
        println!(
            "{:>14.2} {:<5} {:<4} {}",
            row.value,
            row.unit,
            if row.holds == Some(true) { "ok" } else { "MISS" },
            row.name
        );
    }
    println!("{}", file.display());
    Ok(())
}

/// Imports a log; how many exchanges it had.
fn import_of(bytes: u64) -> Fallible<u64> {
    let recorder = Recorder::new(io::BufWriter::new(io::sink()), &Header::new("a log")).keeping();
    let found = import(LogFormat::Pcscd, Repeated::of(PCSCD, bytes), &recorder)?;
    recorder.finish()?;
    Ok(found.exchanges)
}

fn imported() -> Fallible<Row> {
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        import_of(LOG)?;
        rates.push(LOG as f64 / 1e6 / start.elapsed().as_secs_f64());
    }
    Ok(rate("a log of pcscd imported", "MB/s", median(rates), 50.0))
}

fn rate(name: &'static str, unit: &'static str, value: f64, bar: f64) -> Row {
    Row::of_service(name, unit, value, "limit", bar).at_least(1.0)
}

/// The most memory that the process had, in MiB.
fn peak() -> Fallible<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

fn memory() -> Fallible<Row> {
    let before = peak()?;
    let exchanges = import_of(LONG_LOG)?;
    println!("{exchanges} exchanges of 1 GiB");
    Ok(Row::within("more memory for a log of 1 GiB than for one of 64 MiB", "MiB", peak()? - before, 1.0))
}

/// So many exchanges, as a trace.
fn trace() -> Fallible<Trace> {
    let recorder = Recorder::new(Vec::new(), &Header::new("many"));
    recorder.field_in(&Atr::new(*b"\x3B\x00"));
    for _ in 0..EXCHANGES {
        recorder.exchange(COMMAND, RESPONSE);
    }
    Ok(Trace::parse(&String::from_utf8(recorder.finish()?)?)?)
}

/// A card that knows one answer.
struct Card;

impl Stage for Card {
    fn field_in(&mut self) -> Result<Vec<u8>, StageError> {
        Ok(b"\x3B\x00".to_vec())
    }

    fn field_out(&mut self) -> Result<(), StageError> {
        Ok(())
    }

    fn reset(&mut self) -> Result<Vec<u8>, StageError> {
        self.field_in()
    }

    fn transmit(&mut self, _: &[u8]) -> Result<Vec<u8>, ReaderError> {
        Ok(RESPONSE.to_vec())
    }

    fn key(&mut self, _: Key) -> Result<(), StageError> {
        Ok(())
    }

    fn tick(&mut self, _: Duration) -> Result<(), StageError> {
        Ok(())
    }

    fn screen(&mut self) -> Result<Screen, StageError> {
        Ok(Screen::default())
    }
}

struct NoPredicates;

impl Predicates for NoPredicates {
    fn check(&mut self, name: &str, _: &Evidence) -> Result<(), String> {
        Err(name.to_owned())
    }
}

fn replayed() -> Fallible<Row> {
    let trace = trace()?;
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        replay(&trace, &mut Card, &mut NoPredicates)?;
        rates.push(EXCHANGES as f64 / start.elapsed().as_secs_f64());
    }
    Ok(rate("exchanges of a replay in-process", "1/s", median(rates), 100_000.0))
}

fn played() -> Fallible<Row> {
    let trace = trace()?;
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let card = TraceCard::new(trace.clone(), Order::Strict, |difference| println!("{difference}"));
        let mut reader = TraceReader::new("a trace", card);
        let mut contact = reader.connect(&Deadline::after(Duration::from_secs(60)))?;
        let start = Instant::now();
        for _ in 0..EXCHANGES {
            contact.transmit(COMMAND)?;
        }
        rates.push(EXCHANGES as f64 / start.elapsed().as_secs_f64());
    }
    Ok(rate("exchanges of a played trace in-process", "1/s", median(rates), 100_000.0))
}

/// The same exchanges with and without a recorder that writes each into a file, with its times and what is kept.
fn recorded(folder: &Path) -> Fallible<Row> {
    let mut more = Vec::new();
    for _ in 0..ROUNDS {
        let mut reader = InProcessReader::new("in-process", Atr::default(), |_: &[u8]| RESPONSE.to_vec());
        let bare = exchanges(&mut reader)?;
        let recorder = Recorder::new(tempfile::tempfile_in(folder)?, &Header::new("many")).timed().keeping();
        let recording = exchanges(&mut recorder.over(&mut reader))?;
        recorder.finish()?;
        more.push((recording - bare) / EXCHANGES as f64 * 1e6);
    }
    Ok(Row::within("recording adds to an APDU", "µs", median(more), 5.0))
}

/// Seconds that they take.
fn exchanges(reader: &mut dyn Reader) -> Fallible<f64> {
    let mut contact = reader.connect(&Deadline::after(Duration::from_secs(60)))?;
    let start = Instant::now();
    for _ in 0..EXCHANGES {
        contact.transmit(COMMAND)?;
    }
    let time = start.elapsed().as_secs_f64();
    contact.release(Disposition::Leave)?;
    Ok(time)
}
