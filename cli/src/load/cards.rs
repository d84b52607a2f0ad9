//! The cards, their holders, and what they sign.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::money::{Amount, Currency};
use onetap_apdu_spec::service::{AuthorisationRequest, TransactionId};
use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::txn::{PayeeName, Reference, TransactionType};
use onetap_applet::card::{Millis, VirtualClock};
use onetap_applet::nvm::{IMAGE_LEN, MemoryImage};
use onetap_applet::{Card, Environment, Key, SharedCard};
use onetap_conformance::holder::Holder;
use onetap_conformance::load::api;
use onetap_conformance::reader::InProcessReader;
use onetap_conformance::world::{PIN, World};
use onetap_pcsc_host::{Deadline, Draft, Terminal};

use super::bank::{Bank, Opened};
use crate::exit::Failure;
use crate::progress::Progress;

/// How long a contact may take.
const CONTACT: Duration = Duration::from_secs(30);
/// Payments are of 1 to so many cents, by turns, so that one cannot pass for another.
const AMOUNTS: u64 = 9;

/// A card in its holder's hand.
pub(super) struct Payer {
    pub(super) account: AccountNumber,
    pub(super) opening: u64,
    name: PayeeName,
    card: SharedCard,
    clock: VirtualClock,
    terminal: Terminal,
}

/// A payment that was signed.
pub(super) struct Payment {
    /// Which payer pays.
    pub(super) payer: usize,
    /// Which payer is paid.
    pub(super) payee: usize,
    /// The account that is paid.
    pub(super) payee_account: AccountNumber,
    /// Cents.
    pub(super) amount: u64,
    pub(super) id: TransactionId,
}

/// All of them, with the bytes that are to be sent.
pub(super) struct Signed {
    pub(super) begun: Instant,
    pub(super) payments: Vec<Payment>,
    pub(super) requests: Vec<Vec<u8>>,
}

impl Signed {
    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }
}

/// Whom a payment goes to.
struct Payee {
    account: AccountNumber,
    name: PayeeName,
}

fn amount(number: usize) -> u64 {
    1 + number as u64 % AMOUNTS
}

/// Cents that an account needs for its share of so many payments, whatever the order in which they are decided.
fn opening(payments: u32, cards: u32) -> u64 {
    u64::from(payments.div_ceil(cards)) * AMOUNTS
}

impl Payer {
    /// Opens so many accounts with what they need for so many payments, and makes their cards.
    pub(super) fn make(
        bank: &Bank<'_>,
        cards: u32,
        payments: u32,
        suite: Suite,
    ) -> Result<Vec<Self>, Failure> {
        let (opening, progress) = (opening(payments, cards), Progress::begin("making cards"));
        let numbers: Vec<_> = (0..cards).collect();
        let make = |numbers: &[u32]| {
            let one = |number: &u32| {
                bank.go_on()?;
                let made = Self::one(bank, bank.open(*number, opening, suite)?, opening);
                progress.one_of(cards.into());
                made
            };
            numbers.iter().map(one).collect::<Result<Vec<_>, Failure>>()
        };
        let shares = on_all_processors(numbers.chunks(share(numbers.len())), make)?;
        Ok(shares.into_iter().flatten().collect())
    }

    fn one(bank: &Bank<'_>, opened: Opened, opening: u64) -> Result<Self, Failure> {
        let clock = VirtualClock::at(Millis(1_000_000));
        let env = Environment { clock: Box::new(clock.clone()), ..Environment::default() };
        let (order, image) = (&opened.order, Box::new(MemoryImage::new(IMAGE_LEN)));
        let (card, statement) =
            Card::issue(&order.personalisation, PIN.parse()?, order.management.as_ref(), image, env)?;
        bank.activate(&statement)?;
        Ok(Self {
            account: opened.number,
            opening,
            name: fixed(PayeeName::new(&opened.holder))?,
            card: Arc::new(Mutex::new(card)),
            clock,
            terminal: Terminal::new(bank.terminal().clone()),
        })
    }

    /// One contact, then the holder confirms and types.
    fn pay(&mut self, payee: &Payee, cents: u64) -> Result<(TransactionId, AuthorisationRequest), Failure> {
        let draft = Draft {
            kind: TransactionType::Payment,
            payee_account: payee.account.clone(),
            payee_name: payee.name.clone(),
            amount: fixed(Amount::new(cents, fixed("EUR".parse::<Currency>())?))?,
            reference: fixed(Reference::new("onetap load"))?,
            details: None,
        };
        let mut reader = InProcessReader::new(Arc::clone(&self.card));
        let tapped = self.terminal.tap(&mut reader, &draft, &Deadline::after(CONTACT))?;
        let id = tapped.id();
        let shown = Holder { card: &self.card, time: &self.clock, pin: PIN }.confirm(&mut |_| {})?;
        self.card.lock().unwrap_or_else(PoisonError::into_inner).press(Key::Clear)?;
        Ok((id, World::type_in(tapped, &shown)?))
    }
}

/// Has the cards sign so many payments, by turns; each pays one that is half of them away, so that those who pay at about the same
/// time share no account.
pub(super) fn sign(
    payers: &mut [Payer],
    count: u32,
    bank: &Bank<'_>,
    stop: &AtomicBool,
) -> Result<Signed, Failure> {
    let (begun, progress) = (Instant::now(), Progress::begin("signing payments"));
    let payee = |payer: &Payer| Payee { account: payer.account.clone(), name: payer.name.clone() };
    let (payees, all): (Vec<_>, usize) = (payers.iter().map(payee).collect(), payers.len());
    let share = share(all);
    let sign = |(part, payers): (usize, &mut [Payer])| {
        let mut signed = Vec::new();
        for turn in 0..(count as usize).div_ceil(all) {
            for (payer, card) in (part * share..).zip(payers.iter_mut()) {
                let number = turn * all + payer;
                if number >= count as usize || stop.load(Ordering::SeqCst) {
                    continue;
                }
                let (payee, amount) = ((payer + all / 2) % all, amount(number));
                let (id, request) = card.pay(&payees[payee], amount)?;
                let payee_account = payees[payee].account.clone();
                let bytes = api::authorise_at(bank.host(), bank.till(), &bank.key("payment"), &request);
                signed.push((number, Payment { payer, payee, payee_account, amount, id }, bytes));
                progress.one_of(count.into());
            }
        }
        Ok(signed)
    };
    let parts = on_all_processors(payers.chunks_mut(share).enumerate(), sign)?;
    let mut signed: Vec<_> = parts.into_iter().flatten().collect();
    signed.sort_by_key(|(number, ..)| *number);
    let (payments, requests) = signed.into_iter().map(|(_, payment, bytes)| (payment, bytes)).unzip();
    Ok(Signed { begun, payments, requests })
}

/// How many of so many fall to each processor.
fn share(count: usize) -> usize {
    count.div_ceil(thread::available_parallelism().map_or(1, NonZero::get)).max(1)
}

/// Does the parts at the same time.
fn on_all_processors<P: Send, T: Send>(
    parts: impl Iterator<Item = P>,
    work: impl Fn(P) -> Result<T, Failure> + Sync,
) -> Result<Vec<T>, Failure> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = parts.map(|part| scope.spawn(move || work(part))).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    })
}

fn fixed<T, E: std::fmt::Display>(made: Result<T, E>) -> Result<T, Failure> {
    made.map_err(|why| Failure::NotAsExpected(why.to_string()))
}
