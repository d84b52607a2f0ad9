//! Bugs in how commands are taken.

use super::*;

pub(crate) const BUGS: &[Bug] = &[
    Bug {
        name: "answers 9000 to unknown instructions",
        caught_by: &[
            "instruction/unknown",
            "get-data/instruction-before-parameters",
            "chain/unknown-instruction",
        ],
        transmit: |i, c| instead(i, c, StatusWord::WRONG_INS, StatusWord::OK),
        ..NONE
    },
    Bug {
        name: "answers 6D00 where 6E00 belongs",
        caught_by: &["put-txn/cla-reserved", "select/cla-reserved", "get-response/class-before-instruction"],
        transmit: |i, c| instead(i, c, StatusWord::WRONG_CLA, StatusWord::WRONG_INS),
        ..NONE
    },
    Bug {
        name: "serves other channels on channel 0",
        caught_by: &["select/cla-channel", "get-signature/cla-channel", "put-txn/channel-before-content"],
        transmit: |i, c| without_class_bits(i, c, 0b0000_0011),
        ..NONE
    },
    Bug {
        name: "ignores secure messaging in CLA",
        caught_by: &["get-data/cla-secure-messaging", "put-txn/cla-secure-messaging"],
        transmit: |i, c| without_class_bits(i, c, 0b0000_1100),
        ..NONE
    },
    Bug {
        name: "ignores P2",
        caught_by: &[
            "select/wrong-p1-p2",
            "put-txn/wrong-p1-p2",
            "chain/changed-p2",
            "select/no-answer-wanted",
            "select/occurrences",
            "select/occurrences-of-the-issuer",
        ],
        transmit: |i, c| {
            let mut command = c.to_vec();
            if name(c) != Some(Name::GetData) {
                command[3] = 0;
            }
            send(i, &command)
        },
        ..NONE
    },
    Bug {
        name: "selects nothing after a reset",
        caught_by: &["select/issuer-after-reset"],
        field_in: |i| {
            i.flag = true;
            (NONE.field_in)(i);
        },
        reset: |i| {
            i.flag = true;
            (NONE.reset)(i);
        },
        transmit: |i, c| {
            i.flag &= name(c) != Some(Name::Select);
            if i.flag { StatusWord::CONDITIONS.to_bytes().to_vec() } else { send(i, c) }
        },
        ..NONE
    },
    Bug {
        name: "finds its domain on channel 0 only",
        caught_by: &["select/issuer-on-a-channel"],
        transmit: |i, c| {
            let nameless = CommandApdu::parse(c).is_ok_and(|apdu| apdu.data.is_empty());
            let elsewhere = is_on(c, Name::Select).is_some_and(|channel| channel != 0);
            if nameless && elsewhere { StatusWord::NOT_FOUND.to_bytes().to_vec() } else { send(i, c) }
        },
        ..NONE
    },
    Bug {
        // A bit of the count for each channel that a SELECT came on.
        name: "opens channels with nothing on them",
        caught_by: &["channels/starts-by-default"],
        transmit: |i, c| {
            i.count |= is_on(c, Name::Select).map_or(0, |channel| 1 << channel);
            let asked = is_on(c, Name::GetData).filter(|channel| *channel != 0);
            if asked.is_some_and(|channel| i.count & 1 << channel == 0) {
                StatusWord::CONDITIONS.to_bytes().to_vec()
            } else {
                send(i, c)
            }
        },
        ..NONE
    },
    Bug {
        name: "answers 6A86 where GET DATA answers 6A88",
        caught_by: &["get-data/wrong-p1-p2", "get-data/parameters-before-length"],
        transmit: |i, c| instead(i, c, StatusWord::NO_SUCH_OBJECT, StatusWord::WRONG_P1P2),
        ..NONE
    },
    Bug {
        name: "selects by fewer than five bytes",
        caught_by: &["select/too-short-aid"],
        transmit: |i, c| {
            let short =
                CommandApdu::parse(c).is_ok_and(|apdu| apdu.data.len() < 5 && AID.starts_with(apdu.data));
            if name(c) == Some(Name::Select) && short {
                return send(i, &CommandBuilder::select().bytes());
            }
            send(i, c)
        },
        ..NONE
    },
    Bug {
        name: "an unknown AID takes the selection away",
        caught_by: &["select/unknown-aid"],
        transmit: |i, c| {
            let response = send(i, c);
            if response == StatusWord::NOT_FOUND.to_bytes() {
                i.card.reset().unwrap();
            }
            response
        },
        ..NONE
    },
    Bug {
        name: "tells a serial number in the answer to SELECT",
        caught_by: &["select/answer", "select/partial-aid"],
        transmit: |i, c| changed(i, c, Name::Select, |data| data.extend([1, 2, 3, 4])),
        ..NONE
    },
    Bug {
        name: "SELECT does not void what is loaded",
        caught_by: &["select/in-loaded", "select/in-signed"],
        transmit: |i, c| {
            let selected = send(i, &CommandBuilder::status().bytes()).len() > 2;
            if c == CommandBuilder::select().bytes() && selected {
                return ResponseApdu::ok(fci()).to_bytes();
            }
            send(i, c)
        },
        ..NONE
    },
    Bug {
        name: "a reset changes nothing",
        caught_by: &["select/after-reset", "chain/reset"],
        reset: |_| {},
        ..NONE
    },
    Bug {
        name: "a reset does not void what is loaded",
        caught_by: &["contact/reset-voids-loaded", "contact/reset-voids-signed"],
        reset: |i| i.flag = true,
        transmit: |i, c| {
            if std::mem::take(&mut i.flag) { ResponseApdu::ok(fci()).to_bytes() } else { send(i, c) }
        },
        ..NONE
    },
    Bug {
        name: "the alias stays the same for ever",
        caught_by: &["alias/rotates", "alias/derived"],
        transmit: |i, c| {
            let response = send(i, c);
            if c == CommandBuilder::alias().bytes() && response.len() > 2 {
                return i.bytes.get_or_insert(response).clone();
            }
            response
        },
        ..NONE
    },
    Bug {
        name: "goes on with a chain after another command",
        caught_by: &["chain/interrupted-by-select", "chain/interrupted-by-get-data", "chain/changed-p1"],
        transmit: |i, c| {
            let part = name(c) == Some(Name::PutTxn) && c[2] == 0;
            let open = std::mem::replace(&mut i.flag, part && c[0] & CLA_CHAINING != 0);
            if open && !part {
                i.flag = true;
                return StatusWord::CHAIN_BROKEN.to_bytes().to_vec();
            }
            send(i, c)
        },
        ..NONE
    },
    Bug {
        name: "takes parts of other commands into a chain",
        caught_by: &["chain/interrupted-by-get-signature", "get-data/open-chain-before-parameters"],
        transmit: |i, c| instead(i, c, StatusWord::CHAIN_BROKEN, StatusWord::OK),
        ..NONE
    },
    Bug {
        name: "chains commands that have no chaining",
        caught_by: &["select/chaining-not-allowed", "get-signature/chaining-not-allowed"],
        transmit: |i, c| instead(i, c, StatusWord::NO_CHAINING, StatusWord::OK),
        ..NONE
    },
    Bug {
        name: "ignores Le",
        caught_by: &[
            "select/le-short",
            "get-data/le-absent",
            "get-signature/le-absent",
            "get-enc-password/le-short",
        ],
        transmit: |i, c| {
            let mut response = ResponseApdu::parse(&send(i, c)).unwrap();
            while let Some(left) = response.sw.as_bytes_left() {
                let next = send(i, &CommandBuilder::get_response(left).bytes());
                let next = ResponseApdu::parse(&next).unwrap();
                response.data.extend(next.data);
                response.sw = next.sw;
            }
            response.to_bytes()
        },
        ..NONE
    },
    Bug {
        name: "counts the bytes that are left wrongly",
        caught_by: &["get-data/le-short", "get-data/le-absent", "get-data/get-response-in-parts"],
        transmit: |i, c| {
            let mut response = ResponseApdu::parse(&send(i, c)).unwrap();
            if let Some(left) = response.sw.as_bytes_left() {
                response.sw = StatusWord::bytes_left(left as usize + 1);
            }
            response.to_bytes()
        },
        ..NONE
    },
    Bug {
        name: "knows no extended length",
        caught_by: &["get-signature/le-extended", "chain/mixed-lengths", "transaction/too-long"],
        transmit: |i, c| {
            if c.len() > 6 && c[4] == 0 { StatusWord::WRONG_LENGTH.to_bytes().to_vec() } else { send(i, c) }
        },
        ..NONE
    },
    Bug {
        name: "keeps what waits while other commands come",
        caught_by: &["select/get-response-dropped", "get-signature/get-response-dropped"],
        transmit: |i, c| {
            let response = send(i, c);
            let waits = ResponseApdu::parse(&response).unwrap().sw.as_bytes_left().is_some();
            i.flag |= waits;
            if name(c) == Some(Name::GetResponse) && response.len() == 2 && std::mem::take(&mut i.flag) {
                return ResponseApdu::ok(vec![0]).to_bytes();
            }
            response
        },
        ..NONE
    },
    Bug {
        name: "has one channel and tells of four",
        caught_by: &["channels/as-many-as-told"],
        transmit: |i, c| {
            if c[1] == MANAGE_CHANNEL { StatusWord::NO_CHANNELS.to_bytes().to_vec() } else { send(i, c) }
        },
        ..NONE
    },
    Bug {
        name: "gives every channel the number 1",
        caught_by: &["channels/as-many-as-told"],
        transmit: |i, c| {
            let response = send(i, c);
            let opened = c[1] == MANAGE_CHANNEL && response.len() == 3;
            if opened { vec![1, 0x90, 0x00] } else { response }
        },
        ..NONE
    },
    Bug {
        name: "opens no channel where Le is missing",
        caught_by: &["channels/without-le"],
        transmit: |i, c| {
            let without_le = c.len() == 4 && c[1] == MANAGE_CHANNEL && c[2] == 0 && c[3] == 0;
            if without_le { StatusWord::WRONG_LENGTH.to_bytes().to_vec() } else { send(i, c) }
        },
        ..NONE
    },
    Bug {
        name: "opens no channel by its number",
        caught_by: &["channels/by-number"],
        transmit: |i, c| {
            let by_number = c[1] == MANAGE_CHANNEL && c[2] == 0 && c[3] != 0;
            if by_number { StatusWord::WRONG_P1P2.to_bytes().to_vec() } else { send(i, c) }
        },
        ..NONE
    },
    Bug {
        name: "closes what is closed",
        caught_by: &["channels/refused"],
        transmit: |i, c| instead(i, c, StatusWord::CHANNEL_WAS_CLOSED, StatusWord::OK),
        ..NONE
    },
    Bug {
        name: "keeps a channel open that was closed",
        caught_by: &["channels/open-use-close", "channels/closing-voids"],
        transmit: |i, c| {
            let closes = c[1] == MANAGE_CHANNEL && c[2] != 0;
            if closes { StatusWord::OK.to_bytes().to_vec() } else { send(i, c) }
        },
        ..NONE
    },
    Bug {
        name: "has the application on two channels",
        caught_by: &["channels/one-application"],
        transmit: |i, c| {
            let response = send(i, c);
            let second = c[0] & 0b0000_0011 != 0 && c[1] == SELECT;
            if second && response == StatusWord::CONDITIONS.to_bytes() {
                return ResponseApdu::ok(fci()).to_bytes();
            }
            response
        },
        ..NONE
    },
    Bug {
        name: "gives what waits on any channel, and continues chains from any",
        caught_by: &["channels/no-response-elsewhere", "channels/chain"],
        transmit: |i, c| {
            let any = matches!(c[1], GET_RESPONSE | PUT_TXN);
            if any { without_class_bits(i, c, 0b0000_0011) } else { send(i, c) }
        },
        ..NONE
    },
    Bug {
        name: "gives what waits on channel 0 only",
        caught_by: &["channels/response"],
        transmit: |i, c| {
            let elsewhere = c[0] & 0b0000_0011 != 0 && c[1] == GET_RESPONSE;
            if elsewhere { StatusWord::CONDITIONS.to_bytes().to_vec() } else { send(i, c) }
        },
        ..NONE
    },
    Bug {
        name: "does not answer reserved classes",
        caught_by: &["response/never-empty"],
        transmit: |i, c| {
            let response = send(i, c);
            if response == StatusWord::WRONG_CLA.to_bytes() { Vec::new() } else { response }
        },
        ..NONE
    },
];

const SELECT: u8 = 0xA4;
const MANAGE_CHANNEL: u8 = 0x70;
const GET_RESPONSE: u8 = 0xC0;
const PUT_TXN: u8 = 0x30;
