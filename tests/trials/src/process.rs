//! A card that is another process (`onetap-card-process`): the suite's judge and the card are then two programs, and a fault
//! in the sources of the one is none of the other.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use onetap_apdu_spec::crypto::{RsaPrivate, default_provider};
use onetap_apdu_spec::personal::EnrolmentStatement;
use onetap_apdu_spec::suite::Suite;
use onetap_conformance::target::{
    Capability, CardUnderTest, Claims, Known, SampleKeys, Spent, Start, samples,
};
use onetap_pcsc_host::ReaderError;
use onetap_pcsc_host::trace::{Key, Screen, Stage, StageError};
use serde_json::json;

/// A card under test in a process of its own.
pub struct CardProcess {
    child: Child,
    into: ChildStdin,
    from: BufReader<ChildStdout>,
    known: Known,
    pin_at: usize,
    claims: Claims,
    spent: Spent,
}

impl CardProcess {
    /// Starts the program, with a card of the default suite.
    ///
    /// # Errors
    /// [`StageError`].
    pub fn start(program: &Path) -> Result<Self, StageError> {
        let command = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = command.map_err(|why| StageError::Other(format!("{}: {why}", program.display())))?;
        let missing = || StageError::Other("a pipe to the card is missing".to_owned());
        let into = child.stdin.take().ok_or_else(missing)?;
        let mut from = BufReader::new(child.stdout.take().ok_or_else(missing)?);
        let mut lines = Lines { into: &into, from: &mut from };
        let known = lines.new_card(Suite::default())?;
        let claims = Claims::of_our_card();
        Ok(Self { child, into, from, known, pin_at: 0, claims, spent: Spent::nothing() })
    }

    fn ask(&mut self, line: &str) -> Result<String, StageError> {
        Lines { into: &self.into, from: &mut self.from }.ask(line)
    }

    fn bytes(&mut self, line: &str) -> Result<Vec<u8>, StageError> {
        hex::decode(self.ask(line)?).map_err(|why| StageError::Other(why.to_string()))
    }
}

/// Both pipes.
struct Lines<'p> {
    into: &'p ChildStdin,
    from: &'p mut BufReader<ChildStdout>,
}

impl Lines<'_> {
    fn ask(&mut self, line: &str) -> Result<String, StageError> {
        let gone = || StageError::Reader(ReaderError::CardRemoved);
        writeln!(self.into, "{line}").map_err(|_| gone())?;
        let mut answer = String::new();
        if self.from.read_line(&mut answer).map_err(|_| gone())? == 0 {
            return Err(gone());
        }
        let answer = answer.trim_end();
        match answer.strip_prefix("! ") {
            Some(why) => Err(StageError::Other(why.to_owned())),
            None => Ok(answer.to_owned()),
        }
    }

    /// Asks for a new card, and says what its issuer knows.
    fn new_card(&mut self, suite: Suite) -> Result<Known, StageError> {
        let other = |why: &dyn std::fmt::Display| StageError::Other(why.to_string());
        let crypto = default_provider();
        let keys = SampleKeys::made().map_err(|why| other(&why))?;
        let server_key: Arc<dyn RsaPrivate> =
            Arc::from(crypto.rsa_private(&keys.server).map_err(|why| other(&why))?);
        let order = samples::order(suite, &*server_key);
        let line = json!({ "personalisation": order, "pin": samples::PIN, "key": hex::encode(keys.signing(order.key_type)) });
        let statement: EnrolmentStatement =
            serde_json::from_str(&self.ask(&format!("new {line}"))?).map_err(|why| other(&why))?;
        if statement.binding != order.binding {
            return Err(StageError::Other("the statement is of another card than was ordered".to_owned()));
        }
        statement.verify(crypto).map_err(|why| other(&why))?;
        Known::new(crypto, order.binding, &statement.public_key, order.card_key, Some(server_key))
            .map_err(|why| other(&why))
    }
}

impl Drop for CardProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Stage for CardProcess {
    fn field_in(&mut self) -> Result<Vec<u8>, StageError> {
        self.bytes("enter")
    }

    fn field_out(&mut self) -> Result<(), StageError> {
        self.ask("leave").map(drop)
    }

    fn reset(&mut self) -> Result<Vec<u8>, StageError> {
        self.bytes("reset")
    }

    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        self.bytes(&format!("apdu {}", hex::encode(command))).map_err(|_| ReaderError::CardRemoved)
    }

    fn key(&mut self, key: Key) -> Result<(), StageError> {
        let digit = |wrong: u8| {
            let digits = samples::PIN.as_bytes();
            (digits.get(self.pin_at % digits.len()).map_or(0, |byte| byte - b'0') + wrong) % 10
        };
        let (word, at) = match key {
            Key::Confirm => ("confirm".to_owned(), 0),
            Key::Cancel => ("cancel".to_owned(), 0),
            Key::Clear => ("clear".to_owned(), 0),
            Key::Next => ("next".to_owned(), self.pin_at),
            Key::Previous => ("previous".to_owned(), self.pin_at),
            Key::Digit => (digit(0).to_string(), self.pin_at + 1),
            Key::WrongDigit => (digit(1).to_string(), self.pin_at + 1),
        };
        self.pin_at = at;
        self.ask(&format!("key {word}")).map(drop)
    }

    fn tick(&mut self, time: Duration) -> Result<(), StageError> {
        self.ask(&format!("tick {}", time.as_millis())).map(drop)
    }

    fn screen(&mut self) -> Result<Screen, StageError> {
        let lines = self.ask("screen")?;
        let lines: Vec<String> =
            serde_json::from_str(&lines).map_err(|why| StageError::Other(why.to_string()))?;
        Ok(self.claims.screen(&lines))
    }
}

impl CardUnderTest for CardProcess {
    fn name(&self) -> &'static str {
        "process"
    }

    fn lacks(&self, _: Capability) -> Option<&'static str> {
        None
    }

    fn claims(&self) -> &Claims {
        &self.claims
    }

    fn fresh(&mut self, wanted: &Start) -> Result<(), StageError> {
        self.known = Lines { into: &self.into, from: &mut self.from }.new_card(wanted.suite)?;
        (self.pin_at, self.spent) = (0, Spent::nothing());
        Ok(())
    }

    fn known(&self) -> Option<&Known> {
        Some(&self.known)
    }

    fn spent(&mut self) -> &mut Spent {
        &mut self.spent
    }
}
