//! A card on paper: the bytes that a card of the default digest and symmetric encryption would sign, without card,
//! contact or display. Its RSA is the stand-in, which the store does not notice.

use onetap_apdu_spec::crypto::{Crypto as _, RsaPrivate};
use onetap_apdu_spec::envelope::Envelope;
use onetap_apdu_spec::header::Header;
use onetap_apdu_spec::keys::CardKeys;
use onetap_apdu_spec::password::Password;
use onetap_apdu_spec::personal::{EnrolmentStatement, Personalisation};
use onetap_apdu_spec::rng::SeededRng;
use onetap_apdu_spec::service::{AuthorisationRequest, PasswordObject};
use onetap_apdu_spec::signed::{SignatureMessage, SignedParts};
use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::txn::Transaction;

use super::plan::{CutError, scenario};
use crate::fuzz::stand_in::StandIn;
use onetap_conformance::target::samples;

/// Profile A3: D(T) and E are signed, E travels.
pub(super) fn suite() -> Result<Suite, CutError> {
    "a3+sha256+aes-cbc-cmac".parse().map_err(scenario)
}

/// A personalised card.
pub(super) struct PaperCard {
    order: Personalisation,
    keys: CardKeys,
    key: Box<dyn RsaPrivate>,
    counter: u32,
    rng: SeededRng,
}

impl PaperCard {
    /// What becomes of an order; `seed` decides what it draws.
    pub(super) fn new(order: Personalisation, seed: u64) -> Result<Self, CutError> {
        let keys = CardKeys::new(&StandIn, order.card_key.clone());
        Ok(Self { key: StandIn.rsa_private(&[])?, order, keys, counter: 0, rng: SeededRng::new(seed) })
    }

    /// What the server enrols.
    pub(super) fn statement(&self) -> Result<EnrolmentStatement, CutError> {
        Ok(EnrolmentStatement::make(self.order.binding, self.key.as_ref())?)
    }

    /// A payment of so many cents to the shop, with the right password.
    pub(super) fn pay(&mut self, cents: u64) -> Result<AuthorisationRequest, CutError> {
        self.counter += 1;
        let header = Header { binding: self.order.binding, counter: self.counter };
        let payer = self.keys.alias(&StandIn, self.counter);
        let transaction =
            samples::encode(&Transaction { payer, ..samples::payment(cents, samples::CURRENCY) });
        let password = self.order.password.draw(&mut self.rng);
        let envelope = Envelope::new(&StandIn, &self.keys, &header, &transaction);
        let sealed = envelope.seal(&password, None, &mut self.rng)?;
        let parts = SignedParts::compose(&StandIn, &self.keys, &header, &transaction, &password, sealed);
        let signature = self.key.sign(self.order.binding.suite.signature(), &parts.signed_bytes())?;
        Ok(AuthorisationRequest {
            transaction,
            signature_message: SignatureMessage { header, signature }.encode(),
            verification_password: password,
            password_object: parts.owed().map(|(kind, bytes)| PasswordObject { kind, bytes }),
        })
    }
}

/// The same with a password that no card draws: it has digits only.
pub(super) fn mistyped(request: &AuthorisationRequest) -> Result<AuthorisationRequest, CutError> {
    let wrong: Password = "11111111".parse().map_err(scenario)?;
    Ok(AuthorisationRequest { verification_password: wrong, ..request.clone() })
}
