//! Every state × every command: status word and next state, against the command table.

use std::fmt::Write as _;

use onetap_apdu_spec::command::{AID, COMMANDS, CardState, Name};
use onetap_apdu_spec::sw::StatusWord;

use crate::rig::Rig;

/// Brings a new card into `state`, in the field, powered, selected where that changes nothing.
pub(crate) fn in_state(state: CardState) -> Rig {
    let mut rig = Rig::new();
    match state {
        CardState::Idle => {
            rig.enter();
            rig.select();
        }
        CardState::Loaded => drop(rig.load("12.34")),
        CardState::Signed => {
            rig.load("12.34");
            assert_eq!(rig.sw(Name::GetSignature, &[]), StatusWord::OK);
        }
        CardState::Delivered => drop(rig.deliver("12.34")),
        CardState::Showing => {
            rig.tap("12.34");
            rig.enter();
            rig.select();
        }
        // Entering the field ends Revealed, so no command ever meets it.
        CardState::Revealed => {
            rig.tap("12.34");
            rig.confirm();
        }
    }
    assert_eq!(rig.card.state(), state);
    rig
}

#[test]
fn every_state_and_command() {
    let mut grid = String::new();
    for state in CardState::ALL {
        for row in COMMANDS {
            let mut rig = in_state(state);
            let data = match row.name {
                Name::Select => AID.to_vec(),
                Name::PutTxn => rig_transaction(&mut rig, state),
                _ => Vec::new(),
            };
            let sw = rig.sw(row.name, &data);
            let next = rig.card.state();
            writeln!(grid, "{:<10} {:<17} {sw} {:?}", format!("{state:?}"), row.title, next).unwrap();
            if sw == StatusWord::OK {
                let (_, after) = row.states.iter().find(|(from, _)| *from == state).unwrap();
                assert!(after.contains(&next), "{state:?} {} leads to {next:?}", row.title);
            } else {
                assert_eq!(next, state, "a refusal changes nothing");
            }
        }
    }
    insta::assert_snapshot!(grid);
}

fn rig_transaction(rig: &mut Rig, state: CardState) -> Vec<u8> {
    if state == CardState::Revealed {
        return crate::rig::transaction("MZXW6YTBOJTG633C", "12.34").encode().unwrap().bytes().to_vec();
    }
    rig.transaction("12.34").bytes().to_vec()
}

#[test]
fn without_selection_only_select_is_taken() {
    for row in COMMANDS {
        let mut rig = Rig::new();
        rig.enter();
        let data: &[u8] = if row.name == Name::Select { &AID } else { &[1] };
        let data = if matches!(row.name, Name::Select | Name::PutTxn) { data } else { &[] };
        // What the issuer's security domain, which is selected by default, says to what it does not know.
        let expected = match row.name {
            Name::Select => StatusWord::OK,
            Name::GetData => StatusWord::NO_SUCH_OBJECT,
            Name::PutTxn | Name::GetSignature | Name::GetEncPassword => StatusWord::WRONG_INS,
            Name::GetResponse => StatusWord::CONDITIONS,
        };
        assert_eq!(rig.sw(row.name, data), expected, "{}", row.title);
    }
}
