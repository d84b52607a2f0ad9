//! `onetap verifier quickstart`: a folder with all of a first payment over TLS.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use onetap_apdu_spec::suite::Suite;
use onetap_conformance::world::{PAYEE, PAYER, PIN};
use serde_json::json;

use crate::exit::Failure;
use crate::files::Secrecy;
use crate::output::Output;
use crate::stage::{Stage, write};

pub(super) fn run(into: &Path, listen: SocketAddr, hosts: &[String], out: Output) -> Result<(), Failure> {
    if listen.port() == 0 || listen.ip().is_unspecified() {
        let what = "--listen: the terminal must find it there: give an address of this machine and a port";
        return Err(Failure::Usage(what.to_owned()));
    }
    make(into)?;
    let names: Vec<_> = std::iter::once(listen.ip().to_string()).chain(hosts.iter().cloned()).collect();
    let stage = Stage::set(into, Suite::default(), &names)?;
    let configuration = format!(
        "db = \"bank\"\nlisten = \"{listen}\"\ntls-cert = \"server.pem\"\ntls-key = \"server.key\"\nlog = \"warn\"\n"
    );
    write(&into.join("onetap.toml"), &configuration, Secrecy::Public)?;
    let url = format!("https://{listen}");
    out.result(
        &json!({ "folder": into.to_string_lossy(), "url": url, "payee": stage.payee, "pin": PIN }),
        next(into, &url, &stage.payee),
    )
}

/// The folder, which must be new.
fn make(folder: &Path) -> Result<(), Failure> {
    fs::create_dir(folder).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::Usage(format!("{} is there already: give a folder that is not", folder.display()))
        }
        _ => Failure::file("make", folder, source),
    })
}

/// What to type next.
fn next(into: &Path, url: &str, payee: &str) -> String {
    format!(
        "a bank with an account of {PAYER} and one of {PAYEE}, a card of hers (PIN {PIN}) and a terminal are in {folder}

cd {folder}
onetap verifier serve --config onetap.toml &
onetap card run --image card.img --tap > display.txt &
(sleep 3; onetap card press --image card.img read confirm) &
onetap pay --server {url} --ca ca.pem --token-file till.token --to {payee} --name \"{PAYEE}\" --amount 4.20",
        folder = into.display(),
    )
}
