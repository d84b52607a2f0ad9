//! Where `onetap pay` takes the transaction from (P-02): typed, fetched, read from a file, or scanned.

use std::path::Path;

use onetap_apdu_spec::txn::TransactionType;
use onetap_pcsc_host::http::Roots;
use onetap_pcsc_host::source::picture::MAX_PICTURE;
use onetap_pcsc_host::source::{Fetcher, MAX_JSON, SourceError, json, scan};
use onetap_pcsc_host::{Draft, Fields};

use crate::args;
use crate::exit::Failure;
use crate::files;

pub(crate) fn draft(options: &args::Pay) -> Result<Draft, Failure> {
    match (&options.scan, &options.from) {
        (Some(path), _) => scanned(path, options),
        (None, Some(from)) => sent(from),
        (None, None) => Ok(typed(options).draft().map_err(SourceError::from)?),
    }
}

/// What a scanner or camera gave, with what the code leaves to the payer.
fn scanned(path: &Path, options: &args::Pay) -> Result<Draft, Failure> {
    let scanned = scan(&files::read_bytes(path, MAX_PICTURE)?)?;
    let draft = scanned.fill(options.amount.as_deref(), options.tip.as_deref());
    Ok(draft.map_err(SourceError::from)?)
}

/// JSON from a URL or a file.
fn sent(from: &Path) -> Result<Draft, Failure> {
    match from.to_str().filter(|text| text.contains("://")) {
        Some(url) => Ok(Fetcher::new(Roots::System).fetch(url)?),
        None => Ok(json(&files::read_bytes(from, MAX_JSON)?)?),
    }
}

fn typed(options: &args::Pay) -> Fields {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    Fields {
        kind: if options.top_up { TransactionType::TopUp } else { TransactionType::Payment },
        payee_account: text(&options.to),
        payee_name: text(&options.name),
        amount: text(&options.amount),
        currency: options.currency.clone(),
        reference: options.reference.clone(),
        details: options.details.clone(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    const CODE: &str = "BCD\n002\n1\nSCT\n\nRed Cross\nBE72000000001616\nEUR1.05\n";
    const JSON: &str = r#"{"payee-account":"DE89370400440532013000","payee-name":"Coffee Shop",
        "amount":"12.34","currency":"EUR","reference":"Order 17"}"#;

    fn parsed(arguments: &[&str]) -> Result<args::Pay, clap::Error> {
        let pay = ["onetap", "pay", "--server", "https://localhost"];
        match Cli::try_parse_from([&pay[..], arguments].concat())?.command {
            Command::Pay(options) => Ok(*options),
            other => panic!("{other:?}"),
        }
    }

    /// The draft of `option` with a file of this content, or what is said instead.
    fn from_file(option: &str, content: &[u8], more: &[&str]) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("given");
        std::fs::write(&path, content).unwrap();
        let options = parsed(&[&[option, path.to_str().unwrap()][..], more].concat()).unwrap();
        let shown = |draft: Draft| format!("{} to {}", draft.amount, draft.payee_name);
        draft(&options)
            .map(shown)
            .map_err(|failure| format!("{failure}; {}", failure.advice().unwrap_or_default()))
    }

    #[test]
    fn p_02_codes_and_json_are_taken_as_editors_leave_them() {
        let framed = |text: &str| format!("\u{FEFF}{}\r\n\r\n", text.replace('\n', "\r\n")).into_bytes();
        assert_eq!(from_file("--scan", &framed(CODE), &[]), Ok("1.05 EUR to Red Cross".into()));
        assert_eq!(from_file("--from", &framed(JSON), &[]), Ok("12.34 EUR to Coffee Shop".into()));
        let latin = CODE.replace("\n1\nSCT", "\n2\nSCT").replace("Red", "R?d").into_bytes();
        let latin: Vec<u8> = latin.into_iter().map(|byte| if byte == b'?' { 0xE9 } else { byte }).collect();
        assert_eq!(from_file("--scan", &latin, &[]), Ok("1.05 EUR to Réd Cross".into()));
    }

    #[test]
    fn what_a_code_leaves_out_comes_from_the_command_line() {
        let open = CODE.replace("EUR1.05", "");
        let said = from_file("--scan", open.as_bytes(), &[]).unwrap_err();
        assert_eq!(said, "the code leaves the amount, in EUR, to the payer; give the amount");
        assert_eq!(
            from_file("--scan", open.as_bytes(), &["--amount", "5"]),
            Ok("5.00 EUR to Red Cross".into())
        );
        let said = from_file("--scan", CODE.as_bytes(), &["--amount", "5"]).unwrap_err();
        assert!(said.starts_with("the code itself says the amount: 1.05 EUR"), "{said}");
    }

    #[test]
    fn what_is_too_large_or_wrong_is_said_to_be() {
        let said = from_file("--from", &[b' '; MAX_JSON + 1], &[]).unwrap_err();
        assert!(said.contains("too large"), "{said}");
        let said = from_file("--scan", b"https://example.com/\x1b[2J", &[]).unwrap_err();
        assert!(said.starts_with("no payment code") && !said.contains('\x1b'), "{said}");
        let said = from_file("--scan", b"\x89PNG\r\n\x1a\n", &[]).unwrap_err();
        assert!(said.starts_with("the picture is damaged"), "{said}");
        let plain = parsed(&["--from", "http://192.0.2.1/17"]).unwrap();
        assert!(draft(&plain).unwrap_err().to_string().contains("begins with http"));
    }

    #[test]
    fn a_transaction_has_one_source() {
        for both in [
            &["--scan", "x", "--from", "y"][..],
            &["--scan", "x", "--to", "79927398713"],
            &["--from", "x", "--amount", "1"],
            &["--from", "x", "--tip", "1"],
            &["--to", "79927398713", "--name", "X", "--amount", "1", "--tip", "1"],
        ] {
            assert!(parsed(both).is_err(), "{both:?}");
        }
    }
}
