//! `onetap verifier client`: who may ask the service.

use std::path::Path;

use onetap_server_verifier::ServiceError;
use onetap_server_verifier::domain::client::{ClientId, ClientRecord, Credential, NewClient, Role};
use onetap_server_verifier::http::certificate_fingerprint;
use serde_json::json;

use super::{open, open_to_read};
use crate::act::act;
use crate::args;
use crate::exit::Failure;
use crate::output::Output;

pub(crate) fn run(command: &args::Client, out: Output) -> Result<(), Failure> {
    match command {
        args::Client::Add(options) => add(options, out),
        args::Client::Withdraw { db, id, why } => withdraw(db, id, why.reason(), out),
        args::Client::List { db } => {
            for record in open_to_read(db)?.clients()? {
                out.result(&object(&record), line(&record))?;
            }
            Ok(())
        }
    }
}

fn add(options: &args::AddClient, out: Output) -> Result<(), Failure> {
    let server = open(&options.db)?;
    let role = Role::new(options.role.into(), options.terminal.clone());
    let role =
        role.map_err(|_| Failure::Usage("give --terminal with --role terminal, and only then".into()))?;
    let crypto = onetap_apdu_spec::crypto::default_provider();
    let certificate =
        options.cert.as_deref().map(|path| certificate_fingerprint(crypto, path)).transpose()?;
    let new = NewClient { id: options.id.clone(), role, certificate, token: options.token };
    let (record, token) = new.make(server.now());
    server.desk(act(None, options.why.reason())).add_client(&record).map_err(usage)?;
    let mut object = object(&record);
    let Some(token) = token else {
        return out.result(&object, format!("client {} added; it shows its certificate", record.id));
    };
    object["token"] = token.expose().into();
    out.result(
        &object,
        format!("client {} added; its token, shown this once:\n{}", record.id, token.expose()),
    )
}

fn withdraw(db: &Path, id: &ClientId, reason: &str, out: Output) -> Result<(), Failure> {
    open(db)?.desk(act(None, reason)).withdraw_client(id).map_err(usage)?;
    out.result(&json!({ "withdrawn": id }), format!("{id} is withdrawn"))
}

/// A name that cannot be used is wrong usage.
fn usage(error: ServiceError) -> Failure {
    match error {
        ServiceError::ClientExists | ServiceError::NoSuchClient => Failure::Usage(error.to_string()),
        other => other.into(),
    }
}

fn object(record: &ClientRecord) -> serde_json::Value {
    json!({
        "client": record.id,
        "role": record.role.kind(),
        "terminal": record.role.terminal(),
        "needs_new_token": record.credential.is_outdated(),
        "certificate": record.credential.certificate().map(hex::encode),
        "added_at": record.added_at,
        "withdrawn_at": record.withdrawn_at,
    })
}

fn line(record: &ClientRecord) -> String {
    let terminal = record.role.terminal().map_or("", |terminal| terminal.as_str());
    let shows = match record.credential {
        _ if record.credential.is_outdated() => "needs a new token: withdraw it, add it under another name",
        Credential::Token(_) => "token",
        Credential::Certificate(_) => "certificate",
        Credential::Both(..) => "certificate and token",
    };
    let state = if record.withdrawn_at.is_some() { "withdrawn" } else { "active" };
    format!("{:<24} {:<9} {terminal:<8}  {state:<9}  {shows}", record.id, record.role.kind())
}
