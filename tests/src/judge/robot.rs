//! Hands of a machine: a program that is told what to do in lines of JSON (docs/conformance.md, "A robot").

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use onetap_pcsc_host::trace::StageError;
use serde::Deserialize;
use serde_json::{Value, json};

use super::hands::{HandKey, Hands, NOBODY_UNBLOCKS};

/// Version of the protocol.
const PROTOCOL: u32 = 1;
/// How long the machine may take for anything, beyond the time that it is told to wait.
const PATIENCE: Duration = Duration::from_secs(60);
/// Without a word of its own, a machine keeps times no more exactly than this.
const GRAIN_MS: u64 = 200;
/// Longest line that is taken, in bytes.
const MAX_LINE: usize = 64 * 1024;

/// A machine that does not work.
#[derive(Debug, thiserror::Error)]
pub enum NoRobot {
    /// The program does not start.
    #[error("the program of the holder does not start: {0}")]
    Start(#[from] std::io::Error),
    /// It speaks another version, or another language.
    #[error("the program of the holder does not speak protocol {PROTOCOL}: {0}")]
    Protocol(String),
}

/// A machine.
pub struct RobotHands {
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
    grain: Duration,
}

/// What it answers.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Answer {
    protocol: Option<u32>,
    grain_ms: Option<u64>,
    done: bool,
    lines: Option<Vec<String>>,
    error: Option<String>,
}

impl RobotHands {
    /// Starts the program, which a shell does not see, and greets it.
    ///
    /// # Errors
    /// [`NoRobot`].
    pub fn start(program: &str, arguments: &[String]) -> Result<Self, NoRobot> {
        let mut command = Command::new(program);
        let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.ok_or_else(|| std::io::Error::other("it has no input or no output"))?;
        let (tell, answers) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        let mut robot = Self { child, input, answers, grain: Duration::from_millis(GRAIN_MS) };
        let hello = robot.ask(&json!({ "do": "hello", "protocol": PROTOCOL }), Duration::ZERO);
        let hello = hello.map_err(|why| NoRobot::Protocol(why.to_string()))?;
        if hello.protocol != Some(PROTOCOL) {
            return Err(NoRobot::Protocol(format!("it says {:?}", hello.protocol)));
        }
        robot.grain = Duration::from_millis(hello.grain_ms.unwrap_or(GRAIN_MS));
        Ok(robot)
    }

    fn ask(&mut self, what: &Value, more: Duration) -> Result<Answer, StageError> {
        let broken = |why: &str| StageError::Other(format!("the holder's program {why}"));
        writeln!(self.input, "{what}").map_err(|why| broken(&format!("has ended: {why}")))?;
        let line = self
            .answers
            .recv_timeout(PATIENCE.saturating_add(more))
            .map_err(|_| broken("gives no answer"))?;
        if line.len() > MAX_LINE {
            return Err(broken("answers with a line that is too long"));
        }
        let answer: Answer =
            serde_json::from_str(&line).map_err(|why| broken(&format!("answers something else: {why}")))?;
        match answer.error {
            Some(why) => Err(broken(&format!("says: {why}"))),
            None => Ok(answer),
        }
    }

    fn tell(&mut self, what: &Value, more: Duration) -> Result<(), StageError> {
        match self.ask(what, more)?.done {
            true => Ok(()),
            false => Err(StageError::Other(format!("the holder's program has not done {what}"))),
        }
    }
}

impl Hands for RobotHands {
    fn press(&mut self, key: HandKey) -> Result<(), StageError> {
        self.tell(&json!({ "do": "press", "key": key.to_string() }), Duration::ZERO)
    }

    fn look(&mut self) -> Result<Vec<String>, StageError> {
        let answer = self.ask(&json!({ "do": "look" }), Duration::ZERO)?;
        answer.lines.ok_or_else(|| StageError::Other("the holder's program tells no lines".into()))
    }

    /// A program that does not know the word, or cannot do it, says so with an error.
    fn have_unblocked(&mut self) -> Result<(), StageError> {
        self.tell(&json!({ "do": "unblock" }), Duration::ZERO).map_err(|_| NOBODY_UNBLOCKS)
    }

    fn hold_in_field(&mut self, there: bool) -> Result<(), StageError> {
        self.tell(&json!({ "do": "field", "in": there }), Duration::ZERO)
    }

    fn wait(&mut self, time: Duration) -> Result<(), StageError> {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.tell(&json!({ "do": "wait", "ms": millis }), time)
    }

    fn grain(&self) -> Duration {
        self.grain
    }
}

impl Drop for RobotHands {
    /// A machine that nobody tells anything any more is ended.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
