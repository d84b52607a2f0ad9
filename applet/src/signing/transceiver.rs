//! Transceiver: commands in, data objects out. The table of commands says what is allowed when; what it
//! cannot say (PIN, counter, unconfirmed transactions, clock) is judged here.

use std::sync::Arc;

use onetap_apdu_spec::account::Alias;
use onetap_apdu_spec::command::{CardState, Command, CommandSpec, MAX_UNCONFIRMED, Name};
use onetap_apdu_spec::crypto::CryptoError;
use onetap_apdu_spec::header::Header;
use onetap_apdu_spec::objects;
use onetap_apdu_spec::suite::Owed;
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::tlv::{self, Tag};
use onetap_apdu_spec::txn::TransactionMessage;

use super::encryption::encrypt;
use super::memory::{Counters, Pending, Signed};
use super::password;
use super::signer::Signer;
use super::state::State;
use super::tools::{Bytes, Tools};
use crate::runtime::{Context, Fault, Reply};

/// Why a command failed inside.
#[derive(Debug)]
enum Failure {
    /// The state or the card's condition forbids it.
    Refused(StatusWord),
    /// The memory did not take the write.
    Memory,
    /// A computation failed, or S did not verify.
    Crypto,
}

impl From<Fault> for Failure {
    fn from(_: Fault) -> Self {
        Self::Memory
    }
}

impl From<CryptoError> for Failure {
    fn from(_: CryptoError) -> Self {
        Self::Crypto
    }
}

impl From<Failure> for StatusWord {
    /// The one place where a failure becomes a status word.
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(sw) => sw,
            Failure::Memory => Self::MEMORY_FAILURE,
            Failure::Crypto => Self::INTERNAL,
        }
    }
}

const OUT_OF_ORDER: Failure = Failure::Refused(StatusWord::CONDITIONS);

impl Signer {
    /// Judges whether a command is accepted now, before its content is looked at.
    pub(super) fn admit(&self, cx: &Context<'_>, row: &CommandSpec) -> Result<(), StatusWord> {
        if !row.allowed_in(self.state.name()) {
            return Err(StatusWord::CONDITIONS);
        }
        if row.name == Name::PutTxn { self.admit_transaction(cx) } else { Ok(()) }
    }

    /// Executes a command that was admitted.
    pub(super) fn execute(
        &mut self,
        cx: &mut Context<'_>,
        command: Command<'_>,
        reply: &mut Reply,
    ) -> Result<(), StatusWord> {
        match command {
            Command::GetData(tag) => self.get_data(cx, tag, reply),
            Command::PutTxn(message) => self.put_txn(cx, *message),
            Command::GetSignature => self.get_signature(cx, reply),
            Command::GetEncPassword => self.get_enc_password(cx, reply),
            // The runtime answers these itself.
            Command::Select(_) | Command::GetResponse => Err(OUT_OF_ORDER),
        }
        .map_err(StatusWord::from)
    }

    fn admit_transaction(&self, cx: &Context<'_>) -> Result<(), StatusWord> {
        let status = self.status(cx);
        if status.unconfirmed >= MAX_UNCONFIRMED || status.worn_out || cx.now().is_none() {
            Err(StatusWord::CONDITIONS)
        } else if status.pin_blocked {
            Err(StatusWord::PIN_BLOCKED)
        } else {
            Ok(())
        }
    }

    /// The counter value that the next signature will take; none once it is used up.
    fn next_counter(&self) -> Result<u32, Failure> {
        self.memory.counters().counter.checked_add(1).ok_or(OUT_OF_ORDER)
    }

    /// The name under which the next transaction has to name the payer.
    fn next_alias(&self, cx: &Context<'_>) -> Result<Alias, Failure> {
        Ok(self.keys.alias(cx.crypto(), self.next_counter()?))
    }

    fn get_data(&self, cx: &Context<'_>, tag: Tag, reply: &mut Reply) -> Result<(), Failure> {
        let object = match tag {
            objects::PAYER_ALIAS => tlv::object(tag, self.next_alias(cx)?.as_str().as_bytes()),
            objects::CARD_STATUS => tlv::object(tag, &self.status(cx).to_bytes()),
            _ => return Err(Failure::Refused(StatusWord::NO_SUCH_OBJECT)),
        };
        reply.send(&object);
        Ok(())
    }

    fn put_txn(&mut self, cx: &Context<'_>, message: TransactionMessage) -> Result<(), Failure> {
        if message.transaction().payer != self.next_alias(cx)? {
            return Err(Failure::Refused(StatusWord::WRONG_DATA));
        }
        self.state = State::Loaded(Arc::new(message));
        Ok(())
    }

    fn get_signature(&mut self, cx: &mut Context<'_>, reply: &mut Reply) -> Result<(), Failure> {
        let signed = match &self.state {
            State::Loaded(message) => {
                let message = Arc::clone(message);
                self.sign(cx, message)?
            }
            State::Signed(signed) => Arc::clone(signed),
            State::Delivered(pending) => Arc::clone(&pending.signed),
            _ => return Err(OUT_OF_ORDER),
        };
        reply.send(&signed.signature_message.0);
        Ok(())
    }

    /// Takes a counter value, persistently, and only then computes anything with it. If anything fails
    /// after that, the value is spent and the transaction void.
    fn sign(
        &mut self,
        cx: &mut Context<'_>,
        message: Arc<TransactionMessage>,
    ) -> Result<Arc<Signed>, Failure> {
        let counters = self.memory.counters();
        let counter = self.next_counter()?;
        let unconfirmed = counters.unconfirmed.saturating_add(1);
        self.memory.commit(cx, Counters { counter, unconfirmed, ..counters }, None)?;
        self.state = State::Idle;
        let signed = Arc::new(self.compute(cx, message, counter)?);
        if signed.owed.is_some() {
            self.state = State::Signed(Arc::clone(&signed));
        } else {
            self.deliver(cx, Arc::clone(&signed))?;
        }
        Ok(signed)
    }

    /// Joint password, E, S (P-06: all of it after T was received).
    fn compute(
        &mut self,
        cx: &mut Context<'_>,
        message: Arc<TransactionMessage>,
        counter: u32,
    ) -> Result<Signed, Failure> {
        let order = &self.issued.order;
        let header = Header { binding: order.binding, counter };
        let (crypto, rng) = cx.tools();
        let mut tools = Tools { crypto, rng };
        let (password, sealed) = password::draw(order.password, &self.issued.storage, counter, &mut tools);
        let server = self.server_key.as_deref();
        let envelope = encrypt(&header, &self.keys, server, message.bytes(), &password, &mut tools)?;
        let output =
            self.signing_key.sign(crypto, &self.keys, &header, message.bytes(), &password, envelope)?;
        Ok(Signed {
            counter,
            message,
            password: sealed,
            signature_message: Bytes(output.message.encode()),
            owed: output.owed.map(|(kind, bytes)| Bytes(tlv::object(tag_of(kind), &bytes))),
        })
    }

    /// Commits that the terminal has, with the answer to this command, all it needs.
    fn deliver(&mut self, cx: &mut Context<'_>, signed: Arc<Signed>) -> Result<(), Failure> {
        let delivered_at = cx.now().ok_or(OUT_OF_ORDER)?;
        let pending = Arc::new(Pending { signed, delivered_at });
        self.memory.commit(cx, self.memory.counters(), Some(Arc::clone(&pending)))?;
        self.state = State::Delivered(pending);
        Ok(())
    }

    fn get_enc_password(&mut self, cx: &mut Context<'_>, reply: &mut Reply) -> Result<(), Failure> {
        let signed = match &self.state {
            State::Signed(signed) => Arc::clone(signed),
            State::Delivered(pending) => Arc::clone(&pending.signed),
            _ => return Err(OUT_OF_ORDER),
        };
        let Some(owed) = &signed.owed else {
            return Err(Failure::Refused(StatusWord::NO_SUCH_OBJECT));
        };
        if self.state.name() == CardState::Signed {
            self.deliver(cx, Arc::clone(&signed))?;
        }
        reply.send(&owed.0);
        Ok(())
    }
}

fn tag_of(owed: Owed) -> Tag {
    match owed {
        Owed::Encrypted => objects::ENCRYPTED_PASSWORD,
        Owed::EncryptedDigest => objects::ENCRYPTED_PASSWORD_DIGEST,
        Owed::PasswordDigest => objects::PASSWORD_DIGEST,
    }
}
