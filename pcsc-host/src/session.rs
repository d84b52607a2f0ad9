//! The flow at the card, as types: the wrong order does not compile.
//!
//! [`Selected`] → [`put_txn`](Session::put_txn) → [`Loaded`] →
//! [`get_signature`](Session::get_signature) → [`Signed`] → [`finish`](Session::finish) → [`Tapped`].
//!
//! The signature cannot be asked for before a transaction is loaded:
//!
//! ```compile_fail,E0599
//! # use onetap_pcsc_host::{Transport, session::Session};
//! fn too_early(card: &mut dyn Transport) {
//!     Session::select(card).unwrap().get_signature();
//! }
//! ```
//!
//! Nor can a session be finished before the signature was fetched:
//!
//! ```compile_fail,E0599
//! # use onetap_apdu_spec::txn::TransactionMessage;
//! # use onetap_pcsc_host::{Transport, session::Session};
//! fn too_early(card: &mut dyn Transport, t: TransactionMessage) {
//!     Session::select(card).unwrap().put_txn(t).unwrap().finish();
//! }
//! ```
//!
//! And one session carries one transaction (P-04):
//!
//! ```compile_fail,E0382
//! # use onetap_apdu_spec::txn::TransactionMessage;
//! # use onetap_pcsc_host::{Transport, session::Session};
//! fn twice(card: &mut dyn Transport, t: TransactionMessage) {
//!     let session = Session::select(card).unwrap();
//!     session.put_txn(t.clone());
//!     session.put_txn(t);
//! }
//! ```
//!
//! In the right order it does:
//!
//! ```
//! # use onetap_apdu_spec::txn::TransactionMessage;
//! # use onetap_pcsc_host::{Error, Tapped, Transport, session::Session};
//! fn tap(card: &mut dyn Transport, t: TransactionMessage) -> Result<Tapped, Error> {
//!     Session::select(card)?.put_txn(t)?.get_signature()?.finish()
//! }
//! ```

use onetap_apdu_spec::account::Alias;
use onetap_apdu_spec::command::{AID, APPLICATION_VERSION, CardStatus, Name, fci};
use onetap_apdu_spec::header::Header;
use onetap_apdu_spec::objects;
use onetap_apdu_spec::service::PasswordObject;
use onetap_apdu_spec::signed::SignatureMessage;
use onetap_apdu_spec::suite::Owed;
use onetap_apdu_spec::tlv::{self, Tag, Template, TlvError};
use onetap_apdu_spec::txn::TransactionMessage;

use crate::error::{Error, ProtocolError};
use crate::exchange::Exchange;
use crate::tapped::Tapped;
use crate::transport::Transport;

/// The application is selected; nothing is loaded.
#[derive(Debug)]
pub struct Selected(());

/// The card has accepted a transaction message.
#[derive(Debug)]
pub struct Loaded {
    transaction: TransactionMessage,
}

/// The card has signed it.
#[derive(Debug)]
pub struct Signed {
    transaction: TransactionMessage,
    signature_message: Vec<u8>,
    header: Header,
}

/// A session with the signing application within one contact.
pub struct Session<'t, S> {
    exchange: Exchange<'t>,
    state: S,
}

impl<'t> Session<'t, Selected> {
    /// SELECT by name. The answer must be the application's, in the version that this terminal knows (REQ-H-12).
    ///
    /// # Errors
    /// [`Error`]; [`Error::Card`] with 6A82 if it is another kind of card, [`Error::Protocol`] if it has another version.
    pub fn select(transport: &'t mut dyn Transport) -> Result<Self, Error> {
        let mut exchange = Exchange::new(transport);
        check_selected(&exchange.command(Name::Select, None, &AID)?)?;
        Ok(Self { exchange, state: Selected(()) })
    }

    /// GET DATA, card status.
    ///
    /// # Errors
    /// [`Error`].
    pub fn status(&mut self) -> Result<CardStatus, Error> {
        let value = self.get_data(objects::CARD_STATUS)?;
        CardStatus::from_bytes(&value).ok_or(ProtocolError::BadValue(objects::CARD_STATUS).into())
    }

    /// GET DATA, payer alias: good for the next transaction only.
    ///
    /// # Errors
    /// [`Error`].
    pub fn alias(&mut self) -> Result<Alias, Error> {
        let value = self.get_data(objects::PAYER_ALIAS)?;
        let text = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
        text.ok_or(ProtocolError::BadValue(objects::PAYER_ALIAS).into())
    }

    /// PUT TXN: hands over the transaction message.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Card`] with 6A80 if the card will not sign or cannot show it, 6985 if
    /// another one waits on its display, 6983 if its PIN is blocked.
    pub fn put_txn(mut self, transaction: TransactionMessage) -> Result<Session<'t, Loaded>, Error> {
        self.exchange.command(Name::PutTxn, None, transaction.bytes())?;
        Ok(Session { exchange: self.exchange, state: Loaded { transaction } })
    }

    fn get_data(&mut self, tag: Tag) -> Result<Vec<u8>, Error> {
        let response = self.exchange.command(Name::GetData, Some(tag), &[])?;
        Ok(read_object(&response, tag)?)
    }
}

impl<'t> Session<'t, Loaded> {
    /// GET SIGNATURE: the card draws the joint password, signs, and gives header and signature.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Protocol`] if it is no signature message.
    pub fn get_signature(mut self) -> Result<Session<'t, Signed>, Error> {
        let signature_message = self.exchange.command(Name::GetSignature, None, &[])?;
        let header = SignatureMessage::parse(&signature_message).map_err(ProtocolError::from)?.header;
        if header.counter == 0 {
            return Err(ProtocolError::CounterZero.into());
        }
        let state = Signed { transaction: self.state.transaction, signature_message, header };
        Ok(Session { exchange: self.exchange, state })
    }
}

impl Session<'_, Signed> {
    /// H: who signs for whom, and how.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.state.header
    }

    /// What the card's profile owes besides the signature (P-17).
    #[must_use]
    pub fn owed(&self) -> Option<Owed> {
        self.state.header.binding.suite.owed()
    }

    /// GET ENC-PASSWORD, if the profile owes anything. Then the terminal has all it needs.
    ///
    /// # Errors
    /// [`Error`].
    pub fn finish(mut self) -> Result<Tapped, Error> {
        let password_object = match self.owed() {
            Some(owed) => Some(self.get_enc_password(owed)?),
            None => None,
        };
        let Signed { transaction, signature_message, header } = self.state;
        Ok(Tapped::new(transaction, signature_message, header, password_object))
    }

    fn get_enc_password(&mut self, kind: Owed) -> Result<PasswordObject, Error> {
        let response = self.exchange.command(Name::GetEncPassword, None, &[])?;
        let bytes = read_object(&response, owed_tag(kind))?;
        if bytes.is_empty() {
            return Err(ProtocolError::NothingOwed(kind).into());
        }
        Ok(PasswordObject { kind, bytes })
    }
}

/// The answer to SELECT is the same bytes for every card of one version (REQ-C-3); the version stands last.
fn check_selected(answer: &[u8]) -> Result<(), ProtocolError> {
    let ours = fci();
    let (rest, version) = answer.split_last_chunk().ok_or(ProtocolError::NotTheApplication)?;
    match ours.strip_suffix(&APPLICATION_VERSION) {
        Some(expected) if expected != rest => Err(ProtocolError::NotTheApplication),
        _ if *version != APPLICATION_VERSION => Err(ProtocolError::OtherVersion(*version)),
        _ => Ok(()),
    }
}

/// The data object that carries what is owed.
#[must_use]
pub fn owed_tag(kind: Owed) -> Tag {
    match kind {
        Owed::Encrypted => objects::ENCRYPTED_PASSWORD,
        Owed::EncryptedDigest => objects::ENCRYPTED_PASSWORD_DIGEST,
        Owed::PasswordDigest => objects::PASSWORD_DIGEST,
    }
}

/// The value of `bytes`, which must be exactly one canonical primitive object of this tag. Read as
/// the only object of a template, so that the one TLV parser serves here too.
pub(crate) fn read_object(bytes: &[u8], tag: Tag) -> Result<Vec<u8>, ProtocolError> {
    let template = tlv::object(objects::TRANSACTION, bytes);
    let wrong = |why| ProtocolError::NotTheObject { expected: tag, why };
    let template = Template::parse(&template, objects::TRANSACTION).map_err(wrong)?;
    let [value] = template.into_exactly([tag]).ok_or(wrong(TlvError::WrongTemplate(tag)))?;
    Ok(value)
}
