//! The issuer's orders, as STORE DATA brings them block by block: to become a card, or to take a new PIN.

use onetap_apdu_spec::gp::DataKey;
use onetap_apdu_spec::gp::order::{Order, encode_statement};
use onetap_apdu_spec::gp::store_data::{Assembled, StoreData};
use onetap_apdu_spec::sw::StatusWord;

use super::applet::SigningApplet;
use super::order_check::{IssueError, OrderError};
use super::pin::PIN;
use crate::runtime::{Context, Fault, Reply};

impl SigningApplet {
    /// Takes one block; after the last one carries the order out. Block 0 begins a new order.
    pub(super) fn take_block(
        &mut self,
        cx: &mut Context<'_>,
        block: &StoreData,
        data_key: &DataKey,
        reply: &mut Reply,
    ) -> Result<(), StatusWord> {
        let incoming = match block.number {
            0 => Default::default(),
            _ => self.incoming.take().ok_or(StatusWord::CONDITIONS)?,
        };
        match incoming.push(block)? {
            Assembled::Partial(more) => {
                self.incoming = Some(more);
                Ok(())
            }
            Assembled::Whole(payload) => {
                let order = Order::parse(&payload, data_key).map_err(|_| StatusWord::WRONG_DATA)?;
                self.carry_out(cx, order, reply)
            }
        }
    }

    fn carry_out(&mut self, cx: &mut Context<'_>, order: Order, reply: &mut Reply) -> Result<(), StatusWord> {
        match order {
            Order::Personalise(order, pin) => {
                reply.send(&encode_statement(&self.personalise(cx, *order, &pin)?));
                Ok(())
            }
            Order::UnblockPin(pin) => {
                let signer = self.signer.as_mut().ok_or(StatusWord::CONDITIONS)?;
                signer.finish_blocking(cx)?;
                Ok(PIN.update(cx, pin.expose().as_bytes())?)
            }
        }
    }
}

impl From<IssueError> for StatusWord {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::Order(OrderError::NotEmpty) => Self::CONDITIONS,
            IssueError::Order(_) => Self::WRONG_DATA,
            IssueError::Crypto(why) => Fault::from(why).into(),
            IssueError::Fault(why) => why.into(),
        }
    }
}
