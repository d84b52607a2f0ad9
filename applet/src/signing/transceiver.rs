//! Transceiver: commands in, data objects out. The table of commands says what is allowed when; what it
//! cannot say (PIN, counter, unconfirmed transactions, clock) is judged here.

use std::sync::Arc;

use onetap_apdu_spec::account::Alias;
use onetap_apdu_spec::command::{CardState, Command, CommandSpec, MAX_UNCONFIRMED, Name, aid_matches, fci};
use onetap_apdu_spec::crypto::CryptoError;
use onetap_apdu_spec::header::Header;
use onetap_apdu_spec::objects;
use onetap_apdu_spec::suite::Owed;
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::tlv::{self, Tag};
use onetap_apdu_spec::txn::TransactionMessage;

use super::applet::SigningApplet;
use super::encryption::encrypt;
use super::memory::{Counters, Pending, Signed};
use super::password;
use super::state::State;
use super::tools::{Bytes, Tools};
use crate::card::NvmError;
use crate::runtime::Applet;

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

impl From<NvmError> for Failure {
    fn from(_: NvmError) -> Self {
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

impl Applet for SigningApplet {
    type Snapshot = (State, u32);

    fn answers_to(&self, aid: &[u8]) -> bool {
        aid_matches(aid)
    }

    fn select(&mut self) -> Result<Vec<u8>, StatusWord> {
        self.interrupt();
        Ok(fci())
    }

    fn deselect(&mut self) {
        self.interrupt();
    }

    fn admit(&self, row: &CommandSpec) -> Result<(), StatusWord> {
        if !row.allowed_in(self.state.name()) {
            return Err(StatusWord::CONDITIONS);
        }
        if row.name == Name::PutTxn { self.admit_transaction() } else { Ok(()) }
    }

    fn process(&mut self, command: Command<'_>) -> Result<Vec<u8>, StatusWord> {
        match command {
            Command::GetData(tag) => self.get_data(tag),
            Command::PutTxn(message) => self.put_txn(*message),
            Command::GetSignature => self.get_signature(),
            Command::GetEncPassword => self.get_enc_password(),
            // The runtime answers these itself.
            Command::Select(_) | Command::GetResponse => Err(OUT_OF_ORDER),
        }
        .map_err(StatusWord::from)
    }

    fn snapshot(&self) -> Self::Snapshot {
        (self.state.clone(), self.memory.counters().counter)
    }

    fn restore(&mut self, (state, counter): Self::Snapshot) {
        // A counter value that was taken is never used again: then the transaction is void.
        let unused = self.memory.counters().counter == counter;
        self.state = if unused { state } else { State::Idle };
    }
}

impl SigningApplet {
    fn admit_transaction(&self) -> Result<(), StatusWord> {
        let status = self.status();
        if status.unconfirmed >= MAX_UNCONFIRMED || status.worn_out || self.now().is_none() {
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
    fn next_alias(&self) -> Result<Alias, Failure> {
        Ok(self.keys.alias(self.env.crypto, self.next_counter()?))
    }

    fn get_data(&self, tag: Tag) -> Result<Vec<u8>, Failure> {
        match tag {
            objects::PAYER_ALIAS => Ok(tlv::object(tag, self.next_alias()?.as_str().as_bytes())),
            objects::CARD_STATUS => Ok(tlv::object(tag, &self.status().to_bytes())),
            _ => Err(Failure::Refused(StatusWord::NO_SUCH_OBJECT)),
        }
    }

    fn put_txn(&mut self, message: TransactionMessage) -> Result<Vec<u8>, Failure> {
        if message.transaction().payer != self.next_alias()? {
            return Err(Failure::Refused(StatusWord::WRONG_DATA));
        }
        self.state = State::Loaded(Arc::new(message));
        Ok(Vec::new())
    }

    fn get_signature(&mut self) -> Result<Vec<u8>, Failure> {
        match &self.state {
            State::Loaded(message) => {
                let message = Arc::clone(message);
                self.sign(message)
            }
            State::Signed(signed) => Ok(signed.signature_message.0.clone()),
            State::Delivered(pending) => Ok(pending.signed.signature_message.0.clone()),
            _ => Err(OUT_OF_ORDER),
        }
    }

    /// Takes a counter value, persistently, and only then computes anything with it. If anything fails
    /// after that, the value is spent and the transaction void.
    fn sign(&mut self, message: Arc<TransactionMessage>) -> Result<Vec<u8>, Failure> {
        let counters = self.memory.counters();
        let counter = self.next_counter()?;
        let unconfirmed = counters.unconfirmed.saturating_add(1);
        self.memory.commit(Counters { counter, unconfirmed, ..counters }, None)?;
        self.state = State::Idle;
        let signed = Arc::new(self.compute(message, counter)?);
        let response = signed.signature_message.0.clone();
        if signed.owed.is_some() {
            self.state = State::Signed(signed);
        } else {
            self.deliver(signed)?;
        }
        Ok(response)
    }

    /// Joint password, E, S (P-06: all of it after T was received).
    fn compute(&mut self, message: Arc<TransactionMessage>, counter: u32) -> Result<Signed, Failure> {
        let order = &self.issued.order;
        let header = Header { binding: order.binding, counter };
        let crypto = self.env.crypto;
        let mut tools = Tools { crypto, rng: &mut *self.env.rng };
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
    fn deliver(&mut self, signed: Arc<Signed>) -> Result<(), Failure> {
        let delivered_at = self.now().ok_or(OUT_OF_ORDER)?;
        let pending = Arc::new(Pending { signed, delivered_at });
        self.memory.commit(self.memory.counters(), Some(Arc::clone(&pending)))?;
        self.state = State::Delivered(pending);
        Ok(())
    }

    fn get_enc_password(&mut self) -> Result<Vec<u8>, Failure> {
        let signed = match &self.state {
            State::Signed(signed) => Arc::clone(signed),
            State::Delivered(pending) => Arc::clone(&pending.signed),
            _ => return Err(OUT_OF_ORDER),
        };
        let owed = signed.owed.clone().ok_or(Failure::Refused(StatusWord::NO_SUCH_OBJECT))?;
        if self.state.name() == CardState::Signed {
            self.deliver(signed)?;
        }
        Ok(owed.0)
    }
}

fn tag_of(owed: Owed) -> Tag {
    match owed {
        Owed::Encrypted => objects::ENCRYPTED_PASSWORD,
        Owed::EncryptedDigest => objects::ENCRYPTED_PASSWORD_DIGEST,
        Owed::PasswordDigest => objects::PASSWORD_DIGEST,
    }
}
