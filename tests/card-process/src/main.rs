//! Our card as a process of its own, for a judge that was built apart from it, such as from sources in which nothing was
//! changed. One line in, one line out; the clock is its tester's.
//!
//! | line | answer |
//! |---|---|
//! | `new JSON` ([`Order`]) | the enrolment statement of a new card, in JSON |
//! | `enter`, `reset` | the answer to reset, in hex |
//! | `leave` | nothing |
//! | `apdu HEX` | the response, in hex |
//! | `key WORD` | nothing |
//! | `tick MILLISECONDS` | nothing |
//! | `screen` | the lines of the display, a list in JSON |
//!
//! A line that begins with `!` says what is wrong with a line.

use std::error::Error;
use std::io::{Write as _, stdin, stdout};

use onetap_apdu_spec::personal::Personalisation;
use onetap_applet::card::{Millis, VirtualClock};
use onetap_applet::nvm::MemoryImage;
use onetap_applet::{Card, Environment, Press};
use serde::Deserialize;

/// A card that is wanted.
#[derive(Deserialize)]
struct Order {
    personalisation: Personalisation,
    pin: String,
    /// The key that it signs with: PKCS #8, hex. Making one takes longer than a whole case.
    key: String,
}

/// The card of now.
struct Process {
    card: Card,
    clock: VirtualClock,
}

type Answer = Result<String, Box<dyn Error>>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut process = None;
    for line in stdin().lines() {
        let answer = answer(&mut process, &line?).unwrap_or_else(|why| format!("! {why}"));
        let mut out = stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn answer(process: &mut Option<Process>, line: &str) -> Answer {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    if word == "new" {
        let (made, statement) = Process::new(&serde_json::from_str(rest)?)?;
        *process = Some(made);
        return Ok(statement);
    }
    let Process { card, clock } = process.as_mut().ok_or("there is no card")?;
    match word {
        "enter" => {
            card.enter_field();
            card.power_on();
            Ok(hex::encode(card.atr()))
        }
        "leave" => {
            card.leave_field();
            Ok(String::new())
        }
        "reset" => {
            card.reset();
            Ok(hex::encode(card.atr()))
        }
        "apdu" => Ok(hex::encode(card.transmit(&hex::decode(rest)?))),
        "key" => {
            let Some(Press::Key(key)) = Press::parse(rest) else { return Err("no such key".into()) };
            // A key that the card refuses does nothing; what it does is seen on the display.
            let _ = card.press(key);
            Ok(String::new())
        }
        "tick" => {
            clock.advance(rest.parse()?);
            card.tick();
            Ok(String::new())
        }
        "screen" => Ok(serde_json::to_string(card.screen().lines())?),
        _ => Err("no such line".into()),
    }
}

impl Process {
    fn new(order: &Order) -> Result<(Self, String), Box<dyn Error>> {
        let clock = VirtualClock::at(Millis(0));
        let env = Environment { clock: Box::new(clock.clone()), ..Environment::default() };
        let (image, key) = (Box::new(MemoryImage::default()), hex::decode(&order.key)?);
        let (card, statement) =
            Card::personalise_with_key(order.personalisation.clone(), order.pin.parse()?, &key, image, env)?;
        Ok((Self { card, clock }, serde_json::to_string(&statement)?))
    }
}
