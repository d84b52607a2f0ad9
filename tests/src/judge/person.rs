//! Hands of a person who is asked.

use std::io::{BufRead, Write};
use std::thread::sleep;
use std::time::Duration;

use onetap_pcsc_host::trace::StageError;

use super::hands::{HandKey, Hands, NOBODY_UNBLOCKS};

/// A person needs so long for anything.
const GRAIN: Duration = Duration::from_secs(10);

/// A person: `ask` is where questions are written, `answers` where the answers come from.
pub struct PersonHands<R, W> {
    answers: R,
    ask: W,
}

impl<R: BufRead, W: Write> PersonHands<R, W> {
    /// The person at these two.
    pub fn new(answers: R, ask: W) -> Self {
        Self { answers, ask }
    }

    fn say(&mut self, words: &str) -> Result<(), StageError> {
        writeln!(self.ask, "{words}").and_then(|()| self.ask.flush()).map_err(other)
    }

    fn line(&mut self) -> Result<String, StageError> {
        let mut line = String::new();
        match self.answers.read_line(&mut line).map_err(other)? {
            0 => Err(StageError::Other("nobody answers: the input has ended".into())),
            _ => Ok(line.trim_end_matches(['\r', '\n']).to_owned()),
        }
    }

    fn ask_for(&mut self, what: &str) -> Result<(), StageError> {
        self.say(&format!("{what}, then press Enter here"))?;
        self.line().map(drop)
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn other(why: std::io::Error) -> StageError {
    StageError::Other(format!("the person cannot be asked: {why}"))
}

impl<R: BufRead, W: Write> Hands for PersonHands<R, W> {
    fn press(&mut self, key: HandKey) -> Result<(), StageError> {
        self.ask_for(&format!("press {key} on the card"))
    }

    fn look(&mut self) -> Result<Vec<String>, StageError> {
        self.say("type what the card's display shows, line by line; an empty line ends it")?;
        let mut lines = Vec::new();
        loop {
            match self.line()? {
                line if line.trim().is_empty() => return Ok(lines),
                line => lines.push(line),
            }
        }
    }

    fn hold_in_field(&mut self, there: bool) -> Result<(), StageError> {
        self.ask_for(if there { "lay the card on the reader" } else { "take the card off the reader" })
    }

    fn have_unblocked(&mut self) -> Result<(), StageError> {
        self.say("the PIN is blocked: have the card's issuer give it new tries; type no if nobody can")?;
        if self.line()?.trim() == "no" { Err(NOBODY_UNBLOCKS) } else { Ok(()) }
    }

    fn wait(&mut self, time: Duration) -> Result<(), StageError> {
        if time >= GRAIN {
            self.say(&format!("please wait for {} s", time.as_secs()))?;
        }
        sleep(time);
        Ok(())
    }

    fn grain(&self) -> Duration {
        GRAIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_asked_in_words_and_types_what_the_display_shows() {
        let answers = "\nPayment\n12.34 EUR\n\n\n";
        let mut asked = Vec::new();
        let mut person = PersonHands::new(answers.as_bytes(), &mut asked);
        person.press(HandKey::Digit(7)).unwrap();
        assert_eq!(person.look().unwrap(), ["Payment", "12.34 EUR"]);
        assert_eq!(person.look().unwrap(), [""; 0], "dark");
        let nobody = person.hold_in_field(false).unwrap_err().to_string();
        assert!(nobody.contains("nobody answers"), "{nobody}");
        let asked = String::from_utf8(asked).unwrap();
        assert!(asked.contains("press 7") && asked.contains("take the card off"), "{asked}");
    }
}
