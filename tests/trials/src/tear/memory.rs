//! An image that remembers what was written to it, and what it was at each sync.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use onetap_applet::nvm::{How, Image, MemoryImage, NvmError};

/// Memory with a log. Clones are the same memory.
#[derive(Clone)]
pub(super) struct Watched {
    memory: MemoryImage,
    log: Arc<Mutex<Option<Log>>>,
}

/// Where a write went, and its bytes.
pub(super) type PageWrite = (usize, Vec<u8>);

/// What happened since [`Watched::start`].
#[derive(Default)]
pub(super) struct Log {
    /// Each write.
    pub(super) writes: Vec<PageWrite>,
    /// At each sync, where a commit begins to count: how many writes there were, and the whole memory.
    pub(super) synced: Vec<(usize, Vec<u8>)>,
    /// How many writes and syncs there were when the step began.
    begun: (usize, usize),
}

impl Log {
    /// The writes of the step.
    pub(super) fn step_writes(&self) -> &[PageWrite] {
        self.writes.get(self.begun.0..).unwrap_or_default()
    }

    /// The memory at each sync of the step.
    pub(super) fn step_synced(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.synced.iter().skip(self.begun.1).map(|(_, memory)| memory)
    }

    /// Stretches of writes of which a machine without power may lose any: from one sync to the next, as far
    /// as the step goes. With the memory before each.
    pub(super) fn unsynced(&self, base: &[u8]) -> Vec<(Vec<u8>, &[PageWrite])> {
        let before_step = self.begun.1.saturating_sub(1);
        let mut starts: Vec<_> = self.synced.iter().skip(before_step).cloned().collect();
        if self.begun.1 == 0 {
            starts.insert(0, (0, base.to_vec()));
        }
        let ends = starts.iter().skip(1).map(|(at, _)| *at).chain([self.writes.len()]).collect::<Vec<_>>();
        let stretch = |((at, memory), end): ((usize, Vec<u8>), usize)| {
            (memory, self.writes.get(at..end).unwrap_or_default())
        };
        starts.into_iter().zip(ends).map(stretch).collect()
    }
}

/// Memories in which some of `writes` are missing: all of them, all but one, or one.
pub(super) fn lost(memory: &[u8], writes: &[PageWrite]) -> Vec<Vec<u8>> {
    let with = |there: &dyn Fn(usize) -> bool| {
        let mut memory = memory.to_vec();
        let there = writes.iter().enumerate().filter(|(at, _)| there(*at));
        there.for_each(|(_, (at, bytes))| put(&mut memory, *at, bytes));
        memory
    };
    let one = (0..writes.len()).flat_map(|one| [with(&|at| at == one), with(&|at| at != one)]);
    [with(&|_| false)].into_iter().chain(one).collect()
}

impl Watched {
    /// Memory that holds `bytes`, without a log.
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self { memory: MemoryImage::from_bytes(bytes.to_vec()), log: Arc::default() }
    }

    /// Begins the log.
    pub(super) fn start(&self) {
        *self.lock() = Some(Log::default());
    }

    /// The step begins.
    pub(super) fn begin_step(&self) {
        if let Some(log) = &mut *self.lock() {
            log.begun = (log.writes.len(), log.synced.len());
        }
    }

    /// Ends it.
    pub(super) fn stop(&self) -> Log {
        self.lock().take().unwrap_or_default()
    }

    /// All bytes.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.memory.bytes().to_vec()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Log>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Image for Watched {
    fn size(&self) -> usize {
        self.memory.size()
    }

    fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), NvmError> {
        self.memory.read(offset, into)
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), NvmError> {
        if let Some(log) = &mut *self.lock() {
            log.writes.push((offset, bytes.to_vec()));
        }
        self.memory.write(offset, bytes)
    }

    fn sync(&mut self) -> Result<(), NvmError> {
        let bytes = self.bytes();
        if let Some(log) = &mut *self.lock() {
            log.synced.push((log.writes.len(), bytes));
        }
        self.memory.sync()
    }
}

/// Every memory that a cut in the middle of `writes` can leave behind, which all went to `memory` in turn.
pub(super) fn torn(memory: &[u8], writes: &[PageWrite]) -> Vec<Vec<u8>> {
    let mut memory = memory.to_vec();
    let mut all = Vec::with_capacity(writes.len() * How::ALL.len());
    for (at, bytes) in writes {
        let half = bytes.len() / 2;
        for part in [0..0, 0..half, half..bytes.len(), 0..bytes.len()] {
            let mut cut = memory.clone();
            put(&mut cut, at + part.start, bytes.get(part).unwrap_or_default());
            all.push(cut);
        }
        put(&mut memory, *at, bytes);
    }
    all
}

fn put(memory: &mut [u8], at: usize, bytes: &[u8]) {
    memory.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
}
