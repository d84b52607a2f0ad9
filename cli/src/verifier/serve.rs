//! `onetap verifier serve`: the verifier as a service, until it is told to stop.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use onetap_server_verifier::http::{Config, Rate, Server, Shutdown, TlsFiles};
use onetap_server_verifier::outbox::{self, WebhookConfig};
use onetap_server_verifier::{Background, Verifier};
use serde_json::json;

use super::housekeeping::keep_house;
use super::log::Log;
use super::open;
use crate::act::act;
use crate::args::Serve;
use crate::exit::Failure;
use crate::interrupt;
use crate::output::Output;

/// Seconds' worth of requests that a client may send in one burst.
const CLIENT_BURST: u32 = 2;
/// Seconds' worth of requests that may come from one card in one burst.
const CARD_BURST: u32 = 10;

pub(crate) fn run(options: &Serve, out: Output) -> Result<(), Failure> {
    let log = Log::start(options.log)?;
    let verifier = Arc::new(announcing(options)?);
    let _outbox = webhook(options, &verifier)?;
    let _housekeeping = keep_house(Arc::clone(&verifier), options.checkpoints.clone())?;
    let (tell, told) = channel();
    interrupt::watch(move || {
        // Nobody listens any more only when the service has ended already.
        let _ = tell.send(());
    })?;
    let server = Server::start(verifier, config(options, &log))?;
    announce(options, &server, out)?;
    // Ends with an error only if nobody could tell it to stop: then it stops, too.
    let _ = told.recv();
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
