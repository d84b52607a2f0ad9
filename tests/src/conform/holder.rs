//! The holder's part of a case: keys, display, patience.

use onetap_apdu_spec::password::Password;
use onetap_pcsc_host::trace::{Key, Screen};

use super::tester::{Outcome, Stop, Tester, stage};

/// Most pages that a display may have before the suite believes that it never ends.
const MAX_PAGES: usize = 64;

/// The holder.
impl Tester<'_> {
    /// Presses a key.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn press(&mut self, key: Key) -> Outcome {
        self.note(format!("the holder presses {key:?}"));
        if key == Key::Confirm {
            self.card.spent().confirmed_by_key += 1;
        }
        self.card.key(key).map_err(|why| stage("press a key", why))
    }

    /// Types the right PIN.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn type_pin(&mut self) -> Outcome {
        (0..self.claims().pin_digits).try_for_each(|_| self.press(Key::Digit))
    }

    /// Types a wrong PIN of the same length.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn type_wrong_pin(&mut self) -> Outcome {
        (0..self.claims().pin_digits).try_for_each(|_| self.press(Key::WrongDigit))
    }

    /// What the display shows, without the joint password.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn screen(&mut self) -> Result<Screen, Stop> {
        let screen = self.card.screen().map_err(|why| stage("look at the display", why))?;
        let lines = if screen.lines().is_empty() { "nothing".into() } else { screen.lines().join(" | ") };
        self.note(format!("the display shows {lines}"));
        Ok(screen)
    }

    /// The display must be dark.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn expect_dark(&mut self, step: &str) -> Outcome {
        let screen = self.screen()?;
        self.check(step, screen.lines().is_empty(), "a dark display", screen.lines().join(" | "))
    }

    /// Turns all pages, from the first to the last, and gives their lines.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn read_all(&mut self) -> Result<Vec<Vec<String>>, Stop> {
        let mut pages = vec![self.screen()?.lines().to_vec()];
        for _ in 0..MAX_PAGES {
            self.press(Key::Next)?;
            let next = self.screen()?.lines().to_vec();
            if pages.last() == Some(&next) {
                return Ok(pages);
            }
            pages.push(next);
        }
        Err(Stop::failed("turn the pages", format!("at most {MAX_PAGES} pages"), "more"))
    }

    /// Turns all pages and waits until the confirm key is no longer dead.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn read_and_wait(&mut self) -> Outcome {
        self.read_all()?;
        self.wait(self.timing().dead_time)
    }

    /// Reads, waits, presses the confirm key.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn confirm_by_key(&mut self) -> Outcome {
        self.read_and_wait()?;
        self.press(Key::Confirm)
    }

    /// Reads, waits, types the PIN, presses the confirm key.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn confirm_by_pin(&mut self) -> Outcome {
        self.read_and_wait()?;
        self.type_pin()?;
        self.press(Key::Confirm)
    }

    /// The joint password that the display must show now.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn joint_password(&mut self) -> Result<Password, Stop> {
        let screen = self.screen()?;
        screen.joint_password().cloned().ok_or_else(|| {
            Stop::failed("look at the display", "the joint password", screen.lines().join(" | "))
        })
    }

    /// The display must not show a joint password.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn expect_no_password(&mut self, step: &str) -> Outcome {
        let shown = self.screen()?.joint_password().is_some();
        self.check(step, !shown, "no joint password", "the joint password is displayed")
    }
}
