//! What is left of a joint password in this process's memory once the card has wiped it (TM-12, REQ-K-6). In a program
//! of its own: other tests draw the same passwords.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

#[allow(dead_code, reason = "made for more tests than this one")]
#[path = "card/rig.rs"]
mod rig;

use std::fs::{File, read_to_string};
use std::os::unix::fs::FileExt as _;

use onetap_applet::Key;
use onetap_keeping_allocator::Keeping;
use rig::Rig;

#[global_allocator]
static ALLOCATOR: Keeping = Keeping;

/// Kept instead of the password, so that this test does not hold it.
const MASK: u8 = 0x5a;
const PIECE: usize = 1 << 16;

/// The password on the display, masked: as it is, and in groups as it is shown.
fn masked(rig: &mut Rig) -> [Vec<u8>; 2] {
    let screen = rig.card.screen();
    let shown = screen.lines()[1].bytes().map(|byte| byte ^ MASK);
    let grouped: Vec<u8> = shown.collect();
    [grouped.iter().copied().filter(|byte| *byte != b' ' ^ MASK).collect(), grouped]
}

/// How often what is masked stands in the writable memory of this process.
fn found(masked: &[u8]) -> usize {
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

#[test]
fn a_joint_password_that_was_wiped_is_nowhere_in_memory() {
    let mut rig = Rig::new();
    for superseded in [false, true] {
        rig.tap("12.34");
        rig.read();
        rig.card.press(Key::Confirm).unwrap();
        let [plain, grouped] = masked(&mut rig);
        assert!(plain.len() >= 6 && found(&plain) > 0, "it is on the display, so it is found");
        if superseded {
            rig.enter();
        } else {
            rig.card.press(Key::Cancel).unwrap();
        }
        assert_eq!((found(&plain), found(&grouped)), (0, 0), "superseded: {superseded}");
    }
}
