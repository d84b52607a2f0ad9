//! A small world to pay in: one operator with accounts, one terminal, one card in a holder's hand. The
//! demonstration, the end-to-end tests and the benchmarks all live in it.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::money::{Amount, Currency};
use onetap_apdu_spec::service::{Answer, AuthorisationRequest};
use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::txn::TransactionType;
use onetap_applet::card::{Millis, VirtualClock};
use onetap_applet::front::vpcd::{self, Stop, VpcdConfig};
use onetap_applet::nvm::{ImageFile, ImageOptions};
use onetap_applet::runtime::Limits;
use onetap_applet::{Card, CardError, Environment as CardEnvironment, Pin, SharedCard};
use onetap_pcsc_host::pcsc::{Wanted, wait_for_card, wait_for_removal};
use onetap_pcsc_host::{
    Deadline, Draft, Error as HostError, KeyboardError, LineKeyboard, Reader, ReaderError, Service as _,
    ServiceError as NoAnswer, Tapped, Terminal, VerificationPassword,
};
use onetap_server_verifier::{
    AccountKind, AccountOptions, Act, CardOptions, Client, Environment, InitOptions, Policy, ServiceError,
    Verifier,
};

use crate::embedded::Embedded;
use crate::holder::Holder;
use crate::reader::InProcessReader;

/// The holder's PIN.
pub const PIN: &str = "2580";
/// The payer's name.
pub const PAYER: &str = "Ada Lovelace";
/// The payee's name.
pub const PAYEE: &str = "Coffee Shop";
/// What the payer owns at first, in cents.
pub const BALANCE: u64 = 500_00;
/// The terminal.
pub const TERMINAL: &str = "POS00001";
/// How long a card in a virtual reader is waited for, and a contact takes at most.
pub const WAIT: Duration = Duration::from_secs(10);

/// Why the world could not be made, or something in it failed.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The server.
    #[error(transparent)]
    Server(#[from] ServiceError),
    /// The card.
    #[error(transparent)]
    Card(#[from] CardError),
    /// The terminal.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The terminal asked the server, and it gave no decision.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    /// The terminal's keyboard.
    #[error(transparent)]
    Keyboard(#[from] KeyboardError),
    /// One of this module's own constants is wrong.
    #[error("the scenario itself is wrong: {0}")]
    Scenario(String),
}

/// Taps, perhaps through a reader wrapped around the one given, to see what goes over.
pub type Watch<'a> = dyn FnMut(&mut dyn Reader, &mut Terminal, &Draft) -> Result<Tapped, HostError> + 'a;

/// How the terminal reaches the card.
#[derive(Debug, Clone)]
pub enum Route {
    /// In the same process.
    InProcess,
    /// Through pcscd, in vpcd's reader of that name, whose card side listens there.
    Pcsc(String, VpcdConfig),
}

impl Route {
    /// The first virtual reader of a pcscd with Debian's vpcd.
    ///
    /// # Errors
    /// [`ReaderError`] if there is no service or no such reader.
    pub fn first_virtual_reader() -> Result<Self, ReaderError> {
        let names = onetap_pcsc_host::pcsc::readers(&Deadline::after(WAIT))?;
        let name = names.into_iter().find(|name| name.contains("Virtual PCD"));
        let config = VpcdConfig { leave_when_delivered: true, ..VpcdConfig::default() };
        name.map(|name| Self::Pcsc(name, config))
            .ok_or_else(|| ReaderError::UnknownReader("Virtual PCD".to_owned()))
    }
}

/// Everyone that takes part.
pub struct World {
    /// The server.
    pub server: Arc<Verifier>,
    /// The server, as the terminal reaches it.
    pub service: Embedded,
    /// The terminal, as the server knows it.
    pub client: Client,
    /// The terminal, as the card knows it.
    pub terminal: Terminal,
    /// Who pays.
    pub payer: AccountNumber,
    /// Who is paid.
    pub payee: AccountNumber,
    /// The payer's card.
    pub card: SharedCard,
    /// The card's time.
    pub clock: VirtualClock,
    route: Route,
}

impl World {
    /// As [`World::by`], for tests.
    ///
    /// # Errors
    /// [`WorldError`].
    pub fn new(folder: &Path, suite: Suite, route: Route) -> Result<Self, WorldError> {
        Self::by(&Act::of_program("test", "set-up"), folder, suite, route)
    }

    /// Founds it in an empty folder, with a card of `suite`, in the name of who founds it. Dangerous suites are accepted if this
    /// is one.
    ///
    /// # Errors
    /// [`WorldError`].
    pub fn by(founder: &Act, folder: &Path, suite: Suite, route: Route) -> Result<Self, WorldError> {
        Self::on_chip(Limits::NONE, founder, folder, suite, route)
    }

    /// As [`World::by`], with a card whose chip has these limits.
    ///
    /// # Errors
    /// [`WorldError`].
    pub fn on_chip(
        limits: Limits,
        founder: &Act,
        folder: &Path,
        suite: Suite,
        route: Route,
    ) -> Result<Self, WorldError> {
        let policy = Policy { danger_allow_weak_suites: suite.danger().is_some(), ..Policy::default() };
        let options = InitOptions { policy, ..InitOptions::new("Example Bank") };
        let server = Verifier::init(&folder.join("bank"), options, Environment::system())?;
        let payer = server.desk(founder.clone()).open_account(&account(PAYER, BALANCE)?)?;
        let payee = server.desk(founder.clone()).open_account(&account(PAYEE, 0)?)?;
        let client = server.desk(founder.clone()).register_terminal(terminal_id()?)?;
        let order = server
            .desk(founder.clone())
            .order_card(&payer, &CardOptions { suite, ..CardOptions::new(euro()?) })?;
        let nvm =
            ImageFile::create(&folder.join("card.img"), ImageOptions::default()).map_err(CardError::from)?;
        let clock = VirtualClock::at(Millis(1_000_000));
        let env = CardEnvironment { clock: Box::new(clock.clone()), limits, ..CardEnvironment::default() };
        let pin: Pin = PIN.parse().map_err(scenario)?;
        let (card, statement) =
            Card::issue(&order.personalisation, pin, order.management.as_ref(), Box::new(nvm), env)?;
        server.desk(founder.clone()).activate_card(&statement)?;
        let terminal = Terminal::new(terminal_id()?);
        let (card, server) = (Arc::new(Mutex::new(card)), Arc::new(server));
        let service = Embedded::new(Arc::clone(&server), client.clone());
        Ok(Self { server, service, client, terminal, payer, payee, card, clock, route })
    }

    /// A payment of so many cents to the payee.
    ///
    /// # Errors
    /// [`WorldError::Scenario`] if the amount is none.
    pub fn draft(&self, cents: u64) -> Result<Draft, WorldError> {
        Ok(Draft {
            kind: TransactionType::Payment,
            payee_account: self.payee.clone(),
            payee_name: PAYEE.parse_text()?,
            amount: Amount::new(cents, euro()?).map_err(scenario)?,
            reference: "Order 17".parse_text()?,
            details: Some("Two flat whites, one croissant".parse_text()?),
        })
    }

    /// One contact. `watch` wraps the reader, to see what goes over.
    ///
    /// # Errors
    /// [`WorldError::Host`].
    pub fn tap(&mut self, draft: &Draft, watch: &mut Watch<'_>) -> Result<Tapped, WorldError> {
        match &self.route {
            Route::InProcess => {
                let mut reader = InProcessReader::new(Arc::clone(&self.card));
                Ok(watch(&mut reader, &mut self.terminal, draft)?)
            }
            Route::Pcsc(name, config) => {
                let (card, stop) = (Arc::clone(&self.card), Stop::new());
                let (terminal, inner) = (&mut self.terminal, stop.clone());
                let (name, config) = (name.clone(), config.clone());
                std::thread::scope(|scope| {
                    scope.spawn(move || vpcd::serve(&card, &config, &inner));
                    let tapped = wait_for_card(&Wanted::in_reader(&name), &Deadline::after(WAIT))
                        .map_err(HostError::from)
                        .and_then(|mut reader| watch(&mut reader, terminal, draft));
                    stop.stop();
                    // The next tap is a new insertion only if the reader has seen this one end.
                    let removed = wait_for_removal(&name, &Deadline::after(WAIT));
                    let tapped = tapped?;
                    removed.map_err(HostError::from)?;
                    Ok(tapped)
                })
            }
        }
    }

    /// One contact that nobody watches.
    ///
    /// # Errors
    /// [`WorldError::Host`].
    pub fn plain_tap(&mut self, draft: &Draft) -> Result<Tapped, WorldError> {
        self.tap(draft, &mut |reader, terminal, draft| terminal.tap(reader, draft, &Deadline::after(WAIT)))
    }

    /// The holder with card and PIN.
    #[must_use]
    pub fn holder(&self) -> Holder<'_> {
        Holder { card: &self.card, time: &self.clock, pin: PIN }
    }

    /// The holder types `password` at the terminal, which only then has a request (P-16).
    ///
    /// # Errors
    /// [`WorldError::Keyboard`].
    pub fn type_in(tapped: Tapped, password: &str) -> Result<AuthorisationRequest, WorldError> {
        let typed = VerificationPassword::type_in(&mut LineKeyboard(password.as_bytes()))?;
        Ok(tapped.authorise(typed))
    }

    /// The terminal sends the request to the server. `key` tells one attempt from the next.
    ///
    /// # Errors
    /// [`WorldError::NoAnswer`].
    pub fn send(&self, key: &str, request: &AuthorisationRequest) -> Result<Answer, WorldError> {
        let key = key.parse().map_err(scenario)?;
        Ok(self.service.authorise(&key, request, &Deadline::after(WAIT))?)
    }
}

fn account(holder: &str, cents: u64) -> Result<AccountOptions, WorldError> {
    Ok(AccountOptions {
        holder: holder.parse_text()?,
        currency: euro()?,
        kind: AccountKind::Current,
        opening_balance: cents,
        number: None,
    })
}

fn euro() -> Result<Currency, WorldError> {
    "EUR".parse().map_err(scenario)
}

fn terminal_id() -> Result<onetap_apdu_spec::txn::TerminalId, WorldError> {
    TERMINAL.parse().map_err(scenario)
}

fn scenario(error: impl std::fmt::Display) -> WorldError {
    WorldError::Scenario(error.to_string())
}

/// Literals of this module to displayable text.
trait ParseText {
    fn parse_text<const MAX: usize>(&self) -> Result<onetap_apdu_spec::text::DisplayText<MAX>, WorldError>;
}

impl ParseText for str {
    fn parse_text<const MAX: usize>(&self) -> Result<onetap_apdu_spec::text::DisplayText<MAX>, WorldError> {
        onetap_apdu_spec::text::DisplayText::new(self).map_err(scenario)
    }
}
