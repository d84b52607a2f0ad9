//! A card is made over GlobalPlatform, and used, and cared for.

use onetap_apdu_spec::apdu::Form;
use onetap_apdu_spec::command::{AID, CardState, CardStatus, Name};
use onetap_apdu_spec::crypto::default_provider;
use onetap_apdu_spec::gp::ceremony::signing_applet;
use onetap_apdu_spec::gp::life_cycle::{ApplicationState, CardLifeCycle};
use onetap_apdu_spec::gp::registry::{Entry, Scope, SetStatus};
use onetap_apdu_spec::gp::{KeySet, SIGNING_APPLET};
use onetap_apdu_spec::money::Amount;
use onetap_apdu_spec::signed::SignatureMessage;
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::text::DisplayText;
use onetap_apdu_spec::txn::{Transaction, TransactionType};
use onetap_applet::{DEAD_TIME_MS, DEBOUNCE_MS, Key};

use crate::rig::{Bench, hex_bytes, order, own_keys, pin, refusal};

pub(crate) const SELECT_SIGNING: &str = "00A40400 08 F04F4E4554415001 00";
const GET_STATUS_OBJECT: &str = "00CADF26 00";
pub(crate) const GET_ALIAS: &str = "00CA9F24 00";

#[test]
fn a_blank_card_becomes_a_card_that_signs() {
    let mut blank = Bench::new();
    assert_eq!(blank.sw(SELECT_SIGNING), StatusWord::NOT_FOUND, "nothing is installed");
    let (mut bench, statement) = Bench::issued();
    statement.verify(default_provider()).unwrap();
    assert_eq!(bench.sw(SELECT_SIGNING), StatusWord::OK);
    assert_eq!(bench.sw(GET_ALIAS), StatusWord::OK, "the card key is there");
    let mut again = bench.restart();
    assert_eq!(again.sw(SELECT_SIGNING), StatusWord::OK);
    assert_eq!(again.sw(GET_ALIAS), StatusWord::OK);
}

#[test]
fn the_statement_is_of_the_key_that_the_card_made() {
    let (bench, statement) = Bench::issued();
    let key = default_provider().rsa_private(include_bytes!("../data/card-key.pk8")).unwrap();
    assert_eq!(statement.public_key, key.public_spki());
    assert_eq!(statement.binding, order().binding);
    drop(bench);
}

#[test]
fn personalised_once() {
    let (mut bench, _) = Bench::issued();
    let own = own_keys(0x30);
    assert_eq!(refusal(bench.issue(&own, None)), StatusWord::CONDITIONS);
    bench.with_keys(&own, |issuer| issuer.delete(SIGNING_APPLET)).unwrap();
    assert_eq!(bench.sw(SELECT_SIGNING), StatusWord::NOT_FOUND);
    bench.issue(&own, None).unwrap();
    assert_eq!(bench.sw(SELECT_SIGNING), StatusWord::OK);
}

#[test]
fn an_order_that_makes_no_card_is_refused_and_leaves_the_applet_blank() {
    let mut bench = Bench::new();
    let mut wrong = order();
    wrong.confirmation.key_up_to = wrong.confirmation.pin_up_to + 1;
    let refused = bench.with_keys(&KeySet::TEST, |issuer| issuer.personalise(&wrong, &pin("2468")));
    assert_eq!(refusal(refused), StatusWord::WRONG_DATA);
    bench.issue(&KeySet::TEST, None).unwrap();
}

fn status(bench: &mut Bench) -> CardStatus {
    assert_eq!(bench.sw(SELECT_SIGNING), StatusWord::OK);
    let answer = bench.send(&hex_bytes(GET_STATUS_OBJECT));
    CardStatus::from_bytes(&answer.data[3..]).unwrap()
}

/// A payment that only the PIN confirms, up to the display: its counter value.
pub(crate) fn pay(bench: &mut Bench) -> u32 {
    assert_eq!(bench.sw(SELECT_SIGNING), StatusWord::OK);
    let alias = bench.send(&hex_bytes(GET_ALIAS)).data[3..].to_vec();
    let transaction = Transaction {
        kind: TransactionType::Payment,
        payer: String::from_utf8(alias).unwrap().parse().unwrap(),
        payee_account: "DE89370400440532013000".parse().unwrap(),
        payee_name: DisplayText::new("Coffee Shop").unwrap(),
        amount: Amount::parse("600.00", "EUR".parse().unwrap()).unwrap(),
        at: time::macros::datetime!(2026-01-02 03:04:05),
        terminal: "TERM0001".parse().unwrap(),
        unpredictable_number: [1, 2, 3, 4],
        reference: DisplayText::new("Order 4711").unwrap(),
        details: None,
    };
    let transaction = transaction.encode().unwrap();
    let mut send = |name: Name, data: &[u8]| {
        let answer = bench.send(&name.spec().apdu(None, data).encode(Form::Extended).unwrap());
        assert_eq!(answer.sw, StatusWord::OK);
        answer.data
    };
    send(Name::PutTxn, transaction.bytes());
    let signature = send(Name::GetSignature, &[]);
    send(Name::GetEncPassword, &[]);
    bench.card.leave_field();
    bench.pass(DEBOUNCE_MS);
    for _ in 1..bench.card.screen().pages() {
        bench.card.press(Key::Next).unwrap();
    }
    bench.pass(DEAD_TIME_MS);
    SignatureMessage::parse(&signature).unwrap().header.counter
}

impl Bench {
    pub(crate) fn pass(&mut self, millis: u64) {
        self.clock.advance(millis);
        self.card.tick();
    }

    /// Types a PIN on the card's keys. What a wrong one comes to shows in the card's state.
    pub(crate) fn type_pin(&mut self, digits: &str) {
        for digit in digits.bytes() {
            self.card.press(Key::Digit(digit - b'0')).unwrap();
        }
        let _ = self.card.press(Key::Confirm);
    }
}

#[test]
fn a_blocked_pin_is_unblocked_by_the_issuer_and_only_the_new_one_counts() {
    let (mut bench, _) = Bench::issued();
    pay(&mut bench);
    for _ in 0..3 {
        bench.type_pin("9999");
    }
    bench.enter();
    assert!(status(&mut bench).pin_blocked);
    bench.with_keys(&own_keys(0x30), |issuer| issuer.unblock_pin(&pin("1357"))).unwrap();
    assert!(!status(&mut bench).pin_blocked);
    pay(&mut bench);
    bench.type_pin("2468");
    assert_eq!(bench.card.state(), CardState::Showing, "the old PIN");
    bench.type_pin("1357");
    assert_eq!(bench.card.state(), CardState::Revealed);
}

#[test]
fn unblocking_a_card_that_is_blank_is_refused() {
    let mut bench = Bench::new();
    let result = bench.with_keys(&KeySet::TEST, |issuer| {
        issuer.install(&signing_applet())?;
        issuer.unblock_pin(&pin("1357"))
    });
    assert_eq!(refusal(result), StatusWord::CONDITIONS);
}

#[test]
fn life_cycles() {
    let (mut bench, _) = Bench::issued();
    let keys = own_keys(0x30);
    let listed = bench.with_keys(&keys, |issuer| issuer.list(Scope::Applications)).unwrap();
    let [entry] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!(entry.aid.as_bytes(), AID);
    let Entry::Application(life_cycle) = entry.entry else { panic!("{entry:?}") };
    assert_eq!((life_cycle.state, life_cycle.locked), (ApplicationState::Personalized, false));

    let lock = |lock| SetStatus::Application { aid: SIGNING_APPLET, lock };
    bench.with_keys(&keys, |issuer| issuer.set_status(lock(true))).unwrap();
    assert_eq!(bench.sw(SELECT_SIGNING), StatusWord::NOT_FOUND, "a locked application is not there");
    let refused = bench.with_keys(&keys, |issuer| issuer.unblock_pin(&pin("1357")));
    assert_eq!(refusal(refused), StatusWord::CONDITIONS);
    assert_eq!(
        refusal(bench.with_keys(&keys, |issuer| issuer.set_status(lock(true)))),
        StatusWord::CONDITIONS
    );
    bench = bench.restart();
    bench.with_keys(&keys, |issuer| issuer.set_status(lock(false))).unwrap();
    assert_eq!(bench.sw(SELECT_SIGNING), StatusWord::OK);

    for next in [CardLifeCycle::Initialized, CardLifeCycle::Secured, CardLifeCycle::Locked] {
        bench.with_keys(&keys, |issuer| issuer.set_status(SetStatus::Card(next))).unwrap();
    }
    assert_eq!(bench.sw(SELECT_SIGNING), StatusWord::NOT_FOUND, "a locked card has its issuer only");
    bench = bench.restart();
    let listed = bench.with_keys(&keys, |issuer| issuer.list(Scope::IssuerDomain)).unwrap();
    assert_eq!(listed[0].entry, Entry::IssuerDomain(CardLifeCycle::Locked));
    let back = SetStatus::Card(CardLifeCycle::Initialized);
    assert_eq!(refusal(bench.with_keys(&keys, |issuer| issuer.set_status(back))), StatusWord::CONDITIONS);
    bench.with_keys(&keys, |issuer| issuer.set_status(SetStatus::Card(CardLifeCycle::Secured))).unwrap();
    assert_eq!(bench.sw(SELECT_SIGNING), StatusWord::OK);

    bench.with_keys(&keys, |issuer| issuer.set_status(SetStatus::Card(CardLifeCycle::Terminated))).unwrap();
    bench = bench.restart();
    for apdu in [SELECT_SIGNING, "00A40400 08 A000000151000000 00", "80CA0066 00"] {
        assert_eq!(bench.sw(apdu), StatusWord::CONDITIONS, "terminated for good: {apdu}");
    }
}
