//! How much fits, in a memory and in a commit; what is not written; what is gone afterwards.

use onetap_applet::nvm::{
    COMMIT_CAPACITY, MAX_OBJECT, MemoryImage, Nvm, NvmError, PAGE_LEN, PAGE_PAYLOAD, TearingImage,
};

use crate::rig::{SLOTS, contents, holds, id, open, small};

fn format(pages: usize) -> (MemoryImage, Nvm) {
    let image = small(pages);
    let nvm = Nvm::format(Box::new(image.clone())).unwrap();
    (image, nvm)
}

#[test]
fn a_memory_takes_what_it_says_is_free_and_not_a_byte_more() {
    let (image, mut nvm) = format(20);
    let free = nvm.free();
    assert_eq!(free, 20 * PAGE_PAYLOAD);
    assert!(matches!(nvm.commit(&[(id(1, 0), Some(&vec![1; free + 1]))]), Err(NvmError::Full)));
    assert_eq!(nvm.read(id(1, 0)), None);
    nvm.commit(&[(id(1, 0), Some(&vec![1; free]))]).unwrap();
    assert_eq!(nvm.free(), 0);
    assert!(matches!(nvm.commit(&[(id(1, 1), Some(&[]))]), Err(NvmError::Full)));
    // A commit may use the pages that it gives back.
    nvm.commit(&[(id(1, 1), Some(&[2; 1000])), (id(1, 0), Some(&[3; 10 * PAGE_PAYLOAD]))]).unwrap();
    assert_eq!(nvm.free(), 5 * PAGE_PAYLOAD);
    assert_eq!(contents(&open(&image).unwrap()), contents(&nvm));
}

#[test]
fn a_commit_carries_its_capacity_and_not_a_page_more() {
    let (image, mut nvm) = format(200);
    assert_eq!((COMMIT_CAPACITY, COMMIT_CAPACITY % PAGE_LEN), (7936, 0));
    let pages = u8::try_from(COMMIT_CAPACITY / PAGE_LEN).unwrap();
    let change = |n: u8| (id(1, n), Some(&b"a page each"[..]));
    let too_many: Vec<_> = (0..=pages).map(change).collect();
    let why = nvm.commit(&too_many).unwrap_err();
    assert!(matches!(why, NvmError::BufferFull) && why.to_string().contains("7936"));
    assert!(contents(&nvm).is_empty() && contents(&open(&image).unwrap()).is_empty());
    nvm.commit(&too_many[1..]).unwrap();
    assert_eq!(nvm.objects_of(1).count(), usize::from(pages));
    // Pages that stay as they are do not count, and to remove an object takes next to nothing.
    nvm.commit(&too_many).unwrap();
    let mut large = vec![0; 2 * COMMIT_CAPACITY];
    for part in 1..=4 {
        let end = part * COMMIT_CAPACITY / 2;
        large[end - COMMIT_CAPACITY / 2..end].fill(u8::try_from(part).unwrap());
        nvm.commit(&[(id(2, 0), Some(&large[..end]))]).unwrap();
    }
    assert_eq!(open(&image).unwrap().read(id(2, 0)), Some(&large[..]));
    let mut all: Vec<_> = too_many.iter().map(|(id, _)| (*id, None)).collect();
    all.push((id(2, 0), None));
    nvm.commit(&all).unwrap();
    assert_eq!(nvm.free(), 200 * PAGE_PAYLOAD);
    assert!(contents(&open(&image).unwrap()).is_empty());
}

#[test]
fn the_largest_object_has_256_pages() {
    let (image, mut nvm) = format(300);
    let content: Vec<u8> = (0..MAX_OBJECT).map(|at| (at / PAGE_PAYLOAD) as u8 ^ 0x55).collect();
    for end in (0..MAX_OBJECT).step_by(30 * PAGE_PAYLOAD).skip(1).chain([MAX_OBJECT]) {
        nvm.commit(&[(id(1, 0), Some(&content[..end]))]).unwrap();
    }
    assert_eq!(open(&image).unwrap().read(id(1, 0)), Some(&content[..]));
    let larger = [&content[..], &[0]].concat();
    assert!(matches!(nvm.commit(&[(id(1, 0), Some(&larger))]), Err(NvmError::Full)));
    assert_eq!(nvm.read(id(1, 0)), Some(&content[..]));
}

#[test]
fn objects_are_listed_by_owner_and_empty_ones_are_there() {
    let (_, mut nvm) = format(20);
    for (owner, number) in [(0, 0), (0, 255), (1, 9), (1, 3), (255, 255)] {
        nvm.commit(&[(id(owner, number), Some(&[]))]).unwrap();
    }
    let of = |owner| nvm.objects_of(owner).collect::<Vec<_>>();
    assert_eq!([of(0), of(1), of(2), of(255)], [vec![0, 255], vec![3, 9], vec![], vec![255]]);
    assert_eq!((nvm.read(id(1, 3)), nvm.read(id(1, 4))), (Some(&[][..]), None));
}

#[test]
fn of_an_object_that_is_named_twice_the_last_change_counts() {
    let (image, mut nvm) = format(4);
    let put = |fill: u8| vec![fill; 3 * PAGE_PAYLOAD];
    nvm.commit(&[(id(1, 0), Some(&put(1))), (id(1, 0), Some(&put(2)))]).unwrap();
    assert_eq!(nvm.read(id(1, 0)), Some(&put(2)[..]));
    nvm.commit(&[(id(1, 0), None), (id(1, 0), Some(&put(3)))]).unwrap();
    nvm.commit(&[(id(1, 1), Some(&[4])), (id(1, 1), None)]).unwrap();
    assert_eq!(contents(&open(&image).unwrap()), contents(&nvm));
    assert_eq!((nvm.read(id(1, 0)), nvm.read(id(1, 1))), (Some(&put(3)[..]), None));
}

#[test]
fn what_stays_the_same_is_not_written() {
    let image = small(40);
    Nvm::format(Box::new(image.clone())).unwrap();
    let (tearing, switch) = TearingImage::new(image.clone());
    let mut nvm = Nvm::open(Box::new(tearing)).unwrap();
    let mut content = vec![1; 20 * PAGE_PAYLOAD];
    nvm.commit(&[(id(1, 0), Some(&content))]).unwrap();
    let writes = switch.writes();
    nvm.commit(&[(id(1, 0), Some(&content)), (id(1, 1), None)]).unwrap();
    nvm.commit(&[]).unwrap();
    assert_eq!(switch.writes(), writes);
    nvm.commit(&[(id(1, 1), Some(&[1]))]).unwrap();
    // One page of twenty: its record in two pages, itself, and zeros over the record before in two.
    let writes = switch.writes();
    content[7 * PAGE_PAYLOAD] = 2;
    nvm.commit(&[(id(1, 0), Some(&content))]).unwrap();
    assert_eq!(switch.writes() - writes, 5);
    assert_eq!(open(&image).unwrap().read(id(1, 0)), Some(&content[..]));
    // To open what was closed well writes nothing.
    let before = image.bytes();
    let (tearing, switch) = TearingImage::new(image.clone());
    Nvm::open(Box::new(tearing)).unwrap();
    assert_eq!((switch.writes(), image.bytes()), (0, before));
}

/// Nothing of what a commit replaced, cut off or removed is anywhere in the image: not in pages, not in
/// the journal (P-23).
#[test]
fn what_was_replaced_or_removed_is_gone_at_once() {
    let (image, mut nvm) = format(20);
    let secret = |n: u8| format!("joint password {n:02}").into_bytes();
    let long = |n: u8| [vec![n; 500], secret(n), vec![n; 100]].concat();
    let gone = |n: u8| assert!(!holds(&image.bytes(), &secret(n)), "{n}");
    let there = |n: u8| assert!(holds(&image.bytes(), &secret(n)), "{n}");
    nvm.commit(&[(id(1, 0), Some(&secret(1))), (id(1, 1), Some(&long(2)))]).unwrap();
    there(1);
    there(2);
    nvm.commit(&[(id(1, 0), Some(&secret(3)))]).unwrap();
    gone(1);
    there(2);
    there(3);
    // Shorter: the page that is given back is zeros; longer again: in other pages.
    nvm.commit(&[(id(1, 1), Some(&long(2)[..400]))]).unwrap();
    gone(2);
    there(3);
    nvm.commit(&[(id(1, 1), Some(&long(4)))]).unwrap();
    nvm.commit(&[(id(1, 0), None)]).unwrap();
    gone(3);
    there(4);
    nvm.commit(&[(id(1, 1), Some(&[&long(4)[..505], &[0; 100]].concat()))]).unwrap();
    gone(4);
    nvm.commit(&[(id(1, 1), None)]).unwrap();
    // Only the last record is left, and it has no content.
    let pages = image.bytes()[SLOTS[1] + 8192..].to_vec();
    assert!(pages.iter().all(|byte| *byte == 0));
}
