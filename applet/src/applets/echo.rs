//! An applet that says what it hears: the smallest there can be.

use onetap_apdu_spec::apdu::CommandApdu;
use onetap_apdu_spec::sw::StatusWord;

use crate::runtime::{Aid, Applet, Context, Module, Reply};

/// Answers every command with its data field.
#[derive(Debug, Default)]
pub struct Echo;

impl Echo {
    /// Its module; it may be selected on several channels.
    #[must_use]
    pub fn module() -> Module {
        Module::new::<Self>(Self::name()).multiselectable()
    }

    /// The name of the module, and of its instance as a rule.
    #[must_use]
    #[allow(clippy::expect_used, reason = "checked when this is compiled")]
    pub const fn name() -> Aid {
        const NAME: Aid = Aid::new(b"\xF0ECHO\x01").expect("6 bytes");
        NAME
    }
}

impl Applet for Echo {
    fn install(_: &mut Context<'_>, _: &[u8]) -> Result<Self, StatusWord> {
        Ok(Self)
    }

    fn load(_: &mut Context<'_>) -> Result<Self, StatusWord> {
        Ok(Self)
    }

    #[inline]
    fn process(
        &mut self,
        _: &mut Context<'_>,
        command: &CommandApdu<'_>,
        reply: &mut Reply,
    ) -> Result<(), StatusWord> {
        reply.send(command.data);
        Ok(())
    }
}
