//! The person at the keyboard plays the holder: reads the card's display, presses its keys, types the
//! joint password.

use onetap_apdu_spec::command::CardState;
use onetap_apdu_spec::service::AuthorisationRequest;
use onetap_applet::{DEAD_TIME_MS, DEBOUNCE_MS, Key};
use onetap_conformance::holder::{Patience as _, joint_password};
use onetap_conformance::world::{PIN, World};
use onetap_pcsc_host::Tapped;

use crate::exit::Failure;
use crate::files::ask;
use crate::output::Output;
use crate::pay::ask_password;

const KEYS: &str = "card's keys [n]ext [p]revious [c]onfirm c[l]ear [x] cancel, digits of the PIN: ";

/// Until the card shows the joint password or the transaction is cancelled.
pub(super) fn confirm(world: &World, out: Output) -> Result<String, Failure> {
    out.say(format!("   You are the holder. The card's PIN is {PIN}."))?;
    world.clock.wait(DEBOUNCE_MS + 1);
    loop {
        let screen = world.card.lock().unwrap_or_else(std::sync::PoisonError::into_inner).screen();
        out.say(screen.to_string().trim_end())?;
        if let Some(password) = joint_password(&screen) {
            return Ok(password);
        }
        if screen.is_blank() {
            return Err(Failure::NotAsExpected(
                "cancelled on the card; nothing was sent to the server".to_owned(),
            ));
        }
        for key in ask(KEYS)?.chars().filter_map(key_of) {
            // A person's finger is slower than the card's dead time.
            world.clock.wait(DEAD_TIME_MS + 1);
            let mut card = world.card.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if let Err(refused) = card.press(key) {
                out.say(format!("   {refused}"))?;
            }
            if card.state() == CardState::Revealed {
                break;
            }
        }
    }
}

pub(super) fn type_in(tapped: Tapped) -> Result<AuthorisationRequest, Failure> {
    Ok(tapped.authorise(ask_password()?))
}

fn key_of(typed: char) -> Option<Key> {
    match typed {
        'n' => Some(Key::Next),
        'p' => Some(Key::Previous),
        'c' => Some(Key::Confirm),
        'l' => Some(Key::Clear),
        'x' => Some(Key::Cancel),
        _ => typed.to_digit(10).and_then(|digit| u8::try_from(digit).ok()).map(Key::Digit),
    }
}
