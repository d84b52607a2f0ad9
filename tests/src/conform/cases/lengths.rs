//! Generated: how much of a response comes, and how the rest is fetched, for every command that has a
//! response.

use onetap_apdu_spec::apdu::{MAX_EXTENDED_LE, MAX_SHORT_LE};
use onetap_apdu_spec::command::{CardState, Name};
use onetap_apdu_spec::sw::StatusWord;

use super::words::slug;
use crate::conform::case::Case;
use crate::conform::command::CommandBuilder;
use crate::conform::tester::{Outcome, Stop, Tester};
use crate::target::{samples, value_of};

const CLAUSE: &str = "ISO/IEC 7816-4 §5.3.4; REQ-C-6, REQ-C-7, REQ-K-24";
const OBJECTS: &str = "REQ-C-8";

type Answered = (Name, CardState, fn() -> CommandBuilder);

/// Commands whose answer stays the same in this state, so that parts can be compared with the whole.
const ANSWERED: [Answered; 4] = [
    (Name::Select, CardState::Idle, CommandBuilder::select),
    (Name::GetData, CardState::Idle, CommandBuilder::alias),
    (Name::GetSignature, CardState::Signed, CommandBuilder::get_signature),
    (Name::GetEncPassword, CardState::Delivered, CommandBuilder::get_enc_password),
];

type Run = fn(&mut Tester<'_>, &CommandBuilder) -> Outcome;

/// The one of them about extended length, the one about what is dropped, and the one about the object itself.
const EXTENDED: &str = "le-extended";
const DROPPED: &str = "get-response-dropped";
const OBJECT: &str = "response-object";

/// Cases for each of them.
const VARIANTS: [(&str, &str, Run); 8] = [
    ("le-absent", "without Le nothing comes, 61xx, and GET RESPONSE fetches all", absent),
    ("le-short", "a short Le smaller than the response gives so many bytes and 61xx", short),
    ("le-exact", "Le of the response's length gives it whole", exact),
    ("le-larger", "Le larger than the response gives it whole, no longer", larger),
    (EXTENDED, "extended Le, 0000 and small ones", extended),
    ("get-response-in-parts", "GET RESPONSE hands the rest out part by part", parts),
    (DROPPED, "any other command drops what waits", dropped),
    (OBJECT, "the answer is one whole data object of the table's tag", object),
];

pub(super) fn cases() -> Vec<Case> {
    let variants = ANSWERED.into_iter().flat_map(|(name, state, command)| {
        VARIANTS.into_iter().map(move |(id, title, run)| {
            let row = name.spec();
            let title = format!("{}: {title}", row.title);
            let run = move |t: &mut Tester<'_>| run(t, &command());
            let clause = if id == OBJECT { OBJECTS } else { CLAUSE };
            let case = Case::new(format!("{}/{id}", slug(row)), title, clause, run).in_state(state);
            let case = if id == DROPPED { case.refusing() } else { case };
            let case = if id == EXTENDED { case.about_extended() } else { case };
            if name == Name::GetEncPassword { case.about_owed() } else { case }
        })
    });
    variants.chain([le_without_response()]).collect()
}

/// The whole answer.
fn whole(t: &mut Tester<'_>, command: &CommandBuilder) -> Result<Vec<u8>, Stop> {
    t.fetch("fetch the whole answer", command)
}

fn part(t: &mut Tester<'_>, command: &CommandBuilder, whole: &[u8], from: usize, ne: usize) -> Outcome {
    let to = whole.len().min(from + ne);
    let left = whole.len() - to;
    let sw = if left == 0 { StatusWord::OK } else { StatusWord::bytes_left(left) };
    let got = t.expect("fetch a part", command, sw)?;
    t.same("compare with the whole answer", &whole[from..to], &got)
}

fn ne(n: usize) -> Option<u32> {
    u32::try_from(n).ok().filter(|n| *n > 0)
}

fn absent(t: &mut Tester<'_>, command: &CommandBuilder) -> Outcome {
    let whole = whole(t, command)?;
    part(t, &command.clone().with_ne(None), &whole, 0, 0)?;
    let left = u32::try_from(whole.len()).unwrap_or(MAX_SHORT_LE).min(MAX_SHORT_LE);
    let rest = t.fetch("fetch the rest", &CommandBuilder::get_response(left))?;
    t.same("compare with the whole answer", &whole, &rest)
}

fn short(t: &mut Tester<'_>, command: &CommandBuilder) -> Outcome {
    let whole = whole(t, command)?;
    for n in [1, 2, 17] {
        part(t, &command.clone().with_ne(ne(n)), &whole, 0, n)?;
    }
    Ok(())
}

/// A card without extended length cannot be asked for more than 256 bytes at once.
fn at_once(t: &Tester<'_>, len: usize) -> Outcome {
    if t.claims().extended_length || ne(len) <= Some(MAX_SHORT_LE) {
        return Ok(());
    }
    Err(Stop::NotApplicable(format!("{len} bytes take extended length, which the card does not claim")))
}

fn exact(t: &mut Tester<'_>, command: &CommandBuilder) -> Outcome {
    let whole = whole(t, command)?;
    at_once(t, whole.len())?;
    part(t, &command.clone().with_ne(ne(whole.len())), &whole, 0, whole.len())
}

fn larger(t: &mut Tester<'_>, command: &CommandBuilder) -> Outcome {
    let whole = whole(t, command)?;
    part(t, &command.clone().with_ne(Some(MAX_SHORT_LE)), &whole, 0, 256)?;
    at_once(t, whole.len() + 1)?;
    part(t, &command.clone().with_ne(ne(whole.len() + 1)), &whole, 0, whole.len())
}

fn extended(t: &mut Tester<'_>, command: &CommandBuilder) -> Outcome {
    let whole = whole(t, command)?;
    for n in [1, whole.len() - 1, whole.len(), 1_000, MAX_EXTENDED_LE as usize] {
        part(t, &command.clone().with_ne(ne(n)).extended(), &whole, 0, n)?;
    }
    Ok(())
}

fn parts(t: &mut Tester<'_>, command: &CommandBuilder) -> Outcome {
    let whole = whole(t, command)?;
    part(t, &command.clone().with_ne(ne(7)), &whole, 0, 7)?;
    for from in (7..whole.len()).step_by(11) {
        part(t, &CommandBuilder::get_response(11), &whole, from, 11)?;
    }
    let end = "ask for more than there is";
    t.expect(end, &CommandBuilder::get_response(11), StatusWord::CONDITIONS).map(drop)
}

fn dropped(t: &mut Tester<'_>, command: &CommandBuilder) -> Outcome {
    let unknown = CommandBuilder { ins: 0, ..CommandBuilder::status() };
    let refused = CommandBuilder { p1: 1, ..CommandBuilder::get_response(1) };
    for other in [CommandBuilder::status(), unknown, refused] {
        t.send("let a part wait", &command.clone().with_ne(ne(1)))?;
        t.send("send another command", &other)?;
        t.expect("ask for the part", &CommandBuilder::get_response(1), StatusWord::CONDITIONS)?;
    }
    Ok(())
}

fn object(t: &mut Tester<'_>, command: &CommandBuilder) -> Outcome {
    let whole = whole(t, command)?;
    let Some(row) = onetap_apdu_spec::command::COMMANDS
        .iter()
        .find(|row| (row.cla, row.ins) == (command.cla, command.ins))
    else {
        return Ok(());
    };
    let one = row.response.iter().any(|tag| {
        value_of(&whole, *tag).is_some()
            || onetap_apdu_spec::tlv::Template::parse(&whole, *tag).is_ok()
            || fci(&whole)
    });
    t.check(
        "compare the tag",
        one,
        format!("one data object of {:?}", row.response),
        hex::encode_upper(&whole),
    )
}

/// The FCI holds a template in a template.
fn fci(bytes: &[u8]) -> bool {
    bytes == onetap_apdu_spec::command::fci()
}

fn le_without_response() -> Case {
    let run = |t: &mut Tester<'_>| {
        let payer = t.alias()?;
        let transaction = onetap_apdu_spec::txn::Transaction { payer, ..samples::transaction() };
        let command = CommandBuilder::put_txn(&samples::encode(&transaction)).with_ne(Some(MAX_SHORT_LE));
        let data = t.expect("send it with Le", &command, StatusWord::OK)?;
        t.same("compare the data", &[], &data)
    };
    Case::new("put-txn/le-present", "PUT TXN with Le: 9000 and no data", CLAUSE, run)
}
