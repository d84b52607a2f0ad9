//! The bars of issues 2 and 3 ("Must reach"), each beside its peer in the same run, by turns, so that a noisy
//! machine disturbs both alike. Writes `bench/bars.json` into the target folder; `scripts/bench` makes the
//! summary of it.
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

mod bare;
mod card;
mod child;
mod lockout;
mod pcsc;
mod peer;
mod promises;
#[path = "../support/row.rs"]
#[allow(dead_code, reason = "shared with the other benchmarks")]
mod row;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "shared with the other benchmark")]
mod support;

use std::path::Path;
use std::time::Instant;

use onetap_apdu_spec::crypto::{RsaBits, default_provider};
use onetap_apdu_spec::suite::{SignatureAlgorithm, Suite};
use onetap_pcsc_host::{Deadline, Reader as _};
use peer::openssl_rsa_2048;
use row::{Row, median};
use support::{Fallible, LONG, Payer, session};

/// Rounds, each with some of ours and one second of OpenSSL.
const ROUNDS: usize = 9;
/// Transactions in a round.
const TRANSACTIONS: usize = 500;

fn main() -> Fallible<()> {
    if child::is_child()? {
        return Ok(());
    }
    // This program is its own child where a card is to be killed.
    onetap_trials::kill::child();
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = tempfile::tempdir_in(scratch)?;
    let mut rows = in_process(folder.path())?;
    rows.extend(pcsc::measure(&subfolder(folder.path(), "pcsc")?)?);
    rows.extend(card::measure(&subfolder(folder.path(), "card")?)?);
    rows.extend(lockout::measure(&subfolder(folder.path(), "lockout")?)?);
    rows.extend(promises::measure(&subfolder(folder.path(), "promises")?)?);
    let file = scratch.with_file_name("bench").join("bars.json");
    std::fs::create_dir_all(scratch.with_file_name("bench"))?;
    std::fs::write(&file, serde_json::to_vec_pretty(&rows)?)?;
    println!("{}", file.display());
    Ok(())
}

fn subfolder(folder: &Path, name: &str) -> Fallible<std::path::PathBuf> {
    let folder = folder.join(name);
    std::fs::create_dir(&folder)?;
    Ok(folder)
}

/// Seconds that `work` takes.
fn seconds<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<f64, E> {
    let start = Instant::now();
    let result = work();
    let time = start.elapsed();
    result.map(|_| time.as_secs_f64())
}

/// Whole transactions and the provider's own bare signature, in each round beside OpenSSL's.
fn in_process(folder: &Path) -> Fallible<Vec<Row>> {
    let crypto = default_provider();
    let key = crypto.rsa_private(&crypto.generate_rsa(RsaBits::B2048)?)?;
    let payer = Payer::new(folder, Suite::default())?;
    let mut reader = payer.reader();
    let mut contact = reader.connect(&Deadline::after(LONG))?;
    let (mut whole, mut bare, mut peers) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (mut whole_times, mut bare_times) = (Vec::new(), Vec::new());
        for _ in 0..TRANSACTIONS {
            payer.again()?;
            whole_times.push(seconds(|| session(&mut contact))?);
            bare_times.push(seconds(|| key.sign(SignatureAlgorithm::Pkcs1Sha256, b"message"))?);
        }
        whole.push(median(whole_times));
        bare.push(median(bare_times));
        peers.push(openssl_rsa_2048()?);
    }
    let by_peer = |times: &[f64]| median(times.iter().zip(&peers).map(|(time, peer)| time / peer).collect());
    let (whole_ratio, bare_ratio) = (by_peer(&whole), by_peer(&bare));
    let (whole, bare, peer) = (median(whole), median(bare), median(peers.clone()));
    let row =
        |name, time: f64, ratio| Row::new(name, time * 1e6, "OpenSSL RSA-2048 signature", peer * 1e6, ratio);
    Ok(vec![
        row("signing transaction in-process", whole, whole_ratio).at_most(1.25),
        row("of which the bare signature of our provider", bare, bare_ratio),
    ])
}
