//! Verdicts and how they read.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::target::Capability;

/// What came of one case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// The card does what the clause says.
    Passed,
    /// It does not.
    Failed(Box<Failure>),
    /// The case is about something that this card does not have.
    NotApplicable {
        /// Why.
        reason: String,
    },
    /// The target cannot do what the case needs.
    NotPerformed {
        /// Why.
        reason: String,
    },
}

/// The first difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What was being done.
    pub step: String,
    /// What the clause asks for.
    pub expected: String,
    /// What came.
    pub got: String,
    /// Everything that was sent, received, pressed and displayed, decoded. No secret is in it.
    pub log: Vec<Exchange>,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exchange {
    /// To the card.
    Command {
        /// In hex.
        bytes: String,
        /// In words.
        words: String,
    },
    /// From the card.
    Response {
        /// In hex.
        bytes: String,
        /// In words.
        words: String,
    },
    /// Around the card: field, power, keys, clock, display.
    Around {
        /// In words.
        words: String,
    },
}

/// One case with its verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The case.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its clause.
    pub clause: String,
    /// The target, as `--target` names it.
    pub target: String,
    /// What the card was lent, as words of the command line. No secret is among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lent: Vec<String>,
    /// What came of it.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// How many of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Summary {
    /// Passed.
    pub passed: usize,
    /// Failed.
    pub failed: usize,
    /// Not applicable.
    pub not_applicable: usize,
    /// Not performed.
    pub not_performed: usize,
}

impl Summary {
    /// Counts one more.
    pub(crate) fn count(&mut self, verdict: &Verdict) {
        *match verdict {
            Verdict::Passed => &mut self.passed,
            Verdict::Failed(_) => &mut self.failed,
            Verdict::NotApplicable { .. } => &mut self.not_applicable,
            Verdict::NotPerformed { .. } => &mut self.not_performed,
        } += 1;
    }

    /// True if something was tested and nothing failed.
    #[must_use]
    pub fn is_conforming(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} not applicable, {} not performed",
            self.passed, self.failed, self.not_applicable, self.not_performed
        )
    }
}

impl Report {
    /// The command line that runs this case again, as a shell takes it.
    #[must_use]
    pub fn again(&self) -> String {
        let mut line = format!("onetap conform run {} --target {}", self.id, shell_word(&self.target));
        for word in &self.lent {
            line.push(' ');
            line.push_str(&shell_word(word));
        }
        line
    }
}

/// One word for a shell: quoted where it would take it apart otherwise.
fn shell_word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:+,=".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

impl fmt::Display for Report {
    /// A line; for a failure the whole story.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Passed => write!(f, "passed         {}", self.id),
            Verdict::NotApplicable { reason } => write!(f, "not applicable {}: {reason}", self.id),
            Verdict::NotPerformed { reason } => write!(f, "not performed  {}: {reason}", self.id),
            Verdict::Failed(failure) => {
                writeln!(f, "FAILED         {}: {}", self.id, self.title)?;
                for line in &failure.log {
                    writeln!(f, "    {line}")?;
                }
                writeln!(f, "  step      {}", failure.step)?;
                writeln!(f, "  expected  {}", failure.expected)?;
                writeln!(f, "  got       {}", failure.got)?;
                writeln!(f, "  clause    {}", self.clause)?;
                write!(f, "  again     {}", self.again())
            }
        }
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command { bytes, words } => write!(f, "→ {words}\n        {bytes}"),
            Self::Response { bytes, words } => write!(f, "← {words}\n        {bytes}"),
            Self::Around { words } => write!(f, "· {words}"),
        }
    }
}

impl Capability {
    /// As `conform list` shows it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Fresh => "a card that may sign, at the beginning of its counts",
            Self::Field => "taking the card out of the field",
            Self::Holder => "the card's keys, display and clock",
            Self::Keys => "the card's public key and the server's keys",
        }
    }
}
