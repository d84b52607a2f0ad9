//! An image whose writes fail, once or for good: full disks, broken disks, read-only ones.

use std::io::{Error, ErrorKind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use onetap_applet::nvm::{Image, MemoryImage, Nvm, NvmError};

use crate::rig::{contents, id, open, small};

/// Which writes and syncs fail, counted from the last [`Faults::fail`].
#[derive(Clone, Default)]
struct Faults {
    step: Arc<AtomicU64>,
    fail: Arc<Mutex<Vec<u64>>>,
}

impl Faults {
    fn fail(&self, steps: impl IntoIterator<Item = u64>) {
        *self.fail.lock().unwrap() = steps.into_iter().collect();
        self.step.store(0, Ordering::Relaxed);
    }

    fn step(&self) -> Result<(), NvmError> {
        let step = self.step.fetch_add(1, Ordering::Relaxed);
        if !self.fail.lock().unwrap().contains(&step) {
            return Ok(());
        }
        let (what, source) = ("write", Error::from(ErrorKind::StorageFull));
        Err(NvmError::Io { what, path: PathBuf::from("a.card"), source })
    }
}

struct FailingImage(MemoryImage, Faults);

impl Image for FailingImage {
    fn size(&self) -> usize {
        self.0.size()
    }

    fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), NvmError> {
        self.0.read(offset, into)
    }

    /// A write that fails has written the first half.
    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), NvmError> {
        let failed = self.1.step();
        let len = if failed.is_ok() { bytes.len() } else { bytes.len() / 2 };
        self.0.write(offset, &bytes[..len])?;
        failed
    }

    fn sync(&mut self) -> Result<(), NvmError> {
        self.1.step()
    }
}

fn nvm() -> (Nvm, MemoryImage, Faults) {
    let (image, faults) = (small(16), Faults::default());
    let mut nvm = Nvm::format(Box::new(FailingImage(image.clone(), faults.clone()))).unwrap();
    nvm.commit(&[(id(1, 0), Some(b"before"))]).unwrap();
    (nvm, image, faults)
}

fn put(nvm: &mut Nvm, content: &[u8]) -> Result<(), NvmError> {
    nvm.commit(&[(id(1, 0), Some(content))])
}

/// Steps of a commit: record, sync; page, zeros. After a failure: zeros, sync.
#[test]
fn a_commit_that_fails_once_changed_nothing_and_the_next_one_counts() {
    for step in [0, 1] {
        let (mut nvm, image, faults) = nvm();
        faults.fail([step]);
        let why = put(&mut nvm, b"lost").unwrap_err();
        assert!(matches!(why, NvmError::Io { .. }) && why.to_string().contains("check the disk"));
        assert_eq!(nvm.read(id(1, 0)), Some(&b"before"[..]));
        assert_eq!(contents(&open(&image.copy()).unwrap()), contents(&nvm));
        put(&mut nvm, b"after").unwrap();
        assert_eq!(open(&image).unwrap().read(id(1, 0)), Some(&b"after"[..]));
    }
}

#[test]
fn a_failure_after_the_commit_point_is_made_good_by_the_next_commit() {
    for step in [2, 3] {
        let (mut nvm, image, faults) = nvm();
        faults.fail([step]);
        put(&mut nvm, b"committed").unwrap();
        assert_eq!(nvm.read(id(1, 0)), Some(&b"committed"[..]));
        assert_eq!(open(&image.copy()).unwrap().read(id(1, 0)), Some(&b"committed"[..]));
        // It still fails: then the next commit does not count.
        faults.fail([0]);
        assert!(matches!(put(&mut nvm, b"lost"), Err(NvmError::Io { .. })));
        assert_eq!(open(&image.copy()).unwrap().read(id(1, 0)), Some(&b"committed"[..]));
        put(&mut nvm, b"after").unwrap();
        assert_eq!(open(&image.copy()).unwrap().read(id(1, 0)), Some(&b"after"[..]));
    }
}

#[test]
fn a_failure_that_cannot_be_undone_ends_all_commits_until_the_card_starts_again() {
    for steps in [[0, 1], [1, 2], [0, 2], [1, 3]] {
        let (mut nvm, image, faults) = nvm();
        faults.fail(steps);
        assert!(matches!(put(&mut nvm, b"uncertain"), Err(NvmError::Io { .. })));
        faults.fail([]);
        let why = put(&mut nvm, b"never").unwrap_err();
        assert!(matches!(why, NvmError::Failed) && why.to_string().contains("start the card again"));
        assert_eq!(nvm.read(id(1, 0)), Some(&b"before"[..]));
        // Half a record, a whole one, or one that is half wiped: the state before or after.
        let mut nvm = open(&image).unwrap();
        assert!([&b"before"[..], b"uncertain"].contains(&nvm.read(id(1, 0)).unwrap()));
        put(&mut nvm, b"after").unwrap();
    }
}

/// A disk that is full or read-only for good: every commit is refused, nothing changes, nothing is lost.
#[test]
fn a_disk_that_takes_nothing_changes_nothing() {
    let (mut nvm, image, faults) = nvm();
    faults.fail(0..1000);
    put(&mut nvm, b"before").expect("there is nothing to write");
    assert!(matches!(put(&mut nvm, b"lost"), Err(NvmError::Io { .. })));
    assert!(matches!(put(&mut nvm, b"lost"), Err(NvmError::Failed)));
    assert_eq!(nvm.read(id(1, 0)), Some(&b"before"[..]));
    assert_eq!(contents(&open(&image.copy()).unwrap()), contents(&nvm));
    let refused = Nvm::format(Box::new(FailingImage(small(16), faults.clone())));
    assert!(matches!(refused, Err(NvmError::Io { .. })));
    let refused = Nvm::open(Box::new(FailingImage(image, faults)));
    assert!(matches!(refused, Err(NvmError::Io { .. })));
}
