//! Random commits, restarts and tears against a model.

use std::cell::Cell;

use onetap_applet::nvm::{Cut, How, Nvm, NvmError, TearSwitch, TearingImage};
use proptest::prelude::*;

use crate::rig::{Changes, Model, after, commit, contents, id, open, small};

const PAGES: usize = 40;

#[derive(Debug, Clone)]
enum Step {
    Commit(Changes),
    Restart,
    /// A commit whose power is cut; then restarts whose power is cut too.
    Tear(Changes, Cut, Vec<Cut>),
}

fn changes() -> impl Strategy<Value = Changes> {
    let content = prop_oneof![
        1 => Just(None),
        3 => (any::<u8>(), 0..20usize).prop_map(|(fill, len)| Some(vec![fill; len])),
        1 => prop::collection::vec(any::<u8>(), 0..1500).prop_map(Some),
    ];
    prop::collection::vec(((0..3u8, 0..4u8).prop_map(|(owner, number)| id(owner, number)), content), 0..5)
}

fn cut(writes: u64) -> impl Strategy<Value = Cut> {
    (0..writes, prop::sample::select(&How::ALL[..])).prop_map(|(at, how)| Cut { at, how })
}

fn step() -> impl Strategy<Value = Step> {
    let cuts = || prop::collection::vec(cut(30), 0..3);
    prop_oneof![
        4 => changes().prop_map(Step::Commit),
        1 => Just(Step::Restart),
        3 => (changes(), cut(20), cuts()).prop_map(|(changes, cut, more)| Step::Tear(changes, cut, more)),
    ]
}

struct Machine {
    image: onetap_applet::nvm::MemoryImage,
    nvm: Nvm,
    switch: TearSwitch,
    model: Model,
    tears: u32,
}

impl Machine {
    fn new() -> Self {
        let image = small(PAGES);
        Nvm::format(Box::new(image.clone())).unwrap();
        let (tearing, switch) = TearingImage::new(image.clone());
        let nvm = Nvm::open(Box::new(tearing)).unwrap();
        Self { image, nvm, switch, model: Model::new(), tears: 0 }
    }

    fn restart(&mut self, cuts: &[Cut]) {
        for cut in cuts {
            let (tearing, switch) = TearingImage::new(self.image.clone());
            switch.arm(*cut);
            let opened = Nvm::open(Box::new(tearing));
            assert_eq!(opened.is_err(), switch.torn());
        }
        let (tearing, switch) = TearingImage::new(self.image.clone());
        self.nvm = Nvm::open(Box::new(tearing)).unwrap();
        self.switch = switch;
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Commit(changes) => self.commit(changes),
            Step::Restart => self.restart(&[]),
            Step::Tear(changes, cut, more) => {
                self.switch.arm(*cut);
                self.commit(changes);
                self.switch.disarm();
                if self.switch.torn() {
                    self.tears += 1;
                    self.restart(more);
                    let (state, next) = (contents(&self.nvm), after(&self.model, changes));
                    assert!(state == self.model || state == next);
                    self.model = state;
                }
            }
        }
        assert_eq!(contents(&self.nvm), self.model);
        assert_eq!(contents(&open(&self.image.copy()).unwrap()), self.model);
    }

    fn commit(&mut self, changes: &Changes) {
        match commit(&mut self.nvm, changes) {
            Ok(()) => self.model = after(&self.model, changes),
            Err(NvmError::Full | NvmError::BufferFull) => {}
            Err(NvmError::Torn) => assert!(self.switch.torn()),
            Err(why) => panic!("{why}"),
        }
    }
}

#[test]
fn any_commits_restarts_and_tears_agree_with_a_model() {
    let tears = Cell::new(0);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(steps in prop::collection::vec(step(), 1..25))| {
        let mut machine = Machine::new();
        steps.iter().for_each(|step| machine.run(step));
        tears.set(tears.get() + machine.tears);
    });
    assert!(tears.get() > 100, "{tears:?}");
}
