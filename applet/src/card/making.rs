//! Making cards and opening them.

use std::convert::Infallible;
use std::path::Path;

use onetap_apdu_spec::gp::ceremony::{self, Issue, Issuer, Transmit};
use onetap_apdu_spec::gp::scp03::{SecurityLevel, Variant};
use onetap_apdu_spec::gp::{KeySet, KeyVersion};
use onetap_apdu_spec::personal::{EnrolmentStatement, Personalisation};
use onetap_apdu_spec::rng::OsRng;
use onetap_apdu_spec::sw::StatusWord;
use zeroize::Zeroizing;

use super::environment::{Environment, PreparedKey};
use super::error::CardError;
use super::facade::Card;
use super::product::Product;
use crate::gp::{self, IssuerDomain};
use crate::nvm::{Image, ImageFile, ImageOptions, NvmError, replace_format_1};
use crate::signing::controller::Controller;
use crate::signing::format_1::Old;
use crate::signing::order_check::{OrderError, check_order};
use crate::signing::pin::Pin;
use crate::signing::{self, NAME, SigningApplet};

impl Card {
    /// Makes a card in empty memory and does the issuer's part too: all over its APDUs, as with any card. It
    /// makes its own signing key, which takes a moment. `management` are the keys by which its issuer will reach
    /// it; without, it gets keys that nobody knows, and nobody can manage it any more.
    ///
    /// # Errors
    /// [`CardError`]; then the memory holds a card that was not issued.
    #[allow(clippy::needless_pass_by_value, reason = "the PIN is used up")]
    pub fn issue(
        order: &Personalisation,
        pin: Pin,
        management: Option<&KeySet>,
        image: Box<dyn Image>,
        env: Environment,
    ) -> Result<(Self, EnrolmentStatement), CardError> {
        check_order(env.crypto, order)?;
        Product::signing_card().issue(order, &pin, management, image, env)
    }

    /// Lets the issuer of a new card talk to it, as any reader does.
    fn meet_issuer<T>(&mut self, issuer: impl FnOnce(Transmit<'_, Infallible>) -> T) -> T {
        self.enter_field();
        self.power_on();
        let done = issuer(&mut |command| Ok(self.transmit(command)));
        self.leave_field();
        done
    }

    /// As [`Card::issue`], with issuer's keys that nobody knows.
    ///
    /// # Errors
    /// [`CardError`].
    #[allow(clippy::needless_pass_by_value, reason = "the PIN and the order are used up")]
    pub fn personalise(
        order: Personalisation,
        pin: Pin,
        image: Box<dyn Image>,
        env: Environment,
    ) -> Result<(Self, EnrolmentStatement), CardError> {
        Self::issue(&order, pin, None, image, env)
    }

    /// As [`Card::personalise`], with a signing key in PKCS#8 brought along: for tests and vectors. A
    /// card for real use makes its own.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn personalise_with_key(
        order: Personalisation,
        pin: Pin,
        pkcs8: &[u8],
        image: Box<dyn Image>,
        env: Environment,
    ) -> Result<(Self, EnrolmentStatement), CardError> {
        let prepared = PreparedKey(Zeroizing::new(pkcs8.to_vec()));
        Self::personalise(order, pin, image, Environment { keys: Box::new(prepared), ..env })
    }

    /// A card as it leaves its manufacturer, in empty memory: an issuer security domain with the well-known
    /// initial keys ([`KeySet::TEST`](onetap_apdu_spec::gp::KeySet::TEST)), nothing else. The issuer installs
    /// and personalises the signing applet over GlobalPlatform, and puts keys of its own.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn manufacture(image: Box<dyn Image>, env: Environment) -> Result<Self, CardError> {
        Self::manufacture_with(Variant::USUAL, image, env)
    }

    /// As [`Card::manufacture`]; the card's secure channels are of this variant for ever.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn manufacture_with(
        variant: Variant,
        image: Box<dyn Image>,
        env: Environment,
    ) -> Result<Self, CardError> {
        Product::signing_card_with(variant).manufacture(image, env)
    }

    /// Opens a card that was made before. A transaction that was delivered when the card was last in use
    /// waits on its display, unless its time is up.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn open(image: Box<dyn Image>, env: Environment) -> Result<Self, CardError> {
        let mut card = Product::signing_card().open(image, env)?;
        if card.runtime.instances().all(|instance| instance.aid != gp::NAME) {
            return Err(CardError::Unfinished);
        }
        card.pass_time()?;
        Ok(card)
    }

    /// Opens a card in a file. One of format 1 is replaced by one of today, in one step.
    ///
    /// # Errors
    /// [`CardError`]; then the file is as before. [`CardError::Unfinished`] if it has a holder, but the keys of
    /// its issuer are still those that everybody knows.
    pub fn open_file(path: &Path, options: ImageOptions, env: Environment) -> Result<Self, CardError> {
        match ImageFile::open(path, options) {
            Err(NvmError::Format1(_)) => {
                replace_format_1(path, options, |old, image| Self::convert(old, image, env))
            }
            image => Self::open(Box::new(image?), env)?.blank_or_issued(),
        }
    }

    fn blank_or_issued(mut self) -> Result<Self, CardError> {
        let personalised = self.runtime.peek(&NAME, SigningApplet::is_personalised).unwrap_or(false);
        let well_known = self.runtime.with(&gp::NAME, |_: &mut IssuerDomain, cx| IssuerDomain::is_blank(cx));
        match well_known.ok_or(CardError::Unreadable)?? {
            true if personalised => Err(CardError::Unfinished),
            _ => Ok(self),
        }
    }

    fn convert(old: &[u8], image: Box<dyn Image>, env: Environment) -> Result<Self, CardError> {
        let old = Old::parse(old).ok_or(CardError::Unreadable)?;
        let crypto = env.crypto;
        let mut card = Self::manufacture(image, env)?;
        // Else everybody could unblock its PIN.
        card.meet_issuer(|transmit| {
            Issuer::open(crypto, &KeySet::TEST, SecurityLevel::Full, &mut OsRng, transmit)?
                .put_keys(&forgotten_keys())
        })?;
        card.runtime.install(&NAME, NAME, [0; 3], &[]).map_err(CardError::Refused)?;
        let taken = card.runtime.with(&NAME, |applet: &mut SigningApplet, cx| applet.take_over(cx, old));
        taken.unwrap_or(Err(StatusWord::INTERNAL)).map_err(CardError::Refused)?;
        card.pass_time()?;
        Ok(card)
    }
}

/// Issuer's keys that nobody knows.
fn forgotten_keys() -> KeySet {
    KeySet::draw(KeyVersion::FIRST, &mut OsRng)
}

impl Product {
    /// The signing card: it leaves its manufacturer with its issuer's security domain only.
    #[must_use]
    pub fn signing_card() -> Self {
        Self::signing_card_with(Variant::USUAL)
    }

    /// As [`Product::signing_card`]; the domain of a new card speaks this variant. An open card speaks the one that it was made
    /// with.
    #[must_use]
    pub fn signing_card_with(variant: Variant) -> Self {
        Self::new(&[signing::module(), gp::module()])
            .instance(gp::NAME, gp::NAME, gp::privileges(), &gp::parameters(variant))
            .face(Controller::new)
    }

    /// A new card of this kind in empty memory, and the issuer's part, all over its APDUs ([`Card::issue`]). Its ROM has an
    /// issuer's security domain, with the well-known initial keys, and a signing application, whoever wrote them
    /// (docs/spec/personalisation.md).
    ///
    /// # Errors
    /// [`CardError`]; then the memory holds a card that was not issued.
    pub fn issue(
        &self,
        order: &Personalisation,
        pin: &Pin,
        management: Option<&KeySet>,
        image: Box<dyn Image>,
        env: Environment,
    ) -> Result<(Card, EnrolmentStatement), CardError> {
        let crypto = env.crypto;
        let mut card = self.manufacture(image, env)?;
        let forgotten = forgotten_keys();
        let keys = management.unwrap_or(&forgotten);
        let level = SecurityLevel::Full;
        let issue = Issue { keys: &KeySet::TEST, level, order, pin, new_keys: Some(keys) };
        let statement =
            card.meet_issuer(|transmit| ceremony::personalise(crypto, &issue, &mut OsRng, transmit))?;
        Ok((card, statement))
    }

    fn manufacture(&self, image: Box<dyn Image>, env: Environment) -> Result<Card, CardError> {
        match self.make(image, env) {
            Err(CardError::Nvm(NvmError::Exists(_))) => Err(OrderError::NotEmpty.into()),
            made => made,
        }
    }
}
