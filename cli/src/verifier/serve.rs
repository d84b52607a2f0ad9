//! `onetap verifier serve`: the verifier as a service, until it is told to stop.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use onetap_server_verifier::http::{Config, Rate, Server, Shutdown, TlsFiles};
use onetap_server_verifier::outbox::{self, WebhookConfig};
use onetap_server_verifier::{Background, Verifier, causes};
use serde_json::json;

use super::housekeeping::keep_house;
use super::keys::{open_with, reopen_keys};
use super::log::Log;
use super::manager;
use super::settings::{self, Usable};
use crate::act::act;
use crate::args::{Serve, Settings};
use crate::exit::Failure;
use crate::interrupt::{self, Wish};
use crate::output::Output;

/// Seconds' worth of requests that a client may send in one burst.
const CLIENT_BURST: u32 = 2;
/// Seconds' worth of requests that may come from one card in one burst.
const CARD_BURST: u32 = 10;

pub(crate) fn run(given: &Serve, out: Output) -> Result<(), Failure> {
    // From here on nothing of the kind ends it half way.
    let wishes = interrupt::wishes()?;
    let Usable { folder, settings } = &settings::read(given)?;
    let log = Log::start(settings.log.unwrap_or_default())?;
    let verifier = Arc::new(announcing(folder, settings)?);
    let _outbox = webhook(settings, &verifier)?;
    let _housekeeping = keep_house(Arc::clone(&verifier), settings.checkpoints.clone())?;
    let server = start(settings, &verifier, &log)?;
    announce(settings, &server, out)?;
    manager::ready();
    let watchdog = manager::watchdog(server.pulse())?;
    // Fails only if nobody could tell it to stop: then it stops, too.
    while wishes.recv() == Ok(Wish::Reload) {
        reload(given, &verifier, &server, &log);
    }
    manager::stopping();
    drop(watchdog);
    match server.shutdown() {
        Shutdown::Complete => {
            // It has ended in order, whether or not anybody reads so.
            let _ = out.say("stopped");
            Ok(())
        }
        Shutdown::CutOff => {
            let what = "requests were still under way when the time for stopping was over";
            Err(Failure::NotAsExpected(format!("{what}; their idempotency keys tell what became of them")))
        }
    }
}

/// The service at the socket that the service manager hands over, or else where the settings say.
fn start(settings: &Settings, verifier: &Arc<Verifier>, log: &Log) -> Result<Server, Failure> {
    let config = Config { lost_log_lines: Arc::clone(&log.lost), ..config(settings) };
    let verifier = Arc::clone(verifier);
    Ok(match manager::listener()? {
        Some(listener) => Server::start_at(listener, verifier, config)?,
        None => Server::start(verifier, config)?,
    })
}

/// Reads again what a running service can take: certificates, rates, what to log, what opens the keys. What cannot be
/// read stays as it was, and the log says why; nobody is cut off.
fn reload(given: &Serve, verifier: &Verifier, server: &Server, log: &Log) {
    manager::reloading();
    match settings::read(given) {
        Ok(Usable { folder, settings }) => {
            log.set_level(settings.log.unwrap_or_default());
            told("certificates and rates", server.reload(&config(&settings)).map_err(Failure::from));
            told("keys", reopen_keys(&folder, &settings.opener(), verifier));
        }
        Err(error) => told("configuration", Err(error)),
    }
    manager::ready();
}

/// Tells what became of a part that was to be read again.
fn told(what: &str, read: Result<(), Failure>) {
    match read {
        Ok(()) => tracing::info!(what, "read again"),
        Err(error) => {
            tracing::error!(what, error = causes(&error), "not read again: what was read before stays");
        }
    }
}

/// The verifier, which writes a message for each transaction if somebody is to be told.
fn announcing(folder: &Path, settings: &Settings) -> Result<Verifier, Failure> {
    let open = || open_with(folder, &settings.opener());
    let verifier = open()?;
    if settings.webhook.is_some() && verifier.desk(act(None, "")).announce(true)? {
        // It reads when it is opened whether it is to write them.
        drop(verifier);
        return open();
    }
    Ok(verifier)
}

/// Tells the webhook, until what this returns is dropped.
fn webhook(settings: &Settings, verifier: &Arc<Verifier>) -> Result<Option<Background>, Failure> {
    let config = webhook_config(settings, verifier)?;
    Ok(config.map(|config| outbox::spawn(Arc::clone(verifier), config)).transpose()?)
}

/// Whom to tell, if anybody.
pub(super) fn webhook_config(
    settings: &Settings,
    verifier: &Verifier,
) -> Result<Option<WebhookConfig>, Failure> {
    let Some(url) = &settings.webhook else { return Ok(None) };
    let config = WebhookConfig::new(url, verifier.webhook_keys()?);
    Ok(Some(WebhookConfig { ca: settings.webhook_ca.clone(), ..config }))
}

fn announce(settings: &Settings, server: &Server, out: Output) -> Result<(), Failure> {
    let scheme = if settings.tls_cert.is_some() { "https" } else { "http" };
    let (address, url) = (server.addr(), format!("{scheme}://{}", server.addr()));
    out.result(&json!({ "listening": address, "url": url }), format!("listening at {url}"))
}

/// How the service is run; what is not set is as the library has it.
pub(super) fn config(settings: &Settings) -> Config {
    let default = Config::default();
    let limit = |set: Option<u32>, burst: u32, default: Option<Rate>| match set {
        None => default,
        Some(per_second) => {
            let per_second = NonZeroU32::new(per_second)?;
            Some(Rate::new(per_second, per_second.saturating_mul(NonZeroU32::new(burst)?)))
        }
    };
    let max_connections = settings.max_connections.unwrap_or(default.max_connections);
    Config {
        listen: settings.listen.unwrap_or(default.listen),
        tls: tls(settings),
        insecure_plain_http: settings.insecure_plain_http.unwrap_or_default(),
        client_rate: limit(settings.client_rate, CLIENT_BURST, default.client_rate),
        card_rate: limit(settings.card_rate, CARD_BURST, default.card_rate),
        max_connections,
        source_connections: settings.source_connections.unwrap_or(max_connections / 2),
        source_silent: settings.source_silent.unwrap_or(max_connections / 4),
        wrong_per_minute: settings.wrong_credentials.unwrap_or(default.wrong_per_minute),
        threads: settings.threads.unwrap_or(default.threads),
        shutdown_time: settings.shutdown_time.map_or(default.shutdown_time, Duration::from_secs),
        ..default
    }
}

fn tls(settings: &Settings) -> Option<TlsFiles> {
    Some(TlsFiles {
        certificates: settings.tls_cert.clone()?,
        key: settings.tls_key.clone()?,
        client_ca: settings.client_ca.clone(),
        require_client_certificate: settings.require_client_cert.unwrap_or_default(),
    })
}
