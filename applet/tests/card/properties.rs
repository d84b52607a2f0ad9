//! Whatever happens in whatever order: the card answers, shows nothing in the field, reveals nothing
//! without the confirm key, and signs once for each counter value.

use std::collections::BTreeMap;

use onetap_apdu_spec::command::{AID, CardState, Name};
use onetap_apdu_spec::signed::SignatureMessage;
use onetap_applet::{DEAD_TIME_MS, DEBOUNCE_MS, Key};
use proptest::prelude::*;

use crate::rig::Rig;

#[derive(Debug, Clone)]
enum Event {
    Raw(Vec<u8>),
    Command(Name),
    PutTxn,
    Enter,
    Leave,
    PowerOff,
    PowerOn,
    Reset,
    Press(Key),
    Pass(u64),
    Restart,
    Fail(usize),
    Heal,
}

fn event() -> impl Strategy<Value = Event> {
    use Name::{GetData, GetEncPassword, GetResponse, GetSignature, Select};
    let name = prop::sample::select(vec![Select, GetData, GetSignature, GetEncPassword, GetResponse]);
    let key = prop_oneof![
        4 => Just(Key::Next),
        3 => Just(Key::Confirm),
        1 => Just(Key::Cancel),
        1 => Just(Key::Previous),
        1 => Just(Key::Clear),
        1 => any::<u8>().prop_map(Key::Digit),
    ];
    let millis = prop::sample::select(vec![1, DEBOUNCE_MS, DEAD_TIME_MS, 61_000, 400_000]);
    prop_oneof![
        2 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Event::Raw),
        6 => name.prop_map(Event::Command),
        5 => Just(Event::PutTxn),
        3 => Just(Event::Enter),
        3 => Just(Event::Leave),
        1 => Just(Event::PowerOff),
        1 => Just(Event::PowerOn),
        1 => Just(Event::Reset),
        12 => key.prop_map(Event::Press),
        6 => millis.prop_map(Event::Pass),
        1 => Just(Event::Restart),
        1 => (0..3usize).prop_map(Event::Fail),
        2 => Just(Event::Heal),
    ]
}

fn apply(rig: &mut Rig, event: &Event) -> Option<Vec<u8>> {
    match event {
        Event::Raw(bytes) => {
            assert!(rig.card.transmit(bytes).len() >= 2);
        }
        Event::Command(name) => {
            let data: &[u8] = if *name == Name::Select { &AID } else { &[] };
            let response = rig.send(*name, None, data);
            return (*name == Name::GetSignature && !response.data.is_empty()).then_some(response.data);
        }
        Event::PutTxn => {
            let alias = rig.send(Name::GetData, None, &[]).data;
            if let Some(alias) = alias.get(3..) {
                let alias = std::str::from_utf8(alias).unwrap().to_owned();
                let message = crate::rig::transaction(&alias, "1.00").encode().unwrap();
                rig.sw(Name::PutTxn, message.bytes());
            }
        }
        Event::Enter => rig.enter(),
        Event::Leave => rig.card.leave_field(),
        Event::PowerOff => rig.card.power_off(),
        Event::PowerOn => rig.card.power_on(),
        Event::Reset => rig.card.reset(),
        Event::Press(key) => drop(rig.card.press(*key)),
        Event::Pass(millis) => rig.pass(*millis),
        Event::Restart => {
            rig.nvm.heal();
            rig.restart();
        }
        Event::Fail(after) => rig.nvm.fail_after(*after),
        Event::Heal => rig.nvm.heal(),
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn invariants_hold(events in prop::collection::vec(event(), 1..80)) {
        let mut rig = Rig::new();
        let mut signatures = BTreeMap::<u32, Vec<u8>>::new();
        for event in &events {
            let before = rig.card.state();
            if let Some(signature) = apply(&mut rig, event) {
                let counter = SignatureMessage::parse(&signature).unwrap().header.counter;
                let first = signatures.entry(counter).or_insert_with(|| signature.clone());
                prop_assert_eq!(&*first, &signature, "one signature for each counter value");
            }
            let after = rig.card.state();
            let screen = rig.card.screen();
            let awake = matches!(after, CardState::Showing | CardState::Revealed);
            prop_assert!(screen.is_blank() || (awake && !rig.card.in_field()));
            if after == CardState::Revealed && before != CardState::Revealed {
                prop_assert!(matches!(event, Event::Press(Key::Confirm)));
                prop_assert_eq!(before, CardState::Showing);
            }
        }
    }
}
