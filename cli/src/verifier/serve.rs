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
use super::keys::reopen_keys;
use super::log::Log;
use super::{manager, open};
use crate::act::act;
use crate::args::Serve;
use crate::exit::Failure;
use crate::interrupt::{self, Wish};
use crate::output::Output;

/// Seconds' worth of requests that a client may send in one burst.
const CLIENT_BURST: u32 = 2;
/// Seconds' worth of requests that may come from one card in one burst.
const CARD_BURST: u32 = 10;

pub(crate) fn run(options: &Serve, out: Output) -> Result<(), Failure> {
    // From here on nothing of the kind ends it half way.
    let wishes = interrupt::wishes()?;
    let log = Log::start(options.log)?;
    let verifier = Arc::new(announcing(options)?);
    let _outbox = webhook(options, &verifier)?;
    let _housekeeping = keep_house(Arc::clone(&verifier), options.checkpoints.clone())?;
    let server = start(options, &verifier, &log)?;
    announce(options, &server, out)?;
    manager::ready();
    let watchdog = manager::watchdog(server.pulse())?;
    // Fails only if nobody could tell it to stop: then it stops, too.
    while wishes.recv() == Ok(Wish::Reload) {
        reload(options, &verifier, &server, &log);
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

/// The service at the socket that the service manager hands over, or else where the options say.
fn start(options: &Serve, verifier: &Arc<Verifier>, log: &Log) -> Result<Server, Failure> {
    let (verifier, config) = (Arc::clone(verifier), config(options, log));
    Ok(match manager::listener()? {
        Some(listener) => Server::start_at(listener, verifier, config)?,
        None => Server::start(verifier, config)?,
    })
}

/// Reads again what a running service can take: certificates, rates, what to log, what opens the keys. What cannot be
/// read stays as it was, and the log says why; nobody is cut off.
fn reload(options: &Serve, verifier: &Verifier, server: &Server, log: &Log) {
    manager::reloading();
    log.set_level(options.log);
    let read = [
        ("certificates and rates", server.reload(&config(options, log)).map_err(Failure::from)),
        ("keys", reopen_keys(&options.db, verifier)),
    ];
    for (what, read) in read {
        match read {
            Ok(()) => tracing::info!(what, "read again"),
            Err(error) => {
                tracing::error!(what, error = causes(&error), "not read again: what was read before stays");
            }
        }
    }
    manager::ready();
}

/// The verifier, which writes a message for each transaction if somebody is to be told.
fn announcing(options: &Serve) -> Result<Verifier, Failure> {
    let verifier = open(&options.db)?;
    if options.webhook.is_some() && verifier.desk(act(None, "")).announce(true)? {
        // It reads when it is opened whether it is to write them.
        drop(verifier);
        return open(&options.db);
    }
    Ok(verifier)
}

/// Tells the webhook, until what this returns is dropped.
fn webhook(options: &Serve, verifier: &Arc<Verifier>) -> Result<Option<Background>, Failure> {
    let Some(url) = &options.webhook else {
        return Ok(None);
    };
    let config = WebhookConfig::new(url, verifier.webhook_key().clone());
    let config = WebhookConfig { ca: options.webhook_ca.clone(), ..config };
    Ok(Some(outbox::spawn(Arc::clone(verifier), config)?))
}

fn announce(options: &Serve, server: &Server, out: Output) -> Result<(), Failure> {
    let scheme = if options.tls_cert.is_some() { "https" } else { "http" };
    let (address, url) = (server.addr(), format!("{scheme}://{}", server.addr()));
    out.result(&json!({ "listening": address, "url": url }), format!("listening at {url}"))
}

fn config(options: &Serve, log: &Log) -> Config {
    let rate = |per_second: u32, seconds: u32| {
        let per_second = NonZeroU32::new(per_second)?;
        let burst = per_second.saturating_mul(NonZeroU32::new(seconds)?);
        Some(Rate::new(per_second, burst))
    };
    let default = Config::default();
    Config {
        listen: options.listen,
        tls: tls(options),
        insecure_plain_http: options.insecure_plain_http,
        client_rate: rate(options.client_rate, CLIENT_BURST),
        card_rate: rate(options.card_rate, CARD_BURST),
        max_connections: options.max_connections,
        source_connections: options.source_connections.unwrap_or(options.max_connections / 2),
        source_silent: options.source_silent.unwrap_or(options.max_connections / 4),
        wrong_per_minute: options.wrong_credentials,
        threads: options.threads.unwrap_or(default.threads),
        shutdown_time: Duration::from_secs(options.shutdown_time),
        lost_log_lines: Arc::clone(&log.lost),
        ..default
    }
}

fn tls(options: &Serve) -> Option<TlsFiles> {
    let (certificates, key) = (options.tls_cert.as_deref()?, options.tls_key.as_deref()?);
    Some(TlsFiles {
        certificates: certificates.to_owned(),
        key: key.to_owned(),
        client_ca: options.client_ca.as_deref().map(Path::to_owned),
        require_client_certificate: options.require_client_cert,
    })
}
