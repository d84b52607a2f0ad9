//! `onetap verifier config`: whether the service can be run as it is configured, and how that is.

use onetap_server_verifier::http::Server;
use onetap_server_verifier::outbox::webhook::Webhook;
use serde_json::json;

use super::keys::open_to_read_with;
use super::serve;
use super::settings::{Layers, Usable, read, usable};
use crate::args::Configuration;
use crate::exit::Failure;
use crate::output::Output;

pub(super) fn run(command: &Configuration, out: Output) -> Result<(), Failure> {
    match command {
        Configuration::Check(given) => check(&read(given)?, out),
        Configuration::Show(given) => show(&Layers::read(given)?, out),
    }
}

fn check(Usable { folder, settings }: &Usable, out: Output) -> Result<(), Failure> {
    let verifier = open_to_read_with(folder, &settings.opener())?;
    Server::check(&serve::config(settings), verifier.now())?;
    if let Some(webhook) = serve::webhook_config(settings, &verifier)? {
        Webhook::new(&webhook)?;
    }
    out.result(&json!({ "result": "usable" }), "the service can start with these settings")
}

fn show(layers: &Layers, out: Output) -> Result<(), Failure> {
    let merged = layers.merged();
    for (place, (name, value)) in merged.entries().into_iter().enumerate() {
        let source = layers.source(place);
        let text =
            value.as_ref().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        let prose = format!("{name:<20} {:<24} {source}", text.as_deref().unwrap_or("-"));
        out.result(&json!({ "setting": name, "value": value, "source": source.to_string() }), prose)?;
    }
    usable(merged).map(drop)
}
