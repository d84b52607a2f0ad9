//! Measures whole transactions on the card, in process, with the image in a file: SELECT to the end of
//! the contact, then the holder's keys; beside it the bare signature. `cargo run --release --example
//! transaction_time -- DIRECTORY [SUITE]`.
#![allow(clippy::print_stdout, clippy::large_stack_arrays, reason = "a program for the terminal")]

use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use onetap_apdu_spec::apdu::Form;
use onetap_apdu_spec::command::{AID, Name};
use onetap_apdu_spec::crypto::{Key256, RsaBits, RsaPrivate, SigningKeyType, default_provider};
use onetap_apdu_spec::header::{Binding, CardId, ServerId};
use onetap_apdu_spec::money::Amount;
use onetap_apdu_spec::objects;
use onetap_apdu_spec::password::PasswordPolicy;
use onetap_apdu_spec::personal::{ConfirmationPolicy, Personalisation};
use onetap_apdu_spec::rng::OsRng;
use onetap_apdu_spec::suite::{EncryptionMethod, Suite};
use onetap_apdu_spec::text::DisplayText;
use onetap_apdu_spec::txn::{Transaction, TransactionType};
use onetap_applet::card::{Millis, VirtualClock};
use onetap_applet::front::InProcess;
use onetap_applet::nvm::{ImageFile, ImageOptions};
use onetap_applet::{Card, DEAD_TIME_MS, DEBOUNCE_MS, Environment, Key, SharedCard};

const ROUNDS: usize = 4_000;
const STEPS: [&str; 7] =
    ["SELECT", "GET DATA alias", "PUT TXN", "GET SIGNATURE", "GET ENC-PASSWORD", "leave", "confirm"];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let path = Path::new(&folder).join("transaction-time.card");
    let suite = std::env::args().nth(2).map(|suite| suite.parse()).transpose()?;
    let result = measure(&path, suite.unwrap_or_default());
    std::fs::remove_file(&path)?;
    result
}

fn measure(path: &Path, suite: Suite) -> Result<(), Box<dyn Error>> {
    let crypto = default_provider();
    let order = order(suite, &*crypto.rsa_private(&crypto.generate_rsa(RsaBits::B2048)?)?)?;
    let key_bytes = crypto.generate_key(order.key_type)?;
    let key = crypto.signing_key(suite.signature(), &key_bytes)?;
    let clock = VirtualClock::at(Millis(1));
    let env = Environment {
        crypto,
        rng: Box::new(OsRng),
        clock: Box::new(clock.clone()),
        ..Environment::default()
    };
    let nvm = Box::new(ImageFile::create(path, ImageOptions::default())?);
    let (card, _) = Card::personalise_with_key(order, "2468".parse()?, &key_bytes, nvm, env)?;
    let card: SharedCard = Arc::new(Mutex::new(card));
    let mut bare = Vec::new();
    let mut steps: [Vec<Duration>; 7] = std::array::from_fn(|_| Vec::with_capacity(ROUNDS));
    let mut whole = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        key.sign(suite.signature(), b"a message to sign")?;
        bare.push(start.elapsed());
        let times = transaction(&card, &clock)?;
        whole.push(times.iter().sum());
        steps.iter_mut().zip(times).for_each(|(all, time)| all.push(time));
    }
    let (bare, whole) = (median(bare), median(whole));
    println!("bare signature     {bare:?}");
    println!("whole transaction  {whole:?}  ratio {:.3}", whole.as_secs_f64() / bare.as_secs_f64());
    for (name, times) in STEPS.iter().zip(steps) {
        println!("  {name:<17}{:?}", median(times));
    }
    Ok(())
}

fn transaction(card: &SharedCard, clock: &VirtualClock) -> Result<[Duration; 7], Box<dyn Error>> {
    let mut times = [Duration::ZERO; 7];
    let mut timer = times.iter_mut();
    let mut timed = |start: Instant| timer.next().map(|slot| *slot = start.elapsed());
    let start = Instant::now();
    let contact = InProcess::connect(Arc::clone(card));
    send(&contact, Name::Select, &AID)?;
    timed(start);
    let start = Instant::now();
    let alias = send(&contact, Name::GetData, &[])?;
    timed(start);
    let alias = std::str::from_utf8(alias.get(3..19).ok_or("no alias")?)?.parse()?;
    let message = Transaction {
        kind: TransactionType::Payment,
        payer: alias,
        payee_account: "DE89370400440532013000".parse()?,
        payee_name: DisplayText::new("Coffee Shop")?,
        amount: Amount::parse("12.34", "EUR".parse()?)?,
        at: time::macros::datetime!(2026-01-02 03:04:05),
        terminal: "TERM0001".parse()?,
        unpredictable_number: [1, 2, 3, 4],
        reference: DisplayText::new("Order 4711")?,
        details: None,
    }
    .encode()?;
    for (name, data) in
        [(Name::PutTxn, message.bytes()), (Name::GetSignature, &[]), (Name::GetEncPassword, &[])]
    {
        let start = Instant::now();
        send(&contact, name, data)?;
        timed(start);
    }
    let start = Instant::now();
    contact.release();
    timed(start);
    clock.advance(DEBOUNCE_MS);
    let start = Instant::now();
    let mut card = card.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 1..card.screen().pages() {
        card.press(Key::Next)?;
    }
    clock.advance(DEAD_TIME_MS);
    card.press(Key::Confirm)?;
    card.press(Key::Clear)?;
    timed(start);
    Ok(times)
}

fn send(contact: &InProcess, name: Name, data: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let tag = (name == Name::GetData).then_some(objects::PAYER_ALIAS);
    let response = contact.transmit(&name.spec().apdu(tag, data).encode(Form::Extended)?);
    if response.ends_with(&onetap_apdu_spec::sw::StatusWord::OK.to_bytes()) {
        Ok(response)
    } else {
        Err(format!("{name:?}: {response:02X?}").into())
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn order(suite: Suite, server: &dyn RsaPrivate) -> Result<Personalisation, Box<dyn Error>> {
    let rsa = suite.encryption() == EncryptionMethod::RsaOaep;
    Ok(Personalisation {
        binding: Binding {
            server: ServerId(*b"testbank"),
            card: CardId(*b"card0001"),
            suite,
            signing_key: 1,
            server_key: u16::from(rsa),
            issuer_key: 1,
        },
        key_type: SigningKeyType::of(suite.signature(), RsaBits::B2048),
        card_key: Key256::new([7; 32]),
        server_public_key: if rsa { server.public_spki() } else { Vec::new() },
        password: PasswordPolicy::default(),
        confirmation: ConfirmationPolicy {
            currency: "EUR".parse()?,
            key_up_to: 5_000,
            pin_up_to: 100_000,
            key_only_count: u16::MAX,
            key_only_sum: u64::MAX,
        },
    })
}
