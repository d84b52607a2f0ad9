//! The signing applet as the runtime sees it: blank until the issuer has personalised it.

use onetap_apdu_spec::apdu::{CLA_CHAINING, CommandApdu};
use onetap_apdu_spec::command::{CardState, CardStatus, Command, DataField, fci, recognise};
use onetap_apdu_spec::gp::store_data::{Assembler, StoreData};
use onetap_apdu_spec::gp::{DataKey, SIGNING_APPLET};
use onetap_apdu_spec::personal::{EnrolmentStatement, Personalisation};
use onetap_apdu_spec::sw::StatusWord;

use super::format_1::Old;
use super::order_check::{IssueError, OrderError};
use super::personalise::personalise;
use super::pin::Pin;
use super::signer::Signer;
use crate::runtime::{Aid, Applet, Context, Module, Reply};

/// The applet's name, as instance and as module.
pub(crate) const NAME: Aid = SIGNING_APPLET;

/// The applet's module.
pub(crate) fn module() -> Module {
    Module::new::<SigningApplet>(NAME).heirloom(super::memory::COUNTERS_NUMBER)
}

/// The applet.
pub(crate) struct SigningApplet {
    pub(super) signer: Option<Signer>,
    /// An order that the issuer is sending.
    pub(super) incoming: Option<Assembler>,
}

impl SigningApplet {
    /// Makes this the card of one holder, once: keys, PIN, thresholds. Answers with the statement that the
    /// server enrols.
    pub(crate) fn personalise(
        &mut self,
        cx: &mut Context<'_>,
        order: Personalisation,
        pin: &Pin,
    ) -> Result<EnrolmentStatement, IssueError> {
        if self.signer.is_some() {
            return Err(OrderError::NotEmpty.into());
        }
        let (signer, statement) = personalise(cx, order, pin)?;
        self.signer = Some(signer);
        Ok(statement)
    }

    /// Takes over what an image of format 1 held.
    pub(crate) fn take_over(&mut self, cx: &mut Context<'_>, old: Old) -> Result<(), StatusWord> {
        old.store(cx)?;
        self.signer = Signer::open(cx)?;
        Ok(())
    }

    /// True once the issuer has made this the card of a holder.
    pub(crate) fn is_personalised(&self) -> bool {
        self.signer.is_some()
    }

    /// The name of the state; a blank card waits for nothing.
    pub(crate) fn state(&self) -> CardState {
        self.signer.as_ref().map_or(CardState::Idle, |signer| signer.state.name())
    }

    /// What GET DATA tells of the card; a blank card waits for nothing and can do nothing.
    pub(crate) fn status(&self, cx: &Context<'_>) -> CardStatus {
        let blank =
            CardStatus { state: CardState::Idle, unconfirmed: 0, pin_blocked: false, worn_out: false };
        self.signer.as_ref().map_or(blank, |signer| signer.status(cx))
    }
}

impl Applet for SigningApplet {
    fn install(_: &mut Context<'_>, _: &[u8]) -> Result<Self, StatusWord> {
        Ok(Self { signer: None, incoming: None })
    }

    fn load(cx: &mut Context<'_>) -> Result<Self, StatusWord> {
        Ok(Self { signer: Signer::open(cx)?, incoming: None })
    }

    fn select(&mut self, _: &mut Context<'_>, reply: &mut Reply) -> Result<(), StatusWord> {
        self.reset();
        reply.send(&fci());
        Ok(())
    }

    fn deselect(&mut self, _: &mut Context<'_>) {
        self.reset();
    }

    fn reset(&mut self) {
        self.incoming = None;
        if let Some(signer) = &mut self.signer {
            signer.interrupt();
        }
    }

    fn admit(&mut self, cx: &mut Context<'_>, part: &CommandApdu<'_>) -> Result<usize, StatusWord> {
        let row = recognise(part)?;
        self.signer.as_ref().ok_or(StatusWord::CONDITIONS)?.admit(cx, row)?;
        Ok(match row.data {
            DataField::Required { max, .. } => max,
            DataField::Absent => 0,
        })
    }

    fn process(
        &mut self,
        cx: &mut Context<'_>,
        command: &CommandApdu<'_>,
        reply: &mut Reply,
    ) -> Result<(), StatusWord> {
        debug_assert_eq!(command.cla & CLA_CHAINING, 0, "chains come whole");
        let row = recognise(command)?;
        let signer = self.signer.as_mut().ok_or(StatusWord::CONDITIONS)?;
        signer.admit(cx, row)?;
        signer.execute(cx, Command::parse(row, command)?, reply)
    }

    fn store_data(
        &mut self,
        cx: &mut Context<'_>,
        block: &StoreData,
        data_key: &DataKey,
        reply: &mut Reply,
    ) -> Result<(), StatusWord> {
        self.take_block(cx, block, data_key, reply)
    }
}
