//! Bugs in what is accepted and what is signed.

use super::*;

pub(crate) const BUGS: &[Bug] = &[
    Bug {
        name: "accepts an amount of 0",
        caught_by: &["transaction/amount-zero"],
        transmit: |i, c| {
            forgiving(i, c, |error| {
                matches!(error, TransactionError::Field { why: FieldError::Money(MoneyError::Zero), .. })
            })
        },
        ..NONE
    },
    Bug {
        name: "accepts a currency of 000",
        caught_by: &["transaction/currency-zero"],
        transmit: |i, c| {
            forgiving(i, c, |error| {
                matches!(
                    error,
                    TransactionError::Field { why: FieldError::Money(MoneyError::NotACurrency), .. }
                )
            })
        },
        ..NONE
    },
    Bug {
        name: "does not compute check digits",
        caught_by: &[
            "transaction/account-check-digits",
            "transaction/account-second-spelling",
            "transaction/account-form",
        ],
        transmit: |i, c| {
            forgiving(i, c, |error| {
                let not_an_account = FieldError::Account(AccountError::NotAnAccount);
                matches!(error, TransactionError::Field { why, .. } if *why == not_an_account)
            })
        },
        ..NONE
    },
    Bug {
        name: "accepts text that it cannot show",
        caught_by: &[
            "transaction/text-bidi",
            "transaction/text-zero-width",
            "transaction/text-combining",
            "transaction/text-control",
            "transaction/text-look-alike",
            "transaction/text-no-glyph",
        ],
        transmit: |i, c| {
            forgiving(i, c, |error| {
                let why = if let TransactionError::Field { why, .. } = error { why } else { return false };
                matches!(why, FieldError::Text(TextError::NotDisplayable(_)))
            })
        },
        ..NONE
    },
    Bug {
        name: "accepts a word of mixed scripts",
        caught_by: &["transaction/text-mixed-scripts"],
        transmit: |i, c| {
            forgiving(i, c, |error| {
                let why = if let TransactionError::Field { why, .. } = error { why } else { return false };
                matches!(why, FieldError::Text(TextError::MixedScripts))
            })
        },
        ..NONE
    },
    Bug {
        name: "accepts text that is too wide",
        caught_by: &["transaction/text-too-wide"],
        transmit: |i, c| {
            forgiving(i, c, |error| {
                let why = if let TransactionError::Field { why, .. } = error { why } else { return false };
                matches!(why, FieldError::Text(TextError::TooWide { .. }))
            })
        },
        ..NONE
    },
    Bug {
        name: "accepts days that do not exist",
        caught_by: &["transaction/date-impossible", "transaction/time-impossible"],
        transmit: |i, c| {
            forgiving(i, c, |error| matches!(error, TransactionError::Field { why: FieldError::Moment, .. }))
        },
        ..NONE
    },
    Bug {
        name: "takes objects in any order, and any objects",
        caught_by: &["transaction/out-of-order", "transaction/unknown-tag", "transaction/missing-amount"],
        transmit: |i, c| {
            forgiving(i, c, |error| {
                matches!(error, TransactionError::Unexpected { .. } | TransactionError::Trailing(_))
            })
        },
        ..NONE
    },
    Bug {
        name: "takes TLV that is not canonical",
        caught_by: &[
            "transaction/length-not-shortest",
            "transaction/outer-length-not-shortest",
            "transaction/nested",
            "transaction/trailing-bytes",
        ],
        transmit: |i, c| forgiving(i, c, |error| matches!(error, TransactionError::Tlv(_))),
        ..NONE
    },
    Bug {
        name: "takes the alias of any card",
        caught_by: &["transaction/alias-of-another", "alias/rotates"],
        transmit: |i, c| {
            let parses = CommandApdu::parse(c).is_ok_and(|apdu| TransactionMessage::parse(apdu.data).is_ok());
            let to = if parses { StatusWord::OK } else { StatusWord::WRONG_DATA };
            instead(i, c, StatusWord::WRONG_DATA, to)
        },
        ..NONE
    },
    Bug {
        name: "has no bound on T",
        caught_by: &["transaction/too-long", "put-txn/lc-too-long", "chain/too-long"],
        transmit: |i, c| {
            let to =
                if name(c) == Some(Name::PutTxn) { StatusWord::WRONG_DATA } else { StatusWord::WRONG_LENGTH };
            instead(i, c, StatusWord::WRONG_LENGTH, to)
        },
        ..NONE
    },
    Bug {
        name: "loses the last byte of the signature",
        caught_by: &["get-signature/response-object", "get-signature/le-extended", SIGNATURE],
        transmit: |i, c| {
            let mut response = ResponseApdu::parse(&send(i, c)).unwrap();
            let asked = name(c);
            if asked != Some(Name::GetResponse) {
                i.flag = asked == Some(Name::GetSignature);
            }
            if i.flag && response.sw == StatusWord::OK {
                response.data.pop();
            }
            response.to_bytes()
        },
        ..NONE
    },
    Bug {
        name: "gives out a faulty signature",
        caught_by: &[SIGNATURE, "signature/b1+rsa-oaep+pss", "signature/a4+sha256+aes-cbc-cmac+pkcs1"],
        transmit: |i, c| {
            let whole = CommandBuilder::get_signature().with_ne(Some(65_536)).extended().bytes();
            let mut full = ResponseApdu::parse(&send(i, c)).unwrap();
            let last_part = name(c) == Some(Name::GetResponse) || c == whole;
            if let Some(last) = full.data.last_mut().filter(|_| last_part) {
                *last ^= 1;
            }
            full.to_bytes()
        },
        ..NONE
    },
    Bug {
        name: "signs once more when asked again",
        caught_by: &["repeat/get-signature", "repeat/after-reset"],
        transmit: |i, c| {
            let mut response = ResponseApdu::parse(&send(i, c)).unwrap();
            if name(c) == Some(Name::GetSignature) && !response.data.is_empty() {
                i.count += 1;
                let times = u8::try_from(i.count).unwrap();
                let last = response.data.len() - 1;
                response.data[last] ^= times;
            }
            response.to_bytes()
        },
        ..NONE
    },
    Bug {
        name: "owes an object of another transaction",
        caught_by: &[SIGNATURE, PASSWORD, "signature/b2+sha256+aes-cbc-cmac+pkcs1"],
        transmit: |i, c| {
            let mut response = ResponseApdu::parse(&send(i, c)).unwrap();
            if name(c) == Some(Name::GetEncPassword) && response.data.len() > 20 {
                response.data[20] ^= 1;
            }
            response.to_bytes()
        },
        ..NONE
    },
    Bug {
        name: "answers 6D00 in the wrong state",
        caught_by: &["get-signature/in-idle", "put-txn/in-loaded", "get-enc-password/in-loaded"],
        transmit: |i, c| instead(i, c, StatusWord::CONDITIONS, StatusWord::WRONG_INS),
        ..NONE
    },
    Bug {
        name: "accepts a transaction in any state",
        caught_by: &[
            "put-txn/in-signed",
            "put-txn/in-showing",
            "contact/re-tap-in-showing",
            "contact/unconfirmed",
        ],
        transmit: |i, c| {
            let to = if name(c) == Some(Name::PutTxn) { StatusWord::OK } else { StatusWord::CONDITIONS };
            instead(i, c, StatusWord::CONDITIONS, to)
        },
        ..NONE
    },
    Bug {
        name: "does not count unconfirmed transactions",
        caught_by: &["contact/unconfirmed"],
        transmit: |i, c| {
            let mut response = ResponseApdu::parse(&send(i, c)).unwrap();
            if c == CommandBuilder::status().bytes() && response.data.len() > 2 {
                let unconfirmed = response.data.len() - 2;
                response.data[unconfirmed] = 0;
            }
            response.to_bytes()
        },
        ..NONE
    },
    Bug {
        name: "gives the joint password away",
        caught_by: &["secrecy/no-response-holds-the-password"],
        transmit: |i, c| {
            let mut response = ResponseApdu::parse(&send(i, c)).unwrap();
            if let Some(secret) = &i.secret {
                response.data.extend(secret.expose().bytes());
            }
            response.to_bytes()
        },
        screen: |i| {
            let screen = look(i);
            i.secret = screen.joint_password().cloned();
            screen
        },
        ..NONE
    },
    Bug {
        name: "draws the same joint password each time",
        caught_by: &["fresh/passwords-differ", PASSWORD],
        screen: |i| match look(i).joint_password() {
            Some(_) => Screen::new(&["12345678"], "12345678".parse().ok()),
            None => look(i),
        },
        ..NONE
    },
    Bug {
        name: "counts C down again after a void transaction",
        caught_by: &["counter/increments"],
        transmit: |i, c| {
            let mut response = ResponseApdu::parse(&send(i, c)).unwrap();
            // C ends 4 + 3 + 39 bytes into the signature message.
            if name(c) == Some(Name::GetSignature) && response.data.len() > 46 {
                response.data[45] = 1;
            }
            response.to_bytes()
        },
        ..NONE
    },
    Bug {
        name: "hands out objects that nobody owes",
        caught_by: &["owed/nothing"],
        transmit: |i, c| {
            let response = send(i, c);
            if name(c) == Some(Name::GetEncPassword) && response == StatusWord::NO_SUCH_OBJECT.to_bytes() {
                return ResponseApdu::ok(vec![0; 16]).to_bytes();
            }
            response
        },
        ..NONE
    },
    Bug {
        name: "knows no lengths behind 82",
        caught_by: &["transaction/accepted-lengths"],
        transmit: |i, c| refusing(i, c, |message| message.get(1) == Some(&0x82)),
        ..NONE
    },
    Bug {
        name: "takes capital letters only in a terminal's identification",
        caught_by: &["transaction/accepted-terminal-ids"],
        transmit: |i, c| refusing(i, c, |message| message.windows(8).any(|window| window == b"abcdwxyz")),
        ..NONE
    },
    Bug {
        name: "takes no unpredictable number of zeros",
        caught_by: &["transaction/accepted-unpredictable-numbers"],
        transmit: |i, c| {
            refusing(i, c, |message| message.windows(7).any(|window| window == [0x9F, 0x37, 4, 0, 0, 0, 0]))
        },
        ..NONE
    },
];
