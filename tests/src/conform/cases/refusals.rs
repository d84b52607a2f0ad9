//! Generated: for every row of the command table, what is refused whatever the state. The card stands
//! in Loaded, which every refusal must leave as it is (REQ-C-1).

use onetap_apdu_spec::apdu::CLA_CHAINING;
use onetap_apdu_spec::command::{COMMANDS, CardState, CommandSpec, DataField, Name, Parameters};
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::tlv::Tag;

use super::words::{slug, well_formed};
use crate::conform::case::Case;
use crate::conform::command::CommandBuilder;
use crate::conform::tester::{Outcome, Tester};

/// CLA: bit 8 and bits 7-6, which tell the class (ISO/IEC 7816-4 §5.4.1).
const FURTHER: u8 = 0b0110_0000;
const FURTHER_CHANNELS: u8 = 0b0100_0000;
const RESERVED: u8 = 0b0010_0000;
/// Bits 4-3 of the first interindustry class: secure messaging.
const SECURE_MESSAGING: u8 = 0b0000_1100;
/// Bits 2-1: the channel.
const CHANNEL: u8 = 0b0000_0011;

pub(super) fn cases() -> Vec<Case> {
    COMMANDS.iter().flat_map(row_cases).chain([unknown_instructions(), never_empty()]).collect()
}

fn row_cases(row: &'static CommandSpec) -> Vec<Case> {
    let of =
        |name: &str, title: &str, clause: &str, bent: fn(&CommandSpec) -> Vec<Vec<u8>>, sw: StatusWord| {
            let title = format!("{}: {title} is refused with {sw}", row.title);
            let run = move |t: &mut Tester<'_>| refused(t, &bent(row), sw);
            Case::new(format!("{}/{name}", slug(row)), title, format!("{clause}, REQ-C-1"), run)
                .refusing()
                .in_state(CardState::Loaded)
        };
    let class = "ISO/IEC 7816-4 §5.4.1; REQ-C-2 step 2";
    let parameters = match row.parameters {
        Parameters::Exactly(..) => StatusWord::WRONG_P1P2,
        Parameters::Tags(_) => StatusWord::NO_SUCH_OBJECT,
    };
    let mut cases = vec![
        of(
            "malformed",
            "each malformed APDU",
            "ISO/IEC 7816-4 §5.2; REQ-C-2 step 1",
            malformed,
            StatusWord::WRONG_LENGTH,
        ),
        of(
            "cla-secure-messaging",
            "secure messaging in CLA",
            class,
            secure_messaging,
            StatusWord::NO_SECURE_MESSAGING,
        ),
        of("cla-channel", "each channel but 0", class, channels, StatusWord::NO_CHANNELS),
        of("cla-reserved", "each reserved class", class, reserved, StatusWord::WRONG_CLA),
        of("wrong-p1-p2", "each change of one bit in P1-P2", "REQ-C-2 step 5", wrong_parameters, parameters),
    ];
    if !row.chaining {
        let title = "the chaining bit";
        cases.push(of(
            "chaining-not-allowed",
            title,
            "ISO/IEC 7816-4 §5.3.3; REQ-C-2 step 4",
            chained,
            StatusWord::NO_CHAINING,
        ));
    }
    let length = "REQ-C-2 step 6";
    match row.data {
        DataField::Absent => {
            cases.push(of("lc-present", "a data field", length, data_present, StatusWord::WRONG_LENGTH));
        }
        DataField::Required { .. } => {
            // Without a name SELECT means the issuer's security domain (REQ-K-20).
            if row.name != Name::Select {
                cases.push(of("lc-absent", "no data field", length, data_absent, StatusWord::WRONG_LENGTH));
            }
            cases.push(of(
                "lc-too-long",
                "a data field one byte too long",
                length,
                data_too_long,
                StatusWord::WRONG_LENGTH,
            ));
        }
    }
    cases
}

fn refused(t: &mut Tester<'_>, commands: &[Vec<u8>], sw: StatusWord) -> Outcome {
    for bytes in commands {
        let response = t.send_raw("send the wrong command", bytes)?;
        t.compare_sw("send the wrong command", &response, sw)?;
    }
    t.expect_state(CardState::Loaded)
}

/// Every CLA that `wanted` picks, on an otherwise right command.
fn with_class(row: &CommandSpec, wanted: impl Fn(u8) -> bool) -> Vec<Vec<u8>> {
    let bend = |cla| CommandBuilder { cla, ..well_formed(row) }.bytes();
    (0..u8::MAX).filter(|cla| wanted(cla & !CLA_CHAINING)).map(bend).collect()
}

fn secure_messaging(row: &CommandSpec) -> Vec<Vec<u8>> {
    with_class(row, |class| match class & FURTHER {
        0 => class & SECURE_MESSAGING != 0,
        further => further == FURTHER,
    })
}

fn channels(row: &CommandSpec) -> Vec<Vec<u8>> {
    with_class(row, |class| match class & FURTHER {
        0 => class & SECURE_MESSAGING == 0 && class & CHANNEL != 0,
        further => further == FURTHER_CHANNELS,
    })
}

/// With FF, which is never a class byte.
fn reserved(row: &CommandSpec) -> Vec<Vec<u8>> {
    let mut all = with_class(row, |class| class & FURTHER == RESERVED);
    all.push(CommandBuilder { cla: u8::MAX, ..well_formed(row) }.bytes());
    all
}

fn chained(row: &CommandSpec) -> Vec<Vec<u8>> {
    vec![well_formed(row).chained().bytes()]
}

fn wrong_parameters(row: &CommandSpec) -> Vec<Vec<u8>> {
    let right = well_formed(row);
    let bent = (0..16).map(|bit| {
        let [p1, p2] = (u16::from_be_bytes([right.p1, right.p2]) ^ 1 << bit).to_be_bytes();
        CommandBuilder { p1, p2, ..right.clone() }
    });
    let names_an_object = |p1, p2| match row.parameters {
        Parameters::Exactly(..) => false,
        Parameters::Tags(tags) => tags.contains(&Tag(u16::from_be_bytes([p1, p2]))),
    };
    // Other occurrences and other answers are the card's to offer (ISO/IEC 7816-4 §11.2.2).
    let is_other_select = |p2: u8| row.name == Name::Select && p2 & 0xF0 == 0 && p2 != 0;
    let wrong = bent.filter(|c| !names_an_object(c.p1, c.p2) && !is_other_select(c.p2));
    wrong.map(|command| command.bytes()).collect()
}

fn data_present(row: &CommandSpec) -> Vec<Vec<u8>> {
    let with = |data: &[u8]| CommandBuilder { data: data.to_vec(), ..well_formed(row) };
    vec![with(&[0]).bytes(), with(&[0; 255]).bytes(), with(&[0; 1]).extended().bytes()]
}

fn data_absent(row: &CommandSpec) -> Vec<Vec<u8>> {
    let without = CommandBuilder { data: Vec::new(), ..well_formed(row) };
    vec![without.clone().with_ne(None).bytes(), without.with_ne(Some(256)).bytes()]
}

fn data_too_long(row: &CommandSpec) -> Vec<Vec<u8>> {
    let DataField::Required { max, .. } = row.data else {
        return Vec::new();
    };
    let long = CommandBuilder { data: vec![0; max + 1], ..well_formed(row) };
    vec![long.clone().bytes(), long.extended().bytes()]
}

/// The header, then length fields that do not fit what follows.
fn malformed(row: &CommandSpec) -> Vec<Vec<u8>> {
    let right = CommandBuilder { data: Vec::new(), ..well_formed(row) }.with_ne(None);
    let bodies: [&[u8]; 9] = [
        &[2, 0],                // Lc 2, one byte
        &[1, 0, 0, 0],          // a byte behind Le
        &[0, 0],                // Lc 0
        &[0, 0, 0, 0],          // extended Lc 0
        &[0, 0, 0, 0, 0],       // extended Lc 0, extended Le
        &[0, 0, 2, 0],          // extended Lc 2, one byte
        &[0, 0, 1, 0, 0],       // extended Lc, Le of one byte
        &[0, 0, 1, 0, 0, 0, 0], // a byte behind the extended Le
        &[255; 255],            // Lc 255, one byte too few
    ];
    let with = |body: &[u8]| CommandBuilder { tail: body.to_vec(), ..right.clone() }.bytes();
    bodies.into_iter().map(with).collect()
}

/// Every class with an instruction that is none, alone and with what makes it malformed.
fn never_empty() -> Case {
    let run = |t: &mut Tester<'_>| {
        for cla in 0..=u8::MAX {
            for bytes in [vec![cla, 0xFF, 0, 0], vec![cla, 0xFF, 0, 0, 2, 0]] {
                let response = t.send_raw("send what no card knows", &bytes)?;
                let refused = response.sw != StatusWord::OK && response.data.is_empty();
                t.check("look at the answer", refused, "a refusal", response.sw)?;
            }
        }
        t.expect_state(CardState::Loaded)
    };
    let title = "whatever comes, at least two bytes come back";
    Case::new("response/never-empty", title, "REQ-C-11, REQ-C-1", run).refusing().in_state(CardState::Loaded)
}

/// MANAGE CHANNEL (ISO/IEC 7816-4 §11.1.2), which a card may have beside the application.
const MANAGE_CHANNEL: (u8, u8) = (0x00, 0x70);

/// Every instruction that no row has, in both classes.
fn unknown_instructions() -> Case {
    let run = |t: &mut Tester<'_>| {
        for row in COMMANDS {
            for ins in 0..=u8::MAX {
                let known = COMMANDS.iter().any(|other| (other.cla, other.ins) == (row.cla, ins));
                if known || (row.cla, ins) == MANAGE_CHANNEL {
                    continue;
                }
                let command = CommandBuilder { ins, ..well_formed(row) };
                t.expect("send an unknown instruction", &command, StatusWord::WRONG_INS)?;
            }
        }
        t.expect_state(CardState::Loaded)
    };
    let title = "each instruction outside of the table is refused with 6D00";
    Case::new("instruction/unknown", title, "REQ-C-2 step 3, REQ-C-1", run)
        .refusing()
        .in_state(CardState::Loaded)
}
