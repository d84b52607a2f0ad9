//! `onetap verifier client`: who may ask the service.

use std::path::Path;
use std::sync::Arc;

use onetap_server_verifier::http::certificate_fingerprint;
use onetap_server_verifier::http::clients::{
    ClientId, ClientRecord, Clients as _, Credential, NewClient, Role, StoredClients,
};
use onetap_server_verifier::{Clock as _, SystemClock};
use serde_json::json;

use super::open;
use crate::args;
use crate::exit::Failure;
use crate::output::Output;

pub(crate) fn run(command: &args::Client, out: Output) -> Result<(), Failure> {
    match command {
        args::Client::Add(options) => add(options, out),
        args::Client::Withdraw { db, id } => withdraw(db, id, out),
        args::Client::List { db } => {
            for record in clients(db)?.list()? {
                out.result(&object(&record), line(&record))?;
            }
            Ok(())
        }
    }
}

fn clients(db: &Path) -> Result<StoredClients, Failure> {
    Ok(StoredClients::new(Arc::new(open(db)?)))
}

fn add(options: &args::AddClient, out: Output) -> Result<(), Failure> {
    let clients = clients(&options.db)?;
    let role = Role::new(options.role.into(), options.terminal.clone());
    let role =
        role.map_err(|_| Failure::Usage("give --terminal with --role terminal, and only then".into()))?;
    let crypto = onetap_apdu_spec::crypto::default_provider();
    let certificate =
        options.cert.as_deref().map(|path| certificate_fingerprint(crypto, path)).transpose()?;
    let new = NewClient { id: options.id.clone(), role, certificate, token: options.token };
    let (record, token) = new.make(SystemClock.now())?;
    if !clients.add(&record)? {
        let what = format!("the name {} or the certificate was used before; choose another", record.id);
        return Err(Failure::Usage(what));
    }
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

fn withdraw(db: &Path, id: &ClientId, out: Output) -> Result<(), Failure> {
    if !clients(db)?.withdraw(id, SystemClock.now())? {
        let what = format!("there is no client {id}, or it is withdrawn already");
        return Err(Failure::Usage(format!("{what}; `onetap verifier client list` shows them")));
    }
    out.result(&json!({ "withdrawn": id }), format!("{id} is withdrawn"))
}

fn object(record: &ClientRecord) -> serde_json::Value {
    json!({
        "client": record.id,
        "role": record.role.name(),
        "terminal": record.role.terminal(),
        "certificate": record.credential.certificate().map(hex::encode),
        "added_at": record.added_at,
        "withdrawn_at": record.withdrawn_at,
    })
}

fn line(record: &ClientRecord) -> String {
    let terminal = record.role.terminal().map_or("", |terminal| terminal.as_str());
    let shows = match record.credential {
        Credential::Token(_) => "token",
        Credential::Certificate(_) => "certificate",
        Credential::Both(..) => "certificate and token",
    };
    let state = if record.withdrawn_at.is_some() { "withdrawn" } else { "active" };
    format!("{:<24} {:<9} {terminal:<8}  {state:<9}  {shows}", record.id, record.role.name())
}
