//! Images that rotted, were cut, or had parts of an older copy put in: what opens is the right state, or
//! nothing.

use onetap_applet::nvm::{Cut, How, MemoryImage, Nvm, NvmError, PAGE_LEN, TearingImage};

use crate::rig::{BEFORE_PAGES, Model, SLOTS, contents, id, open, small};

const PAGES: usize = 8;

/// A memory after three commits; the last one changed one page of two.
fn image() -> (MemoryImage, Model) {
    let image = small(PAGES);
    let mut nvm = Nvm::format(Box::new(image.clone())).unwrap();
    nvm.commit(&[(id(1, 0), Some(&[1; 300])), (id(1, 1), Some(b"to be removed"))]).unwrap();
    nvm.commit(&[(id(2, 0), Some(b"a small one")), (id(1, 1), None)]).unwrap();
    nvm.commit(&[(id(1, 0), Some(&[[1; 250], [2; 250]].concat()))]).unwrap();
    let model = contents(&nvm);
    (image, model)
}

fn opened(bytes: Vec<u8>) -> Result<Model, NvmError> {
    open(&MemoryImage::from_bytes(bytes)).map(|nvm| contents(&nvm))
}

/// Flips a bit in each of these bytes; gives where the image still opened, each time with a state in
/// `allowed`.
fn flip_each(image: &[u8], places: impl Iterator<Item = usize>, allowed: &[&Model]) -> Vec<usize> {
    let mut good = Vec::new();
    for at in places {
        let mut bytes = image.to_vec();
        bytes[at] ^= 1 << (at % 8);
        match opened(bytes) {
            Ok(state) => {
                assert!(allowed.contains(&&state), "{at}");
                good.push(at);
            }
            Err(NvmError::Damaged { .. } | NvmError::NotAnImage(_) | NvmError::Version { .. }) => {}
            Err(why) => panic!("{at}: {why}"),
        }
    }
    good
}

#[test]
fn a_flipped_bit_gives_the_right_state_or_a_refusal() {
    let (image, model) = image();
    let bytes = image.bytes();
    let good = flip_each(&bytes, 0..bytes.len(), &[&model]);
    // The record repairs the two pages that it wrote; a bit in any other page, free ones too, is noticed.
    let (before, pages): (Vec<usize>, Vec<usize>) = good.iter().partition(|at| **at < BEFORE_PAGES);
    assert_eq!(pages.len(), 2 * PAGE_LEN);
    // Not noticed, as nothing is there: the rest of the header, the wiped slot, the slot behind the record.
    let (header, record) = (16, 60 + 2 * (2 + PAGE_LEN));
    assert_eq!(before.len(), BEFORE_PAGES - header - record);
}

/// The power was cut after the commit point, so that both slots hold whole records. If the newer one rots,
/// there is no telling it from one that was never written whole, *unless* a page of it has arrived: then
/// the image is refused. That is all that can come back: one commit, whose answer nobody got.
#[test]
fn a_flipped_bit_after_a_tear_gives_the_state_before_or_after() {
    let (image, before) = image();
    let mut opened = 0;
    for at in 0..6 {
        let torn = image.copy();
        let (tearing, switch) = TearingImage::new(torn.clone());
        let mut nvm = Nvm::open(Box::new(tearing)).unwrap();
        switch.arm(Cut { at, how: How::Half });
        let changed = nvm.commit(&[(id(2, 0), Some(b"another one"))]);
        assert!(matches!(changed, Err(NvmError::Torn)), "{at}");
        let mut after = before.clone();
        after.insert(id(2, 0), b"another one".to_vec());
        // As soon as the page has arrived, the state before is no longer possible.
        let allowed = if at < 3 { vec![&before, &after] } else { vec![&after] };
        let torn = torn.bytes();
        let in_use = (0..torn.len()).filter(|at| torn[*at] != 0);
        opened += flip_each(&torn, in_use, &allowed).len();
    }
    assert!(opened > 1000, "{opened}");
}

#[test]
fn what_is_damaged_says_what_to_do_and_is_left_as_it_is() {
    let (image, _) = image();
    let mut bytes = image.bytes().to_vec();
    bytes[BEFORE_PAGES + 30] ^= 1;
    let damaged = MemoryImage::from_bytes(bytes.clone());
    let why = open(&damaged).unwrap_err().to_string();
    assert!(why.contains("have the issuer block this card and make a new one"), "{why}");
    assert_eq!(*damaged.bytes(), bytes);
}

/// Each page is whole and has a right check, but one is from before: a write that the disk lost, or an
/// attempt to bring back a PIN try counter.
#[test]
fn attack_put_back_a_page_of_an_older_image() {
    let image = small(PAGES);
    let mut nvm = Nvm::format(Box::new(image.clone())).unwrap();
    let mut stored = Vec::new();
    for tries in [3, 2, 1] {
        nvm.commit(&[(id(1, 0), Some(&[tries]))]).unwrap();
        stored.push(image.bytes());
        nvm.commit(&[(id(1, 1), Some(&[tries; 9]))]).unwrap();
    }
    let now = image.bytes();
    for old in &stored {
        for page in (BEFORE_PAGES..now.len()).step_by(PAGE_LEN) {
            let mut mixed = now.to_vec();
            mixed[page..page + PAGE_LEN].copy_from_slice(&old[page..page + PAGE_LEN]);
            let last_wrote = mixed == *now || page == BEFORE_PAGES + PAGE_LEN;
            match opened(mixed) {
                Ok(state) => assert!(last_wrote && state[&id(1, 0)] == [1]),
                Err(why) => assert!(!last_wrote && matches!(why, NvmError::Damaged { .. }), "{why}"),
            }
        }
    }
}

#[test]
fn attack_put_back_an_older_journal() {
    let image = small(PAGES);
    let mut nvm = Nvm::format(Box::new(image.clone())).unwrap();
    nvm.commit(&[(id(1, 0), Some(&[3]))]).unwrap();
    let old = image.bytes();
    for tries in [2, 1, 0] {
        nvm.commit(&[(id(1, 0), Some(&[tries]))]).unwrap();
        let mut mixed = image.bytes().to_vec();
        mixed[SLOTS[0]..BEFORE_PAGES].copy_from_slice(&old[SLOTS[0]..BEFORE_PAGES]);
        assert!(matches!(opened(mixed), Err(NvmError::Damaged { .. })));
    }
}

/// A record counts in its own slot only: in the other one the next commit would write over it.
#[test]
fn a_record_in_the_wrong_slot_is_refused_and_a_second_copy_is_wiped() {
    let (image, model) = image();
    let bytes = image.bytes();
    let (even, odd) = (&bytes[SLOTS[0]..SLOTS[1]], &bytes[SLOTS[1]..BEFORE_PAGES]);
    let with = |slots: [&[u8]; 2]| [&bytes[..SLOTS[0]], slots[0], slots[1], &bytes[BEFORE_PAGES..]].concat();
    assert!(matches!(opened(with([odd, even])), Err(NvmError::Damaged { .. })));
    let doubled = MemoryImage::from_bytes(with([even, even]));
    assert_eq!(contents(&open(&doubled).unwrap()), model);
    assert_eq!(doubled.bytes(), bytes);
}

#[test]
fn an_image_without_its_journal_header_or_end_is_refused() {
    let (image, _) = image();
    let bytes = image.bytes();
    let without = |range: std::ops::Range<usize>| {
        let mut bytes = bytes.to_vec();
        bytes[range].fill(0);
        opened(bytes)
    };
    assert!(matches!(without(SLOTS[0]..BEFORE_PAGES), Err(NvmError::Damaged { .. })));
    assert!(matches!(without(0..SLOTS[0]), Err(NvmError::Damaged { .. })));
    assert!(matches!(without(BEFORE_PAGES..bytes.len()), Err(NvmError::Damaged { .. })));
    for len in [BEFORE_PAGES, BEFORE_PAGES + 100, bytes.len() - 1, bytes.len() - PAGE_LEN] {
        assert!(matches!(opened(bytes[..len].to_vec()), Err(NvmError::Damaged { .. })), "{len}");
    }
    let longer = [&bytes[..], &[0; PAGE_LEN]].concat();
    assert!(matches!(opened(longer), Err(NvmError::Damaged { .. })));
    assert!(matches!(opened(vec![]), Err(NvmError::NotAnImage(_))));
    assert!(matches!(opened(vec![0; 100]), Err(NvmError::NotAnImage(_))));
    assert!(matches!(opened(b"#!/bin/sh\necho this is no card".to_vec()), Err(NvmError::NotAnImage(_))));
}

#[test]
fn other_formats_are_told_by_their_number() {
    let (image, _) = image();
    let version = |number: u32| {
        let mut bytes = image.bytes().to_vec();
        bytes[8..12].copy_from_slice(&number.to_be_bytes());
        opened(bytes).unwrap_err()
    };
    assert!(matches!(version(1), NvmError::Format1(_)));
    let newer = version(3);
    assert!(matches!(newer, NvmError::Version { found: 3, known: 2, .. }));
    assert!(newer.to_string().contains("use a newer version"));
}

#[test]
fn a_fresh_image_is_empty_and_a_card_is_never_overwritten() {
    let image = small(PAGES);
    assert!(matches!(open(&image), Err(NvmError::Empty(_))));
    Nvm::format(Box::new(image.clone())).unwrap();
    assert!(matches!(Nvm::format(Box::new(image.clone())), Err(NvmError::Exists(_))));
    let stray = MemoryImage::from_bytes({
        let mut bytes = small(PAGES).bytes().to_vec();
        bytes[BEFORE_PAGES + 5] = 1;
        bytes
    });
    assert!(matches!(Nvm::format(Box::new(stray)), Err(NvmError::Exists(_))));
    let none = MemoryImage::new(BEFORE_PAGES);
    assert!(matches!(Nvm::format(Box::new(none)), Err(NvmError::NotAnImage(_))));
}
