//! All that can be seen of a signing card that woke up, and a whole payment with it.

use onetap_apdu_spec::command::{CardState, CardStatus};
use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::card::Millis;
use onetap_applet::nvm::MemoryImage;
use onetap_applet::{Key, PIN_TRIES};

use crate::rig::{Rig, Signatures, Spy, Surprise};
use onetap_conformance::target::samples;

/// What a card is, seen from outside.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) status: CardStatus,
    /// C of the last signature.
    pub(crate) counter: u32,
    /// What the display shows, page by page; empty if nothing waits.
    pub(crate) pages: Vec<String>,
    /// PIN tries left.
    pub(crate) tries: u8,
    /// How many more payments of the highest amount go by the key alone; none if the PIN is blocked.
    pub(crate) key_only: Option<usize>,
}

/// Seeds that no card before the cut had.
const SEEDS: [u64; 2] = [1001, 1002];

/// Looks at a card, twice from the same memory: what one look changes the other does not see. Each look
/// ends with payments; gives what was signed in them, after what is `known` to be signed.
pub(crate) fn observe(
    memory: &[u8],
    spy: &'static Spy,
    now: u64,
    known: &Signatures,
) -> Result<(State, [Signatures; 2]), Surprise> {
    let open = |seed| {
        let rig = Rig::open(MemoryImage::from_bytes(memory.to_vec()), spy, Millis(now), seed)?;
        Ok::<Rig, Surprise>(Rig { signed: known.clone(), ..rig })
    };
    let mut first = open(SEEDS[0])?;
    let (status, counter, pages) = look(&mut first)?;
    go_on(&mut first, &status)?;
    let mut second = open(SEEDS[1])?;
    let (key_only, tries) = probe(&mut second, &status)?;
    Ok((State { status, counter, pages, tries, key_only }, [first.signed, second.signed]))
}

fn look(rig: &mut Rig) -> Result<(CardStatus, u32, Vec<String>), Surprise> {
    let status = rig.card.status();
    rig.contact()?;
    let counter = rig.counter()?;
    rig.leave();
    let pages = match status.state {
        CardState::Showing => rig.read()?,
        CardState::Idle if rig.page().is_empty() => Vec::new(),
        found => return Err(Surprise::State { found, wanted: CardState::Idle }),
    };
    Ok((status, counter, pages))
}

/// What waits can be confirmed, and then a whole payment goes through; a blocked card signs nothing.
fn go_on(rig: &mut Rig, status: &CardStatus) -> Result<(), Surprise> {
    if status.state == CardState::Showing {
        rig.confirm()?;
    }
    // Whatever is shown goes, and there is a holder.
    rig.card.press(Key::Cancel)?;
    if status.pin_blocked {
        rig.contact()?;
        let sw = rig.put(1)?;
        return refused(sw, StatusWord::PIN_BLOCKED);
    }
    rig.pay(samples::PIN_UP_TO + 1)
}

fn refused(sw: StatusWord, wanted: StatusWord) -> Result<(), Surprise> {
    if sw == wanted { Ok(()) } else { Err(Surprise::Refused { command: "PUT TXN", sw }) }
}

/// How many payments go by the key alone, and how many PIN tries the display then tells of.
fn probe(rig: &mut Rig, status: &CardStatus) -> Result<(Option<usize>, u8), Surprise> {
    rig.card.press(Key::Cancel)?;
    if status.pin_blocked {
        return Ok((None, 0));
    }
    for paid in 0..=usize::from(samples::KEY_ONLY_COUNT) {
        rig.tap(samples::KEY_UP_TO)?;
        let pages = rig.read()?;
        let ask = pages.last().map_or("", String::as_str);
        let tries = (0..=PIN_TRIES).find(|tries| ask.contains(&format!("{tries} tries left")));
        if let Some(tries) = tries {
            return Ok((Some(paid), tries));
        }
        rig.confirm()?;
        rig.card.press(Key::Cancel)?;
    }
    Err(Surprise::Display("that a PIN is asked for once the cap is reached"))
}

/// Whether a joint password stands in `memory`, as it is or as the display groups it. All of them are ASCII.
pub(crate) fn shows(memory: &str, password: &[u8]) -> bool {
    let grouped = password.chunks(4).collect::<Vec<_>>().join(&b' ');
    [password, &grouped]
        .into_iter()
        .filter_map(|text| std::str::from_utf8(text).ok())
        .any(|text| !text.is_empty() && memory.contains(text))
}
