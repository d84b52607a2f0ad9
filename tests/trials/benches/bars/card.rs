//! Issue 3, the card: commands through the whole runtime, one card and a thousand, memory that is written
//! beside the disk's own rate, a process that starts, and what it takes of the machine's memory.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::Environment;
use onetap_applet::applets::{Echo, Purse};
use onetap_applet::nvm::{IMAGE_LEN, ImageFile, ImageOptions, MemoryImage, Nvm, PAGE_LEN};
use onetap_applet::runtime::{Aid, Module, Runtime};

use crate::row::{Row, median};
use crate::support::{Fallible, Payer};
use crate::{ROUNDS, child, seconds, subfolder};

/// Commands in a round that stay in the process.
const CALLS: usize = 1_000_000;
/// Durable commands in a round.
const SYNCED: usize = 300;
/// Commands in a round that write without waiting for the disk.
const UNSYNCED: usize = 100_000;
/// Cards in one process.
const CARDS: usize = 1_000;
/// Processes that are started.
const STARTS: usize = 50;

pub(crate) fn measure(folder: &Path) -> Fallible<Vec<Row>> {
    let mut rows = in_process()?;
    rows.push(many_cards()?);
    rows.push(durable(&subfolder(folder, "durable")?)?);
    rows.push(unsynced(&subfolder(folder, "unsynced")?)?);
    let card = subfolder(folder, "child")?;
    drop(Payer::new(&card, Suite::default())?);
    let image = card.join(format!("{}.img", Suite::default()));
    rows.push(start(&image)?);
    rows.extend(memory(&image)?);
    Ok(rows)
}

fn runtime(nvm: Nvm, module: &Module, name: Aid, parameters: &[u8]) -> Fallible<Runtime> {
    let mut card = Runtime::format(nvm, &[*module], Environment::default())?;
    card.install(&name, name, [0; 3], parameters).map_err(refused)?;
    done(&mut card, &select(name))?;
    Ok(card)
}

/// An echo applet on a card in memory, selected.
fn echo_card() -> Fallible<Runtime> {
    runtime(Nvm::format(Box::new(MemoryImage::default()))?, &Echo::module(), Echo::name(), &[])
}

fn refused(sw: StatusWord) -> String {
    format!("the card answered {sw}")
}

/// One command that has to be answered with 9000.
fn done(card: &mut Runtime, command: &[u8]) -> Fallible<()> {
    let mut out = Vec::new();
    card.transmit(command, &mut out);
    if out.ends_with(&StatusWord::OK.to_bytes()) { Ok(()) } else { Err(format!("{out:02X?}").into()) }
}

fn select(name: Aid) -> Vec<u8> {
    let length = u8::try_from(name.as_bytes().len()).unwrap_or_default();
    [&[0x00, 0xA4, 0x04, 0x00, length], name.as_bytes()].concat()
}

fn echo() -> Vec<u8> {
    [&[0x80, 0x10, 0x00, 0x00, 16][..], &[0x5A; 16], &[0]].concat()
}

#[allow(clippy::cast_precision_loss, reason = "small counts")]
fn rate(calls: usize, seconds: f64) -> f64 {
    calls as f64 / seconds
}

/// Commands a second over all cards in turn.
fn commands(cards: &mut [Runtime], command: &[u8], rounds: usize) -> Fallible<f64> {
    let mut out = Vec::with_capacity(64);
    let calls = rounds * cards.len();
    let time = seconds(|| {
        for _ in 0..rounds {
            for card in &mut *cards {
                card.transmit(black_box(command), &mut out);
            }
        }
        if out.ends_with(&StatusWord::OK.to_bytes()) { Ok(()) } else { Err(format!("{out:02X?}")) }
    })?;
    Ok(rate(calls, time))
}

fn in_process() -> Fallible<Vec<Row>> {
    let mut card = [echo_card()?];
    let (mut echoes, mut selects) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        echoes.push(commands(&mut card, &echo(), CALLS)?);
        selects.push(commands(&mut card, &select(Echo::name()), CALLS)?);
    }
    let row = |name, rates| Row::rate(name, median(rates), "bar", 10e6).at_least(1.0);
    Ok(vec![row("echo of 16 bytes in-process, whole runtime", echoes), row("SELECT in-process", selects)])
}

/// One card, then a thousand in turn, in each round.
fn many_cards() -> Fallible<Row> {
    let mut one = [echo_card()?];
    let mut many = (0..CARDS).map(|_| echo_card()).collect::<Fallible<Vec<_>>>()?;
    let (mut alone, mut together, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let single = commands(&mut one, &echo(), CALLS)?;
        let each = commands(&mut many, &echo(), CALLS / CARDS)?;
        ratios.push(each / single);
        alone.push(single);
        together.push(each);
    }
    let row = Row::rate("echo, 1000 cards in turn on one core", median(together), "one card", median(alone));
    Ok(Row { ratio: median(ratios), ..row }.at_least(0.8))
}

/// A purse in a file with its PIN verified, and a DEBIT that changes the count of debits: one page.
fn purse(folder: &Path, durable: bool) -> Fallible<(Runtime, Vec<u8>)> {
    let image = ImageFile::create(&folder.join("purse.img"), ImageOptions { durable })?;
    let mut card = runtime(Nvm::format(Box::new(image))?, &Purse::module(), Purse::name(), b"1234")?;
    done(&mut card, &[0x80, 0x20, 0, 0, 4, b'1', b'2', b'3', b'4'])?;
    Ok((card, vec![0x80, 0x32, 0, 0, 4, 0, 0, 0, 0, 4]))
}

/// Beside a bare write of one page and fdatasync, in a file of the same size beside it.
fn durable(folder: &Path) -> Fallible<Row> {
    let (mut card, debit) = purse(folder, true)?;
    let bare = File::create_new(folder.join("bare"))?;
    bare.write_all_at(&[0; IMAGE_LEN], 0)?;
    bare.sync_all()?;
    let (mut ours, mut disks, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let page = [u8::try_from(round)?; PAGE_LEN];
        let (mut our_times, mut disk_times) = (Vec::new(), Vec::new());
        for _ in 0..SYNCED {
            our_times.push(seconds(|| done(&mut card, &debit))?);
            disk_times.push(seconds(|| bare.write_all_at(&page, 4096).and_then(|()| bare.sync_data()))?);
        }
        let (our, disk) = (1.0 / median(our_times), 1.0 / median(disk_times));
        ratios.push(our / disk);
        ours.push(our);
        disks.push(disk);
    }
    let row = Row::rate("durable write command", median(ours), "write and fdatasync", median(disks));
    Ok(Row { ratio: median(ratios), ..row }.at_least(0.8))
}

fn unsynced(folder: &Path) -> Fallible<Row> {
    let (card, debit) = purse(folder, false)?;
    let mut card = [card];
    let rates = (0..ROUNDS).map(|_| commands(&mut card, &debit, UNSYNCED)).collect::<Fallible<Vec<_>>>()?;
    Ok(Row::rate("write command, not synced", median(rates), "bar", 200e3).at_least(1.0))
}

/// A process of its own that opens the signing card and answers SELECT.
fn start(image: &Path) -> Fallible<Row> {
    let times = (0..STARTS).map(|_| child::first_answer(image)).collect::<Fallible<Vec<_>>>()?;
    let row = Row::of_card(
        "process start to the answer to SELECT, existing image",
        median(times) * 1e6,
        "bar",
        10e3,
    );
    Ok(row.at_most(1.0))
}

/// Resident memory of a process with one signing card, and what a hundred more take.
fn memory(image: &Path) -> Fallible<[Row; 2]> {
    let [one, more] = child::resident(image)?;
    let row = |name, kib, bar| Row { unit: "KiB", ..Row::of_card(name, kib, "bar", bar) }.at_most(1.0);
    Ok([
        row("memory of a process with one card, RSS", one, 8.0 * 1024.0),
        row("memory of each further card, RSS", more, 1024.0),
    ])
}
