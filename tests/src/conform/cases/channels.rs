//! Logical channels: opened, used, closed, and kept apart. A card may have none, and then says so.

use onetap_apdu_spec::apdu::MAX_SHORT_LE;
use onetap_apdu_spec::class::{Class, MAX_CHANNELS};
use onetap_apdu_spec::command::{AID, CardState, Name, fci};
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::txn::Transaction;
use onetap_pcsc_host::Atr;

use crate::conform::case::Case;
use crate::conform::command::CommandBuilder;
use crate::conform::precondition::Precondition;
use crate::conform::tester::{Outcome, Stop, Tester};
use crate::target::{IssuerDomain, samples};

type Run = fn(&mut Tester<'_>) -> Outcome;

pub(super) fn cases() -> Vec<Case> {
    let case = |id: &str, title: &str, clause: &str, run: Run| Case::new(id, title, clause, run);
    let clause = "ISO/IEC 7816-4 §11.1.2; REQ-K-21";
    vec![
        case(
            "channels/as-many-as-told",
            "as many as the answer to reset tells, and no more",
            "REQ-K-21, REQ-K-32",
            as_told,
        )
        .both_ways()
        .from(Precondition::PoweredUp),
        case(
            "channels/open-use-close",
            "one is opened, used by the application, and closed",
            clause,
            open_use_close,
        )
        .from(Precondition::PoweredUp),
        case(
            "channels/without-le",
            "opened without Le: 6101, and GET RESPONSE gives the number",
            clause,
            without_le,
        ),
        case("channels/by-number", "one is opened by its number", clause, by_number),
        case("channels/refused", "what cannot be opened or closed", clause, refused).refusing(),
        case(
            "channels/one-application",
            "the application is on one at a time: SELECT on a second is 6985 and changes nothing",
            "REQ-K-22",
            one_application,
        )
        .refusing()
        .in_state(CardState::Loaded),
        case(
            "channels/closing-voids",
            "closing the application's channel voids what is loaded",
            "REQ-K-4",
            closing_voids,
        )
        .refusing()
        .from(Precondition::PoweredUp),
        case(
            "channels/starts-by-default",
            "one that is opened from the basic channel starts with what a reset selects",
            clause,
            starts_by_default,
        )
        .about_domain(IssuerDomain::Default),
        case(
            "channels/starts-as-its-opener",
            "one that is opened from another starts with that one's application, or is not opened",
            "REQ-K-21, REQ-K-22",
            starts_as_its_opener,
        )
        .both_ways()
        .about_domain(IssuerDomain::Default)
        .from(Precondition::PoweredUp),
        case("channels/reset", "a reset closes all but the basic one", clause, reset_closes).refusing(),
        case("channels/chain", "a part on another channel does not continue a chain", "REQ-K-23", chain)
            .refusing(),
        case(
            "channels/no-response-elsewhere",
            "what waits is not given on another channel",
            "REQ-K-23",
            elsewhere,
        )
        .refusing(),
        case("channels/response", "what waits is given on the channel that asked", "REQ-K-23", response)
            .from(Precondition::PoweredUp),
    ]
}

const OPEN: u8 = 0x00;
const CLOSE: u8 = 0x80;

fn manage(p1: u8, p2: u8, ne: Option<u32>) -> CommandBuilder {
    let (cla, ins, data) = (0x00, 0x70, Vec::new());
    CommandBuilder { cla, ins, p1, p2, data, ne, extended: false, tail: Vec::new() }
}

/// The same command on a channel.
pub(super) fn on(channel: u8, command: CommandBuilder) -> CommandBuilder {
    CommandBuilder { cla: Class::on_channel(command.cla, channel).unwrap_or(command.cla), ..command }
}

/// Opens the next free channel; `None` where there is none.
fn try_open(t: &mut Tester<'_>) -> Result<Option<u8>, Stop> {
    let step = "open a channel";
    let response = t.send(step, &manage(OPEN, 0, Some(1)))?;
    match (response.sw, &response.data[..]) {
        (StatusWord::OK, &[channel @ 1..MAX_CHANNELS]) => Ok(Some(channel)),
        (StatusWord::NOT_SUPPORTED, []) => Ok(None),
        (StatusWord::NO_CHANNELS, []) => {
            Err(Stop::NotApplicable("the card has no logical channels beside the basic one".to_owned()))
        }
        _ => Err(Stop::failed(step, "a number from 1 to 19 and 9000, 6A81 or 6881", format!("{response:?}"))),
    }
}

pub(super) fn open(t: &mut Tester<'_>) -> Result<u8, Stop> {
    try_open(t)?.ok_or_else(|| Stop::failed("open a channel", "a channel that is free", "6A81"))
}

fn as_told(t: &mut Tester<'_>) -> Outcome {
    let told = Atr::new(t.reset()?).logical_channels();
    let mut found = vec![0];
    let opened = loop {
        match try_open(t) {
            Ok(Some(channel)) if !found.contains(&channel) => found.push(channel),
            Ok(Some(again)) => {
                return Err(Stop::failed("open a channel", "another number", again.to_string()));
            }
            Ok(None) => break Ok(()),
            Err(none) => break Err(none),
        }
    };
    let right = found.len() == usize::from(told);
    t.check("compare with the card capabilities", right, format!("{told} channels"), found.len())?;
    opened
}

fn open_use_close(t: &mut Tester<'_>) -> Outcome {
    let channel = open(t)?;
    let select = on(channel, CommandBuilder::select());
    let answer = t.expect("SELECT on it", &select, StatusWord::OK)?;
    t.same("compare the answer", &fci(), &answer)?;
    t.expect("read the status on it", &on(channel, CommandBuilder::status()), StatusWord::OK)?;
    t.expect("close it", &manage(CLOSE, channel, None), StatusWord::OK)?;
    t.expect("read the status on it", &on(channel, CommandBuilder::status()), StatusWord::NO_CHANNELS)?;
    let again = open(t)?;
    t.check("open one again", again == channel, channel, again)?;
    t.expect("close it from itself", &on(channel, manage(CLOSE, 0, None)), StatusWord::OK)?;
    t.select()?;
    t.expect_state(CardState::Idle)
}

fn without_le(t: &mut Tester<'_>) -> Outcome {
    let channel = open(t)?;
    t.expect("close it", &manage(CLOSE, channel, None), StatusWord::OK)?;
    t.expect("open one without Le", &manage(OPEN, 0, None), StatusWord::bytes_left(1))?;
    let number = t.expect("ask for its number", &CommandBuilder::get_response(1), StatusWord::OK)?;
    t.same("compare with the one before", &[channel], &number)
}

fn by_number(t: &mut Tester<'_>) -> Outcome {
    let channel = open(t)?;
    t.expect("close it", &manage(CLOSE, channel, None), StatusWord::OK)?;
    t.expect("open it by its number", &manage(OPEN, channel, None), StatusWord::OK)?;
    let there = t.send("send something on it", &on(channel, CommandBuilder::status()))?;
    t.check("look at the answer", there.sw != StatusWord::NO_CHANNELS, "a channel that is open", there.sw)
}

/// A command that tells applications apart.
const TELLING: fn() -> CommandBuilder = CommandBuilder::status;

/// The application that is tested is on the basic channel: where it is the default one, the new channel has none.
fn starts_by_default(t: &mut Tester<'_>) -> Outcome {
    t.reset()?;
    let default = t.send("send a command of the application after reset", &TELLING())?.sw;
    let expected = if default == StatusWord::OK { StatusWord::CONDITIONS } else { default };
    t.select()?;
    let channel = open(t)?;
    t.expect("send it on a new channel", &on(channel, TELLING()), expected)?;
    t.expect("send it on the basic one", &TELLING(), StatusWord::OK).map(drop)
}

fn starts_as_its_opener(t: &mut Tester<'_>) -> Outcome {
    let opener = open(t)?;
    let from_it = on(opener, manage(OPEN, 0, Some(1)));
    t.expect("SELECT on a channel", &on(opener, CommandBuilder::select()), StatusWord::OK)?;
    t.expect("open another one from it", &from_it, StatusWord::CONDITIONS)?;
    t.expect("close it", &manage(CLOSE, opener, None), StatusWord::OK)?;
    let again = open(t)?;
    t.check("open one again", again == opener, opener, again)?;
    let default = t.send("send a command on it", &on(opener, TELLING()))?.sw;
    t.select()?;
    let last = t.send("open another one from it", &from_it)?;
    match (last.sw, &last.data[..]) {
        (StatusWord::OK, &[channel]) => {
            t.expect("send the command on that", &on(channel, TELLING()), default).map(drop)
        }
        (sw, _) => t.check("look at the answer", sw == StatusWord::CONDITIONS, "9000 or 6985", sw),
    }
}

fn refused(t: &mut Tester<'_>) -> Outcome {
    let told = Atr::new(t.reset()?).logical_channels();
    t.select()?;
    let channel = open(t)?;
    t.expect("open the one after the last", &manage(OPEN, told, None), StatusWord::WRONG_P1P2)?;
    t.expect("open it again", &manage(OPEN, channel, None), StatusWord::WRONG_P1P2)?;
    t.expect("open one that there is not", &manage(OPEN, MAX_CHANNELS, None), StatusWord::WRONG_P1P2)?;
    t.expect("close one that there is not", &manage(CLOSE, MAX_CHANNELS, None), StatusWord::WRONG_P1P2)?;
    t.expect("close the basic one", &manage(CLOSE, 0, None), StatusWord::NOT_SUPPORTED)?;
    t.expect("close it", &manage(CLOSE, channel, None), StatusWord::OK)?;
    t.expect("close it again", &manage(CLOSE, channel, None), StatusWord::CHANNEL_WAS_CLOSED)?;
    t.expect_state(CardState::Idle)
}

fn reset_closes(t: &mut Tester<'_>) -> Outcome {
    let channel = open(t)?;
    t.reset()?;
    t.expect("send something on it", &on(channel, CommandBuilder::status()), StatusWord::NO_CHANNELS)?;
    t.select()
}

fn one_application(t: &mut Tester<'_>) -> Outcome {
    let channel = open(t)?;
    for len in [AID.len(), 5] {
        let select = on(channel, CommandBuilder::row(Name::Select, None, &AID[..len]));
        t.expect("SELECT it on a second channel", &select, StatusWord::CONDITIONS)?;
        t.expect_state(CardState::Loaded)?;
    }
    Ok(())
}

fn closing_voids(t: &mut Tester<'_>) -> Outcome {
    let channel = open(t)?;
    t.expect("SELECT on it", &on(channel, CommandBuilder::select()), StatusWord::OK)?;
    let alias = t.expect("read the payer alias", &on(channel, CommandBuilder::alias()), StatusWord::OK)?;
    let payer = Tester::read_alias(&alias)?;
    let message = samples::encode(&Transaction { payer, ..samples::transaction() });
    let put = on(channel, CommandBuilder::put_txn(&message));
    t.expect("hand over the transaction", &put, StatusWord::OK)?;
    t.expect("close the channel", &manage(CLOSE, channel, None), StatusWord::OK)?;
    t.select()?;
    t.expect_state(CardState::Idle)?;
    t.expect("ask for what was voided", &CommandBuilder::get_signature(), StatusWord::CONDITIONS).map(drop)
}

fn chain(t: &mut Tester<'_>) -> Outcome {
    /// How T is cut in two.
    const CUT: usize = 60;
    let channel = open(t)?;
    let message = samples::encode(&Transaction { payer: t.alias()?, ..samples::transaction() });
    let rest = CommandBuilder::put_txn(&message[CUT..]);
    t.expect("begin a chain", &CommandBuilder::put_txn(&message[..CUT]).chained(), StatusWord::OK)?;
    let other = t.send("send the rest on another channel", &on(channel, rest.clone()))?;
    t.check("look at the answer", other.sw != StatusWord::OK, "a refusal", other.sw)?;
    t.expect("send the rest where it began", &rest, StatusWord::WRONG_DATA)?;
    t.expect_state(CardState::Idle)
}

fn elsewhere(t: &mut Tester<'_>) -> Outcome {
    let channel = open(t)?;
    t.send("let a part wait", &CommandBuilder::alias().with_ne(Some(1)))?;
    let get = on(channel, CommandBuilder::get_response(MAX_SHORT_LE));
    t.expect("ask for it on another channel", &get, StatusWord::CONDITIONS).map(drop)
}

fn response(t: &mut Tester<'_>) -> Outcome {
    let channel = open(t)?;
    let select = on(channel, CommandBuilder::select().with_ne(Some(1)));
    let left = fci().len() - 1;
    let first = t.expect("let a part wait on a channel", &select, StatusWord::bytes_left(left))?;
    let get = on(channel, CommandBuilder::get_response(MAX_SHORT_LE));
    let rest = t.expect("ask for it there", &get, StatusWord::OK)?;
    t.same("put the parts together", &fci(), &[first, rest].concat())
}
