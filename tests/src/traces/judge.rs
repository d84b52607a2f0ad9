//! Judges the predicates and plays terminal and server.

use std::sync::Arc;

use onetap_apdu_spec::money::Amount;
use onetap_apdu_spec::password::Password;
use onetap_apdu_spec::service::{AuthorisationRequest, PasswordObject};
use onetap_apdu_spec::txn::{Transaction, TransactionMessage};
use onetap_pcsc_host::trace::{Evidence, Predicates};

use super::operator::Operator;
use crate::target::{Known, Tap, owed_tag, value_of};

/// Counter values whose alias is looked for.
const COUNTERS: std::ops::Range<u32> = 1..64;

/// Knows the card's keys and has the server.
pub(super) struct Judge {
    operator: Operator,
    known: Arc<Known>,
}

impl Judge {
    pub(super) fn new(operator: Operator, known: Arc<Known>) -> Self {
        Self { operator, known }
    }

    /// Sends what `name` stands for; what comes of it.
    pub(super) fn request(&self, name: &str, evidence: &Evidence) -> Result<String, String> {
        if name == "unlock" {
            return self.operator.unlock().map_err(|why| why.to_string());
        }
        let mut request = self.as_shown(evidence)?;
        match name {
            "as-shown" => {}
            "wrong-password" => request.verification_password = another(&request.verification_password)?,
            "tampered-amount" => request.transaction = tampered(&request.transaction)?,
            _ => return Err(format!("no request is named {name}")),
        }
        self.operator.authorise(&request).map_err(|why| why.to_string())
    }

    /// P-17: what the terminal has from the card, and what the holder reads off the display.
    fn as_shown(&self, evidence: &Evidence) -> Result<AuthorisationRequest, String> {
        let tap = tap(evidence)?;
        let suite = self.known.suite();
        let password_object = match (suite.owed(), owed_tag(suite)) {
            (Some(kind), Some(tag)) => {
                let bytes = tap.object.as_deref().and_then(|object| value_of(object, tag));
                Some(PasswordObject { kind, bytes: bytes.ok_or("what is owed was not fetched")? })
            }
            _ => None,
        };
        Ok(AuthorisationRequest {
            transaction: tap.transaction,
            signature_message: tap.signature_message,
            verification_password: password(evidence)?.clone(),
            password_object,
        })
    }

    fn alias(&self, evidence: &Evidence) -> Result<(), String> {
        let alias = evidence.alias.as_ref().ok_or("no alias came")?;
        let ours = COUNTERS.into_iter().any(|counter| self.known.alias(counter) == *alias);
        if ours { Ok(()) } else { Err(format!("{alias} is not an alias of this card")) }
    }
}

impl Predicates for Judge {
    fn check(&mut self, name: &str, evidence: &Evidence) -> Result<(), String> {
        match name {
            "alias" => self.alias(evidence),
            // What is owed comes later: what may be here is from the transaction before.
            "signature-valid" => self.known.signature_valid(&Tap { object: None, ..tap(evidence)? }, None),
            "password-object-valid" => self.known.object_valid(&tap(evidence)?),
            "joint-password-valid" => self.known.password_valid(&tap(evidence)?, password(evidence)?),
            _ => Err(format!("no predicate is named {name}")),
        }
    }

    fn server(&mut self, name: &str, evidence: &Evidence) -> Result<String, String> {
        self.request(name, evidence)
    }
}

fn tap(evidence: &Evidence) -> Result<Tap, String> {
    Ok(Tap {
        transaction: evidence.transaction.clone().ok_or("no transaction was accepted")?,
        signature_message: evidence.signature_message.clone().ok_or("no signature message came")?,
        object: evidence.password_object.clone(),
    })
}

fn password(evidence: &Evidence) -> Result<&Password, String> {
    evidence.joint_password.as_ref().ok_or_else(|| "the display showed no joint password".into())
}

/// Another password of the same length: the first character is another digit.
fn another(password: &Password) -> Result<Password, String> {
    let (first, rest) = password.expose().split_at(1);
    let other = if first == "2" { "3" } else { "2" };
    format!("{other}{rest}").parse().map_err(|_| "no other password can be made".into())
}

/// T with one minor unit more.
fn tampered(transaction: &[u8]) -> Result<Vec<u8>, String> {
    let message = TransactionMessage::parse(transaction).map_err(|why| why.to_string())?;
    let transaction = message.transaction().clone();
    let amount = Amount::new(transaction.amount.minor() + 1, transaction.amount.currency());
    let amount = amount.map_err(|why| why.to_string())?;
    let changed = Transaction { amount, ..transaction }.encode().map_err(|why| why.to_string())?;
    Ok(changed.bytes().to_vec())
}
