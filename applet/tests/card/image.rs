//! The image file: one owner, no overwriting, damage is told and never guessed around.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use onetap_applet::Card;
use onetap_applet::card::{ImageFile, ImageOptions, Nvm, NvmError, VirtualClock};
use tempfile::TempDir;

use crate::rig::{CARD_KEY, PIN, START, environment, order};

const HEADER: usize = 4096;
const SLOT: usize = 16 * 1024 + 44;

fn path() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.card");
    (folder, path)
}

fn create(path: &std::path::Path) -> ImageFile {
    ImageFile::create(path, ImageOptions::default()).unwrap()
}

fn open(path: &std::path::Path) -> Result<ImageFile, NvmError> {
    ImageFile::open(path, ImageOptions::default())
}

#[test]
fn what_was_committed_last_is_read() {
    for durable in [false, true] {
        let (_folder, path) = path();
        let mut file = ImageFile::create(&path, ImageOptions { durable }).unwrap();
        assert!(file.load().unwrap().is_none());
        for n in 1..=5u8 {
            file.commit(&vec![n; 100 * usize::from(n)]).unwrap();
        }
        drop(file);
        assert_eq!(open(&path).unwrap().load().unwrap().unwrap()[..], [5; 500]);
    }
}

#[test]
fn a_file_is_never_overwritten_and_only_for_its_owner() {
    let (_folder, path) = path();
    drop(create(&path));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let again = ImageFile::create(&path, ImageOptions::default());
    assert!(matches!(again, Err(NvmError::Exists(_))));
    fs::write(&path, b"something else").unwrap();
    assert!(matches!(open(&path), Err(NvmError::NotAnImage(_))));
    fs::write(&path, [0; 64]).unwrap();
    assert!(matches!(open(&path), Err(NvmError::NotAnImage(_))));
}

#[test]
fn one_card_is_open_in_one_place() {
    let (_folder, path) = path();
    let file = create(&path);
    assert!(matches!(open(&path), Err(NvmError::InUse(_))));
    drop(file);
    open(&path).unwrap();
}

#[test]
fn a_torn_write_leaves_the_image_before() {
    let (_folder, path) = path();
    let mut file = create(&path);
    for n in 1..=3u8 {
        file.commit(&[n; 50]).unwrap();
    }
    let before = fs::read(&path).unwrap();
    file.commit(&[4; 50]).unwrap();
    drop(file);
    let after = fs::read(&path).unwrap();
    let load = |torn: &[u8]| {
        fs::write(&path, torn).unwrap();
        open(&path).unwrap().load().unwrap().unwrap().to_vec()
    };
    // The fourth commit writes the second slot first, then the first one; tear both at each byte.
    let second = HEADER + SLOT;
    for at in (0..44 + 50).step_by(3) {
        let torn = [&before[..second], &after[second..second + at], &before[second + at..]].concat();
        assert_eq!(load(&torn), [3; 50], "{at}");
        let torn = [&after[..HEADER + at], &before[HEADER + at..second], &after[second..]].concat();
        assert_eq!(load(&torn), [4; 50], "{at}");
    }
}

/// What a commit wiped is nowhere in the file, and damage to either slot does not undo the commit: no
/// cancelled transaction comes back, no PIN try, no counter value (P-23).
#[test]
fn attack_damage_a_slot_to_bring_back_the_image_before() {
    for commits in 2..=5u8 {
        let (_folder, path) = path();
        let mut file = create(&path);
        for n in 1..commits {
            file.commit(&[n; 500]).unwrap();
        }
        file.commit(&[commits; 50]).unwrap();
        drop(file);
        let whole = fs::read(&path).unwrap();
        let earlier = (1..commits).any(|n| whole.windows(20).any(|bytes| bytes == [n; 20]));
        assert!(!earlier, "{commits}");
        for slot in [HEADER, HEADER + SLOT] {
            let mut damaged = whole.clone();
            damaged[slot + 50] ^= 1;
            fs::write(&path, damaged).unwrap();
            assert_eq!(open(&path).unwrap().load().unwrap().unwrap()[..], [commits; 50]);
        }
    }
}

#[test]
fn damage_in_both_copies_is_told() {
    let (_folder, path) = path();
    let mut file = create(&path);
    file.commit(&[1; 50]).unwrap();
    file.commit(&[2; 50]).unwrap();
    drop(file);
    let mut bytes = fs::read(&path).unwrap();
    bytes[HEADER + 50] ^= 1;
    bytes[HEADER + SLOT + 50] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let why = open(&path).unwrap().load().unwrap_err();
    assert!(matches!(why, NvmError::Damaged(_)));
    assert!(why.to_string().contains("make a new one"));
    bytes.truncate(HEADER + 10);
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(open(&path).unwrap().load(), Err(NvmError::Damaged(_))));
}

#[test]
fn an_image_that_is_too_large_changes_nothing() {
    let (_folder, path) = path();
    let mut file = create(&path);
    file.commit(&[1]).unwrap();
    assert!(matches!(file.commit(&[2; 20_000]), Err(NvmError::TooLarge(_))));
    assert_eq!(file.load().unwrap().unwrap()[..], [1]);
}

#[test]
fn a_folder_that_is_not_there_is_told() {
    let nowhere = tempfile::tempdir().unwrap().path().join("gone").join("a.card");
    let why = ImageFile::create(&nowhere, ImageOptions::default()).map(drop).unwrap_err();
    assert!(matches!(why, NvmError::Io { .. }) && why.to_string().contains("check the disk"));
}

#[test]
fn a_card_lives_in_a_file_and_is_made_once() {
    let (_folder, path) = path();
    let clock = VirtualClock::at(START);
    let make = |nvm: ImageFile| {
        let order = order(onetap_apdu_spec::suite::Suite::default());
        Card::personalise_with_key(order, PIN.parse().unwrap(), CARD_KEY, Box::new(nvm), environment(&clock))
    };
    drop(make(create(&path)).unwrap());
    Card::open(Box::new(open(&path).unwrap()), environment(&clock)).unwrap();
    let why = make(open(&path).unwrap()).map(drop).unwrap_err();
    assert!(why.to_string().contains("already holds a card"));
    let (_folder, empty) = self::path();
    let why = Card::open(Box::new(create(&empty)), environment(&clock)).map(drop).unwrap_err();
    assert!(why.to_string().contains("personalise"));
}

/// The layout of version 1 must load for ever. The file is what `Rig::new().tap("12.34")` had stored when
/// version 1 was new; never make it again.
#[test]
fn images_of_version_1_load() {
    let stored: &[u8] = include_bytes!("../data/image-v1.bin");
    let mut nvm = onetap_applet::card::MemoryNvm::default();
    nvm.commit(stored).unwrap();
    let clock = VirtualClock::at(START);
    let mut card = Card::open(Box::new(nvm), environment(&clock)).unwrap();
    assert_eq!(card.state(), onetap_apdu_spec::command::CardState::Showing);
    assert!(card.screen().lines().iter().any(|line| line == "12.34 EUR"));
}

#[test]
fn an_image_of_a_newer_version_or_of_nonsense_is_told() {
    let rig = crate::rig::Rig::new();
    let image = rig.nvm.image();
    for (at, what) in [(1, "newer version"), (3, "cannot be read")] {
        let mut bytes = image.clone();
        bytes[at] ^= 0x40;
        let mut nvm = rig.nvm.clone();
        nvm.commit(&bytes).unwrap();
        let why = rig.reopen().map(drop).unwrap_err().to_string();
        assert!(why.contains(what), "{why}");
    }
}
