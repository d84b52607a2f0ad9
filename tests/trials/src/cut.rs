//! The power is cut at every access of SQLite to its files, and with it goes what was not synced.
//!
//! kill -9 does not test this: what a process has written outlives it in the system's memory. Here a verifier
//! works in a watched folder ([`onetap_recording_vfs`]); for every place in what was written down, the disks
//! that a power cut there may leave are built, each is opened by a new verifier, and everything that was
//! acknowledged must be there, nothing twice, and nothing that nobody began.
//!
//! | module | what lives there |
//! |---|---|
//! | `plan` | how much is done |
//! | `load` | what is done, with a mark at each beginning and each acknowledgement |
//! | `paper` | cards for it |
//! | `disk` | what a cut may leave |
//! | `judge` | whether that keeps all promises |
//! | `founding` | the same while an operator is founded |

mod disk;
mod founding;
mod judge;
mod load;
mod paper;
mod plan;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use onetap_recording_vfs::{Entry, Log};

use disk::Disk;
pub use disk::{Arrived, Files, Syncs};
pub use founding::{Founding, found};
use judge::{Judge, Known};
pub use judge::{Violation, Wrong};
use load::Story;
use plan::scenario;
pub use plan::{CutError, Plan};

use onetap_conformance::dice::Dice;

/// What was cut and found.
#[derive(Debug, Default)]
pub struct Report {
    /// Places at which the power was cut.
    pub points: usize,
    /// Different images that were opened.
    pub images: usize,
    /// Images that came of a second cut.
    pub second: usize,
    /// What the verifier had been asked for and had answered.
    pub acknowledged: usize,
    /// Decisions that shared a commit with others.
    pub shared: usize,
    /// Images that break a promise.
    pub violations: Vec<Violation>,
}

/// Does what `plan` says in `folder`, which is empty, and cuts the power everywhere.
///
/// # Errors
/// [`CutError`], if it does not come to a cut.
pub fn run(folder: &Path, plan: Plan) -> Result<Report, CutError> {
    onetap_recording_vfs::install()?;
    let bank = folder.join("bank");
    let mut story = load::record(&bank, plan)?;
    if plan.acknowledged_early {
        story.log = acknowledged_early(&story);
    }
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let judges = (0..workers).map(|n| Judge::new(&story, &bank, folder.join(format!("image-{n}"))));
    let judges = judges.collect::<Result<Vec<_>, _>>()?;
    let (sender, images) = sync_channel(workers);
    let images = Mutex::new(images);
    let mut report = std::thread::scope(|scope| {
        let judges: Vec<_> =
            judges.iter().map(|judge| scope.spawn(|| sentence(judge, plan, &images))).collect();
        let mut report = cut_everywhere(&story, plan, &sender);
        drop(sender);
        for judge in judges {
            let judged = judge.join().map_err(|_| scenario("a judge panicked"))?;
            report.second += judged.second;
            report.violations.extend(judged.violations);
        }
        Ok::<_, CutError>(report)
    })?;
    report.violations.sort_by_key(|violation| violation.point);
    report.shared = story.crowds.iter().map(|marks| shared(&story.log, marks)).sum();
    report.acknowledged = story.marks.iter().filter(|mark| mark.acknowledged).count();
    Ok(report)
}

/// How many of the decisions between these marks had no sync of their own.
fn shared(log: &Log, marks: &Range<usize>) -> usize {
    let first = log.entries.iter().skip_while(|entry| **entry != Entry::Mark(marks.start));
    let all = first.take_while(|entry| !matches!(entry, Entry::Mark(mark) if *mark >= marks.end));
    let syncs = all.filter(|entry| matches!(entry, Entry::Sync { .. })).count();
    (marks.len() / 2).saturating_sub(syncs)
}

/// A disk to look at.
struct Image {
    files: Files,
    known: Known,
    point: usize,
    arrived: Arrived,
    seed: u64,
}

/// Goes through the log and sends each image that is new.
fn cut_everywhere(story: &Story, plan: Plan, images: &SyncSender<Image>) -> Report {
    let mut disk = Disk::new(&story.log, plan.syncs);
    let mut known = Known::none(story);
    let mut seen = HashSet::new();
    let mut report = Report::default();
    for (at, entry) in story.log.entries.iter().enumerate() {
        disk.step(at);
        if let Entry::Mark(mark) = entry {
            known.hear(story.marks[*mark]);
        }
        report.points += 1;
        for (arrived, seed) in kinds(plan, at) {
            let Some(files) = disk.image(at, arrived, &mut Dice::new(seed)) else { continue };
            if !seen.insert(fingerprint(&files, &known)) {
                continue;
            }
            report.images += 1;
            // A judge that is gone has panicked, which is reported when it is joined.
            let _ = images.send(Image { files, known: known.clone(), point: at + 1, arrived, seed });
        }
    }
    report
}

/// What is tried at a place, each with a seed of its own.
fn kinds(plan: Plan, at: usize) -> impl Iterator<Item = (Arrived, u64)> {
    let fixed = [Arrived::All, Arrived::Nothing, Arrived::FirstHalf, Arrived::SecondHalf];
    let random = (0..plan.random).flat_map(|_| [Arrived::Prefix, Arrived::Any]);
    let seeds = (0_u64..).map(move |n| plan.seed.wrapping_mul(1 << 32) ^ ((at as u64) << 8) ^ n);
    fixed.into_iter().chain(random).zip(seeds)
}

fn fingerprint(files: &Files, known: &Known) -> u64 {
    let mut hasher = DefaultHasher::new();
    (files, known).hash(&mut hasher);
    hasher.finish()
}

/// Judges images until there are no more.
fn sentence(judge: &Judge<'_>, plan: Plan, images: &Mutex<Receiver<Image>>) -> Report {
    let next = || images.lock().unwrap_or_else(PoisonError::into_inner).recv();
    let mut report = Report::default();
    while let Ok(image) = next() {
        let (point, arrived, seed) = (image.point, image.arrived, image.seed);
        let mut found = judge.judge(&image.files, &image.known, seed);
        if found.is_ok() && plan.twice > 0 && Dice::new(seed).below(plan.twice) == 0 {
            found = cut_again(judge, &image, &mut report);
        }
        if let Err(wrong) = found {
            let files = report.violations.is_empty().then_some(image.files);
            report.violations.push(Violation { point, arrived, seed, wrong, files });
        }
    }
    report
}

/// Works on an image and cuts the power at every place of that, the recovery among it.
fn cut_again(judge: &Judge<'_>, image: &Image, report: &mut Report) -> Result<(), Wrong> {
    let log = judge.record_later(&image.files, image.seed)?;
    let mut disk = Disk::new(&log, Syncs::Kept);
    let mut known = image.known.clone();
    let mut seen = HashSet::new();
    for (at, entry) in log.entries.iter().enumerate() {
        disk.step(at);
        if let Entry::Mark(mark) = entry {
            known.hear_later(*mark);
        }
        for arrived in [Arrived::All, Arrived::Nothing, Arrived::Any] {
            let Some(files) = disk.image(at, arrived, &mut Dice::new(image.seed + at as u64)) else {
                continue;
            };
            if !seen.insert(fingerprint(&files, &known)) {
                continue;
            }
            report.second += 1;
            // Another seed than the work: a server does not draw the same again.
            let judged = judge.judge(&files, &known, !image.seed);
            judged.map_err(|wrong| Wrong::AfterAnother { point: at + 1, arrived, wrong: Box::new(wrong) })?;
        }
    }
    Ok(())
}

/// The log with each acknowledgement before the sync that came before it.
fn acknowledged_early(story: &Story) -> Log {
    let mut entries: Vec<Entry> = Vec::with_capacity(story.log.entries.len());
    for entry in &story.log.entries {
        let acknowledged = matches!(entry, Entry::Mark(mark) if story.marks[*mark].acknowledged);
        let sync = entries.iter().rposition(|entry| matches!(entry, Entry::Sync { .. }));
        match sync.filter(|_| acknowledged) {
            Some(sync) => entries.insert(sync, entry.clone()),
            None => entries.push(entry.clone()),
        }
    }
    Log { before: story.log.before.clone(), entries }
}

/// Where to put the images: in memory, where there is such a folder.
#[must_use]
pub fn fast_folder() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}
