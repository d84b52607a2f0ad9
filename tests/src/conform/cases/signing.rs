//! What the card signs, for every suite, and what it never does twice.

use onetap_apdu_spec::command::CardState;
use onetap_apdu_spec::header::Header;
use onetap_apdu_spec::signed::SignatureMessage;
use onetap_apdu_spec::suite::{DigestMethod, EncryptionMethod, Profile, SignatureAlgorithm, Suite};
use onetap_apdu_spec::sw::StatusWord;
use onetap_pcsc_host::trace::Key;

use super::confirm::pay;
use crate::conform::case::Case;
use crate::conform::command::CommandBuilder;
use crate::conform::tester::{Outcome, Stop, Tester};
use crate::target::Capability::{Field, Fresh, Holder, Keys};
use crate::target::{Tap, samples};

pub(super) fn cases() -> Vec<Case> {
    Suite::all().flat_map(suite_cases).chain(written()).collect()
}

fn suite_cases(suite: Suite) -> [Case; 2] {
    let signature = Case::new(
        format!("signature/{suite}"),
        format!("{suite}: H is this card's, S verifies, what travels besides is well formed"),
        format!(
            "{}; REQ-S-1, REQ-S-7, REQ-S-8, REQ-S-11, REQ-S-17{}{}",
            paragraph(suite.profile()),
            in_b(suite),
            by_curve(suite)
        ),
        signature,
    );
    let password = Case::new(
        format!("password/{suite}"),
        format!("{suite}: the displayed joint password is the one that belongs to S"),
        format!("{}, P-21; REQ-S-9{}", paragraph(suite.profile()), in_b(suite)),
        password,
    );
    let signature = signature.with_suite(suite).needing(&[Keys]).signing(1);
    [signature, password.with_suite(suite).needing(&[Field, Holder, Keys]).signing(1)]
}

/// The form of S by ECDSA.
fn by_curve(suite: Suite) -> &'static str {
    match suite.signature() {
        SignatureAlgorithm::EcdsaP256Sha256 => ", REQ-S-22",
        SignatureAlgorithm::Pkcs1Sha256 | SignatureAlgorithm::PssSha256 => "",
    }
}

/// In B the tag of E shows that this card made it for this T.
fn in_b(suite: Suite) -> &'static str {
    match suite.profile() {
        Profile::B1 | Profile::B2 => ", REQ-S-14",
        _ => "",
    }
}

fn paragraph(profile: Profile) -> &'static str {
    match profile {
        Profile::A1 => "P-07",
        Profile::A2 => "P-08",
        Profile::A3 => "P-09, P-10",
        Profile::A3NoRandom => "P-09",
        Profile::A4 => "P-11",
        Profile::B1 => "P-12",
        Profile::B2 => "P-13",
    }
}

fn judged(step: &str, judgement: Result<(), String>) -> Outcome {
    judgement.map_err(|why| Stop::failed(step, "that it holds", why))
}

/// What [`Tester::tap`] judges, C among it.
fn signature(t: &mut Tester<'_>) -> Outcome {
    t.tap(&samples::transaction()).map(drop)
}

fn password(t: &mut Tester<'_>) -> Outcome {
    let transaction = pay(t, 1);
    let tap = t.tap_and_leave(&transaction)?;
    t.confirm_by_key()?;
    let password = t.joint_password()?;
    if !t.known()?.opens() {
        let why = "the server's private key is not known, so nobody can tell whether E opens";
        return Err(Stop::NotPerformed(why.into()));
    }
    judged("judge the joint password", t.known()?.password_valid(&tap, &password))
}

fn message(tap: &Tap) -> Result<SignatureMessage, Stop> {
    SignatureMessage::parse(&tap.signature_message)
        .map_err(|why| Stop::failed("read the signature message", "a signature message", why.to_string()))
}

fn header(tap: &Tap) -> Result<Header, Stop> {
    message(tap).map(|message| message.header)
}

/// Joint passwords that are looked at together: of eight digits, some digit is missing once in a million runs.
const DRAWN: u32 = 19;

/// Most signatures of a case; most make one.
fn signatures(id: &str) -> u32 {
    match id {
        "alias/stays" => 0,
        "counter/increments" | "nonce/no-r-twice" => 4,
        "counter/not-by-put-txn" | "fresh/signatures-differ" => 2,
        "alias/derived" => 4,
        "fresh/passwords-differ" => 3,
        "fresh/whole-alphabet" => DRAWN,
        _ => 1,
    }
}

fn written() -> Vec<Case> {
    let fresh = |id: &str, title: &str, clause: &str, run: fn(&mut Tester<'_>) -> Outcome| {
        Case::new(id, title, clause, run).needing(&[Fresh]).signing(signatures(id))
    };
    let holder = |id: &str, title: &str, clause: &str, run: fn(&mut Tester<'_>) -> Outcome| {
        fresh(id, title, clause, run).needing(&[Field, Holder])
    };
    vec![
        fresh(
            "repeat/get-signature",
            "GET SIGNATURE gives the same bytes in Signed and in Delivered",
            "REQ-K-3, REQ-S-16",
            repeat_signature,
        ),
        fresh(
            "repeat/get-enc-password",
            "GET ENC-PASSWORD gives the same bytes again",
            "REQ-K-3",
            repeat_object,
        )
        .about_owed(),
        fresh(
            "repeat/after-reset",
            "a reset in Delivered changes nothing of what GETs repeat",
            "REQ-K-3, REQ-K-4",
            repeat_after_reset,
        ),
        fresh(
            "owed/nothing",
            "a profile that owes nothing: 6A88, and S alone delivers",
            "REQ-C-2 step 8",
            nothing_owed,
        )
        .both_ways()
        .with_suite(nothing_owed_suite()),
        fresh(
            "counter/increments",
            "C grows by one with each signature, delivered or not",
            "REQ-K-17",
            counter,
        ),
        fresh("counter/not-by-put-txn", "C does not grow by PUT TXN alone", "REQ-K-17", counter_stays)
            .refusing(),
        fresh("alias/stays", "the alias stays the same until something is signed", "REQ-C-9", alias_stays),
        fresh(
            "alias/rotates",
            "each signature brings another alias; the old one is refused",
            "REQ-T-7, REQ-S-10, REQ-C-9",
            alias_rotates,
        )
        .both_ways(),
        fresh(
            "alias/derived",
            "the alias is the one that the server derives for the next C",
            "REQ-S-10, REQ-T-7",
            alias_derived,
        )
        .needing(&[Keys]),
        fresh(
            "alias/of-the-next",
            "from Signed on the alias is that of the next signature",
            "REQ-C-9",
            alias_of_the_next,
        ),
        holder(
            "fresh/signatures-differ",
            "the same fields signed again: other alias, S and E",
            "P-05, P-10, REQ-S-12",
            signatures_differ,
        ),
        holder(
            "nonce/no-r-twice",
            "ECDSA: no two signatures have the same r, which would give the key away",
            "REQ-S-23",
            no_r_twice,
        )
        .refusing()
        .about_ecdsa(),
        holder(
            "fresh/passwords-differ",
            "each transaction has a joint password of its own",
            "P-05, REQ-K-9, REQ-K-6",
            passwords_differ,
        ),
        holder(
            "fresh/whole-alphabet",
            "joint passwords are drawn from all characters of the alphabet",
            "P-05, REQ-K-9",
            whole_alphabet,
        )
        .needing(&[Keys]),
        holder(
            "secrecy/no-response-holds-the-password",
            "no response holds the joint password, before or after it is shown",
            "P-27; REQ-K-6",
            secrecy,
        )
        .refusing(),
    ]
}

fn repeat_signature(t: &mut Tester<'_>) -> Outcome {
    let tap = t.tap(&samples::transaction())?;
    for _ in 0..2 {
        let again = t.fetch("fetch the signature again", &CommandBuilder::get_signature())?;
        t.same("compare the signatures", &tap.signature_message, &again)?;
    }
    t.expect_state(CardState::Delivered)
}

fn repeat_object(t: &mut Tester<'_>) -> Outcome {
    let tap = t.tap(&samples::transaction())?;
    let again = t.fetch("fetch what is owed again", &CommandBuilder::get_enc_password())?;
    t.same("compare what is owed", &tap.object.unwrap_or_default(), &again)
}

fn repeat_after_reset(t: &mut Tester<'_>) -> Outcome {
    let tap = t.tap(&samples::transaction())?;
    t.reset()?;
    t.select()?;
    t.expect_state(CardState::Delivered)?;
    let again = t.fetch("fetch the signature again", &CommandBuilder::get_signature())?;
    t.same("compare the signatures", &tap.signature_message, &again)?;
    let again = t.fetch("fetch what is owed again", &CommandBuilder::get_enc_password())?;
    t.same("compare what is owed", &tap.object.unwrap_or_default(), &again)
}

/// A1 exists for the patent's letter; it owes nothing besides S. A combination that always works.
fn nothing_owed_suite() -> Suite {
    let (digest, encryption) = (DigestMethod::None, EncryptionMethod::None);
    Suite::new(Profile::A1, digest, encryption, SignatureAlgorithm::Pkcs1Sha256).unwrap_or_default()
}

fn nothing_owed(t: &mut Tester<'_>) -> Outcome {
    t.tap(&samples::transaction())?;
    t.expect_state(CardState::Delivered)?;
    t.expect("ask for what is not owed", &CommandBuilder::get_enc_password(), StatusWord::NO_SUCH_OBJECT)?;
    t.expect_state(CardState::Delivered)
}

/// Signs and breaks off: voided by SELECT.
fn sign_and_void(t: &mut Tester<'_>) -> Result<Header, Stop> {
    let transaction = t.load(&samples::transaction())?;
    let tap = t.sign(transaction)?;
    t.select()?;
    t.expect_state(CardState::Idle)?;
    header(&tap)
}

/// Signs and breaks off; C must be one more than before, if that is known.
fn sign_and_count(t: &mut Tester<'_>, before: Option<u32>) -> Result<u32, Stop> {
    let counter = sign_and_void(t)?.counter;
    let expected = before.map_or(counter, |before| before.wrapping_add(1));
    t.check("compare the counter", counter == expected, format!("C = {expected}"), format!("C = {counter}"))?;
    Ok(counter)
}

fn counter(t: &mut Tester<'_>) -> Outcome {
    let mut last = t.last_counter();
    for _ in 0..4 {
        last = Some(sign_and_count(t, last)?);
    }
    Ok(())
}

fn counter_stays(t: &mut Tester<'_>) -> Outcome {
    let last = t.last_counter();
    let before = sign_and_count(t, last)?;
    t.load(&samples::transaction())?;
    t.select()?;
    sign_and_count(t, Some(before)).map(drop)
}

fn alias_stays(t: &mut Tester<'_>) -> Outcome {
    let first = t.alias()?;
    t.reset()?;
    t.select()?;
    let after_reset = t.alias()?;
    t.load(&samples::transaction())?;
    let loaded = t.alias()?;
    let same = first == after_reset && first == loaded;
    t.check("compare the aliases", same, &first, format!("{after_reset}, then {loaded}"))
}

fn alias_rotates(t: &mut Tester<'_>) -> Outcome {
    let old = t.alias()?;
    sign_and_void(t)?;
    let new = t.alias()?;
    t.check("compare the aliases", old != new, "another alias", &new)?;
    let stale = onetap_apdu_spec::txn::Transaction { payer: old, ..samples::transaction() };
    let command = CommandBuilder::put_txn(&samples::encode(&stale));
    t.expect("hand over a message with the old alias", &command, StatusWord::WRONG_DATA).map(drop)
}

fn alias_derived(t: &mut Tester<'_>) -> Outcome {
    let mut last = match t.last_counter() {
        Some(last) => last,
        None => sign_and_void(t)?.counter,
    };
    for _ in 0..3 {
        let (expected, got) = (t.known()?.alias(last.wrapping_add(1)), t.alias()?);
        t.check("compare the alias", expected == got, &expected, &got)?;
        last = sign_and_void(t)?.counter;
    }
    Ok(())
}

fn alias_of_the_next(t: &mut Tester<'_>) -> Outcome {
    let before = t.alias()?;
    t.load(&samples::transaction())?;
    t.fetch("fetch the signature", &CommandBuilder::get_signature())?;
    let signed = t.alias()?;
    t.check("compare the alias in Signed", signed != before, "another alias", &signed)?;
    t.fetch("fetch what is owed", &CommandBuilder::get_enc_password())?;
    let delivered = t.alias()?;
    t.check("compare the alias in Delivered", delivered == signed, &signed, &delivered)
}

/// Taps, leaves, cancels, comes back.
fn tap_and_cancel(t: &mut Tester<'_>) -> Result<Tap, Stop> {
    let transaction = pay(t, 1);
    let tap = t.tap_and_leave(&transaction)?;
    t.press(Key::Cancel)?;
    t.come()?;
    Ok(tap)
}

fn signatures_differ(t: &mut Tester<'_>) -> Outcome {
    let (first, second) = (tap_and_cancel(t)?, tap_and_cancel(t)?);
    let differ = first.signature_message != second.signature_message
        && first.object != second.object
        && first.transaction != second.transaction;
    t.check("compare both taps", differ, "other T, S and E", "something that is the same")
}

fn no_r_twice(t: &mut Tester<'_>) -> Outcome {
    let mut seen = Vec::new();
    for _ in 0..4 {
        let tap = tap_and_cancel(t)?;
        let r = message(&tap)?.signature.into_iter().take(32).collect::<Vec<_>>();
        t.check("compare with those before", !seen.contains(&r), "another r", "one of those before")?;
        seen.push(r);
    }
    Ok(())
}

fn passwords_differ(t: &mut Tester<'_>) -> Outcome {
    let mut seen = Vec::new();
    for _ in 0..3 {
        let transaction = pay(t, 1);
        t.tap_and_leave(&transaction)?;
        t.confirm_by_key()?;
        let password = t.joint_password()?;
        let new = seen.iter().all(|old: &onetap_apdu_spec::password::Password| !old.matches(&password));
        t.check("compare with those before", new, "another joint password", "one of those before")?;
        seen.push(password);
        t.press(Key::Cancel)?;
        t.come()?;
    }
    Ok(())
}

/// As many different characters as chance leaves: six standard deviations below what is expected are a defect.
fn whole_alphabet(t: &mut Tester<'_>) -> Outcome {
    let mut seen = std::collections::BTreeSet::new();
    let (mut drawn, policy) = (0, t.claims().password);
    for _ in 0..DRAWN {
        let tap = tap_and_cancel(t)?;
        let opened =
            t.known()?.password(&tap).map_err(|why| Stop::failed("open E", "a joint password", why))?;
        let password = opened
            .ok_or_else(|| Stop::NotApplicable("the card's suite sends no joint password".to_owned()))?;
        drawn += password.expose().len();
        seen.extend(password.expose().bytes());
    }
    let alphabet = policy.alphabet().characters();
    let [all, drawn, different] =
        [alphabet.len(), drawn, seen.len()].map(|n| f64::from(u16::try_from(n).unwrap_or(u16::MAX)));
    let missing = all * (1.0 - 1.0 / all).powf(drawn);
    let right = all - different <= missing + 6.0 * missing.sqrt();
    t.check("count the characters", right, format!("nearly all of {all}"), different)
}

fn secrecy(t: &mut Tester<'_>) -> Outcome {
    let transaction = pay(t, 1);
    t.tap_and_leave(&transaction)?;
    t.confirm_by_key()?;
    let password = t.joint_password()?;
    t.field_in()?;
    for command in [
        CommandBuilder::select(),
        CommandBuilder::status(),
        CommandBuilder::alias(),
        CommandBuilder::get_signature(),
        CommandBuilder::get_enc_password(),
    ] {
        t.send("ask for everything there is", &command)?;
    }
    let secret = password.expose().as_bytes();
    let leak =
        t.responses().iter().any(|response| response.windows(secret.len()).any(|window| window == secret));
    t.check("search all responses", !leak, "no joint password", "the joint password in a response")
}
