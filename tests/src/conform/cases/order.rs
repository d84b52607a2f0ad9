//! Generated: a command that is wrong in two ways gets the status word of the earlier check (REQ-C-2).

use onetap_apdu_spec::command::{COMMANDS, CardState, CommandSpec, DataField, Name, Parameters};
use onetap_apdu_spec::sw::StatusWord;

use super::words::{slug, well_formed};
use crate::conform::case::Case;
use crate::conform::command::CommandBuilder;
use crate::conform::tester::{Outcome, Tester};
use crate::target::samples;

/// One way to be wrong.
#[derive(Clone, Copy)]
struct Fault {
    name: &'static str,
    /// The step of REQ-C-2 that finds it, in tenths.
    step: u8,
    sw: StatusWord,
    setting: Setting,
    bend: fn(&CommandSpec, &mut CommandBuilder),
}

/// What has to be so before the command is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Setting {
    Any,
    /// A chain of PUT TXN is open.
    OpenChain,
}

pub(super) fn cases() -> Vec<Case> {
    COMMANDS.iter().flat_map(row_cases).collect()
}

fn row_cases(row: &'static CommandSpec) -> Vec<Case> {
    let faults = faults(row);
    let pairs = faults.iter().flat_map(|first| faults.iter().map(move |second| (*first, *second)));
    pairs.filter(|(first, second)| go_together(first, second)).map(|(a, b)| pair_case(row, a, b)).collect()
}

fn go_together(first: &Fault, second: &Fault) -> bool {
    let both_data = first.step == 60 && second.step == 80;
    first.step < second.step && !both_data
}

fn pair_case(row: &'static CommandSpec, first: Fault, second: Fault) -> Case {
    let id = format!("{}/{}-before-{}", slug(row), first.name, second.name);
    let title = format!("{}: {} ({}) is found before {}", row.title, first.name, first.sw, second.name);
    let run = move |t: &mut Tester<'_>| twice_wrong(t, row, first, second);
    Case::new(id, title, "REQ-C-2", run).refusing().in_state(CardState::Idle)
}

fn twice_wrong(t: &mut Tester<'_>, row: &CommandSpec, first: Fault, second: Fault) -> Outcome {
    if [first.setting, second.setting].contains(&Setting::OpenChain) {
        let part = CommandBuilder::put_txn(&samples::encode(&samples::transaction())[..100]).chained();
        t.expect("open a chain", &part, StatusWord::OK)?;
    }
    let mut command = well_formed(row);
    // The later check's fault first, so that a malformed form has the last word.
    (second.bend)(row, &mut command);
    (first.bend)(row, &mut command);
    t.expect("send a command that is wrong in two ways", &command, first.sw).map(drop)
}

fn faults(row: &CommandSpec) -> Vec<Fault> {
    let fault = |name, step, sw, bend| Fault { name, step, sw, setting: Setting::Any, bend };
    let parameters = match row.parameters {
        Parameters::Exactly(..) => StatusWord::WRONG_P1P2,
        Parameters::Tags(_) => StatusWord::NO_SUCH_OBJECT,
    };
    let mut faults = vec![
        fault("malformed", 10, StatusWord::WRONG_LENGTH, malform),
        fault("secure-messaging", 20, StatusWord::NO_SECURE_MESSAGING, |_, c| c.cla |= 0b0000_1100),
        fault("channel", 20, StatusWord::NO_CHANNELS, |_, c| c.cla |= 0b0000_0001),
        fault("class", 20, StatusWord::WRONG_CLA, |_, c| c.cla |= 0b0010_0000),
        fault("instruction", 30, StatusWord::WRONG_INS, |_, c| c.ins += 1),
        fault("parameters", 50, parameters, |_, c| c.p1 ^= 1),
        fault("length", 60, StatusWord::WRONG_LENGTH, bend_length),
    ];
    if !row.chaining {
        faults.push(fault("chaining", 40, StatusWord::NO_CHAINING, |_, c| *c = c.clone().chained()));
        let open = fault("open-chain", 40, StatusWord::CHAIN_BROKEN, |_, _| {});
        faults.push(Fault { setting: Setting::OpenChain, ..open });
    }
    if row.name != Name::GetResponse && !row.allowed_in(CardState::Idle) {
        faults.push(fault("state", 70, StatusWord::CONDITIONS, |_, _| {}));
    }
    match row.name {
        Name::Select => {
            faults.push(fault("name", 80, StatusWord::NOT_FOUND, |_, c| c.data = b"OTHER".to_vec()));
        }
        Name::PutTxn => faults.push(fault("content", 80, StatusWord::WRONG_DATA, |_, c| c.data = vec![0; 9])),
        _ => {}
    }
    faults
}

fn malform(_: &CommandSpec, command: &mut CommandBuilder) {
    (command.data, command.ne, command.tail) = (Vec::new(), None, vec![2, 0]);
}

fn bend_length(row: &CommandSpec, command: &mut CommandBuilder) {
    command.data = match row.data {
        DataField::Absent => vec![0],
        // A SELECT without a name is another one: of the issuer's security domain.
        DataField::Required { max, .. } if row.name == Name::Select => vec![0; max + 1],
        DataField::Required { .. } => Vec::new(),
    };
}
