//! Status words of GlobalPlatform beside those of [`crate::sw`] (GPCS §11.1.3).

use crate::sw::StatusWord;

/// Warning: more entries follow; ask for the next ones (GET STATUS).
pub const MORE_DATA: StatusWord = StatusWord::from_bytes(0x63, 0x10);
/// EXTERNAL AUTHENTICATE: the host cryptogram is wrong. A warning by its number, yet nothing is open.
pub const AUTHENTICATION_FAILED: StatusWord = StatusWord::from_bytes(0x63, 0x00);
/// Warning: selected, and the card is locked (SELECT of the issuer security domain).
pub const CARD_LOCKED: StatusWord = StatusWord::from_bytes(0x62, 0x83);
/// Security status not satisfied: not authenticated, or a wrong MAC, which closes the channel.
pub const SECURITY_NOT_SATISFIED: StatusWord = StatusWord::from_bytes(0x69, 0x82);
/// The application to be selected is locked or refuses.
pub const SELECTION_REJECTED: StatusWord = StatusWord::from_bytes(0x69, 0x99);
/// Function not supported, such as a transition of the life cycle that there is not.
pub const NOT_SUPPORTED: StatusWord = StatusWord::from_bytes(0x6A, 0x81);
/// No memory left for an application or a key set.
pub const NO_MEMORY: StatusWord = StatusWord::from_bytes(0x6A, 0x84);
/// PUT KEY: the check value of a key is wrong.
pub const KEY_CHECK_FAILED: StatusWord = StatusWord::from_bytes(0x94, 0x84);

/// What an issuer does about a status word of this list; `None` for another.
#[must_use]
pub fn advice(sw: StatusWord) -> Option<&'static str> {
    let advice = match sw {
        AUTHENTICATION_FAILED | SECURITY_NOT_SATISFIED => {
            "check the key set; do not repeat with keys that may be wrong, it may block the card"
        }
        MORE_DATA => "ask for the next entries",
        CARD_LOCKED => "unlock the card with SET STATUS",
        SELECTION_REJECTED => "unlock the application with SET STATUS",
        NOT_SUPPORTED => "the card cannot do this in its present life cycle state",
        NO_MEMORY => "delete an application or a key set",
        KEY_CHECK_FAILED => "the keys were altered on their way or sealed under another key: put them again",
        _ => return None,
    };
    Some(advice)
}
