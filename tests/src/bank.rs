//! A bank to try a terminal with, in this process: the verifier over TLS, a client of it, a payer's card and its holder.
//! docs/terminal.md pays at it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::PoisonError;
use std::thread;

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::suite::Suite;
use onetap_applet::SharedCard;
use onetap_applet::card::VirtualClock;
use onetap_applet::front::vpcd::{self, Meeting, Stop, VpcdConfig};
use onetap_pcsc_host::{Cards, Deadline, Reader, ReaderError};
use onetap_server_verifier::Act;
use onetap_server_verifier::domain::client::{NewClient, Role};
use onetap_server_verifier::http::{Config, Server, TlsFiles};

use crate::holder::Holder;
use crate::reader::InProcessReader;
use crate::world::{PIN, Route, TERMINAL, World};

/// Such a bank; it serves until it is dropped.
pub struct Bank {
    /// Where it is, such as `https://localhost:8443`.
    pub url: String,
    /// The certificate of the authority that vouches for it, in PEM.
    pub ca: String,
    /// With what the terminal `POS00001` is let in.
    pub token: String,
    /// Who is paid.
    pub payee: AccountNumber,
    card: SharedCard,
    clock: VirtualClock,
    listening: Stop,
    _server: Server,
}

impl Drop for Bank {
    fn drop(&mut self) {
        self.listening.stop();
    }
}

impl Bank {
    /// Opens one in an empty folder.
    ///
    /// # Errors
    /// Whatever the verifier or the system says.
    pub fn open(folder: &Path) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let World { server: verifier, card, clock, payee, .. } =
            World::new(folder, Suite::default(), Route::InProcess)?;
        let new = NewClient::with_token(TERMINAL.parse()?, Role::terminal(TERMINAL.parse()?));
        let (client, token) = new.make(verifier.now());
        verifier.desk(Act::of_program("test", "set-up")).add_client(&client)?;
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let [certificates, key] = ["bank.pem", "bank.key"].map(|name| folder.join(name));
        std::fs::write(&certificates, made.cert.pem())?;
        std::fs::write(&key, made.signing_key.serialize_pem())?;
        let tls = TlsFiles { certificates, key, client_ca: None, require_client_certificate: false };
        // One card and one client are all there is here: they may ask as often as they like.
        let config = Config { tls: Some(tls), client_rate: None, card_rate: None, ..Config::default() };
        let server = Server::start(verifier, config)?;
        let url = format!("https://localhost:{}", server.addr().port());
        let token = token.ok_or("no token")?.expose().to_owned();
        let listening = Stop::new();
        Ok(Self { url, ca: made.cert.pem(), token, payee, card, clock, listening, _server: server })
    }

    /// A reader on the terminal's counter, where the payer lays the card as soon as it is waited for, and takes it away
    /// as soon as it may go.
    #[must_use]
    pub fn counter(&self) -> impl Cards + use<> {
        Counter(SharedCard::clone(&self.card))
    }

    /// Lays the payer's card on a reader that is a socket, in vpcd's reversed mode, for terminals in other programs. Each
    /// connection is a contact. Returns where it listens.
    ///
    /// # Errors
    /// No port is free.
    pub fn listen(&self) -> Result<SocketAddr, Box<dyn std::error::Error + Send + Sync>> {
        let meeting = Meeting::listen((Ipv4Addr::LOCALHOST, 0).into())?;
        let addr = meeting.addr()?;
        let config = VpcdConfig { meeting, ..VpcdConfig::default() };
        let (card, stop) = (SharedCard::clone(&self.card), self.listening.clone());
        // In reversed mode it ends by `stop` and by nothing else.
        thread::spawn(move || drop(vpcd::serve(&card, &config, &stop)));
        Ok(addr)
    }

    /// The payer reads the card's display, confirms with the PIN, and reads the joint password off it.
    ///
    /// # Errors
    /// The card shows nothing to confirm.
    pub fn holder_reads(&self) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        // Behind a socket the card notices a moment later than the terminal that it is out.
        while self.card.lock().unwrap_or_else(PoisonError::into_inner).in_field() {
            thread::yield_now();
        }
        Ok(Holder { card: &self.card, time: &self.clock, pin: PIN }.confirm(&mut |_| ())?)
    }
}

struct Counter(SharedCard);

impl Cards for Counter {
    fn wait(&mut self, _: &Deadline) -> Result<Box<dyn Reader>, ReaderError> {
        Ok(Box::new(InProcessReader::new(SharedCard::clone(&self.0))))
    }

    fn wait_for_removal(&mut self, _: &Deadline) -> Result<(), ReaderError> {
        Ok(())
    }
}
