//! The power is cut before, in and after every page write of every kind of commit, and again in the
//! recovery, and again in the recovery from that.

use std::collections::HashMap;

use onetap_applet::nvm::{Cut, How, MemoryImage, Nvm, NvmError, TearSwitch, TearingImage};

use crate::rig::{Changes, Model, after, commit, contents, holds, id, open, small};

/// One commit of each kind: what is there before, and what changes.
fn commits() -> Vec<Changes> {
    let put = |number: u8, fill: u8, len: usize| (id(1, number), Some(vec![fill; len]));
    vec![
        vec![put(0, 1, 8), put(1, 1, 500), put(2, 1, 0)],
        vec![put(0, 2, 8)],
        vec![put(0, 3, 8), put(1, 3, 500)],
        vec![put(1, 4, 300)],
        vec![put(1, 5, 720), put(3, 5, 236)],
        vec![(id(1, 1), None), put(4, 6, 300), put(2, 6, 237)],
        vec![(id(1, 4), None), (id(1, 2), None)],
        vec![(id(1, 0), None), (id(1, 3), None)],
    ]
}

/// The image before each commit, and the models before and after it.
fn steps() -> Vec<(MemoryImage, Changes, Model, Model)> {
    let image = small(9);
    let mut nvm = Nvm::format(Box::new(image.clone())).unwrap();
    let mut model = Model::new();
    let mut steps = Vec::new();
    for changes in commits() {
        let (snapshot, next) = (image.copy(), after(&model, &changes));
        commit(&mut nvm, &changes).unwrap();
        assert_eq!(contents(&nvm), next);
        steps.push((snapshot, changes, model, next.clone()));
        model = next;
    }
    steps
}

fn torn_open(image: &MemoryImage, cut: Cut) -> (Result<Nvm, NvmError>, TearSwitch) {
    let (tearing, switch) = TearingImage::new(image.clone());
    switch.arm(cut);
    (Nvm::open(Box::new(tearing)), switch)
}

/// All cuts from the first page write on, until `run` tells that it was not cut any more.
fn each_cut(mut run: impl FnMut(Cut) -> bool) -> u64 {
    let mut cuts = 0;
    for at in 0.. {
        for how in How::ALL {
            if !run(Cut { at, how }) {
                return cuts;
            }
            cuts += 1;
        }
    }
    cuts
}

/// Images that were torn: their state, and how many tears deep they were looked at. Many cuts leave the same.
#[derive(Default)]
struct Seen(HashMap<Vec<u8>, (Model, u8)>);

impl Seen {
    /// Opens `image`, tearing the recovery at each of its writes, `depth` times over; the state must be one
    /// of `allowed`, and the same each time. Gives how many recoveries there were.
    fn recoveries(&mut self, image: &MemoryImage, allowed: &[&Model], depth: u8) -> u64 {
        let (known, bytes) = (self.0.get(&*image.bytes()), image.bytes().to_vec());
        if let Some((state, _)) = known.filter(|(_, known)| *known >= depth) {
            assert!(allowed.contains(&state));
            return 1;
        }
        let settled = image.copy();
        let state = contents(&open(&settled).unwrap());
        assert!(allowed.contains(&&state));
        assert_eq!(contents(&open(&settled).unwrap()), state);
        self.0.insert(bytes, (state.clone(), depth));
        if depth == 0 {
            return 1;
        }
        let mut recoveries = 1;
        each_cut(|cut| {
            let torn = image.copy();
            let (opened, switch) = torn_open(&torn, cut);
            if switch.torn() {
                assert!(matches!(opened, Err(NvmError::Torn)));
                recoveries += self.recoveries(&torn, &[&state], depth - 1);
            }
            switch.torn()
        });
        recoveries
    }
}

#[test]
fn a_tear_at_any_write_leaves_the_state_before_or_after() {
    let (mut cuts, mut recovered, mut befores, mut afters) = (0, 0, 0, 0);
    for (image, changes, before, next) in steps() {
        let mut seen = Seen::default();
        cuts += each_cut(|cut| {
            let torn = image.copy();
            let (tearing, switch) = TearingImage::new(torn.clone());
            let mut nvm = Nvm::open(Box::new(tearing)).unwrap();
            switch.arm(cut);
            let result = commit(&mut nvm, &changes);
            assert_eq!(switch.torn(), matches!(result, Err(NvmError::Torn)), "{result:?}");
            if switch.torn() {
                assert!(nvm.commit(&[(id(9, 9), Some(b"no power"))]).is_err());
                recovered += seen.recoveries(&torn, &[&before, &next], 2);
                let state = contents(&open(&torn).unwrap());
                befores += u32::from(state == before);
                afters += u32::from(state == next);
            }
            switch.torn()
        });
    }
    assert!(befores > 50 && afters > 50, "{befores} {afters}");
    println!("{cuts} cuts, {recovered} recoveries, 0 violations");
}

/// Of what a recovery took back, or what the torn commit replaced, nothing is left in the image.
fn assert_nothing_else_is_stored(image: &MemoryImage, state: &Model) {
    for fill in 1..=6 {
        let stored = holds(&image.bytes(), &[fill; 8]);
        assert_eq!(stored, state.values().any(|content| holds(content, &[fill; 8])), "{fill}");
    }
}

/// After a tear and a recovery the memory works as ever: the next commit counts, and survives too.
#[test]
fn the_card_goes_on_after_a_tear() {
    for (image, changes, ..) in steps() {
        each_cut(|cut| {
            let torn = image.copy();
            let (tearing, switch) = TearingImage::new(torn.clone());
            let mut nvm = Nvm::open(Box::new(tearing)).unwrap();
            switch.arm(cut);
            let _ = commit(&mut nvm, &changes);
            let mut nvm = open(&torn).unwrap();
            assert_nothing_else_is_stored(&torn, &contents(&nvm));
            for fill in [7, 8, 9] {
                let changes = vec![(id(2, 0), Some(vec![fill; 300]))];
                let expected = after(&contents(&nvm), &changes);
                commit(&mut nvm, &changes).unwrap();
                assert_eq!(contents(&open(&torn).unwrap()), expected);
            }
            switch.torn()
        });
    }
}

#[test]
fn a_tear_while_formatting_leaves_a_fresh_image_or_an_empty_memory() {
    let (mut fresh, mut empty) = (0, 0);
    each_cut(|cut| {
        let image = small(16);
        let (tearing, switch) = TearingImage::new(image.clone());
        switch.arm(cut);
        let formatted = Nvm::format(Box::new(tearing));
        assert_eq!(switch.torn(), formatted.is_err());
        match open(&image) {
            Err(NvmError::Empty(_)) => {
                fresh += 1;
                Nvm::format(Box::new(image.clone())).unwrap();
            }
            nvm => {
                empty += 1;
                assert!(contents(&nvm.unwrap()).is_empty());
            }
        }
        assert!(open(&image).is_ok());
        switch.torn()
    });
    assert!(fresh > 100 && empty >= 2, "{fresh} {empty}");
}

#[test]
fn the_switch_counts_pages_and_cuts_where_it_is_told() {
    use onetap_applet::nvm::Image as _;
    let image = MemoryImage::new(4 * 256);
    let (mut tearing, switch) = TearingImage::new(image.clone());
    tearing.write(200, &[1; 100]).unwrap();
    tearing.write(256, &[1; 512]).unwrap();
    assert_eq!(switch.writes(), 4);
    switch.arm(Cut { at: 1, how: How::Half });
    assert!(matches!(tearing.write(0, &[2; 768]), Err(NvmError::Torn)));
    assert_eq!((switch.writes(), switch.torn()), (5, true));
    assert_eq!(image.bytes()[..256], [2; 256]);
    assert_eq!(image.bytes()[256..384], [2; 128]);
    assert_eq!(image.bytes()[384..768], [1; 384]);
    assert!(matches!(tearing.read(0, &mut [0]), Err(NvmError::Torn)));
    assert!(matches!(tearing.sync(), Err(NvmError::Torn)));

    let (mut tearing, switch) = TearingImage::new(image.copy());
    switch.arm(Cut { at: 0, how: How::Before });
    switch.disarm();
    tearing.write(0, &[3]).unwrap();
    assert!(!switch.torn());
}
