//! The attacks of docs/threat-model.md that touch the server: each fails here, and
//! each test fails if its defence is taken out.

use crate::home::*;
use crate::support::*;
use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::crypto::default_provider;
use onetap_apdu_spec::envelope::Envelope;
use onetap_apdu_spec::header::Header;
use onetap_apdu_spec::keys::CardKeys;
use onetap_apdu_spec::money::{Amount, CurrencyCode};
use onetap_apdu_spec::personal::EnrolmentStatement;
use onetap_apdu_spec::rng::OsRng;
use onetap_apdu_spec::signed::{SignatureMessage, SignedParts};
use onetap_apdu_spec::suite::SignatureAlgorithm;
use onetap_apdu_spec::txn::PayeeName;
use onetap_server_verifier::*;

const SUITE: &str = "a3+sha256+rsa-oaep";

fn executed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Executed(_))
}

/// B with RSA alone: the terminal encrypts a password of its own choosing and types that.
#[test]
fn attack_terminal_makes_its_own_e_in_b() {
    let world = world();
    for suite in ["b1+rsa-oaep", "b2+sha256+rsa-oaep"] {
        let mut card = world.card(suite);
        let tap = card.tap(world.payment(100));
        // The terminal has all that is public: H, T and the server's key; it lacks the card's keys.
        let strange = CardKeys::new(default_provider(), onetap_apdu_spec::crypto::Key256::new([7; 32]));
        let public = default_provider().rsa_public(&card.order.server_public_key).unwrap();
        let own = password("11111111");
        let e = Envelope::new(default_provider(), &strange, &tap.header, &tap.request.transaction)
            .seal(&own, Some(public.as_ref()), &mut OsRng)
            .unwrap();
        let mut request = tap.typed("11111111");
        request.password_object.as_mut().unwrap().bytes = e;
        assert_eq!(world.send(&request), Outcome::Refused, "{suite}");
        assert_eq!(world.why(), Some(Why::UndecryptablePassword));
    }
    assert_eq!(world.wrong_passwords(), 0);
}

/// B: E of one session beside S of another.
#[test]
fn attack_crossed_b_sessions() {
    let world = world();
    for suite in ["b1+rsa-oaep", "b2+sha256+aes-cbc-cmac"] {
        let mut card = world.card(suite);
        let (small, large) = (card.tap(world.payment(100)), card.tap(world.payment(90_000)));
        let mut request = large.request.clone();
        request.password_object.clone_from(&small.request.password_object);
        request.verification_password = small.password.clone();
        assert_eq!(world.send(&request), Outcome::Refused, "{suite}");
        assert_eq!(world.balances().1, 0);
    }
}

/// An E that does not open is an alarm: no try is charged, and C is dead.
#[test]
fn undecryptable_e_is_an_alarm_and_kills_the_counter_value() {
    let world = world();
    let mut card = world.card("b1+rsa-oaep");
    let tap = card.tap(world.payment(100));
    let mut request = tap.request.clone();
    request.password_object.as_mut().unwrap().bytes[3] ^= 1;
    let send = || world.verifier.authorise(&world.client, "till-7", &request).unwrap();
    assert_eq!(send(), Outcome::Refused);
    assert_eq!(world.why(), Some(Why::UndecryptablePassword));
    assert_eq!(send(), Outcome::Refused, "the stored answer, which raises no second alarm");
    assert_eq!(world.send(&tap.request), Outcome::Refused);
    assert_eq!(world.why(), Some(Why::DeadCounter));
    assert_eq!(world.wrong_passwords(), 0);
    assert_eq!(world.verifier.alarms(), 1);
    let messages = world.verifier.messages(None, 10).unwrap();
    let told: Vec<_> = messages.iter().map(|message| (message.topic, &message.account)).collect();
    assert_eq!(told, [(Topic::Alarm, &world.ada)]);
}

/// Bare CMAC: whoever holds the key finds another T with the same tag, which the genuine S then covers.
/// The last block of the second message takes up the difference of the chains before it.
#[test]
fn attack_bare_cmac_collides_and_is_refused_by_policy() {
    let crypto = default_provider();
    let key = onetap_apdu_spec::crypto::Key256::new([9; 32]);
    let genuine = b"pay 000000000100to the Coffee Shopreference 000007";
    let (genuine, mut forged) = (&genuine[..48], b"pay 000000090000to the thief ....".to_vec());
    forged.truncate(32);
    let chain = |blocks: &[u8]| crypto.cbc_encrypt(&key, &[0; 16], blocks)[16..32].to_vec();
    let (before, wanted) = (chain(&forged), chain(&genuine[..32]));
    let last = genuine[32..].iter().zip(before).zip(wanted).map(|((byte, a), b)| byte ^ a ^ b);
    forged.extend(last);
    assert_ne!(genuine, forged);
    assert_eq!(crypto.cmac(&key, &[genuine]), crypto.cmac(&key, &[&forged]), "the attack works");
    let hashed = |message: &[u8]| crypto.cmac(&key, &[&crypto.sha256(&[message])]);
    assert_ne!(hashed(genuine), hashed(&forged), "hashing first stops it");

    let world = world();
    for suite in ["danger-b2+cmac+rsa-oaep", "danger-a3+cbc+rsa-oaep"] {
        let mut options = CardOptions::new(eur());
        options.suite = suite.parse().unwrap();
        let ordered = world.verifier.desk(Act::of_program("test", "set-up")).order_card(&world.ada, &options);
        assert!(matches!(ordered, Err(ServiceError::DangerRefused { .. })), "{suite}");
    }
}

/// A card that was enrolled under a weaker policy may not pay under the default one.
#[test]
fn attack_weak_card_of_an_earlier_policy_is_refused_at_decision_time() {
    let home = Home::with(|policy| policy.danger_allow_weak_suites = true);
    let mut card = home.card("danger-a1");
    let strict = serde_json::to_string(&Policy::default()).unwrap();
    home.behind(&format!("UPDATE server SET policy = '{strict}'"));
    let verifier = home.open().unwrap();
    let tap = card.tap(home.payment(100));
    assert_eq!(verifier.authorise(&home.client, "k", &tap.request).unwrap(), Outcome::Refused);
    assert_eq!(home.balances(), (i64::try_from(OPENING).unwrap(), 0));
}

/// A1 and A2 with an unkeyed digest: S and the public key are enough to find the password off line.
#[test]
fn attack_off_line_guessing_works_and_is_why_policy_refuses() {
    let world = world_with(|policy| policy.danger_allow_weak_suites = true);
    for suite in ["danger-a1", "danger-a2+sha256"] {
        let mut card = world.card(suite);
        let tap = card.tap(world.payment(100));
        let public = default_provider().rsa_public(&card.statement().public_key).unwrap();
        let s = SignatureMessage::parse(&tap.request.signature_message).unwrap().signature;
        let t = &tap.request.transaction;
        // Whoever tries needs no key of the card's.
        let strange = CardKeys::new(default_provider(), onetap_apdu_spec::crypto::Key256::new([7; 32]));
        let hit = |guess: &str| {
            let (crypto, guess) = (default_provider(), password(guess));
            let parts = SignedParts::compose(crypto, &strange, &tap.header, t, &guess, Vec::new());
            public.verify(SignatureAlgorithm::Pkcs1Sha256, &parts.signed_bytes(), &s).is_ok()
        };
        // The last hundred of a search through all.
        let right: u64 = tap.password.expose().parse().unwrap();
        let found = (right.saturating_sub(50)..).map(|guess| format!("{guess:08}")).find(|guess| hit(guess));
        assert_eq!(found.as_deref(), Some(tap.password.expose()), "{suite}");
    }
}

/// A right password refused for funds, replayed after payday.
#[test]
fn attack_replay_after_payday() {
    let world = world();
    let mut card = world.card(SUITE);
    let tap = card.tap(world.payment(OPENING + 1));
    assert_eq!(world.send(&tap.request), Outcome::InsufficientFunds);
    // Payday: someone pays Ada.
    let eve = account(&world.verifier, "Eve", AccountKind::Current, OPENING);
    let mut eves = world.card_of(&eve, SUITE.parse().unwrap());
    let mut wage = world.payment(50_000);
    wage.payee_account = world.ada.clone();
    wage.payee_name = PayeeName::new("Ada Lovelace").unwrap();
    assert!(executed(&world.send(&eves.tap(wage).request)));
    assert_eq!(world.send(&tap.request), Outcome::Refused);
    assert_eq!(world.balances().1, 0);
}

#[test]
fn attack_replay_below_the_mark() {
    let world = world();
    let mut card = world.card(SUITE);
    let (first, second) = (card.tap(world.payment(100)), card.tap(world.payment(200)));
    assert!(executed(&world.send(&second.request)));
    assert_eq!(world.send(&first.request), Outcome::Refused);
    assert_eq!(world.why(), Some(Why::StaleCounter));
}

/// REQ-V-9: as long as its C is at the mark, what was executed gets its receipt again; then a cancellation has it.
#[test]
fn what_was_executed_is_repeated_at_the_mark_only() {
    let world = world();
    let mut card = world.card(SUITE);
    let (first, second) = (card.tap(world.payment(100)), card.tap(world.payment(200)));
    let receipt = world.send(&first.request);
    assert!(executed(&receipt));
    assert_eq!(world.send(&first.request), receipt, "at the mark");
    assert_eq!(world.send(&second.typed("wrongpass")), Outcome::Refused);
    assert_eq!(world.send(&first.request), Outcome::Refused, "below the mark");
    assert_eq!(world.why(), Some(Why::StaleCounter));
    assert_eq!(world.wrong_passwords(), 1, "the refused repetition cost no try");
    let cancelled = world.verifier.cancel(&world.client, &first.request.cancellation()).unwrap();
    assert_eq!(cancelled, receipt);
    assert_eq!(world.balances().1, 100);
}

/// The mark moves with every valid S, even of a request that is refused, or on a locked account.
#[test]
fn every_request_with_a_valid_signature_moves_the_mark() {
    let world = world();
    let mut card = world.card(SUITE);
    let (first, mut thief) = (card.tap(world.payment(100)), world.payment(100));
    thief.payee_name = PayeeName::new("Somebody Else").unwrap();
    let refused = card.tap(thief);
    assert_eq!(world.send(&refused.request), Outcome::Refused);
    assert_eq!(world.send(&first.request), Outcome::Refused);
    assert_eq!(world.why(), Some(Why::StaleCounter));
}

/// A card cloned or restored to an older state signs other bytes with a counter value already used.
#[test]
fn attack_counter_reset() {
    let world = world();
    let mut card = world.card(SUITE);
    assert!(executed(&world.send(&card.tap(world.payment(100)).request)));
    card.counter = 0;
    assert_eq!(world.send(&card.tap(world.payment(200)).request), Outcome::Refused);
    assert_eq!(world.why(), Some(Why::OtherBytes));
}

/// The same C signed under another profile makes S an oracle; the server knows the enrolled one only.
#[test]
fn attack_other_profile_than_enrolled() {
    let world = world_with(|policy| policy.danger_allow_weak_suites = true);
    let card = world.card(SUITE);
    let log = world.verifier.log(None).unwrap().len();
    for suite in [
        "danger-a1",
        "danger-a2+sha256",
        "b1+rsa-oaep",
        "a3-no-random+sha256+rsa-oaep",
        "a3+sha256+rsa-oaep+pss",
    ] {
        let tap = card.sign_at(1, suite.parse().unwrap(), world.payment(100));
        assert_eq!(world.send(&tap.request), Outcome::Refused, "{suite}");
    }
    assert_eq!(world.verifier.log(None).unwrap().len(), log, "no row was touched");
}

/// A capture from another operator, where the same card key might be enrolled.
#[test]
fn attack_capture_of_another_operator() {
    let (bank, transit) = (world(), world());
    let card = bank.card(SUITE);
    let mut binding = card.order.binding;
    binding.server = transit.verifier.server_id();
    let payer = card.keys.alias(default_provider(), 1);
    let message = onetap_apdu_spec::txn::Transaction { payer, ..bank.payment(100) }.encode().unwrap();
    let tap = card.sign_bytes(Header { binding, counter: 1 }, message.bytes(), &password("12345678"));
    assert_eq!(bank.send(&tap.request), Outcome::Refused);
    let other_key_id = {
        let mut binding = card.order.binding;
        binding.signing_key += 1;
        card.sign_bytes(Header { binding, counter: 1 }, message.bytes(), &password("12345678"))
    };
    assert_eq!(bank.send(&other_key_id.request), Outcome::Refused);
    assert_eq!(bank.balances().1, 0);
}

/// Garbage that names a card id neither takes the writer nor touches a row.
#[test]
fn attack_garbage_that_names_a_card() {
    let world = Home::new();
    let mut card = world.card(SUITE);
    let mut garbage = card.tap(world.payment(100)).request;
    let last = garbage.signature_message.len() - 1;
    garbage.signature_message[last] ^= 1;
    let mut unknown = card.tap(world.payment(100)).request;
    unknown.signature_message[30] ^= 1; // within the card id
    // Another process holds the write lock: whoever needed it would be told Busy, after its time-out.
    let lock = world.lock();
    for _ in 0..100 {
        assert_eq!(world.send(&garbage), Outcome::Refused);
        assert_eq!(world.send(&unknown), Outcome::Refused);
    }
    drop(lock);
    assert_eq!(world.wrong_passwords(), 0);
    assert!(executed(&world.send(&card.tap(world.payment(100)).request)));
}

/// "Coffee Shop" over a thief's account.
#[test]
fn attack_payee_name_over_a_thiefs_account() {
    let world = world();
    let thief = account(&world.verifier, "Mallory", AccountKind::Current, 0);
    let mut card = world.card(SUITE);
    let mut payment = world.payment(100);
    payment.payee_account = thief;
    assert_eq!(world.send(&card.tap(payment).request), Outcome::Refused);
    assert_eq!(world.why(), Some(Why::PayeeName));
}

/// The payer of T is not the card's account.
#[test]
fn attack_payer_of_another_counter_value_or_card() {
    let world = world();
    let mut card = world.card(SUITE);
    let header = Header { binding: card.order.binding, counter: 5 };
    let payer = card.keys.alias(default_provider(), 4);
    let message = onetap_apdu_spec::txn::Transaction { payer, ..world.payment(100) }.encode().unwrap();
    let tap = card.sign_bytes(header, message.bytes(), &password("12345678"));
    assert_eq!(world.send(&tap.request), Outcome::Refused);
    assert_eq!(world.why(), Some(Why::OtherPayer));
    card.counter = 5;
    assert!(executed(&world.send(&card.tap(world.payment(100)).request)));
}

#[test]
fn attack_request_sent_by_another_terminal() {
    let world = world();
    let other = world
        .verifier
        .desk(Act::of_program("test", "set-up"))
        .register_terminal("TERM0002".parse().unwrap())
        .unwrap();
    let mut card = world.card(SUITE);
    let tap = card.tap(world.payment(100));
    assert_eq!(world.verifier.authorise(&other, "k", &tap.request).unwrap(), Outcome::Refused);
    assert_eq!(world.why(), Some(Why::OtherTerminal));
    let receipt = world.send(&tap.request);
    assert!(executed(&receipt));
    assert_eq!(world.verifier.authorise(&other, "k2", &tap.request).unwrap(), Outcome::Refused);
}

#[test]
fn dates_outside_the_window_are_refused() {
    let world = world();
    let mut card = world.card(SUITE);
    for (offset, why) in [(-600, None), (120, None), (-601, Some(Why::TooOld)), (121, Some(Why::DatedAhead))]
    {
        let mut payment = world.payment(100);
        payment.at = moment(world.clock.now().0 + offset);
        let outcome = world.send(&card.tap(payment).request);
        assert_eq!(executed(&outcome), why.is_none(), "{offset}");
        assert_eq!(world.why(), why, "{offset}");
    }
}

#[test]
fn p_26_a_top_up_goes_from_a_current_account_to_a_stored_value() {
    let world = world();
    let transit = account(&world.verifier, "Ada Transit", AccountKind::StoredValue, 0);
    let mut card = world.card(SUITE);
    let mut top_up = world.payment(2_000);
    top_up.kind = onetap_apdu_spec::txn::TransactionType::TopUp;
    assert_eq!(world.send(&card.tap(top_up.clone()).request), Outcome::Refused);
    assert_eq!(world.why(), Some(Why::AccountKind));
    top_up.payee_account = transit.clone();
    top_up.payee_name = PayeeName::new("Ada Transit").unwrap();
    assert!(executed(&world.send(&card.tap(top_up).request)));
    // No payment goes there (REQ-V-21): not even from another stored value.
    let other = account(&world.verifier, "Eve Transit", AccountKind::StoredValue, 500);
    let mut debit = world.payment(100);
    debit.payee_account = transit.clone();
    debit.payee_name = PayeeName::new("Ada Transit").unwrap();
    assert_eq!(world.send(&card.tap(debit.clone()).request), Outcome::Refused);
    assert_eq!(world.why(), Some(Why::AccountKind));
    let mut others = world.card_of(&other, SUITE.parse().unwrap());
    assert_eq!(world.send(&others.tap(debit).request), Outcome::Refused);
    // And a debit of the stored value.
    let mut transit_card = world.card_of(&transit, SUITE.parse().unwrap());
    assert!(executed(&world.send(&transit_card.tap(world.payment(250)).request)));
    assert_eq!(world.verifier.account(&transit).unwrap().balance, 1_750);
    world.check_books();
}

/// A card takes any country and any three digits (it lives ten years); the server has the editions.
#[test]
fn what_is_not_of_the_editions_is_neither_executed_nor_opened() {
    let world = world();
    let mut card = world.card(SUITE);
    for code in [191, 694, 931, 932, 975, 1, 999] {
        let mut payment = world.payment(100);
        payment.amount = Amount::new(100, CurrencyCode::new(code).unwrap()).unwrap();
        assert_eq!(world.send(&card.tap(payment).request), Outcome::Refused);
        assert_eq!(world.why(), Some(Why::Edition), "{code}");
    }
    for number in ["QQ33370400440532013000", "DE5137040044053201300"] {
        let mut payment = world.payment(100);
        payment.payee_account = number.parse().unwrap();
        assert_eq!(world.send(&card.tap(payment).request), Outcome::Refused);
        assert_eq!(world.why(), Some(Why::Edition), "{number}");
        assert!(matches!(open(&world, "EUR", Some(number)), Err(ServiceError::Edition(_))), "{number}");
    }
    for code in ["HRK", "SLL", "CUC", "ZWL", "BGN"] {
        assert!(matches!(open(&world, code, None), Err(ServiceError::Edition(_))), "{code}");
    }
    let pakistan = "PK36SCBL0000001123456702";
    assert_eq!(open(&world, "PKR", Some(pakistan)).unwrap().as_str(), pakistan);
}

fn open(world: &World, currency: &str, number: Option<&str>) -> Result<AccountNumber, ServiceError> {
    world.verifier.desk(Act::of_program("test", "set-up")).open_account(&AccountOptions {
        holder: PayeeName::new("Băcănia Ștefan").unwrap(),
        currency: currency.parse().unwrap(),
        kind: AccountKind::Current,
        opening_balance: 0,
        number: number.map(|number| number.parse().unwrap()),
    })
}

#[test]
fn refused_payees_and_limits() {
    let world = world_with(|policy| policy.transaction_limit = 500);
    let mut card = world.card(SUITE);
    let over = card.tap(world.payment(501));
    assert_eq!(
        world.send(&over.typed("wrongpass")),
        Outcome::Refused,
        "a limit is named after a right password only"
    );
    assert_eq!(world.send(&over.request), Outcome::LimitExceeded);
    assert_eq!(world.send(&over.request), Outcome::Refused);
    let mut own = world.payment(100);
    own.payee_account = world.ada.clone();
    own.payee_name = PayeeName::new("Ada Lovelace").unwrap();
    assert_eq!(world.send(&card.tap(own).request), Outcome::Refused);
    assert_eq!(world.why(), Some(Why::OwnAccount));
    world.verifier.desk(Act::of_program("test", "set-up")).close_account(&world.shop).unwrap();
    assert_eq!(world.send(&card.tap(world.payment(100)).request), Outcome::Refused);
    assert_eq!(world.why(), Some(Why::PayeeClosed));
}

#[test]
fn blocked_cards_do_not_pay_even_after_they_did() {
    let world = world();
    let mut card = world.card(SUITE);
    assert!(executed(&world.send(&card.tap(world.payment(100)).request)));
    world.verifier.desk(Act::of_program("Grace", "stolen")).block_card(card.order.binding.card).unwrap();
    assert_eq!(world.send(&card.tap(world.payment(100)).request), Outcome::Refused);
    assert_eq!(world.why(), Some(Why::CardNotActive));
}

#[test]
fn enrolment_needs_the_ordered_card_and_its_key() {
    let world = world();
    let order = world
        .verifier
        .desk(Act::of_program("test", "set-up"))
        .order_card(&world.ada, &CardOptions::new(eur()))
        .unwrap()
        .personalisation;
    let card = Card::make(order);
    let mut forged = card.statement();
    forged.signature[9] ^= 1;
    assert!(matches!(
        world.verifier.desk(Act::of_program("test", "set-up")).activate_card(&forged),
        Err(ServiceError::StatementForged)
    ));
    let mut other = card.order.binding;
    other.issuer_key += 1;
    let other = EnrolmentStatement::make(other, card.key.as_ref()).unwrap();
    assert!(matches!(
        world.verifier.desk(Act::of_program("test", "set-up")).activate_card(&other),
        Err(ServiceError::StatementMismatch)
    ));
    world.verifier.desk(Act::of_program("test", "set-up")).activate_card(&card.statement()).unwrap();
    assert!(matches!(
        world.verifier.desk(Act::of_program("test", "set-up")).activate_card(&card.statement()),
        Err(ServiceError::CardNotOrdered)
    ));
}

/// One key, two payments of two accounts: the second one is another body under a key that was used.
#[test]
fn a_key_is_the_clients_whatever_account_its_requests_name() {
    let world = world();
    let other = world
        .verifier
        .desk(Act::of_program("test", "set-up"))
        .register_terminal("TERM0002".parse().unwrap())
        .unwrap();
    let eve = account(&world.verifier, "Eve", AccountKind::Current, OPENING);
    let (mut adas, mut eves) = (world.card(SUITE), world.card_of(&eve, SUITE.parse().unwrap()));
    let (first, second) = (adas.tap(world.payment(100)), eves.tap(world.payment(100)));
    let send = |client: &Client, tap: &Tap| world.verifier.authorise(client, "till-7", &tap.request).unwrap();
    let receipt = send(&world.client, &first);
    assert!(executed(&receipt));
    assert_eq!(send(&world.client, &second), Outcome::Conflict);
    assert_eq!(send(&world.client, &first), receipt, "the first body keeps its answer");
    assert!(executed(&world.send(&second.request)), "nothing was decided of the second one");
    // The key of another client is another key.
    let mut elsewhere = world.payment(100);
    elsewhere.terminal = "TERM0002".parse().unwrap();
    assert!(executed(&send(&other, &eves.tap(elsewhere))));
    world.check_books();
}

/// The same at one moment, at two processes on one store.
#[test]
fn attack_a_race_of_two_accounts_under_one_key() {
    let home = Home::new();
    let second = home.open().unwrap();
    let eve = account(&home.verifier, "Eve", AccountKind::Current, OPENING);
    let (mut adas, mut eves) = (home.card(SUITE), home.card_of(&eve, SUITE.parse().unwrap()));
    for round in 0..20 {
        let (key, start) = (format!("till-{round}"), std::sync::Barrier::new(2));
        let taps = [adas.tap(home.payment(100)), eves.tap(home.payment(100))];
        let send = |verifier: &Verifier, tap: &Tap| {
            start.wait();
            verifier.authorise(&home.client, &key, &tap.request).unwrap()
        };
        let outcomes = std::thread::scope(|scope| {
            let other = scope.spawn(|| send(&second, &taps[1]));
            [send(&home.verifier, &taps[0]), other.join().unwrap()]
        });
        let paid = outcomes.iter().filter(|outcome| executed(outcome)).count();
        let conflicts = outcomes.iter().filter(|outcome| **outcome == Outcome::Conflict).count();
        assert_eq!((paid, conflicts), (1, 1), "{outcomes:?}");
    }
    assert_eq!(home.balances().1, 2_000);
    home.check_books();
}
