//! An applet that counts, and never forgets.

use onetap_apdu_spec::apdu::CommandApdu;
use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::card::Product;
use onetap_applet::runtime::{Aid, Applet, Context, DEFAULT_SELECTED, Field, Module, Reply};

/// Name of the module and of its instance: F0, for applets that nobody registered, and the crate's name.
#[allow(clippy::expect_used, reason = "checked when this is compiled")]
const NAME: Aid = Aid::new(b"\xF0AIDTEXT").expect("5 to 16 bytes");

/// Object 0 of this applet, in memory that survives everything.
const COUNT: Field<u32> = Field::new(0);

const CLA: u8 = 0x80;
/// INS of the command that counts one up and answers with the count.
const COUNT_UP: u8 = 0x10;

struct Counter;

impl Applet for Counter {
    fn install(cx: &mut Context<'_>, _parameters: &[u8]) -> Result<Self, StatusWord> {
        cx.set(&COUNT, &0)?;
        Ok(Self)
    }

    fn load(_: &mut Context<'_>) -> Result<Self, StatusWord> {
        Ok(Self)
    }

    fn process(
        &mut self,
        cx: &mut Context<'_>,
        command: &CommandApdu<'_>,
        reply: &mut Reply,
    ) -> Result<(), StatusWord> {
        match (command.cla, command.ins) {
            (CLA, COUNT_UP) => {
                let count = cx.get(&COUNT)?.wrapping_add(1);
                cx.set(&COUNT, &count)?;
                reply.send(&count.to_be_bytes());
                Ok(())
            }
            (CLA, _) => Err(StatusWord::WRONG_INS),
            _ => Err(StatusWord::WRONG_CLA),
        }
    }
}

/// The card: this applet is in its ROM, and each new card has one instance of it, selected at reset.
pub fn product() -> Product {
    Product::new(&[Module::new::<Counter>(NAME)]).instance(NAME, NAME, [DEFAULT_SELECTED, 0, 0], &[])
}

#[cfg(test)]
mod tests {
    use onetap_applet::nvm::{Cut, How, MemoryImage, TearSwitch, TearingImage};
    use onetap_applet::{Card, Environment};

    use super::*;

    const UP: &[u8] = &[CLA, COUNT_UP, 0, 0, 4];

    /// The card in this memory, in a reader, with a hand on the switch of its power; a new one if `fresh`.
    fn card(image: &MemoryImage, fresh: bool) -> (Card, TearSwitch) {
        let (tearing, switch) = TearingImage::new(image.clone());
        let (tearing, env) = (Box::new(tearing), Environment::default());
        let made = if fresh { product().make(tearing, env) } else { product().open(tearing, env) };
        let mut card = made.unwrap();
        card.enter_field();
        card.power_on();
        (card, switch)
    }

    #[test]
    fn it_counts_and_goes_on_after_a_restart() {
        let image = MemoryImage::default();
        let (mut first, _) = card(&image, true);
        assert_eq!(first.transmit(UP), [0, 0, 0, 1, 0x90, 0x00]);
        assert_eq!(first.transmit(UP), [0, 0, 0, 2, 0x90, 0x00]);
        drop(first);
        assert_eq!(card(&image, false).0.transmit(UP), [0, 0, 0, 3, 0x90, 0x00]);
    }

    #[test]
    fn other_commands_are_refused() {
        let (mut card, _) = card(&MemoryImage::default(), true);
        assert_eq!(card.transmit(&[CLA, 0x11, 0, 0]), [0x6D, 0x00]);
        assert_eq!(card.transmit(&[0x00, COUNT_UP, 0, 0]), [0x6E, 0x00]);
    }

    /// The power is cut before, in the middle of and after each write: the count is the old one or the new one, and
    /// what was answered has happened.
    #[test]
    fn no_tear_loses_a_count() {
        let start = MemoryImage::default();
        card(&start, true).0.transmit(UP);
        for at in 0.. {
            for how in How::ALL {
                let image = start.copy();
                let (mut torn, switch) = card(&image, false);
                switch.arm(Cut { at, how });
                let answered = torn.transmit(UP) == [0, 0, 0, 2, 0x90, 0x00];
                let found = card(&image, false).0.transmit(UP);
                let (before, after) = ([0, 0, 0, 2, 0x90, 0x00], [0, 0, 0, 3, 0x90, 0x00]);
                assert!(found == after || found == before && !answered, "write {at}, {how:?}: {found:?}");
                if !switch.torn() {
                    assert!(at > 0 && answered, "a count is more than one write");
                    return;
                }
            }
        }
    }
}
