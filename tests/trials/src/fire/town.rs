//! A town of accounts, each with a card, whose holders pay one another. The cards are made of `apdu-spec`'s pieces
//! only and share one key pair, so that a hundred thousand payments are signed in a minute.

use std::sync::Arc;

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::crypto::{RsaBits, RsaPublic, SigningKey, SigningKeyType, default_provider};
use onetap_apdu_spec::envelope::Envelope;
use onetap_apdu_spec::header::Header;
use onetap_apdu_spec::keys::CardKeys;
use onetap_apdu_spec::money::{Amount, Currency};
use onetap_apdu_spec::password::Password;
use onetap_apdu_spec::personal::{EnrolmentStatement, Personalisation};
use onetap_apdu_spec::rng::OsRng;
use onetap_apdu_spec::service::{AuthorisationRequest, PasswordObject};
use onetap_apdu_spec::signed::{SignatureMessage, SignedParts};
use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::txn::{PayeeName, Reference, TerminalId, Transaction, TransactionType};
use onetap_server_verifier::{AccountKind, AccountOptions, Act, CardOptions, Verifier};
use time::{OffsetDateTime, PrimitiveDateTime};

use super::Fallible;

/// What each account owns at first, in cents.
pub const OPENING: u64 = 1_000_000_00;
const SIGNERS: usize = 2;

/// Everyone who pays and is paid.
pub struct Town {
    holders: Vec<Holder>,
    terminals: Vec<TerminalId>,
}

/// An account, and what its card knows.
pub struct Holder {
    /// The account's number.
    pub account: AccountNumber,
    name: String,
    card: Personalisation,
    keys: CardKeys,
    signing: Arc<dyn SigningKey>,
    server: Option<Arc<dyn RsaPublic>>,
    counter: u32,
}

/// A signed payment.
#[derive(Debug, Clone)]
pub struct Payment {
    /// Which holder pays.
    pub payer: usize,
    /// Which holder is paid.
    pub payee: usize,
    /// C.
    pub counter: u32,
    /// At which terminal: only its client may send it.
    pub terminal: TerminalId,
    /// As the terminal sends it, with the password that the card shows.
    pub request: AuthorisationRequest,
}

impl Payment {
    /// The same with another password typed: the one shown, with all characters from `right` on changed.
    ///
    /// # Errors
    /// None, as long as passwords may hold 2 and 3.
    pub fn mistyped(&self, right: usize) -> Fallible<AuthorisationRequest> {
        let shown = self.request.verification_password.expose().chars().enumerate();
        let other = |c| if c == '2' { '3' } else { '2' };
        let typed: String = shown.map(|(i, c)| if i < right { c } else { other(c) }).collect();
        Ok(AuthorisationRequest { verification_password: typed.parse()?, ..self.request.clone() })
    }
}

impl Town {
    /// Opens so many accounts, orders and enrols a card of `suite` for each, and registers terminals. Takes some
    /// commits for each. `before` is called before each account is opened, with its number.
    ///
    /// # Errors
    /// Whatever the verifier says.
    pub fn found(
        verifier: &Verifier,
        suite: Suite,
        accounts: usize,
        terminals: usize,
        before: &mut dyn FnMut(usize) -> Fallible<()>,
    ) -> Fallible<Self> {
        let crypto = default_provider();
        let key = crypto.generate_key(SigningKeyType::of(suite.signature(), RsaBits::B2048))?;
        let signing: Arc<dyn SigningKey> = crypto.signing_key(suite.signature(), &key)?.into();
        let names = (0..terminals).map(|number| Ok(format!("TERM{number:04}").parse()?));
        let terminals = names.collect::<Fallible<Vec<TerminalId>>>()?;
        for terminal in &terminals {
            verifier.desk(Act::of_program("test", "set-up")).register_terminal(terminal.clone())?;
        }
        let holders = (0..accounts).map(|number| {
            before(number)?;
            Holder::settle(verifier, suite, number, &signing)
        });
        Ok(Self { holders: holders.collect::<Fallible<_>>()?, terminals })
    }

    /// Who lives there.
    #[must_use]
    pub fn holders(&self) -> &[Holder] {
        &self.holders
    }

    /// Where they pay.
    #[must_use]
    pub fn terminals(&self) -> &[TerminalId] {
        &self.terminals
    }

    /// One payment of `payer`, changed before it is signed.
    ///
    /// # Errors
    /// Whatever cryptography says.
    pub fn payment(&mut self, payer: usize, change: impl FnOnce(&mut Transaction)) -> Fallible<Payment> {
        let people = self.people();
        let till = Till { people: &people, terminals: &self.terminals, at: now()? };
        self.holders[payer].pay(payer, payer, &till, change)
    }

    /// So many payments of one cent, dated now: the holders pay by turns, each some other one, so that those who pay
    /// at about the same time share no account.
    ///
    /// # Errors
    /// Whatever cryptography says.
    pub fn payments(&mut self, count: usize) -> Fallible<Vec<Payment>> {
        let people = self.people();
        let till = &Till { people: &people, terminals: &self.terminals, at: now()? };
        let share = people.len().div_ceil(SIGNERS);
        let parts = self.holders.chunks_mut(share).enumerate();
        let mut signed = std::thread::scope(|scope| {
            let sign = |(part, holders)| scope.spawn(move || sign_part(holders, part * share, count, till));
            let signers: Vec<_> = parts.map(sign).collect();
            let mut signed = Vec::with_capacity(count);
            for signer in signers {
                signed.extend(signer.join().map_err(|_| "a signer panicked")??);
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(signed)
        })?;
        signed.sort_by_key(|(number, _)| *number);
        Ok(signed.into_iter().map(|(_, payment)| payment).collect())
    }

    fn people(&self) -> Vec<(AccountNumber, String)> {
        self.holders.iter().map(|holder| (holder.account.clone(), holder.name.clone())).collect()
    }
}

/// Where, when and whom the holders pay.
struct Till<'a> {
    people: &'a [(AccountNumber, String)],
    terminals: &'a [TerminalId],
    at: PrimitiveDateTime,
}

/// The payments of some holders, the first of whom has this place in the town; numbered among all `count` of them.
fn sign_part(
    holders: &mut [Holder],
    first: usize,
    count: usize,
    till: &Till<'_>,
) -> Fallible<Vec<(usize, Payment)>> {
    let (town, mut signed) = (till.people.len(), Vec::new());
    for turn in 0..count.div_ceil(town) {
        for (payer, holder) in (first..).zip(holders.iter_mut()) {
            let number = turn * town + payer;
            if number < count {
                signed.push((number, holder.pay(payer, number, till, |_| ())?));
            }
        }
    }
    Ok(signed)
}

impl Holder {
    fn settle(
        verifier: &Verifier,
        suite: Suite,
        number: usize,
        signing: &Arc<dyn SigningKey>,
    ) -> Fallible<Self> {
        let name = format!("Holder {number}");
        let account = verifier.desk(Act::of_program("test", "set-up")).open_account(&AccountOptions {
            holder: PayeeName::new(&name)?,
            currency: euro()?,
            kind: AccountKind::Current,
            opening_balance: OPENING,
            number: None,
        })?;
        let options = CardOptions { suite, ..CardOptions::new(euro()?) };
        let card =
            verifier.desk(Act::of_program("test", "set-up")).order_card(&account, &options)?.personalisation;
        verifier
            .desk(Act::of_program("test", "set-up"))
            .activate_card(&EnrolmentStatement::make(card.binding, signing.as_ref())?)?;
        let crypto = default_provider();
        let server = match card.server_public_key.as_slice() {
            [] => None,
            key => Some(Arc::from(crypto.rsa_public(key)?)),
        };
        let keys = CardKeys::new(crypto, card.card_key.clone());
        Ok(Self { account, name, card, keys, signing: Arc::clone(signing), server, counter: 0 })
    }

    fn pay(
        &mut self,
        payer: usize,
        number: usize,
        till: &Till<'_>,
        change: impl FnOnce(&mut Transaction),
    ) -> Fallible<Payment> {
        let payee = (payer + till.people.len() / 2) % till.people.len();
        let (payee_account, payee_name) = &till.people[payee];
        let terminal = &till.terminals[number % till.terminals.len()];
        self.counter += 1;
        let mut transaction = Transaction {
            kind: TransactionType::Payment,
            payer: self.keys.alias(default_provider(), self.counter),
            payee_account: payee_account.clone(),
            payee_name: PayeeName::new(payee_name)?,
            amount: Amount::new(1, euro()?)?,
            at: till.at,
            terminal: terminal.clone(),
            unpredictable_number: self.counter.to_be_bytes(),
            reference: Reference::new("order 7")?,
            details: None,
        };
        change(&mut transaction);
        let (counter, terminal) = (self.counter, terminal.clone());
        Ok(Payment { payer, payee, counter, terminal, request: self.sign(transaction.encode()?.bytes())? })
    }

    fn sign(&self, t: &[u8]) -> Fallible<AuthorisationRequest> {
        let header = Header { binding: self.card.binding, counter: self.counter };
        let suite = header.binding.suite;
        let pw = self.card.password.draw(&mut OsRng);
        let e = self.envelope(&header, t, &pw)?;
        let parts = SignedParts::compose(default_provider(), &self.keys, &header, t, &pw, e);
        let signature = self.signing.sign(suite.signature(), &parts.signed_bytes())?;
        Ok(AuthorisationRequest {
            transaction: t.to_vec(),
            signature_message: SignatureMessage { header, signature }.encode(),
            verification_password: pw,
            password_object: parts.owed().map(|(kind, bytes)| PasswordObject { kind, bytes }),
        })
    }

    fn envelope(&self, header: &Header, t: &[u8], pw: &Password) -> Fallible<Vec<u8>> {
        if !header.binding.suite.profile().encrypts() {
            return Ok(Vec::new());
        }
        let envelope = Envelope::new(default_provider(), &self.keys, header, t);
        Ok(envelope.seal(pw, self.server.as_deref(), &mut OsRng)?)
    }
}

/// The currency of the town.
pub(super) fn euro() -> Fallible<Currency> {
    Ok("EUR".parse()?)
}

fn now() -> Fallible<PrimitiveDateTime> {
    let now = OffsetDateTime::now_utc().replace_nanosecond(0)?;
    Ok(PrimitiveDateTime::new(now.date(), now.time()))
}
