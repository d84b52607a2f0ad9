//! This program once more, as a process that holds cards and nothing else.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use onetap_apdu_spec::command::AID;
use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::nvm::ImageOptions;
use onetap_applet::{Card, Environment};

use crate::support::Fallible;

/// First argument of a child; the second one is its task, the third the image.
const CHILD: &str = "--child";
const START: &str = "start";
const MEMORY: &str = "memory";
/// How many cards come after the first.
const FURTHER: u32 = 100;

/// Does a child's work, if this process is one.
pub(crate) fn is_child() -> Fallible<bool> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [flag, task, image] = &arguments[..] else { return Ok(false) };
    match (flag.as_str(), task.as_str()) {
        (CHILD, START) => {
            let _card = answering_card(Path::new(image))?;
            println!();
        }
        (CHILD, MEMORY) => report_memory(Path::new(image))?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// Opens a card, powers it, and lets it answer SELECT.
fn answering_card(image: &Path) -> Fallible<Card> {
    let mut card = Card::open_file(image, ImageOptions { durable: true }, Environment::default())?;
    card.enter_field();
    card.power_on();
    let length = u8::try_from(AID.len())?;
    let answer = card.transmit(&[&[0x00, 0xA4, 0x04, 0x00, length], &AID[..], &[0]].concat());
    if answer.ends_with(&StatusWord::OK.to_bytes()) { Ok(card) } else { Err(format!("{answer:02X?}").into()) }
}

/// Says how much memory is resident with one card and with all.
fn report_memory(image: &Path) -> Fallible<()> {
    let mut cards = vec![answering_card(image)?];
    let one = resident_kib()?;
    for number in 0..FURTHER {
        cards.push(answering_card(&copy_name(image, number))?);
    }
    println!("{one} {}", resident_kib()?);
    drop(cards);
    Ok(())
}

fn resident_kib() -> Fallible<u32> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn copy_name(image: &Path, number: u32) -> PathBuf {
    image.with_extension(number.to_string())
}

fn spawn(task: &str, image: &Path) -> std::io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([CHILD, task]).arg(image).stdout(Stdio::piped()).spawn()
}

fn line_of(child: &mut Child) -> Fallible<String> {
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    if line.is_empty() { Err("the child failed".into()) } else { Ok(line) }
}

/// Seconds from starting a process to its first answer.
pub(crate) fn first_answer(image: &Path) -> Fallible<f64> {
    let start = Instant::now();
    let mut child = spawn(START, image)?;
    line_of(&mut child)?;
    let time = start.elapsed().as_secs_f64();
    child.wait()?;
    Ok(time)
}

/// KiB of a process with one card, and of each further one.
pub(crate) fn resident(image: &Path) -> Fallible<[f64; 2]> {
    for number in 0..FURTHER {
        std::fs::copy(image, copy_name(image, number))?;
    }
    let mut child = spawn(MEMORY, image)?;
    let line = line_of(&mut child)?;
    child.wait()?;
    let (one, all) = line.trim().split_once(' ').ok_or("the child said something else")?;
    let (one, all): (f64, f64) = (one.parse()?, all.parse()?);
    Ok([one, (all - one) / f64::from(FURTHER)])
}
