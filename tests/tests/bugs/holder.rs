//! Bugs in display, keys, clock and field.

use super::*;

pub(crate) const BUGS: &[Bug] = &[
    Bug {
        name: "shows something in the field",
        caught_by: &["display/dark-in-idle", "display/dark-in-delivered", "contact/over", "contact/bounce"],
        screen: |i| {
            redrawn(i, |lines| if lines.is_empty() { vec!["Payment".into()] } else { lines.to_vec() })
        },
        ..NONE
    },
    Bug {
        name: "cuts each line",
        caught_by: &["display/whole-payment", "display/whole-long-texts", "display/whole-three-decimals"],
        screen: |i| redrawn(i, |lines| lines.iter().map(|line| line.chars().take(8).collect()).collect()),
        ..NONE
    },
    Bug {
        name: "leaves the last line of a page out",
        caught_by: &["display/whole-payment", "display/whole-long-texts"],
        screen: |i| redrawn(i, |lines| lines[..lines.len().saturating_sub(1)].to_vec()),
        ..NONE
    },
    Bug {
        name: "shows every amount with two decimals",
        caught_by: &["display/whole-no-decimals", "display/whole-three-decimals"],
        screen: |i| {
            redrawn(i, |lines| {
                lines
                    .iter()
                    .map(|line| line.replace("1234 JPY", "12.34 JPY").replace("1.234 KWD", "12.34 KWD"))
                    .collect()
            })
        },
        ..NONE
    },
    Bug {
        name: "shows a top-up as a payment",
        caught_by: &["display/types-differ"],
        screen: |i| redrawn(i, |lines| lines.iter().map(|line| line.replace("Top-up", "Payment")).collect()),
        ..NONE
    },
    Bug {
        name: "confirms on any page",
        caught_by: &["confirm/last-page-first", "confirm/dead-time"],
        key: |i, key| {
            if key == Key::Confirm {
                read_and_wait(i);
            }
            press(i, key);
        },
        ..NONE
    },
    Bug {
        name: "has no dead time",
        caught_by: &["confirm/dead-time"],
        key: |i, key| {
            if key == Key::Confirm {
                wait(i, i.card.claims().timing().dead_time);
            }
            press(i, key);
        },
        ..NONE
    },
    Bug {
        name: "needs no PIN",
        caught_by: &[
            "confirm/pin-over-t1",
            "confirm/pin-up-to-t2",
            "confirm/key-only-count",
            "confirm/key-only-sum",
        ],
        key: |i, key| {
            if key == Key::Confirm && i.count == 0 {
                (0..i.card.claims().pin_digits).for_each(|_| press(i, Key::Digit));
            }
            i.count = if matches!(key, Key::Digit | Key::WrongDigit) { i.count + 1 } else { 0 };
            press(i, key);
        },
        ..NONE
    },
    Bug {
        name: "needs no key after the PIN",
        caught_by: &["confirm/both-over-t2", "confirm/other-currency"],
        key: |i, key| {
            press(i, key);
            if key == Key::Confirm && look(i).joint_password().is_none() {
                wait(i, Duration::from_millis(500)); // the dead time after the PIN
                press(i, key);
            }
        },
        ..NONE
    },
    Bug {
        name: "has three tries on its display for ever",
        caught_by: &["pin/tries-are-shown"],
        screen: |i| {
            redrawn(i, |lines| {
                let full = |line: &String| line.replace("2 tries", "3 tries").replace("1 tries", "3 tries");
                lines.iter().map(full).collect()
            })
        },
        ..NONE
    },
    Bug {
        name: "remembers over a contact what was read",
        caught_by: &["confirm/reading-anew"],
        field_out: |i| {
            leave(i);
            read_and_wait(i);
        },
        ..NONE
    },
    Bug {
        name: "remembers over a contact that the PIN was right",
        caught_by: &["pin/field-ends-acceptance"],
        key: |i, key| {
            i.flag |= key == Key::Digit;
            press(i, key);
        },
        field_out: |i| {
            leave(i);
            if std::mem::take(&mut i.flag) {
                read_and_wait(i);
                (0..i.card.claims().pin_digits).for_each(|_| press(i, Key::Digit));
                press(i, Key::Confirm);
            }
        },
        ..NONE
    },
    Bug {
        name: "never blocks the PIN",
        caught_by: &["pin/blocked", "pin/tries-survive-transactions", "pin/tries-survive-power-off"],
        key: |i, key| {
            i.flag |= key == Key::WrongDigit;
            let wrong = key == Key::Confirm && std::mem::take(&mut i.flag);
            press(i, if wrong { Key::Clear } else { key });
        },
        ..NONE
    },
    Bug {
        name: "knows no cancel key",
        caught_by: &["cancel/showing", "cancel/revealed", "cancel/for-good"],
        key: |i, key| {
            if key != Key::Cancel {
                press(i, key);
            }
        },
        ..NONE
    },
    Bug {
        name: "has no time-out",
        caught_by: &["time-out/showing", "time-out/revealed", "time-out/from-delivery"],
        tick: |i, time| wait(i, time.min(Duration::from_secs(1))),
        ..NONE
    },
    Bug { name: "has no debounce", caught_by: &["contact/bounce", "contact/over"], field_out: leave, ..NONE },
    Bug {
        name: "does not notice that it left the field before delivery",
        caught_by: &["contact/leaving-voids-loaded", "contact/leaving-voids-signed"],
        field_in: |i| {
            if i.count == 0 {
                i.card.field_in().unwrap();
            } else {
                i.flag = true;
            }
            i.count += 1;
        },
        field_out: |_| {},
        transmit: |i, c| {
            if std::mem::take(&mut i.flag) { ResponseApdu::ok(fci()).to_bytes() } else { send(i, c) }
        },
        ..NONE
    },
    Bug {
        name: "guesses two decimals for a currency that it does not know",
        caught_by: &["display/whole-unknown-currency"],
        screen: |i| {
            redrawn(i, |lines| {
                lines.iter().map(|line| line.replace("1234 minor units of", "12.34")).collect()
            })
        },
        ..NONE
    },
    Bug {
        name: "wakes in the field after a while",
        caught_by: &["contact/lasts-in-the-field"],
        tick: |i, time| {
            wait(i, time);
            i.flag = true;
        },
        screen: |i| if i.flag { Screen::new(&["Payment".to_owned()], None) } else { look(i) },
        ..NONE
    },
    Bug {
        name: "has a clear key that does nothing",
        caught_by: &["pin/clear"],
        key: |i, key| {
            if key != Key::Clear {
                press(i, key);
            }
        },
        ..NONE
    },
    Bug {
        name: "takes a try for a PIN that is too short",
        caught_by: &["pin/wrong-length"],
        key: |i, key| {
            if key == Key::Confirm && i.count == 3 {
                press(i, Key::WrongDigit);
            }
            i.count = if matches!(key, Key::Digit | Key::WrongDigit) { i.count + 1 } else { 0 };
            press(i, key);
        },
        ..NONE
    },
    Bug {
        name: "takes a thirteenth digit, and then no PIN",
        caught_by: &["pin/thirteen-digits"],
        key: |i, key| {
            if key == Key::Confirm && i.count > 12 {
                press(i, Key::Clear);
            }
            i.count = if matches!(key, Key::Digit | Key::WrongDigit) { i.count + 1 } else { 0 };
            press(i, key);
        },
        ..NONE
    },
];
