//! Life cycles of the card and its applications, and privileges (GPCS §5, §6.6, §11.1.1, §11.1.2).

/// States of the card (GPCS table 11-6). They only move forward, but for locking and unlocking.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
    strum::Display,
)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum CardLifeCycle {
    /// OP_READY: the runtime works, nothing else is there.
    OpReady = 0x01,
    /// INITIALIZED: first data is there; not for a holder yet.
    Initialized = 0x07,
    /// SECURED: with the holder.
    Secured = 0x0F,
    /// CARD_LOCKED: only the issuer security domain answers. Can be undone.
    #[strum(serialize = "CARD_LOCKED")]
    Locked = 0x7F,
    /// TERMINATED: for ever.
    Terminated = 0xFF,
}

impl CardLifeCycle {
    /// All states, in their order.
    pub const ALL: [Self; 5] =
        [Self::OpReady, Self::Initialized, Self::Secured, Self::Locked, Self::Terminated];

    /// The byte in GET STATUS and SET STATUS.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The state with this byte.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }

    /// True if SET STATUS may lead from here to `next` (GPCS §5.1.1): forward to SECURED step by step,
    /// between SECURED and CARD_LOCKED both ways, to TERMINATED from anywhere.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        use CardLifeCycle::{Initialized, Locked, OpReady, Secured, Terminated};
        match next {
            OpReady => false,
            Initialized => self == OpReady,
            Secured => matches!(self, Initialized | Locked),
            Locked => self == Secured,
            Terminated => self != Terminated,
        }
    }
}

/// What an application has come to, apart from being locked (GPCS table 11-4).
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
    strum::Display,
)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum ApplicationState {
    /// INSTALLED: not selectable yet.
    Installed = 0x03,
    /// SELECTABLE.
    Selectable = 0x07,
    /// PERSONALIZED.
    Personalized = 0x0F,
}

/// Life cycle of an application or security domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct ApplicationLifeCycle {
    /// What it has come to, and comes back to when it is unlocked.
    pub state: ApplicationState,
    /// LOCKED: not selectable until it is unlocked.
    pub locked: bool,
}

impl ApplicationLifeCycle {
    const LOCKED: u8 = 0x80;

    /// The byte in GET STATUS.
    #[must_use]
    pub fn code(self) -> u8 {
        self.state as u8 | if self.locked { Self::LOCKED } else { 0 }
    }

    /// The life cycle with this byte; states of an application's own count as PERSONALIZED.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        let state = match code & !Self::LOCKED {
            0x03 => ApplicationState::Installed,
            0x07 => ApplicationState::Selectable,
            own if own & 0x07 == 0x07 => ApplicationState::Personalized,
            _ => return None,
        };
        Some(Self { state, locked: code & Self::LOCKED != 0 })
    }
}

/// What an application may do to others, by its bit (GPCS table 11-7: byte 1 bit 8 is the highest).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Privilege {
    /// Is a security domain.
    SecurityDomain = 0x80_0000,
    /// May delegate content management.
    DelegatedManagement = 0x20_0000,
    /// May lock the card.
    CardLock = 0x10_0000,
    /// May terminate the card.
    CardTerminate = 0x08_0000,
    /// Selected by default after a reset ("card reset").
    DefaultSelected = 0x04_0000,
    /// May manage the card's PIN.
    CvmManagement = 0x02_0000,
    /// May manage the card's content.
    AuthorizedManagement = 0x00_4000,
    /// May delete any application.
    GlobalDelete = 0x00_1000,
    /// May lock any application.
    GlobalLock = 0x00_0800,
    /// May see the whole registry.
    GlobalRegistry = 0x00_0400,
    /// Once selected by the contactless field, stays the last one.
    FinalApplication = 0x00_0200,
}

/// A set of privileges, as three bytes. Bits that [`Privilege`] does not name are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct Privileges(u32);

impl Privileges {
    /// What the issuer security domain has.
    pub const ISSUER: Self = Self::NONE
        .with(Privilege::SecurityDomain)
        .with(Privilege::CardLock)
        .with(Privilege::CardTerminate)
        .with(Privilege::AuthorizedManagement)
        .with(Privilege::GlobalDelete)
        .with(Privilege::GlobalLock)
        .with(Privilege::GlobalRegistry);
    /// No privilege.
    pub const NONE: Self = Self(0);

    /// The set with one more.
    #[must_use]
    pub const fn with(self, privilege: Privilege) -> Self {
        Self(self.0 | privilege as u32)
    }

    /// True if it holds `privilege`.
    #[must_use]
    pub const fn contains(self, privilege: Privilege) -> bool {
        self.0 & privilege as u32 != 0
    }

    /// The three bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 3] {
        let [_, bytes @ ..] = self.0.to_be_bytes();
        bytes
    }

    /// Reads one byte (the first) or all three.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (first, rest) = match *bytes {
            [first] => (first, [0, 0]),
            [first, second, third] => (first, [second, third]),
            _ => return None,
        };
        Some(Self(u32::from_be_bytes([0, first, rest[0], rest[1]])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_card_never_goes_back() {
        for from in CardLifeCycle::ALL {
            assert_eq!(CardLifeCycle::from_code(from.code()), Some(from));
            assert!(!from.may_become(from));
            assert!(!CardLifeCycle::Terminated.may_become(from));
            assert!(!from.may_become(CardLifeCycle::OpReady));
        }
        assert!(CardLifeCycle::Locked.may_become(CardLifeCycle::Secured));
        assert!(!CardLifeCycle::Initialized.may_become(CardLifeCycle::Locked));
        assert_eq!(CardLifeCycle::from_code(0x02), None);
    }

    #[test]
    fn a_lock_keeps_the_state_below_it() {
        for (code, state, locked) in [
            (0x03, ApplicationState::Installed, false),
            (0x07, ApplicationState::Selectable, false),
            (0x8F, ApplicationState::Personalized, true),
            (0x83, ApplicationState::Installed, true),
        ] {
            let life_cycle = ApplicationLifeCycle { state, locked };
            assert_eq!(ApplicationLifeCycle::from_code(code), Some(life_cycle));
            assert_eq!(life_cycle.code(), code);
        }
        assert_eq!(ApplicationLifeCycle::from_code(0x01), None);
    }

    #[test]
    fn privileges_are_three_bytes() {
        assert_eq!(Privileges::ISSUER.to_bytes(), [0x98, 0x5C, 0x00]);
        assert_eq!(Privileges::from_bytes(&[0x98, 0x5C, 0]), Some(Privileges::ISSUER));
        assert_eq!(Privileges::from_bytes(&[4]), Some(Privileges::NONE.with(Privilege::DefaultSelected)));
        assert_eq!(Privileges::from_bytes(&[4, 0]), None);
        assert!(!Privileges::ISSUER.contains(Privilege::DefaultSelected));
    }
}
