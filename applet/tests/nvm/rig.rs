//! What the tests share: a model of the memory, small images, files in folders of their own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use onetap_applet::nvm::{Change, IMAGE_LEN, MemoryImage, Nvm, NvmError, ObjectId, PAGE_LEN};
use tempfile::TempDir;

/// Header and journal: what comes before the pages.
pub(crate) const BEFORE_PAGES: usize = IMAGE_LEN - 64 * 1024;
pub(crate) const SLOTS: [usize; 2] = [4096, 12288];

/// What a memory holds.
pub(crate) type Model = BTreeMap<ObjectId, Vec<u8>>;
/// A commit: objects and their new contents.
pub(crate) type Changes = Vec<(ObjectId, Option<Vec<u8>>)>;

pub(crate) fn id(owner: u8, number: u8) -> ObjectId {
    ObjectId { owner, number }
}

/// A fresh memory of `pages` pages.
pub(crate) fn small(pages: usize) -> MemoryImage {
    MemoryImage::new(BEFORE_PAGES + pages * PAGE_LEN)
}

pub(crate) fn open(image: &MemoryImage) -> Result<Nvm, NvmError> {
    Nvm::open(Box::new(image.clone()))
}

/// Everything that a memory holds.
pub(crate) fn contents(nvm: &Nvm) -> Model {
    let ids = (0..=u8::MAX).flat_map(|owner| nvm.objects_of(owner).map(move |number| id(owner, number)));
    ids.map(|id| (id, nvm.read(id).unwrap().to_vec())).collect()
}

pub(crate) fn commit(nvm: &mut Nvm, changes: &Changes) -> Result<(), NvmError> {
    let borrowed: Vec<Change<'_>> = changes.iter().map(|(id, content)| (*id, content.as_deref())).collect();
    nvm.commit(&borrowed)
}

/// The model after a commit.
pub(crate) fn after(before: &Model, changes: &Changes) -> Model {
    let mut model = before.clone();
    for (id, content) in changes {
        match content {
            Some(content) => model.insert(*id, content.clone()),
            None => model.remove(id),
        };
    }
    model
}

/// Whether `needle` is anywhere in `bytes`.
pub(crate) fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// A generator of numbers from a seed (SplitMix64): a failure can be repeated.
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }

    /// As [`Seeded::below`], for lengths and places.
    pub(crate) fn index(&mut self, end: usize) -> usize {
        usize::try_from(self.below(end as u64)).unwrap()
    }
}

/// A new process holds, until it runs its own program, all open files of this one, locks included. So no
/// process is started while a test has a file open.
static FILES: RwLock<()> = RwLock::new(());

/// A folder for files; no process is started while it is there.
pub(crate) struct Folder {
    folder: TempDir,
    _no_start: RwLockReadGuard<'static, ()>,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let guard = FILES.read().unwrap_or_else(PoisonError::into_inner);
        Self { folder: tempfile::tempdir().unwrap(), _no_start: guard }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("a.card")
    }
}

/// Starts a process while no other test has a file open.
pub(crate) fn start(command: &mut Command) -> Child {
    let _no_files = FILES.write().unwrap_or_else(PoisonError::into_inner);
    command.spawn().unwrap()
}
