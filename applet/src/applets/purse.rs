//! A stored-value purse (P-26: the value is kept by a third party, here by the card): a balance, a PIN
//! that guards debits, and a log of the last one.
//!
//! | command | CLA INS | data | answer |
//! |---|---|---|---|
//! | VERIFY | 80 20 | PIN | 63Cx, 6983 |
//! | CREDIT | 80 30 | amount, 4 bytes, minor units | the new balance |
//! | DEBIT | 80 32 | amount, 4 bytes | the new balance; 6982 without PIN, 6985 if there is too little |
//! | GET BALANCE | 80 50 | | balance, 4 bytes; number of debits, 4 bytes |

use onetap_apdu_spec::apdu::CommandApdu;
use onetap_apdu_spec::sw::StatusWord;

use crate::runtime::{Aid, Applet, Context, Fault, Field, Module, OwnerPin, Reply};

const PROPRIETARY: u8 = 0x80;
const VERIFY: u8 = 0x20;
const CREDIT: u8 = 0x30;
const DEBIT: u8 = 0x32;
const GET_BALANCE: u8 = 0x50;

/// Most that a purse holds, in minor units.
const MOST: u32 = 1_000_00;
const PIN_TRIES: u8 = 3;

const BALANCE: Field<u32> = Field::new(0);
const DEBITS: Field<u32> = Field::new(1);
/// Objects 2 and 3.
const PIN: OwnerPin = OwnerPin::new(2, PIN_TRIES);

/// The purse. All that it knows is in persistent memory.
#[derive(Debug)]
pub struct Purse;

impl Purse {
    /// Its module. The parameters of INSTALL are the PIN.
    #[must_use]
    pub fn module() -> Module {
        Module::new::<Self>(Self::name())
    }

    /// The name of the module, and of its instance as a rule.
    #[must_use]
    #[allow(clippy::expect_used, reason = "checked when this is compiled")]
    pub const fn name() -> Aid {
        const NAME: Aid = Aid::new(b"\xF0PURSE\x01").expect("7 bytes");
        NAME
    }

    fn verify(cx: &mut Context<'_>, pin: &[u8]) -> Result<(), StatusWord> {
        if PIN.tries_left(cx)? == 0 {
            return Err(StatusWord::PIN_BLOCKED);
        }
        if PIN.check(cx, pin)? { Ok(()) } else { Err(StatusWord::tries_left(PIN.tries_left(cx)?)) }
    }

    fn credit(cx: &mut Context<'_>, amount: u32) -> Result<u32, StatusWord> {
        let balance = cx.get(&BALANCE)?.checked_add(amount).filter(|balance| *balance <= MOST);
        let balance = balance.ok_or(StatusWord::CONDITIONS)?;
        cx.set(&BALANCE, &balance)?;
        Ok(balance)
    }

    /// Balance and count go down and up in one step: no tear lies between.
    fn debit(cx: &mut Context<'_>, amount: u32) -> Result<u32, StatusWord> {
        if !PIN.is_validated(cx)? {
            return Err(StatusWord::SECURITY_STATUS);
        }
        let balance = cx.get(&BALANCE)?.checked_sub(amount).ok_or(StatusWord::CONDITIONS)?;
        let debits = cx.get(&DEBITS)?.wrapping_add(1);
        cx.transaction(|cx| {
            cx.set(&BALANCE, &balance)?;
            cx.set(&DEBITS, &debits)
        })
        .map_err(|why: Fault| StatusWord::from(why))?;
        Ok(balance)
    }
}

fn amount(data: &[u8]) -> Result<u32, StatusWord> {
    let bytes: [u8; 4] = data.try_into().map_err(|_| StatusWord::WRONG_LENGTH)?;
    Ok(u32::from_be_bytes(bytes))
}

impl Applet for Purse {
    fn install(cx: &mut Context<'_>, parameters: &[u8]) -> Result<Self, StatusWord> {
        if !(4..=12).contains(&parameters.len()) {
            return Err(StatusWord::WRONG_DATA);
        }
        PIN.update(cx, parameters)?;
        cx.set(&BALANCE, &0)?;
        cx.set(&DEBITS, &0)?;
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
        if command.cla != PROPRIETARY {
            return Err(StatusWord::WRONG_CLA);
        }
        let balance = match command.ins {
            VERIFY => return Self::verify(cx, command.data),
            CREDIT => Self::credit(cx, amount(command.data)?)?,
            DEBIT => Self::debit(cx, amount(command.data)?)?,
            GET_BALANCE => {
                reply.send(&cx.get(&BALANCE)?.to_be_bytes());
                cx.get(&DEBITS)?
            }
            _ => return Err(StatusWord::WRONG_INS),
        };
        reply.send(&balance.to_be_bytes());
        Ok(())
    }
}
