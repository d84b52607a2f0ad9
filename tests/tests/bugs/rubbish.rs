//! Bugs of a card that was never meant to be right, and the card that has the worst of them at once.

use super::*;

/// Bytes of a signature message or an object before its values: tags and lengths.
const HEAD: usize = 7;

/// Zeros instead of every value of the answer to `wanted`, in whichever parts it comes.
fn zeros(inside: &mut Inside, command: &[u8], wanted: Name) -> Vec<u8> {
    let mut response = ResponseApdu::parse(&send(inside, command)).unwrap();
    let asked = name(command);
    if asked != Some(Name::GetResponse) {
        inside.flag = asked == Some(wanted);
    }
    let from = if asked == Some(wanted) { HEAD } else { 0 };
    if inside.flag && response.data.len() > from {
        response.data[from..].fill(0);
    }
    response.to_bytes()
}

/// Changes one byte of the status object, counted from its end.
fn status_with(inside: &mut Inside, command: &[u8], from_end: usize, byte: u8) -> Vec<u8> {
    let mut response = ResponseApdu::parse(&send(inside, command)).unwrap();
    if command == CommandBuilder::status().bytes() && response.data.len() > from_end {
        let at = response.data.len() - from_end;
        response.data[at] = byte;
    }
    response.to_bytes()
}

/// Zero signatures under a header of zeros, so that C stands still, zero ciphertexts, and no limit of eight.
pub(crate) const RUBBISH: Bug = Bug {
    name: "is rubbish",
    transmit: |i, c| {
        let asked = name(c);
        if asked != Some(Name::GetResponse) {
            i.flag = matches!(asked, Some(Name::GetSignature | Name::GetEncPassword));
        }
        let mut response = ResponseApdu::parse(&send(i, c)).unwrap();
        let from = if asked == Some(Name::GetResponse) { 0 } else { HEAD };
        if i.flag && response.data.len() > from {
            response.data[from..].fill(0);
        }
        if asked == Some(Name::PutTxn) && response.sw == StatusWord::CONDITIONS {
            response.sw = StatusWord::OK;
        }
        response.to_bytes()
    },
    ..NONE
};

pub(crate) const BUGS: &[Bug] = &[
    Bug {
        name: "signs with zeros",
        caught_by: &[SIGNATURE, "get-signature/in-loaded", "counter/increments"],
        transmit: |i, c| zeros(i, c, Name::GetSignature),
        ..NONE
    },
    Bug {
        name: "encrypts to zeros",
        caught_by: &[SIGNATURE, PASSWORD, "repeat/get-enc-password"],
        transmit: |i, c| zeros(i, c, Name::GetEncPassword),
        ..NONE
    },
    Bug {
        name: "signs for another server",
        caught_by: &[SIGNATURE, "get-signature/in-loaded"],
        transmit: |i, c| changed_part(i, c, Name::GetSignature, |data| data[HEAD + 2] ^= 1),
        ..NONE
    },
    Bug {
        name: "says Idle whatever its state is",
        caught_by: &["put-txn/in-idle", "get-signature/in-loaded", "chain/two-parts"],
        transmit: |i, c| status_with(i, c, 3, 0),
        ..NONE
    },
    Bug {
        name: "says that eight signatures are unconfirmed",
        caught_by: &["status/new-card", "contact/unconfirmed"],
        transmit: |i, c| status_with(i, c, 2, 8),
        ..NONE
    },
    Bug {
        name: "spells its alias in small letters",
        caught_by: &["alias/stays", "alias/rotates", "alias/derived"],
        transmit: |i, c| {
            let mut response = ResponseApdu::parse(&send(i, c)).unwrap();
            if c == CommandBuilder::alias().bytes() {
                response.data.make_ascii_lowercase();
            }
            response.to_bytes()
        },
        ..NONE
    },
    Bug {
        name: "gives its last signature for ever",
        caught_by: &["contact/reset-voids-signed"],
        transmit: |i, c| {
            let response = send(i, c);
            if name(c) != Some(Name::GetSignature) {
                return response;
            }
            if response.len() > 2 {
                i.bytes = Some(response.clone());
            }
            i.bytes.clone().unwrap_or(response)
        },
        ..NONE
    },
    Bug {
        name: "shows a cent less than it signs",
        caught_by: &["display/whole-payment", "display/whole-long-texts"],
        screen: |i| redrawn(i, |lines| lines.iter().map(|line| line.replace("12.34", "12.33")).collect()),
        ..NONE
    },
    Bug {
        name: "takes any PIN",
        caught_by: &["pin/wrong", "pin/blocked"],
        key: |i, key| press(i, if key == Key::WrongDigit { Key::Digit } else { key }),
        ..NONE
    },
    Bug {
        name: "confirms by the cancel key",
        caught_by: &["cancel/showing", "confirm/cancelled-not-counted"],
        key: |i, key| {
            if key == Key::Cancel {
                read_and_wait(i);
            }
            press(i, if key == Key::Cancel { Key::Confirm } else { key });
        },
        ..NONE
    },
    Bug {
        name: "puts a byte behind what it owes",
        caught_by: &["get-enc-password/response-object", SIGNATURE],
        transmit: |i, c| {
            let response = send(i, c);
            let mut response = ResponseApdu::parse(&response).unwrap();
            let asked = name(c);
            if asked != Some(Name::GetResponse) {
                i.flag = asked == Some(Name::GetEncPassword);
            }
            if i.flag && response.sw == StatusWord::OK && !response.data.is_empty() {
                response.data.push(0);
            }
            response.to_bytes()
        },
        ..NONE
    },
];

/// Changes the first part of the answer to `wanted`.
fn changed_part(inside: &mut Inside, command: &[u8], wanted: Name, change: fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut response = ResponseApdu::parse(&send(inside, command)).unwrap();
    if name(command) == Some(wanted) && response.data.len() > HEAD + 2 {
        change(&mut response.data);
    }
    response.to_bytes()
}
