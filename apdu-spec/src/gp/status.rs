//! Status words of GlobalPlatform that [`StatusWord`] does not name, and what an issuer does about each
//! (GPCS §11.1.3).

use crate::sw::StatusWord;

/// Warning: more entries follow; ask for the next ones (GET STATUS).
pub const MORE_DATA: StatusWord = StatusWord::from_bytes(0x63, 0x10);
/// PUT KEY: the check value of a key is wrong.
pub const KEY_CHECK_FAILED: StatusWord = StatusWord::from_bytes(0x94, 0x84);

/// What an issuer does about a refusal by a security domain; `None` where it says no more than elsewhere.
#[must_use]
pub fn advice(sw: StatusWord) -> Option<&'static str> {
    let advice = match sw {
        StatusWord::AUTHENTICATION_FAILED | StatusWord::SECURITY_STATUS => {
            "check the key set; do not repeat with keys that may be wrong, it may block the card"
        }
        StatusWord::CONDITIONS => {
            "read the registry with GET STATUS: the card or application is not in a state for this, or has \
             been personalised before"
        }
        StatusWord::NO_SUCH_OBJECT => "read the registry with GET STATUS: there is nothing of that name",
        StatusWord::NOT_FOUND => "this card has no issuer security domain: it was made without one",
        StatusWord::CARD_LOCKED => "unlock the card with SET STATUS",
        StatusWord::SELECT_FAILED => "unlock the application with SET STATUS",
        StatusWord::NOT_SUPPORTED => {
            "the card cannot do this: it loads no code, or not in its present life cycle state"
        }
        StatusWord::NO_SPACE => "delete an application or a key set",
        StatusWord::WRONG_DATA => "correct the order: the card would not take it",
        KEY_CHECK_FAILED => "the keys were altered on their way or sealed under another key: put them again",
        _ => return None,
    };
    Some(advice)
}
