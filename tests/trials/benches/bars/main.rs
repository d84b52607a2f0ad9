//! The bars of issues 2, 3 and 12 ("Must reach"), each beside its peer in the same run, by turns, so that a noisy
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

use onetap_apdu_spec::crypto::{RsaBits, SigningKeyType, default_provider};
use onetap_apdu_spec::suite::Suite;
use onetap_pcsc_host::{Deadline, Reader as _};
use peer::{openssl_p256, openssl_rsa_2048};
use row::{Row, median};
use support::{Fallible, LONG, Payer, session};

/// Rounds, each with some of ours and one second of OpenSSL.
const ROUNDS: usize = 9;
/// Transactions in a round.
const TRANSACTIONS: usize = 500;
/// The suite whose ECDSA is measured: no RSA in it.
const ECDSA: &str = "a3+sha256+aes-cbc-cmac+ecdsa";

fn main() -> Fallible<()> {
    if child::is_child()? {
        return Ok(());
    }
    // This program is its own child where a card is to be killed.
    onetap_trials::kill::child();
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = tempfile::tempdir_in(scratch)?;
    let mut rows = rsa(folder.path())?;
    rows.extend(ecdsa(folder.path())?);
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

/// What a suite's signature takes, a median in seconds for each round.
struct Rounds {
    /// Whole transactions.
    whole: Vec<f64>,
    /// The provider's bare signature.
    bare: Vec<f64>,
    /// OpenSSL's, in the same round.
    peers: Vec<f64>,
}

impl Rounds {
    fn measure(folder: &Path, suite: Suite, peer: fn() -> Fallible<f64>) -> Fallible<Self> {
        let (crypto, algorithm) = (default_provider(), suite.signature());
        let key = crypto.generate_key(SigningKeyType::of(algorithm, RsaBits::B2048))?;
        let key = crypto.signing_key(algorithm, &key)?;
        let payer = Payer::new(folder, suite)?;
        let mut reader = payer.reader();
        let mut contact = reader.connect(&Deadline::after(LONG))?;
        let mut rounds = Self { whole: Vec::new(), bare: Vec::new(), peers: Vec::new() };
        for _ in 0..ROUNDS {
            let (mut whole, mut bare) = (Vec::new(), Vec::new());
            for _ in 0..TRANSACTIONS {
                payer.again()?;
                whole.push(seconds(|| session(&mut contact))?);
                bare.push(seconds(|| key.sign(algorithm, b"message"))?);
            }
            rounds.whole.push(median(whole));
            rounds.bare.push(median(bare));
            rounds.peers.push(peer()?);
        }
        Ok(rounds)
    }

    /// The row of some of these times, in microseconds, beside what the peer's time allows.
    fn row(&self, name: &'static str, times: &[f64], peer: &'static str, allowed: fn(f64) -> f64) -> Row {
        let allowed: Vec<f64> = self.peers.iter().map(|peer| allowed(*peer)).collect();
        let ratio = median(times.iter().zip(&allowed).map(|(time, allowed)| time / allowed).collect());
        Row::new(name, median(times.to_vec()) * 1e6, peer, median(allowed) * 1e6, ratio)
    }
}

/// The default suite, beside OpenSSL's RSA-2048.
fn rsa(folder: &Path) -> Fallible<Vec<Row>> {
    let rounds = Rounds::measure(folder, Suite::default(), openssl_rsa_2048)?;
    let row = |name, times| rounds.row(name, times, "OpenSSL RSA-2048 signature", |peer| peer);
    Ok(vec![
        row("signing transaction in-process", &rounds.whole).at_most(1.25),
        row("of which the bare signature of our provider", &rounds.bare),
    ])
}

/// A suite without RSA, beside OpenSSL's P-256.
fn ecdsa(folder: &Path) -> Fallible<Vec<Row>> {
    let rounds = Rounds::measure(folder, ECDSA.parse()?, openssl_p256)?;
    let (whole, bare) = (&rounds.whole, &rounds.bare);
    let limit = "1.5 OpenSSL P-256 signatures and 30 µs";
    let rows = [
        rounds.row("ECDSA transaction in-process", whole, limit, |peer| 1.5 * peer + 30e-6).at_most(1.0),
        rounds.row("of which the bare ECDSA signature", bare, "OpenSSL P-256 signature", |peer| peer),
    ];
    Ok(rows.map(|row| row.of_issue(12)).into())
}
