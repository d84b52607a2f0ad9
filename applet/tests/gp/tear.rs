//! The card is torn out at every write, in every way: afterwards it is as before or as after.

use onetap_apdu_spec::gp::life_cycle::ApplicationState;
use onetap_apdu_spec::gp::registry::{Entry, Scope};
use onetap_apdu_spec::gp::{KeySet, SIGNING_APPLET};
use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::nvm::{Cut, How, MemoryImage, TearSwitch, TearingImage};

use crate::rig::{Bench, Failed, own_keys, refusal};

/// Does `work` on copies of a card, cutting the power at each of its writes in each way, and lets `judge`
/// look at what is left. Counts the cuts.
pub(crate) fn sweep<T>(
    start: &MemoryImage,
    mut work: impl FnMut(&mut Bench) -> T,
    mut judge: impl FnMut(Bench, T),
) -> usize {
    let mut cuts = 0;
    for how in How::ALL {
        for at in 0.. {
            let memory = start.copy();
            let (image, switch) = TearingImage::new(memory.clone());
            let switch: TearSwitch = switch;
            let mut torn = Bench::open(image, memory.clone());
            switch.arm(Cut { at, how });
            let result = work(&mut torn);
            let reached = switch.torn();
            drop(torn);
            judge(Bench::open(memory.clone(), memory), result);
            if !reached {
                break;
            }
            cuts += 1;
        }
    }
    cuts
}

#[test]
fn no_sequence_counter_is_used_twice() {
    let mut bench = Bench::new();
    bench.sequence(&KeySet::TEST);
    let initialise = |bench: &mut Bench| {
        let (_, answer) = bench.initialize(KeySet::TEST.version());
        (answer.sw == StatusWord::OK).then_some(answer.data)
    };
    let cuts = sweep(&bench.memory, initialise, |mut after, answered| {
        let next = after.sequence(&KeySet::TEST);
        assert!(next == 2 || next == 3, "{next}");
        // What was answered before the power went used counter 2.
        assert!(answered.is_none() || next == 3, "counter {next} again");
    });
    assert!(cuts >= 4, "{cuts} cuts");
}

#[test]
fn there_is_always_one_key_set_that_opens_the_card() {
    let bench = Bench::new();
    let put = |bench: &mut Bench| bench.with_keys(&KeySet::TEST, |issuer| issuer.put_keys(&own_keys(0x30)));
    let cuts = sweep(&bench.memory, put, |mut after, result: Result<(), Failed>| {
        let old = after.with_keys(&KeySet::TEST, |_| Ok(())).is_ok();
        let new = after.with_keys(&own_keys(0x30), |_| Ok(())).is_ok();
        assert!(old != new, "old {old}, new {new}");
        assert!(new || result.is_err(), "told that the keys are there");
    });
    assert!(cuts >= 8, "{cuts} cuts");
}

#[test]
fn personalisation_is_whole_or_not_there_and_can_be_done_again() {
    let bench = Bench::new();
    let (mut blank, mut made) = (0, 0);
    let issue = |bench: &mut Bench| bench.issue(&KeySet::TEST, None);
    let cuts = sweep(&bench.memory, issue, |mut after, result| {
        let listed = after.with_keys(&KeySet::TEST, |issuer| issuer.list(Scope::Applications)).unwrap();
        let said = listed.iter().any(|entry| {
            matches!(entry.entry, Entry::Application(life) if life.state == ApplicationState::Personalized)
        });
        let again = after.issue(&KeySet::TEST, None);
        assert_eq!(said, again.is_err(), "it says what it is");
        if again.is_ok() {
            assert!(result.is_err(), "personalised twice");
            blank += 1;
        } else {
            assert_eq!(refusal(again), StatusWord::CONDITIONS);
            // A card whose statement was lost on the way: the issuer deletes and begins again.
            after.with_keys(&KeySet::TEST, |issuer| issuer.delete(SIGNING_APPLET)).unwrap();
            after.issue(&KeySet::TEST, None).unwrap();
            made += 1;
        }
    });
    assert!(cuts >= 20 && blank > 0 && made > 0, "{cuts} cuts: {blank} blank, {made} made");
}
