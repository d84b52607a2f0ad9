//! Looks for bytes in the writable memory of this process.

use std::fs::{File, read_to_string};
use std::os::unix::fs::FileExt as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Kept instead of a secret, so that a test does not hold it.
pub(crate) const MASK: u8 = 0x5a;
const PIECE: usize = 1 << 16;

/// One test at a time: what looks for one secret holds pieces of memory with others.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often what is masked stands in the writable memory of this process.
pub(crate) fn found(masked: &[u8]) -> usize {
    let memory = File::open("/proc/self/mem").unwrap();
    let mut piece = vec![0; PIECE];
    let mut count = 0;
    for (mut from, to) in writable() {
        while from < to {
            let size = PIECE.min(usize::try_from(to - from).unwrap());
            // A page that is gone meanwhile holds nothing.
            let read = memory.read_at(&mut piece[..size], from).unwrap_or(0);
            let fits = |window: &&[u8]| window.iter().zip(masked).all(|(byte, mask)| byte ^ MASK == *mask);
            count += piece[..read].windows(masked.len()).filter(fits).count();
            // The piece is memory too.
            piece.fill(0);
            // What crosses two pieces is seen whole in the second one.
            from += if size == PIECE { (PIECE - masked.len()) as u64 } else { size as u64 };
        }
    }
    count
}

/// First and last address of each writable region.
fn writable() -> Vec<(u64, u64)> {
    let maps = read_to_string("/proc/self/maps").unwrap();
    let region = |line: &str| {
        let (range, rest) = line.split_once(' ')?;
        let (from, to) = range.split_once('-')?;
        let address = |text| u64::from_str_radix(text, 16).ok();
        rest.starts_with("rw").then_some((address(from)?, address(to)?))
    };
    maps.lines().filter_map(region).collect()
}
