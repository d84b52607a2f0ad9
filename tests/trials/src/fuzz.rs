//! What the fuzz targets in `fuzz/`, the short seeded runs in `tests/fuzz.rs` and the long ones of `make soak`
//! all call. Each takes arbitrary bytes and panics if a property does not hold.
//!
//! | target | the bytes are |
//! |---|---|
//! | [`apdu`] | one command APDU |
//! | [`tlv`] | one template, transaction message or signature message |
//! | [`process`] | what happens to one card: APDUs, field, power, keys, time |

use onetap_apdu_spec::apdu::{CommandApdu, Form};
use onetap_apdu_spec::command::{Command, recognise};
use onetap_apdu_spec::objects;
use onetap_apdu_spec::signed::SignatureMessage;
use onetap_apdu_spec::tlv::Template;
use onetap_apdu_spec::txn::TransactionMessage;

mod mutate;
mod process;
mod run;
mod seeds;
pub(crate) mod stand_in;
mod target;

pub use process::process;
pub use run::run;
pub use seeds::{NoSeeds, seeds};
pub use target::Target;

/// Any bytes as an APDU: refused, or parsed such that encoding gives the bytes back, and the command
/// table then gives a command or a status word.
pub fn apdu(bytes: &[u8]) {
    let Ok(apdu) = CommandApdu::parse(bytes) else {
        return;
    };
    let forms = [Form::Short, Form::Extended].map(|form| apdu.encode(form).ok());
    assert!(forms.iter().flatten().any(|encoded| encoded == bytes), "encoding inverts parsing");
    match recognise(&apdu) {
        Ok(row) => {
            if let Err(sw) = Command::parse(row, &apdu) {
                assert!(sw.meaning().is_some(), "{sw} is not in the table of status words");
            }
        }
        Err(sw) => assert!(sw.meaning().is_some(), "{sw} is not in the table of status words"),
    }
}

/// Any bytes as a template, a transaction or a signature message: refused, or in the one canonical
/// form, so that writing gives the bytes back.
pub fn tlv(bytes: &[u8]) {
    for outer in [objects::TRANSACTION, objects::SIGNATURE_MESSAGE, objects::FCI] {
        let _ = Template::parse(bytes, outer);
    }
    if let Ok(message) = TransactionMessage::parse(bytes) {
        let again = message.transaction().encode();
        assert_eq!(again.as_ref().map(TransactionMessage::bytes), Ok(bytes), "one encoding per transaction");
    }
    if let Ok(message) = SignatureMessage::parse(bytes) {
        assert_eq!(message.encode(), bytes, "one encoding per signature message");
    }
}
