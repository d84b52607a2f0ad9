//! Where the server is, and how a session is set.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::Runtime;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::place::{Place, ROOTS};
use super::session::{READ, Session, Use};
use super::wire::POOLED;
use crate::books::sql::Sql;
use crate::domain::StoreError;

/// What every session is set to, unless the URL's `options` say otherwise; said when it is there, since poolers take no
/// `options`. READ COMMITTED is enough where the rows that a decision rests on are locked first.
macro_rules! settings {
    ($more:expr) => {
        concat!(
            "SELECT set_config(name, value, false) FROM (VALUES ('lock_timeout', '5s'),
                ('idle_in_transaction_session_timeout', '60s'), ('default_transaction_isolation', 'read committed')",
            $more,
            ") ours (name, value)
            WHERE NOT EXISTS (SELECT FROM pg_settings s WHERE s.name = ours.name AND s.source = 'client')"
        )
    };
}
const SETTINGS: &str = settings!("");
/// The same, and the longest time of one statement of a decision.
const OF_DECISIONS: &str = settings!(", ('statement_timeout', '10s')");
/// Which of the server's processes serves a session.
const PROCESS: &str = "SELECT CAST(pg_backend_pid() AS BIGINT)";
/// How often it is looked whether a session stays with its process: others may use the pooler meanwhile.
const ROUNDS: usize = 8;
const NAME: &str = "onetap-verifier";
/// Longest wait for each of the URL's hosts.
const CONNECT: Duration = Duration::from_secs(5);
/// Silence after which a machine counts as gone.
const SILENCE: Duration = Duration::from_secs(15);

/// The server, or the several of which one is the primary.
pub(super) struct Link {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    /// Whether decisions rest on what is read.
    decides: bool,
}

impl Link {
    /// To the server that takes writes: lockout is never read from a standby.
    pub(super) fn to_primary(url: &str) -> Result<Self, StoreError> {
        Self::parse(url, TargetSessionAttrs::ReadWrite)
    }

    /// To any server, for reading what nothing is decided by.
    pub(super) fn to_any(url: &str) -> Result<Self, StoreError> {
        Self::parse(url, TargetSessionAttrs::Any)
    }

    /// Reads a URL or a string of `key=value` pairs.
    fn parse(url: &str, wanted: TargetSessionAttrs) -> Result<Self, StoreError> {
        let Place { mut config, roots } = Place::read(url)?;
        config.target_session_attrs(wanted);
        if config.get_application_name().is_none() {
            config.application_name(NAME);
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE);
            config.keepalives_idle(SILENCE / 3).keepalives_interval(SILENCE / 3).keepalives_retries(2);
        }
        let tls = encryption(&mut config, roots.as_deref())?;
        Ok(Self { config, tls, decides: wanted == TargetSessionAttrs::ReadWrite })
    }

    /// Connects for the first time, and refuses a pooler that gives each transaction another session: what is prepared and set
    /// in one would be missing in the next, or be another client's.
    pub(super) fn first(&self) -> Result<Session, StoreError> {
        let process = |db: &mut dyn Sql| db.count(PROCESS, &[]);
        let (mut first, mut other) = (self.dial(Use::Visits)?, self.dial(Use::Visits)?);
        for _ in 0..ROUNDS {
            let ours = first.transaction(READ, process)?;
            other.transaction(READ, |db| {
                let is_pooled = process(db)? == ours || first.transaction(READ, process)? != ours;
                if is_pooled { Err(StoreError::Refused(POOLED.to_owned())) } else { Ok(()) }
            })?;
        }
        Ok(first)
    }

    /// Connects, and waits until everything that decisions may rest on is on the standby.
    pub(super) fn connect(&self, purpose: Use) -> Result<Session, StoreError> {
        let mut session = self.dial(purpose)?;
        if self.decides {
            session.barrier()?;
        }
        Ok(session)
    }

    /// Connects, without [`Session::barrier`].
    pub(super) fn dial(&self, purpose: Use) -> Result<Session, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| StoreError::Unreachable(error.to_string()))?;
        let client = match &self.tls {
            None => handshake(&runtime, &self.config, NoTls)?,
            Some(tls) => handshake(&runtime, &self.config, tls.clone())?,
        };
        let mut session = Session::new(client, runtime, purpose);
        session.batch(if purpose == Use::Decisions { OF_DECISIONS } else { SETTINGS })?;
        Ok(session)
    }
}

fn handshake<T>(runtime: &Runtime, config: &Config, tls: T) -> Result<Client, StoreError>
where
    T: MakeTlsConnect<Socket, Stream: Send + 'static>,
{
    let (client, connection) = runtime.block_on(config.connect(tls))?;
    runtime.spawn(connection);
    Ok(client)
}

/// TLS wherever there is a network in between, unless the URL says `sslmode=disable`: there is no falling back to
/// plain text. The server's certificate must be for its name.
fn encryption(config: &mut Config, roots: Option<&Path>) -> Result<Option<MakeRustlsConnect>, StoreError> {
    let local = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
    if local || config.get_ssl_mode() == SslMode::Disable {
        config.ssl_mode(SslMode::Disable);
        return Ok(None);
    }
    config.ssl_mode(SslMode::Require);
    let Some(path) = roots else {
        let what = format!("no certificate to know it by: name a file in `sslrootcert` or {ROOTS}");
        return Err(StoreError::Refused(what));
    };
    let bad = |what: String| StoreError::Refused(format!("{}: {what}", path.display()));
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path).map_err(|error| bad(error.to_string()))? {
        roots.add(certificate).map_err(|error| bad(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(bad("no certificate in it".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]);
    let builder = builder.map_err(|error| bad(error.to_string()))?;
    Ok(Some(MakeRustlsConnect::new(builder.with_root_certificates(roots).with_no_client_auth())))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, rustls::pki_types::pem::Error> {
    CertificateDer::pem_file_iter(path)?.collect()
}
