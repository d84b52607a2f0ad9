//! `onetap verifier client`: who may ask the service.

use std::path::Path;

use onetap_server_verifier::ServiceError;
use onetap_server_verifier::domain::MAX_PAGE;
use onetap_server_verifier::domain::client::{ClientId, ClientRecord, NewClient, Role};
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
            let server = open_to_read(db)?;
            let mut page = server.clients(None, MAX_PAGE)?;
            while let Some(last) = page.last().map(|record| record.id.clone()) {
                for record in &page {
                    out.result(&object(record), line(record))?;
                }
                page = server.clients(Some(&last), MAX_PAGE)?;
            }
            Ok(())
        }
        args::Client::AddToken(options) => add_token(options, out),
        args::Client::EndToken { db, id, token, why } => {
            open(db)?.desk(act(None, why.reason())).end_token(id, *token).map_err(usage)?;
            out.result(
                &json!({ "client": id, "ended": token }),
                format!("token {token} of {id} is not good any more"),
            )
        }
        args::Client::Link(args::LinkClient { db, id, terminal, why }) => {
            open(db)?.desk(act(None, why.reason())).link_client(id, terminal).map_err(usage)?;
            let told = format!("{id} speaks for {}", terminal.as_str());
            out.result(&json!({ "client": id, "linked": terminal }), told)
        }
        args::Client::Unlink(args::LinkClient { db, id, terminal, why }) => {
            open(db)?.desk(act(None, why.reason())).unlink_client(id, terminal).map_err(usage)?;
            let told = format!("{id} does not speak for {} any more", terminal.as_str());
            out.result(&json!({ "client": id, "unlinked": terminal }), told)
        }
    }
}

fn add_token(options: &args::AddToken, out: Output) -> Result<(), Failure> {
    let args::AddToken { db, id, expires, overlap, why } = options;
    let server = open(db)?;
    let token = server.desk(act(None, why.reason())).add_token(id, *expires, *overlap).map_err(usage)?;
    let mut object = object(&server.client_record(id)?);
    object["token"] = token.expose().into();
    out.result(&object, format!("a token of {id}, shown this once:\n{}", token.expose()))
}

fn add(options: &args::AddClient, out: Output) -> Result<(), Failure> {
    let server = open(&options.db)?;
    let role = Role::new(options.role.into(), options.terminal.clone());
    let role =
        role.map_err(|_| Failure::Usage("give --terminal with --role terminal, and only then".into()))?;
    let crypto = onetap_apdu_spec::crypto::default_provider();
    let certificate =
        options.cert.as_deref().map(|path| certificate_fingerprint(crypto, path)).transpose()?;
    let (token, expires_at) = (options.token, options.expires);
    let new = NewClient { id: options.id.clone(), role, certificate, token, expires_at };
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
        ServiceError::ClientExists
        | ServiceError::NoSuchClient
        | ServiceError::NoSuchToken
        | ServiceError::NoToken
        | ServiceError::TooManyTokens
        | ServiceError::NotATerminals
        | ServiceError::LastTerminal => Failure::Usage(error.to_string()),
        other => other.into(),
    }
}

fn object(record: &ClientRecord) -> serde_json::Value {
    let tokens = record.tokens.iter().map(
        |token| json!({ "token": token.number, "made_at": token.made_at, "expires_at": token.expires_at }),
    );
    let tokens: Vec<_> = tokens.collect();
    json!({
        "client": record.id,
        "role": record.role.kind(),
        "terminals": record.role.terminals(),
        "needs_new_token": record.needs_new_token(),
        "tokens": tokens,
        "certificate": record.certificate.map(hex::encode),
        "added_at": record.added_at,
        "withdrawn_at": record.withdrawn_at,
    })
}

fn line(record: &ClientRecord) -> String {
    let terminals: Vec<_> = record.role.terminals().iter().map(|terminal| terminal.as_str()).collect();
    let shows = match (record.tokens.is_empty(), record.certificate.is_some()) {
        _ if record.needs_new_token() => "needs a new token: `onetap verifier client add-token`",
        (false, false) => "token",
        (true, _) => "certificate",
        (false, true) => "certificate and token",
    };
    let state = if record.withdrawn_at.is_some() { "withdrawn" } else { "active" };
    let (role, terminals) = (record.role.kind(), terminals.join(","));
    format!("{:<24} {role:<9} {terminals:<8}  {state:<9}  {shows}", record.id)
}
