//! What a card remembers between two commands of a session, and what a response holds.

use std::rc::Rc;

/// What a response holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    /// Exactly this.
    Bytes(Vec<u8>),
    /// The signature message of this C.
    Signature(u32),
    /// What is owed beside it.
    Owed(u32),
}

/// A part of a response: from here on, so many bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) body: Body,
    pub(super) from: usize,
    pub(super) len: usize,
    /// Bytes of the whole.
    pub(super) whole: usize,
}

/// What does not change in the life of a card.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fixed {
    /// Bytes of a signature message.
    pub(super) signature: usize,
    /// Bytes of what is owed beside it, if something is.
    pub(super) owed: Option<usize>,
}

/// All that is lost at reset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wire {
    pub(super) powered: bool,
    pub(super) fixed: Rc<Fixed>,
    /// For each channel, if it is open, whether the application is selected on it; else the issuer's domain is.
    pub(super) channels: [Option<bool>; 4],
    /// Head and data of a chain.
    pub(super) chain: Option<([u8; 5], Vec<u8>)>,
    /// A response, and how much of it is sent.
    pub(super) out: Option<(Body, usize)>,
}

impl Wire {
    pub(super) fn new(fixed: Rc<Fixed>) -> Self {
        let channels = [Some(false), None, None, None];
        Self { powered: false, fixed, channels, chain: None, out: None }
    }

    /// As after power-off.
    pub(super) fn reset(&self) -> Self {
        Self::new(Rc::clone(&self.fixed))
    }

    pub(super) fn channel(&self, number: u8) -> Option<bool> {
        self.channels.get(usize::from(number)).copied().flatten()
    }

    pub(super) fn set_channel(&mut self, number: u8, state: Option<bool>) {
        self.channels[usize::from(number)] = state;
    }

    pub(super) fn len(&self, body: &Body) -> usize {
        match body {
            Body::Bytes(bytes) => bytes.len(),
            Body::Signature(_) => self.fixed.signature,
            Body::Owed(_) => self.fixed.owed.unwrap_or(0),
        }
    }
}
