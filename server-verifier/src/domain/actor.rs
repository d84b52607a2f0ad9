//! Who did it, and why.

use std::fmt;
use std::str::FromStr;

use onetap_apdu_spec::txn::TerminalId;

/// Who did what an entry of the log tells. Printed and parsed as one word for the kind and a name, such as `terminal POS00001`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A terminal, by what its holders signed.
    Terminal(TerminalId),
    /// A client of the service with the role of an operator, by its name.
    Operator(String),
    /// A client of the service with the role of an admin, by its name.
    Admin(String),
    /// The program on the command line, run by this user of the system.
    Program(String),
    /// Another system, by what it answered.
    System(String),
    /// The server itself.
    Server,
    /// Whoever an older version has noted by this name.
    Noted(String),
}

impl Actor {
    /// The kind, and the name if it has one.
    fn parts(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Terminal(terminal) => ("terminal", Some(terminal.as_str())),
            Self::Operator(name) => ("operator", Some(name)),
            Self::Admin(name) => ("admin", Some(name)),
            Self::Program(user) => ("program", Some(user)),
            Self::System(name) => ("system", Some(name)),
            Self::Server => ("server", None),
            Self::Noted(name) => ("noted", Some(name)),
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts() {
            (kind, Some(name)) => write!(f, "{kind} {name}"),
            (kind, None) => f.write_str(kind),
        }
    }
}

/// Not the text of an [`Actor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an actor is written as its kind and its name, such as `operator ada`")]
pub struct BadActor;

impl FromStr for Actor {
    type Err = BadActor;
    fn from_str(text: &str) -> Result<Self, BadActor> {
        if text == "server" {
            return Ok(Self::Server);
        }
        let (kind, name) = text.split_once(' ').ok_or(BadActor)?;
        let owned = name.to_owned();
        match kind {
            "terminal" => Ok(Self::Terminal(name.parse().map_err(|_| BadActor)?)),
            "operator" => Ok(Self::Operator(owned)),
            "admin" => Ok(Self::Admin(owned)),
            "program" => Ok(Self::Program(owned)),
            "system" => Ok(Self::System(owned)),
            "noted" => Ok(Self::Noted(owned)),
            _ => Err(BadActor),
        }
    }
}

impl serde::Serialize for Actor {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// An act that gives rights or makes money, and nobody said who or why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("give a name and a reason; both are written to the audit log")]
pub struct ReasonNeeded;

/// Who acts, and why: what an entry of the log has besides the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    by: Actor,
    reason: Option<String>,
}

impl Act {
    /// An act with a reason; blanks around it do not count, and an empty one is none.
    #[must_use]
    pub fn new(by: Actor, reason: &str) -> Self {
        let reason = Some(reason.trim()).filter(|reason| !reason.is_empty());
        Self { by, reason: reason.map(str::to_owned) }
    }

    /// An act that needs no reason.
    #[must_use]
    pub fn plain(by: Actor) -> Self {
        Self { by, reason: None }
    }

    /// What the program on the command line does for this user of the system.
    #[must_use]
    pub fn of_program(user: &str, reason: &str) -> Self {
        Self::new(Actor::Program(user.to_owned()), reason)
    }

    /// What a terminal does by what its holders signed.
    #[must_use]
    pub fn of_terminal(terminal: &TerminalId) -> Self {
        Self::plain(Actor::Terminal(terminal.clone()))
    }

    /// Who.
    #[must_use]
    pub fn by(&self) -> &Actor {
        &self.by
    }

    /// Why, if it was said.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// This act, if it has a name and a reason: what gives rights or makes money needs one.
    ///
    /// # Errors
    /// [`ReasonNeeded`].
    pub fn reasoned(&self) -> Result<&Self, ReasonNeeded> {
        let named = self.by.parts().1.is_none_or(|name| !name.trim().is_empty());
        if named && self.reason.is_some() { Ok(self) } else { Err(ReasonNeeded) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn every_actor_is_read_as_it_is_written() {
        for text in [
            "terminal POS00001",
            "operator ada",
            "admin a b",
            "program root",
            "system transit",
            "server",
            "noted Eve",
        ] {
            assert_eq!(text.parse::<Actor>().unwrap().to_string(), text);
        }
        for text in ["", "ada", "servers", "terminal", "nobody ada", "terminal much-too-long-for-a-terminal"]
        {
            assert_eq!(text.parse::<Actor>(), Err(BadActor), "{text}");
        }
    }

    #[test]
    fn a_reason_of_blanks_is_none() {
        assert_eq!(Act::new(Actor::Server, " \t").reasoned(), Err(ReasonNeeded));
        assert_eq!(Act::new(Actor::Server, " why ").reason(), Some("why"));
    }
}
