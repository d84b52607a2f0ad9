//! A bank in a folder with all that a payment over the network needs: two accounts, a card in an image, a terminal with its token,
//! an authority and the server's certificate.

use std::path::Path;

use onetap_apdu_spec::suite::Suite;
use onetap_conformance::world::{Route, TERMINAL, World};
use onetap_server_verifier::Verifier;
use onetap_server_verifier::domain::client::{NewClient, Role};

use crate::act::act;
use crate::authority::Authority;
use crate::exit::Failure;
use crate::files::{NewFile, Secrecy};

/// What stands in the folder afterwards.
#[derive(Debug)]
pub(crate) struct Stage {
    /// The number of the account that is to be paid.
    pub(crate) payee: String,
}

impl Stage {
    /// Fills a folder: `bank`, `card.img`, `till.token`, `ca.pem`, `server.pem` and `server.key`. The server's certificate is for
    /// `names`: addresses and host names.
    ///
    /// # Errors
    /// [`Failure`] if a file is there already or cannot be written.
    pub(crate) fn set(at: &Path, suite: Suite, names: &[String]) -> Result<Self, Failure> {
        let World { server, payee, .. } = World::by(&act(None, "set-up"), at, suite, Route::InProcess)?;
        write(&at.join("till.token"), &token(&server)?, Secrecy::OwnerOnly)?;
        let authority = Authority::new()?;
        let (certificate, key) = authority.issue(names)?;
        write(&at.join("ca.pem"), &authority.pem(), Secrecy::Public)?;
        write(&at.join("server.pem"), &certificate, Secrecy::Public)?;
        write(&at.join("server.key"), &key, Secrecy::OwnerOnly)?;
        Ok(Self { payee: payee.to_string() })
    }
}

/// The terminal's token at this server.
fn token(server: &Verifier) -> Result<String, Failure> {
    let wrong =
        |why: &dyn std::fmt::Display| Failure::NotAsExpected(format!("the scenario itself is wrong: {why}"));
    let id = "till-1".parse().map_err(|why| wrong(&why))?;
    let terminal = TERMINAL.parse().map_err(|why| wrong(&why))?;
    let (client, token) = NewClient::with_token(id, Role::terminal(terminal)).make(server.now());
    server.desk(act(None, "the shop's till")).add_client(&client)?;
    token.map(|token| token.expose().to_owned()).ok_or_else(|| wrong(&"no token was made"))
}

/// A new file with this text.
pub(crate) fn write(path: &Path, text: &str, secrecy: Secrecy) -> Result<(), Failure> {
    NewFile::create(path, secrecy)?.write_text(text)
}
