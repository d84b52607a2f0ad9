//! The power cut while an operator is founded: whoever was told that it is done finds it; else it can be done
//! again.

use std::path::Path;

use onetap_recording_vfs::{Entry, Log, Recording};
use onetap_server_verifier::{Act, InitOptions, Verifier};

use super::disk::{Arrived, Disk, Files, Syncs};
use super::judge::{Violation, Wrong, books, copy_strangers, lay_out};
use super::load::{account, environment};
use super::plan::CutError;
use onetap_conformance::dice::Dice;

/// What was cut and found.
#[derive(Debug, Default)]
pub struct Founding {
    /// Places at which the power was cut.
    pub points: usize,
    /// Images that were opened.
    pub images: usize,
    /// Images that break a promise.
    pub violations: Vec<Violation>,
}

/// Founds an operator in `folder`, which is empty, and cuts the power everywhere.
///
/// # Errors
/// [`CutError`], if it does not come to a cut.
pub fn found(folder: &Path, seed: u64, random: usize) -> Result<Founding, CutError> {
    onetap_recording_vfs::install()?;
    let (bank, image) = (folder.join("bank"), folder.join("image"));
    std::fs::create_dir_all(&bank)?;
    let recording = Recording::start(&bank)?;
    drop(Verifier::init(&bank, InitOptions::new("Example Bank"), environment(seed))?);
    recording.mark(0);
    let log = recording.finish();
    copy_strangers(&bank, &image)?;
    Ok(cut_everywhere(&log, &image, seed, random))
}

fn cut_everywhere(log: &Log, image: &Path, seed: u64, random: usize) -> Founding {
    let mut disk = Disk::new(log, Syncs::Kept);
    let mut report = Founding::default();
    let mut done = false;
    for (at, entry) in log.entries.iter().enumerate() {
        disk.step(at);
        report.points += 1;
        done |= matches!(entry, Entry::Mark(_));
        let random = std::iter::repeat_n([Arrived::Prefix, Arrived::Any], random).flatten();
        let fixed = [Arrived::All, Arrived::Nothing, Arrived::FirstHalf, Arrived::SecondHalf];
        for (arrived, n) in fixed.into_iter().chain(random).zip(0..) {
            let seed = seed ^ ((at as u64) << 8) ^ n;
            let Some(files) = disk.image(at, arrived, &mut Dice::new(seed)) else { continue };
            report.images += 1;
            if let Err(wrong) = judge(&files, image, done, seed) {
                let files = report.violations.is_empty().then_some(files);
                report.violations.push(Violation { point: at + 1, arrived, seed, wrong, files });
            }
        }
    }
    report
}

fn judge(files: &Files, image: &Path, done: bool, seed: u64) -> Result<(), Wrong> {
    lay_out(files, image)?;
    let failed = |error| Wrong::Fails { doing: "opening or founding again", error };
    let again = || Verifier::init(image, InitOptions::new("Example Bank"), environment(seed));
    let opened =
        Verifier::open(image, environment(seed)).or_else(|error| if done { Err(error) } else { again() });
    let verifier = opened.map_err(failed)?;
    books(&verifier)?;
    let ada = account("Ada Lovelace", 100, None).map_err(|_| Wrong::Later("not to be made"))?;
    verifier
        .desk(Act::of_program("test", "set-up"))
        .open_account(&ada)
        .map_err(|error| Wrong::Fails { doing: "opening an account", error })?;
    books(&verifier)
}
