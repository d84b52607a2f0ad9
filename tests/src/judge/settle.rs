//! Brings a card that is not new to the beginning of a case, by its holder's hands.

use onetap_apdu_spec::command::{CardState, MAX_UNCONFIRMED};
use onetap_pcsc_host::trace::{Key, StageError};

use super::lent::Lent;
use crate::conform::{CommandBuilder, Outcome, Stop};
use crate::target::{CardUnderTest as _, Start, samples};

/// Most payments that one case confirms by the key, where it does not count them.
const BY_KEY: u64 = 3;

impl Lent {
    /// Idle, with room for the signatures of the case, its PIN not blocked, its counts at 0 if the case looks at them. The card
    /// then lies in the field without power.
    pub(super) fn settle(&mut self, start: &Start) -> Outcome {
        if !self.is_in_field() {
            // Whatever is shown is done with.
            self.tester().press(Key::Cancel)?;
        }
        self.tester().come()?;
        let status = self.tester().status()?;
        if status.pin_blocked {
            self.unblock().map_err(|why| match why {
                StageError::Unsupported(why) => Stop::NotPerformed(why.to_owned()),
                why => Stop::failed("unblock the PIN", "that it can be done", why.to_string()),
            })?;
            self.tester().select()?;
            if self.tester().status()?.pin_blocked {
                return Err(Stop::failed("unblock the PIN", "new tries", "a PIN that is still blocked"));
            }
        }
        become_idle(self)?;
        forget_unconfirmed(self, start)?;
        if start.confirms && by_key_is_used_up(self, start) {
            pay_by_pin(self)?;
        }
        self.rest();
        Ok(())
    }
}

/// Lets the holder cancel what waits for confirmation.
fn become_idle(card: &mut Lent) -> Outcome {
    match card.tester().status()?.state {
        CardState::Idle => return Ok(()),
        CardState::Loaded | CardState::Signed => {
            card.tester().reset()?;
            card.tester().select()?;
        }
        CardState::Delivered | CardState::Showing | CardState::Revealed => {
            let mut tester = card.tester();
            tester.leave()?;
            tester.press(Key::Cancel)?;
            tester.come()?;
        }
    }
    card.tester().expect_state(CardState::Idle)
}

/// Lets the holder press a key where the signatures of the case would be too many.
fn forget_unconfirmed(card: &mut Lent, start: &Start) -> Outcome {
    let unconfirmed = card.tester().status()?.unconfirmed;
    let room = u32::from(unconfirmed) + start.signatures < u32::from(MAX_UNCONFIRMED);
    if unconfirmed == 0 || (room && !start.counts_at_zero) {
        return Ok(());
    }
    let mut tester = card.tester();
    tester.leave()?;
    tester.press(Key::Clear)?;
    tester.come()
}

fn by_key_is_used_up(card: &mut Lent, start: &Start) -> bool {
    let confirmed = card.spent().confirmed_by_key;
    if start.counts_at_zero { confirmed > 0 } else { confirmed + BY_KEY > card.claims_of().payments_by_key() }
}

/// A payment confirmed by the PIN, after which the key alone confirms again and all tries are there.
fn pay_by_pin(card: &mut Lent) -> Outcome {
    if !card.has_pin() {
        return Err(Stop::NotPerformed("the PIN is not lent".into()));
    }
    let limits = card.claims_of().confirmation;
    let payment = samples::payment(limits.key_up_to + 1, &limits.currency.to_string());
    let mut tester = card.tester();
    // Whether what is signed is right is for the cases to judge.
    tester.load(&payment)?;
    tester.fetch("fetch the signature", &CommandBuilder::get_signature())?;
    if tester.suite().owed().is_some() {
        tester.fetch("fetch what is owed", &CommandBuilder::get_enc_password())?;
    }
    tester.leave()?;
    tester.confirm_by_pin()?;
    let screen = tester.screen()?;
    let expected = "the joint password on a line of its own (is the PIN right, and are the claims?)";
    let shown = screen.lines().join(" | ");
    tester.check("confirm by the PIN that was lent", screen.joint_password().is_some(), expected, shown)?;
    tester.press(Key::Cancel)?;
    tester.come()?;
    card.spent().confirmed_by_key = 0;
    Ok(())
}
