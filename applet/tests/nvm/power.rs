//! A disk with a cache: what was written and not synced may arrive in any order, in part, or not at all,
//! when the power is cut. One sync in each commit has to be enough.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use onetap_applet::nvm::{Image, MemoryImage, Nvm, NvmError};

use crate::rig::{Changes, Model, SLOTS, Seeded, after, commit, contents, id, open, small};

/// Smaller than a sector of any disk, and than a page.
const PIECE: usize = 128;

/// A disk and its cache.
#[derive(Clone)]
struct CachedDisk(Arc<Mutex<State>>);

struct State {
    /// What a read gives.
    cache: Vec<u8>,
    /// What is there after a power cut, whatever happens.
    disk: Vec<u8>,
    /// Writes since the last sync.
    pending: Vec<(usize, Vec<u8>)>,
    random: Seeded,
    /// How many writes and syncs succeed before the power is cut.
    left: u64,
    /// How many syncs succeed before one fails.
    sync_fails: Option<u64>,
}

impl CachedDisk {
    fn new(bytes: Vec<u8>, seed: u64, left: u64) -> Self {
        let (disk, random) = (bytes.clone(), Seeded(seed));
        let state = State { cache: bytes, disk, pending: vec![], random, left, sync_fails: None };
        Self(Arc::new(Mutex::new(state)))
    }

    /// What the disk holds after the power was cut.
    fn cut(&self) -> Vec<u8> {
        let mut state = self.0.lock().unwrap();
        state.arrive();
        state.disk.clone()
    }
}

impl State {
    fn step(&mut self) -> Result<(), NvmError> {
        self.left = self.left.checked_sub(1).ok_or(NvmError::Torn)?;
        Ok(())
    }

    /// Lets each piece of the disk see none, some or all of the pending writes to it, the oldest first, and
    /// forgets them.
    fn arrive(&mut self) {
        let mut pieces: BTreeMap<usize, Vec<(usize, Vec<u8>)>> = BTreeMap::new();
        for (at, bytes) in std::mem::take(&mut self.pending) {
            for (offset, byte) in (at..).zip(bytes) {
                let writes = pieces.entry(offset / PIECE).or_default();
                match writes.last_mut() {
                    Some((start, run)) if *start + run.len() == offset => run.push(byte),
                    _ => writes.push((offset, vec![byte])),
                }
            }
        }
        for writes in pieces.values() {
            for (at, bytes) in writes.iter().take(self.random.index(writes.len() + 1)) {
                self.disk[*at..at + bytes.len()].copy_from_slice(bytes);
            }
        }
    }
}

impl Image for CachedDisk {
    fn size(&self) -> usize {
        self.0.lock().unwrap().cache.len()
    }

    fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), NvmError> {
        into.copy_from_slice(&self.0.lock().unwrap().cache[offset..offset + into.len()]);
        Ok(())
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), NvmError> {
        let mut state = self.0.lock().unwrap();
        state.step()?;
        state.cache[offset..offset + bytes.len()].copy_from_slice(bytes);
        state.pending.push((offset, bytes.to_vec()));
        Ok(())
    }

    fn sync(&mut self) -> Result<(), NvmError> {
        let mut state = self.0.lock().unwrap();
        state.step()?;
        if state.sync_fails == Some(0) {
            // As Linux does it: what did not arrive counts as written from now on.
            state.sync_fails = None;
            state.arrive();
            return Err(NvmError::Failed);
        }
        state.sync_fails = state.sync_fails.map(|left| left - 1);
        let pending = std::mem::take(&mut state.pending);
        for (at, bytes) in pending {
            state.disk[at..at + bytes.len()].copy_from_slice(&bytes);
        }
        Ok(())
    }
}

fn changes(random: &mut Seeded) -> Changes {
    let mut change = || {
        let (number, fill) = (random.below(5) as u8, random.below(256) as u8);
        let len = [8, 8, 8, 500, 900][random.index(5)];
        (id(1, number), (random.below(6) > 0).then(|| vec![fill; len]))
    };
    let first = change();
    if change().1.is_some() { vec![first, change()] } else { vec![first] }
}

/// A disk on which an empty memory is, and nothing pending.
fn formatted() -> Vec<u8> {
    let image = small(32);
    Nvm::format(Box::new(image.clone())).unwrap();
    image.bytes().to_vec()
}

/// The state on a disk, as a machine that starts again finds it.
fn state(disk: &[u8]) -> Result<Model, NvmError> {
    Ok(contents(&open(&MemoryImage::from_bytes(disk.to_vec()))?))
}

#[test]
fn power_cuts_leave_the_state_before_or_after_whatever_the_cache_did() {
    let (mut cuts, mut afters) = (0, 0);
    for seed in 0..400 {
        let mut random = Seeded(seed);
        let (mut disk, mut model) = (formatted(), Model::new());
        for _ in 0..6 {
            let cached = CachedDisk::new(disk, random.below(1 << 40), random.below(30));
            let mut allowed = vec![model.clone()];
            if let Ok(mut nvm) = Nvm::open(Box::new(cached.clone())) {
                assert_eq!(contents(&nvm), model);
                loop {
                    let changes = changes(&mut random);
                    let next = after(&model, &changes);
                    match commit(&mut nvm, &changes) {
                        Ok(()) => model = next,
                        Err(NvmError::Torn) => {
                            // What was sure before is not any less so now.
                            allowed = vec![model, next];
                            break;
                        }
                        Err(why) => panic!("{why}"),
                    }
                }
            }
            disk = cached.cut();
            model = state(&disk).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
            assert!(allowed.contains(&model), "seed {seed}");
            cuts += 1;
            afters += u32::from(allowed.last() == Some(&model) && allowed.len() == 2);
        }
    }
    assert!(afters > 100 && cuts - afters > 100, "{afters} of {cuts}");
}

/// Of record 4 the head has arrived, and behind it is still record 2, whose zeros have not: the state is
/// that of record 3. The end of record 4 is zeros, so that zeros over this slot could make it whole.
#[test]
fn wiping_a_torn_record_never_makes_it_whole() {
    let image = small(32);
    let mut nvm = Nvm::format(Box::new(image.clone())).unwrap();
    let slot = SLOTS[0]..SLOTS[1];
    nvm.commit(&[(id(1, 0), Some(&[0xAA; 900]))]).unwrap();
    let second = image.bytes()[slot.clone()].to_vec();
    nvm.commit(&[(id(1, 1), Some(b"stands"))]).unwrap();
    let (mut disk, model) = (image.bytes().to_vec(), contents(&nvm));
    nvm.commit(&[(id(1, 1), Some(b"never"))]).unwrap();
    let fourth = image.bytes()[slot.clone()].to_vec();
    disk[slot].copy_from_slice(&[&fourth[..PIECE], &second[PIECE..]].concat());
    assert_eq!(state(&disk).unwrap(), model);
    for (seed, left) in (0..500).flat_map(|seed| (0..6).map(move |left| (seed, left))) {
        let cached = CachedDisk::new(disk.clone(), seed, left);
        let _ = Nvm::open(Box::new(cached.clone()));
        assert_eq!(state(&cached.cut()).unwrap(), model, "seed {seed}, {left}");
    }
}

/// A sync that fails may have lost anything that it was to bring to the disk, the pages of the last commit
/// among them. Its commit is undone, and all later ones are whole again.
#[test]
fn after_a_sync_that_failed_what_is_committed_is_on_the_disk() {
    for seed in 0..400 {
        let mut random = Seeded(seed);
        let cached = CachedDisk::new(formatted(), seed, u64::MAX);
        let mut nvm = Nvm::open(Box::new(cached.clone())).unwrap();
        let mut model = Model::new();
        cached.0.lock().unwrap().sync_fails = Some(random.below(6));
        let mut failures = 0;
        for _ in 0..8 {
            let changes = changes(&mut random);
            match commit(&mut nvm, &changes) {
                Ok(()) => model = after(&model, &changes),
                Err(_) => failures += 1,
            }
            assert_eq!(contents(&nvm), model);
        }
        assert!(failures <= 1);
        assert_eq!(state(&cached.cut()).unwrap_or_else(|why| panic!("seed {seed}: {why}")), model);
    }
}
