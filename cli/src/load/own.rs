//! A service of this command's own in a temporary folder, without limits of rate.

use std::sync::Arc;

use onetap_apdu_spec::suite::Suite;
use onetap_pcsc_host::http::{Credentials, HttpConfig, Roots};
use onetap_server_verifier::domain::client::{NewClient, Role};
use onetap_server_verifier::http::{Config, Server, TlsFiles};
use onetap_server_verifier::{PolicyChange, Verifier};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::act::act;
use crate::exit::Failure;
use crate::files;
use crate::online::in_file;
use crate::stage::Stage;
use crate::verifier::keys::open;

/// What is signed beforehand may be so old when it is sent, in seconds.
const MAX_AGE: i64 = 24 * 60 * 60;
/// Connections besides those of the load.
const SPARE: usize = 64;
const WHY: &str = "onetap load";

/// The service; it ends when this is dropped.
pub(super) struct Own {
    server: Server,
    token: Zeroizing<String>,
    folder: TempDir,
}

impl Own {
    /// Starts one that takes cards of this suite, and so many connections.
    pub(super) fn start(suite: Suite, connections: usize) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()
            .map_err(|source| Failure::file("make a folder in", &std::env::temp_dir(), source))?;
        let at = folder.path();
        Stage::set(at, suite, &["127.0.0.1".to_owned()])?;
        let verifier = open(&at.join("bank"))?;
        let change = PolicyChange { max_age: Some(MAX_AGE), ..PolicyChange::default() };
        verifier.desk(act(None, WHY)).change_policy(&change)?;
        let token = admin(&verifier)?;
        let tls = TlsFiles {
            certificates: at.join("server.pem"),
            key: at.join("server.key"),
            client_ca: None,
            require_client_certificate: false,
        };
        let room = connections + SPARE;
        let config = Config {
            tls: Some(tls),
            client_rate: None,
            card_rate: None,
            max_connections: room,
            source_connections: room,
            source_silent: room,
            ..Config::default()
        };
        let server = Server::start(Arc::new(verifier), config)?;
        Ok(Self { server, token, folder })
    }

    /// How its admin reaches it.
    pub(super) fn reach(&self) -> Result<HttpConfig, Failure> {
        let ca = self.folder.path().join("ca.pem");
        let token = Credentials::token(&self.token).map_err(in_file(&ca))?;
        let mut config = HttpConfig::new(&format!("https://{}", self.server.addr()), token);
        config.roots = Roots::from_pem(files::read_text(&ca)?.as_bytes()).map_err(in_file(&ca))?;
        Ok(config)
    }
}

/// The token of an admin who is made for this.
fn admin(verifier: &Verifier) -> Result<Zeroizing<String>, Failure> {
    let wrong = || Failure::NotAsExpected("no token was made".to_owned());
    let id = "load-admin".parse().map_err(|_| wrong())?;
    let (client, token) = NewClient::with_token(id, Role::Admin).make(verifier.now());
    verifier.desk(act(None, WHY)).add_client(&client)?;
    Ok(Zeroizing::new(token.ok_or_else(wrong)?.expose().to_owned()))
}
