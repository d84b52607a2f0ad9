//! Whoever reads for long holds up nobody, and sees one moment.

use std::io::{self, Write};

use crate::home::*;
use onetap_server_verifier::*;

const SUITE: &str = "a3+sha256+aes-cbc-cmac";
/// More exports under way at once than there are connections for short reads on either store.
const EXPORTS: u32 = 6;

/// Where an export writes to; with its first line `meanwhile` is done, in the middle of the export.
struct Sink<F: FnMut()> {
    meanwhile: Option<F>,
}

impl<F: FnMut()> Write for Sink<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(mut meanwhile) = self.meanwhile.take() {
            meanwhile();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Entries in an export of the log that has `depth` others within it, and a payment within the last of them.
fn export(home: &Home, depth: u32, pay: &dyn Fn()) -> u64 {
    let meanwhile = || match depth {
        0 => pay(),
        _ => {
            export(home, depth - 1, pay);
        }
    };
    home.verifier.export_log(&mut Sink { meanwhile: Some(meanwhile) }).unwrap()
}

#[test]
fn long_reads_see_one_moment_and_nobody_waits_for_them() {
    let home = Home::new();
    let mut card = home.card(SUITE);
    let (first, second) = (card.tap(home.payment(100)), card.tap(home.payment(100)));
    let pay = || {
        for tap in [&first, &second] {
            assert!(matches!(home.send(&tap.request), Outcome::Executed(_)));
        }
        assert_eq!(home.balances(), (99_800, 200), "short reads");
        home.verifier.audit_verify().unwrap();
        home.verifier.ledger_check().unwrap();
    };
    let before = home.verifier.log(None).unwrap().len();
    let exported = export(&home, EXPORTS, &pay);
    assert_eq!(exported, u64::try_from(before).unwrap(), "nothing of what came after it began");
    assert_eq!(home.verifier.log(None).unwrap().len(), before + 2);
}
