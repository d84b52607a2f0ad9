//! Measures commits of one small object: not synced, and durable beside a bare loop of pwrite and fdatasync
//! on a file of the same size in the same directory, in turns. `cargo run --release --example nvm_rate --
//! DIRECTORY`.
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use onetap_applet::nvm::{IMAGE_LEN, Image, ImageFile, ImageOptions, MemoryImage, Nvm, ObjectId, PAGE_LEN};

const COUNTER: ObjectId = ObjectId { owner: 1, number: 0 };
const UNSYNCED: u32 = 200_000;
/// Durable commits: turns, and how many in each.
const TURNS: u32 = 20;
const IN_TURN: u32 = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let name = |what: &str| Path::new(&folder).join(format!("nvm-rate-{}.{what}", std::process::id()));
    let paths = [name("unsynced"), name("durable"), name("bare")];
    let result = measure(&paths);
    paths.iter().for_each(|path| drop(std::fs::remove_file(path)));
    result
}

fn measure([unsynced, durable, bare]: &[PathBuf; 3]) -> Result<(), Box<dyn Error>> {
    let mut memory = nvm(MemoryImage::default())?;
    println!("commits in memory     {:>9.0}/s", rate(UNSYNCED, commits(&mut memory, UNSYNCED)?));
    let mut file = nvm(ImageFile::create(unsynced, ImageOptions { durable: false })?)?;
    println!("commits, not synced   {:>9.0}/s", rate(UNSYNCED, commits(&mut file, UNSYNCED)?));

    let mut file = nvm(ImageFile::create(durable, ImageOptions { durable: true })?)?;
    let bare = File::create_new(bare)?;
    bare.write_all_at(&vec![0; IMAGE_LEN], 0)?;
    bare.sync_all()?;
    let (mut ours, mut disk) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..TURNS {
        disk += bare_writes(&bare)?;
        ours += commits(&mut file, IN_TURN)?;
    }
    let (ours, disk) = (rate(TURNS * IN_TURN, ours), rate(TURNS * IN_TURN, disk));
    println!("commits, durable      {ours:>9.0}/s");
    println!("pwrite and fdatasync  {disk:>9.0}/s");
    println!("ratio                 {:>9.3}", ours / disk);
    drop(file);
    let start = Instant::now();
    let file = Nvm::open(Box::new(ImageFile::open(durable, ImageOptions { durable: true })?))?;
    println!("open                  {:>9.0?}", start.elapsed());
    let start = Instant::now();
    let sum: u64 =
        (0..UNSYNCED).filter_map(|_| black_box(&file).read(COUNTER)).map(|b| u64::from(b[7])).sum();
    println!("read                  {:>9.1?}", black_box((start.elapsed(), sum)).0 / UNSYNCED);
    Ok(())
}

/// A memory that holds about what a card does.
fn nvm(image: impl Image + 'static) -> Result<Nvm, Box<dyn Error>> {
    let mut nvm = Nvm::format(Box::new(image))?;
    for number in 1..40 {
        let id = ObjectId { owner: number % 4, number };
        nvm.commit(&[(id, Some(&vec![number; 10 * usize::from(number)]))])?;
    }
    Ok(nvm)
}

fn commits(nvm: &mut Nvm, count: u32) -> Result<Duration, Box<dyn Error>> {
    let from = nvm.read(COUNTER).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_be_bytes(*bytes));
    let start = Instant::now();
    for value in from..from + u64::from(count) {
        nvm.commit(&[(COUNTER, Some(&(value + 1).to_be_bytes()))])?;
    }
    Ok(start.elapsed())
}

fn bare_writes(file: &File) -> Result<Duration, Box<dyn Error>> {
    let start = Instant::now();
    for value in 0..IN_TURN {
        file.write_all_at(&[u8::try_from(value)?; PAGE_LEN], 4096)?;
        file.sync_data()?;
    }
    Ok(start.elapsed())
}

fn rate(count: u32, took: Duration) -> f64 {
    f64::from(count) / took.as_secs_f64()
}
