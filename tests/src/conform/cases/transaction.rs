//! T, rule by rule: each message below breaks one rule and is right in all others, its payer alias
//! included. The card answers 6A80 and stays in Idle.

use onetap_apdu_spec::command::CardState;
use onetap_apdu_spec::objects::{self, DATA_OBJECTS};
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::text::glyph_width;
use onetap_apdu_spec::tlv::{self, Tag};
use onetap_apdu_spec::txn::{MAX_TRANSACTION, Transaction, TransactionType};

use crate::conform::case::Case;
use crate::conform::command::CommandBuilder;
use crate::conform::tester::{Outcome, Stop, Tester};
use crate::target::samples::{self, Raw};

/// The objects that must be there, in order.
const MANDATORY: [Tag; 11] = [
    objects::TRANSACTION_TYPE,
    objects::PAYER_ALIAS,
    objects::PAYEE_ACCOUNT,
    objects::PAYEE_NAME,
    objects::AMOUNT,
    objects::CURRENCY,
    objects::DATE,
    objects::TIME,
    objects::TERMINAL_ID,
    objects::UNPREDICTABLE_NUMBER,
    objects::REFERENCE,
];

pub(super) fn cases() -> Vec<Case> {
    [encoding(), presence(), fields(), texts(), accepted(), too_long()].into_iter().flatten().collect()
}

/// Makes wrong messages out of a right one.
type Bend = fn(&Raw) -> Vec<Vec<u8>>;

fn refused(
    id: &str,
    title: impl Into<String>,
    clause: &str,
    bend: impl Fn(&Raw) -> Vec<Vec<u8>> + Send + Sync + 'static,
) -> Case {
    let run = move |t: &mut Tester<'_>| {
        for bytes in bend(&right(t)?) {
            let command = CommandBuilder::put_txn(&bytes);
            t.expect("hand over the wrong message", &command, StatusWord::WRONG_DATA)?;
            t.expect_state(CardState::Idle)?;
        }
        Ok(())
    };
    Case::new(format!("transaction/{id}"), title, clause, run).refusing()
}

/// A right message with details, in the name of this card.
pub(super) fn right(t: &mut Tester<'_>) -> Result<Raw, Stop> {
    Ok(Raw::of(&Transaction { payer: t.alias()?, ..samples::wordy() }))
}

fn encoding() -> Vec<Case> {
    let cases: [(&str, &str, &str, Bend); 8] = [
        ("trailing-bytes", "bytes behind the template", "REQ-T-2", |raw| {
            [&[0][..], &[0, 0], &[1, 2]].map(|tail| [&raw.bytes(), tail].concat()).to_vec()
        }),
        ("leading-bytes", "a byte before the template", "REQ-T-2", |raw| {
            vec![[&[0][..], &raw.bytes()].concat()]
        }),
        ("truncated", "every message cut short", "REQ-T-2", |raw| {
            let bytes = raw.bytes();
            (1..bytes.len()).step_by(13).map(|len| bytes[..len].to_vec()).collect()
        }),
        ("wrong-template", "another template's tag", "REQ-T-2", |raw| {
            vec![
                tlv::object(objects::SIGNATURE_MESSAGE, &raw.inner()),
                tlv::object(objects::FCI, &raw.inner()),
            ]
        }),
        ("empty", "an empty template", "REQ-T-5", |_| vec![tlv::object(objects::TRANSACTION, &[])]),
        ("length-not-shortest", "an inner length not in its shortest form", "REQ-T-3", |raw| {
            let inner = raw.inner();
            let [tag, len, rest @ ..] = &inner[..] else { return Vec::new() };
            vec![tlv::object(objects::TRANSACTION, &[&[*tag, LONG_FORM | 1, *len], rest].concat())]
        }),
        ("outer-length-not-shortest", "the template's length not in its shortest form", "REQ-T-3", |raw| {
            let inner = raw.inner();
            let [high, low] = u16::try_from(inner.len()).unwrap_or_default().to_be_bytes();
            let tag = tlv::object(objects::TRANSACTION, &[]);
            vec![
                [&tag[..1], &[LONG_FORM | 3, 0, high, low], &inner].concat(),
                [&tag[..1], &[LONG_FORM], &inner, &[0, 0]].concat(),
            ]
        }),
        ("nested", "a template inside", "REQ-T-4", |raw| {
            vec![tlv::object(objects::TRANSACTION, &raw.bytes())]
        }),
    ];
    cases.map(|(id, title, clause, bend)| refused(id, title, clause, bend)).into()
}

/// First length byte where more of them follow.
const LONG_FORM: u8 = 0b1000_0000;

fn presence() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, tag) in MANDATORY.into_iter().enumerate() {
        let name = slug(tag);
        cases.push(refused(
            &format!("missing-{name}"),
            format!("{name} is missing"),
            "REQ-T-5",
            move |raw| {
                let mut raw = raw.clone();
                raw.0.remove(i);
                vec![raw.bytes()]
            },
        ));
        cases.push(refused(
            &format!("duplicate-{name}"),
            format!("{name} stands twice"),
            "REQ-T-5",
            move |raw| {
                let (mut beside, mut behind) = (raw.clone(), raw.clone());
                beside.0.insert(i, raw.0[i].clone());
                behind.0.push(raw.0[i].clone());
                vec![beside.bytes(), behind.bytes()]
            },
        ));
    }
    cases.push(refused("out-of-order", "two neighbours change places", "REQ-T-5", |raw| {
        (1..raw.0.len())
            .map(|i| {
                let mut raw = raw.clone();
                raw.0.swap(i - 1, i);
                raw.bytes()
            })
            .collect()
    }));
    cases.push(refused("unknown-tag", "a tag of another object, anywhere", "REQ-T-5", |raw| {
        (0..=raw.0.len())
            .map(|i| {
                let mut raw = raw.clone();
                raw.0.insert(i, (objects::CARD_STATUS, vec![0, 0, 0]));
                raw.bytes()
            })
            .collect()
    }));
    cases.push(refused("wrong-tag", "a right value under the tag of another object", "REQ-T-5", |raw| {
        let under_another = |i: usize| {
            let mut raw = raw.clone();
            raw.0[i].0 = objects::CARD_STATUS;
            raw.bytes()
        };
        (0..raw.0.len()).map(under_another).collect()
    }));
    cases.push(refused("duplicate-details", "details stand twice", "REQ-T-5", |raw| {
        let mut raw = raw.clone();
        raw.0.extend(raw.0.last().cloned());
        vec![raw.bytes()]
    }));
    cases
}

/// Values that one field must not have.
struct Wrong {
    id: &'static str,
    title: &'static str,
    clause: &'static str,
    tag: Tag,
    values: &'static [&'static [u8]],
}

const fn wrong(
    id: &'static str,
    title: &'static str,
    clause: &'static str,
    tag: Tag,
    values: &'static [&'static [u8]],
) -> Wrong {
    Wrong { id, title, clause, tag, values }
}

/// A byte of which one BCD digit is no digit.
const NOT_BCD: u8 = 0b0000_1010;

const FIELDS: &[Wrong] = &[
    wrong(
        "type-unknown",
        "a transaction type of no meaning",
        "REQ-T-11",
        objects::TRANSACTION_TYPE,
        &[&[1], &[9], &[32], &[255]],
    ),
    wrong(
        "type-length",
        "a transaction type of no or two bytes",
        "REQ-T-11",
        objects::TRANSACTION_TYPE,
        &[&[], &[0, 0]],
    ),
    wrong(
        "alias-of-another",
        "the alias of another card",
        "REQ-T-7",
        objects::PAYER_ALIAS,
        &[b"MZXW6YTBOJTG633C"],
    ),
    wrong(
        "alias-form",
        "an alias of another form",
        "REQ-T-7",
        objects::PAYER_ALIAS,
        &[b"", b"MZXW6YTBOJTG633", b"mzxw6ytbojtg633c", b"MZXW6YTBOJTG6331", b"MZXW6YTBOJTG633CA"],
    ),
    wrong(
        "account-check-digits",
        "an account whose check digits are wrong",
        "REQ-T-8",
        objects::PAYEE_ACCOUNT,
        &[b"DE89370400440532013001", b"79927398710"],
    ),
    wrong(
        "account-second-spelling",
        "check digits of 00, 01 or 99, where 97, 98 or 02 are right",
        "REQ-T-8",
        objects::PAYEE_ACCOUNT,
        &[b"DE00370400440000000060", b"DE01370400440000000042", b"DE99370400440000000024"],
    ),
    wrong(
        "account-form",
        "an account that is not one",
        "REQ-T-8",
        objects::PAYEE_ACCOUNT,
        &[
            b"",
            b"de89370400440532013000",
            b"DE89 3704 0044 0532 0130 00",
            b"Ada",
            b"1234567",
            b"45395787636214861234",
            &[255; 16],
        ],
    ),
    wrong("amount-zero", "an amount of 0", "REQ-T-6", objects::AMOUNT, &[&[0; 6]]),
    wrong(
        "amount-bcd",
        "an amount that is not BCD",
        "REQ-T-6",
        objects::AMOUNT,
        &[&[0, 0, 0, 0, 0, NOT_BCD], &[NOT_BCD << 4, 0, 0, 0, 0, 1]],
    ),
    wrong(
        "amount-length",
        "an amount of 5 or 7 bytes",
        "REQ-T-6",
        objects::AMOUNT,
        &[&[], &[0, 0, 0, 0, 1], &[0, 0, 0, 0, 0, 0, 1]],
    ),
    wrong("currency-zero", "a currency of 000", "REQ-T-10", objects::CURRENCY, &[&[0, 0]]),
    wrong(
        "currency-form",
        "a currency that is not BCD or has another length",
        "REQ-T-6",
        objects::CURRENCY,
        &[&[], &[9], &[9, NOT_BCD], &[0b0001_1001, 0b0111_1000], &[0, 9, 120]],
    ),
    wrong(
        "date-impossible",
        "a day that does not exist",
        "REQ-T-6",
        objects::DATE,
        &[&[38, 0b0001_0011, 1], &[38, 2, 0b0011_0000], &[38, 0, 1], &[38, 7, 0], &[39, 2, 0b0010_1001]],
    ),
    wrong(
        "date-form",
        "a date that is not BCD or has another length",
        "REQ-T-6",
        objects::DATE,
        &[&[], &[38, 7], &[38, NOT_BCD, 1], &[32, 38, 7, 1]],
    ),
    wrong(
        "time-impossible",
        "a time that does not exist",
        "REQ-T-6",
        objects::TIME,
        &[&[0b0010_0100, 0, 0], &[0, 0b0110_0000, 0], &[0, 0, 0b0110_0000]],
    ),
    wrong(
        "time-form",
        "a time that is not BCD or has another length",
        "REQ-T-6",
        objects::TIME,
        &[&[], &[0, 0], &[NOT_BCD, 0, 0], &[0, 0, 0, 0]],
    ),
    wrong(
        "terminal-id-form",
        "a terminal identification of other characters or length",
        "REQ-T-12",
        objects::TERMINAL_ID,
        &[b"", b"TERM001", b"TERM00001", b"TERM-001", b"TERM 001", "TERMÄ01".as_bytes()],
    ),
    wrong(
        "unpredictable-number-length",
        "an unpredictable number of another length",
        "REQ-T-13",
        objects::UNPREDICTABLE_NUMBER,
        &[&[], &[1, 2, 3], &[1, 2, 3, 4, 5]],
    ),
];

fn fields() -> Vec<Case> {
    let case = |wrong: &'static Wrong| {
        refused(wrong.id, wrong.title, wrong.clause, |raw| {
            wrong.values.iter().map(|value| raw.clone().with(wrong.tag, value).bytes()).collect()
        })
    };
    FIELDS.iter().map(case).collect()
}

/// Texts that no field may hold: what is shown would not be what is signed.
const TEXTS: &[(&str, &str, &[&str])] = &[
    ("bidi", "bidirectional controls", &["abc\u{202E}cba", "a\u{2067}b", "a\u{200F}b"]),
    ("zero-width", "zero-width characters", &["a\u{200B}b", "a\u{200D}b", "a\u{FEFF}b", "a\u{AD}b"]),
    ("combining", "combining characters", &["Cafe\u{301}", "S\u{326}tefan", "a\u{20DD}b"]),
    ("control", "control characters", &["a\nb", "a\u{0}b", "a\tb", "a\u{7F}b", "a\u{85}b"]),
    ("mixed-scripts", "a word of mixed scripts", &["p\u{430}y", "\u{391}BC", "\u{391}\u{411}", "H&\u{41C}"]),
    ("look-alike", "other forms of characters", &["１２", "a\u{2011}b", "\u{2126}", "\u{1F71}", "\u{1D5A0}"]),
    ("no-glyph", "characters that the display lacks", &["😀", "a\u{A0}b", "\u{5D0}", "\u{E000}"]),
    ("spaces", "spaces outside or in a row", &[" a", "a ", "a  b", " "]),
    ("empty", "nothing", &[""]),
];

fn texts() -> Vec<Case> {
    let text_fields = [objects::PAYEE_NAME, objects::REFERENCE, objects::DETAILS];
    let mut cases: Vec<_> = TEXTS
        .iter()
        .map(|(id, title, texts)| {
            refused(&format!("text-{id}"), format!("texts with {title}"), "REQ-T-9", move |raw| {
                let with = |tag| texts.iter().map(move |text| raw.clone().with(tag, text.as_bytes()).bytes());
                text_fields.into_iter().flat_map(with).collect()
            })
        })
        .collect();
    cases.push(refused("text-not-utf8", "texts that are not UTF-8", "REQ-T-9", move |raw| {
        let bad: [&[u8]; 3] = [&[195], &[237, 160, 128], &[192, 160]];
        text_fields
            .into_iter()
            .flat_map(|tag| bad.map(|bytes| raw.clone().with(tag, bytes).bytes()))
            .collect()
    }));
    cases.push(refused("text-too-wide", "texts one column wider than their field", "REQ-T-9", |raw| {
        let widths = [(objects::PAYEE_NAME, 70), (objects::REFERENCE, 35), (objects::DETAILS, 140)];
        widths
            .into_iter()
            .flat_map(|(tag, columns)| {
                [fill(columns + 1, 'x'), fill(columns + 1, '店')]
                    .map(|text| raw.clone().with(tag, text.as_bytes()).bytes())
            })
            .collect()
    }));
    cases
}

/// A text of at least so many columns.
fn fill(columns: usize, c: char) -> String {
    let width = glyph_width(c).unwrap_or(1);
    c.to_string().repeat(columns.div_ceil(width))
}

/// The message with texts that fill it to its largest size.
pub(super) fn longest(raw: Raw) -> Vec<Raw> {
    // Three bytes and one column.
    const WIDE: char = 'ễ';
    let raw = raw
        .with(objects::PAYEE_NAME, fill(70, WIDE).as_bytes())
        .with(objects::REFERENCE, fill(35, WIDE).as_bytes());
    let details = |wide: usize, narrow: usize| fill(wide, WIDE) + &"x".repeat(narrow);
    let with = |(wide, narrow)| raw.clone().with(objects::DETAILS, details(wide, narrow).as_bytes());
    let texts = (1..140).flat_map(|wide| (0..3).map(move |narrow| (wide, narrow)));
    texts.map(with).find(|raw| raw.bytes().len() == MAX_TRANSACTION).into_iter().collect()
}

/// Messages at the edge of what is right.
fn accepted() -> Vec<Case> {
    type Make = fn(Raw) -> Vec<Raw>;
    let cases: [(&str, &str, &str, Make); 11] = [
        ("accepted-longest", "a message of exactly 640 bytes", "REQ-T-1", longest),
        ("accepted-amounts", "the smallest and the largest amount", "REQ-T-6", |raw| {
            vec![
                raw.clone().with(objects::AMOUNT, &[0, 0, 0, 0, 0, 1]),
                raw.with(objects::AMOUNT, &[0b1001_1001; 6]),
            ]
        }),
        ("accepted-currencies", "currencies that a card knows, or does not know", "REQ-T-10", |raw| {
            // JPY 392, KWD 414; HRK 191, withdrawn; 001 and 999.
            [[3, 0b1001_0010], [4, 0b0001_0100], [1, 0b1001_0001], [0, 1], [9, 0b1001_1001]]
                .map(|code| raw.clone().with(objects::CURRENCY, &code))
                .into()
        }),
        (
            "accepted-accounts",
            "accounts of any country, and of the shortest and longest form",
            "REQ-T-8",
            |raw| {
                [
                    "PK36SCBL0000001123456702",
                    "QQ33370400440532013000",
                    "QQ301234",
                    "QQ69ABCDEFGHIJABCDEFGHIJABCDEFGHIJ",
                    "79927398713",
                ]
                .map(|account| raw.clone().with(objects::PAYEE_ACCOUNT, account.as_bytes()))
                .into()
            },
        ),
        ("accepted-texts", "texts that fill their fields", "REQ-T-9", |raw| {
            let wide = |c| {
                raw.clone()
                    .with(objects::PAYEE_NAME, fill(70, c).as_bytes())
                    .with(objects::DETAILS, fill(140, c).as_bytes())
            };
            vec![wide('x'), wide('店'), wide('Ω'), wide('Ж')]
        }),
        (
            "accepted-scripts",
            "names in Latin, Greek and Cyrillic, with typographic signs",
            "REQ-T-9",
            |raw| {
                [
                    "Băcănia Ștefan",
                    "L’Atelier – Dupont",
                    "Ταβέρνα Ο Γιώργος",
                    "Ресторант „Чайка“ № 7",
                    "ООО Coffee",
                ]
                .map(|name| raw.clone().with(objects::PAYEE_NAME, name.as_bytes()))
                .into()
            },
        ),
        (
            "accepted-dates",
            "the day that only leap years have, and the last second of a day",
            "REQ-T-6",
            |raw| {
                let leap = raw.clone().with(objects::DATE, &[0b0010_1000, 2, 0b0010_1001]);
                vec![leap, raw.with(objects::TIME, &[0b0010_0011, 0b0101_1001, 0b0101_1001])]
            },
        ),
        (
            "accepted-lengths",
            "lengths in one, two and three bytes, with details and without, up to the longest message that there is",
            "REQ-T-1, REQ-T-2, REQ-T-3, REQ-T-4, REQ-T-5",
            |raw| {
                let mut without = raw.clone();
                without.0.retain(|(tag, _)| *tag != objects::DETAILS);
                let details = |columns, c| raw.clone().with(objects::DETAILS, fill(columns, c).as_bytes());
                let longest = details(140, 'Ж').with(objects::PAYEE_NAME, fill(70, 'Ж').as_bytes());
                vec![without, details(127, 'x'), details(128, 'x'), details(128, 'Ж'), longest]
            },
        ),
        ("accepted-terminal-ids", "terminal identifications of any letters and digits", "REQ-T-12", |raw| {
            [b"TERM0001", b"abcdwxyz", b"00000000", b"aZ09Az90"]
                .map(|id| raw.clone().with(objects::TERMINAL_ID, id))
                .into()
        }),
        ("accepted-unpredictable-numbers", "unpredictable numbers of any bytes", "REQ-T-13", |raw| {
            [[0; 4], [255; 4], *b"\x7f\x80\x00\xff"]
                .map(|number| raw.clone().with(objects::UNPREDICTABLE_NUMBER, &number))
                .into()
        }),
        ("accepted-types", "both transaction types", "REQ-T-11; P-01, P-26", |raw| {
            [TransactionType::Payment, TransactionType::TopUp]
                .map(|kind| raw.clone().with(objects::TRANSACTION_TYPE, &[kind.code()]))
                .into()
        }),
    ];
    let case = |(id, title, clause, make): (&str, &str, &str, Make)| {
        let run = move |t: &mut Tester<'_>| {
            for raw in make(right(t)?) {
                t.expect("hand over the message", &CommandBuilder::put_txn(&raw.bytes()), StatusWord::OK)?;
                t.expect_state(CardState::Loaded)?;
                t.select()?;
            }
            Ok(())
        };
        Case::new(format!("transaction/{id}"), title, clause, run)
    };
    cases.map(case).into()
}

/// One byte more than T may have, in one APDU and in a chain.
fn too_long() -> Vec<Case> {
    let run = |t: &mut Tester<'_>| -> Outcome {
        let long = CommandBuilder::put_txn(&vec![0; MAX_TRANSACTION + 1]);
        t.expect("hand over 641 bytes", &long, StatusWord::WRONG_LENGTH)?;
        let full = CommandBuilder::put_txn(&vec![0; MAX_TRANSACTION]);
        t.expect("hand over 640 bytes of no meaning", &full, StatusWord::WRONG_DATA)?;
        t.expect_state(CardState::Idle)
    };
    let title = "641 bytes are refused with 6700, 640 are looked at";
    vec![Case::new("transaction/too-long", title, "REQ-T-1", run).refusing()]
}

fn slug(tag: Tag) -> String {
    let row = DATA_OBJECTS.iter().find(|row| row.tag == tag);
    let name = row.map_or("object", |row| row.name);
    let name = name.split([',', '(']).next().unwrap_or(name).trim();
    name.to_lowercase().replace(' ', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_message_is_as_long_as_one_may_be() {
        let longest = longest(Raw::of(&samples::wordy()));
        assert_eq!(longest.iter().map(|raw| raw.bytes().len()).collect::<Vec<_>>(), [MAX_TRANSACTION]);
    }
}
