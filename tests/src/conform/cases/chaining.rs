//! Command chaining of PUT TXN (ISO/IEC 7816-4 §5.3.3; REQ-C-4, REQ-C-5).

use onetap_apdu_spec::apdu::MAX_SHORT_DATA;
use onetap_apdu_spec::command::{COMMANDS, CardState, Name};
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::txn::{MAX_TRANSACTION, Transaction};

use super::transaction;
use super::words::{slug, well_formed};
use crate::conform::case::Case;
use crate::conform::command::CommandBuilder;
use crate::conform::tester::{Outcome, Stop, Tester};
use crate::target::samples::{self, Raw};

const CLAUSE: &str = "ISO/IEC 7816-4 §5.3.3; REQ-C-4";
const ENDS: &str = "ISO/IEC 7816-4 §5.3.3; REQ-C-5";

pub(super) fn cases() -> Vec<Case> {
    let interrupted = COMMANDS.iter().filter(|row| row.name != Name::PutTxn).map(|row| {
        let run = |t: &mut Tester<'_>| broken(t, &well_formed(row), StatusWord::CHAIN_BROKEN);
        let title = format!("{} in the middle of a chain: 6883, and the chain is gone", row.title);
        Case::new(format!("chain/interrupted-by-{}", slug(row)), title, ENDS, run).refusing()
    });
    let written = vec![
        Case::new("chain/two-parts", "T in two parts", CLAUSE, |t: &mut Tester<'_>| in_parts(t, 2)),
        Case::new("chain/many-parts", "T in parts of about ten bytes", CLAUSE, |t: &mut Tester<'_>| {
            in_parts(t, 20)
        }),
        Case::new("chain/longest", "T of exactly 640 bytes in three parts", CLAUSE, longest),
        Case::new("chain/mixed-lengths", "parts in short and in extended length", CLAUSE, mixed)
            .about_extended(),
    ];
    let refused = vec![
        Case::new(
            "chain/changed-p1",
            "a part with another P1: 6883, and the chain is gone",
            CLAUSE,
            |t: &mut Tester<'_>| {
                let rest = rest_of_chain(t)?;
                broken(t, &CommandBuilder { p1: 1, ..rest }, StatusWord::CHAIN_BROKEN)
            },
        ),
        Case::new(
            "chain/changed-p2",
            "a part with another P2: 6883, and the chain is gone",
            CLAUSE,
            |t: &mut Tester<'_>| {
                let rest = rest_of_chain(t)?;
                broken(t, &CommandBuilder { p2: 1, ..rest }, StatusWord::CHAIN_BROKEN)
            },
        ),
        Case::new(
            "chain/unknown-instruction",
            "an unknown command ends the chain too",
            ENDS,
            |t: &mut Tester<'_>| {
                broken(t, &CommandBuilder { ins: 0, ..CommandBuilder::status() }, StatusWord::WRONG_INS)
            },
        ),
        Case::new("chain/malformed", "a malformed APDU ends the chain too", ENDS, |t: &mut Tester<'_>| {
            let malformed = CommandBuilder { tail: vec![2, 0], ..CommandBuilder::put_txn(&[]) }.with_ne(None);
            broken(t, &malformed, StatusWord::WRONG_LENGTH)
        }),
        Case::new("chain/empty-part", "a part without data: 6700", CLAUSE, |t: &mut Tester<'_>| {
            broken(t, &CommandBuilder::put_txn(&[]).chained(), StatusWord::WRONG_LENGTH)
        }),
        Case::new(
            "chain/too-long",
            "parts of more than 640 bytes together: 6700, and the chain is gone",
            CLAUSE,
            too_long,
        ),
        Case::new("chain/reset", "a reset ends the chain", ENDS, reset),
        Case::new(
            "chain/wrong-state",
            "a chain that the state does not allow is refused at its first part",
            "REQ-C-2 step 7, REQ-C-12",
            |t: &mut Tester<'_>| {
                let part = CommandBuilder::put_txn(&[0; 9]).chained();
                t.expect("begin a chain", &part, StatusWord::CONDITIONS)?;
                t.expect_state(CardState::Loaded)
            },
        )
        .in_state(CardState::Loaded),
    ];
    written.into_iter().chain(refused.into_iter().map(Case::refusing)).chain(interrupted).collect()
}

/// T in the name of this card.
fn message(t: &mut Tester<'_>) -> Result<Vec<u8>, Stop> {
    let payer = t.alias()?;
    Ok(samples::encode(&Transaction { payer, ..samples::transaction() }))
}

fn in_parts(t: &mut Tester<'_>, count: usize) -> Outcome {
    let message = message(t)?;
    let parts: Vec<_> = message.chunks(message.len().div_ceil(count)).collect();
    send_parts(t, &parts, |_, part| part)
}

fn longest(t: &mut Tester<'_>) -> Outcome {
    let right = transaction::right(t)?;
    for message in transaction::longest(right).iter().map(Raw::bytes) {
        send_parts(t, &message.chunks(MAX_SHORT_DATA).collect::<Vec<_>>(), |_, part| part)?;
    }
    Ok(())
}

fn mixed(t: &mut Tester<'_>) -> Outcome {
    let message = message(t)?;
    let parts: Vec<_> = message.chunks(message.len() / 3).collect();
    send_parts(t, &parts, |i, part| if i % 2 == 0 { part } else { part.extended() })
}

fn send_parts(
    t: &mut Tester<'_>,
    parts: &[&[u8]],
    form: impl Fn(usize, CommandBuilder) -> CommandBuilder,
) -> Outcome {
    for (i, part) in parts.iter().enumerate() {
        let command = form(i, CommandBuilder::put_txn(part));
        let command = if i + 1 < parts.len() { command.chained() } else { command };
        let data = t.expect("send the next part", &command, StatusWord::OK)?;
        t.same("compare the data", &[], &data)?;
    }
    t.expect_state(CardState::Loaded)
}

/// How T is cut in two.
const CUT: usize = 60;

fn rest_of_chain(t: &mut Tester<'_>) -> Result<CommandBuilder, Stop> {
    Ok(CommandBuilder::put_txn(&message(t)?[CUT..]))
}

/// Begins a chain, sends `other`, then what would have ended the chain, which now stands alone.
fn broken(t: &mut Tester<'_>, other: &CommandBuilder, sw: StatusWord) -> Outcome {
    let message = message(t)?;
    t.expect("begin a chain", &CommandBuilder::put_txn(&message[..CUT]).chained(), StatusWord::OK)?;
    t.expect("send something else", other, sw)?;
    t.expect("go on with the chain", &CommandBuilder::put_txn(&message[CUT..]), StatusWord::WRONG_DATA)?;
    t.expect_state(CardState::Idle)
}

fn too_long(t: &mut Tester<'_>) -> Outcome {
    let part = |len| CommandBuilder::put_txn(&vec![0; len]).chained();
    t.expect("send 255 bytes", &part(255), StatusWord::OK)?;
    t.expect("send 255 more", &part(255), StatusWord::OK)?;
    t.expect("send too many", &part(MAX_TRANSACTION - 2 * 255 + 1), StatusWord::WRONG_LENGTH)?;
    let message = message(t)?;
    t.expect("send a whole message", &CommandBuilder::put_txn(&message), StatusWord::OK)?;
    t.expect_state(CardState::Loaded)
}

fn reset(t: &mut Tester<'_>) -> Outcome {
    let message = message(t)?;
    t.expect("begin a chain", &CommandBuilder::put_txn(&message[..CUT]).chained(), StatusWord::OK)?;
    t.reset()?;
    t.select()?;
    t.expect("go on with the chain", &CommandBuilder::put_txn(&message[CUT..]), StatusWord::WRONG_DATA)?;
    t.expect_state(CardState::Idle)
}
