//! The issuer at a terminal: GlobalPlatform over one contact. The conversation itself is
//! [`onetap_apdu_spec::gp::ceremony`]'s; this carries it over a [`Transport`] and says what to do when it ends early.
//!
//! ```
//! use onetap_apdu_spec::gp::KeySet;
//! use onetap_apdu_spec::gp::registry::Scope;
//! use onetap_apdu_spec::gp::scp03::SecurityLevel;
//! use onetap_apdu_spec::rng::OsRng;
//! use onetap_pcsc_host::gp::{self, IssuerError};
//! use onetap_pcsc_host::{Deadline, InProcessReader, Reader};
//!
//! // A card that has no issuer security domain.
//! let mut reader = InProcessReader::new("scripted", Default::default(), |_: &[u8]| b"\x6A\x82".to_vec());
//! let mut card = reader.connect(&Deadline::after(std::time::Duration::from_secs(10)))?;
//! let level = SecurityLevel::Full;
//! let listed =
//!     gp::with_issuer(&mut *card, &KeySet::TEST, level, &mut OsRng, |issuer| issuer.list(Scope::Applications));
//! assert!(matches!(listed, Err(IssuerError::Refused { .. })));
//! # Ok::<(), onetap_pcsc_host::ReaderError>(())
//! ```

use onetap_apdu_spec::crypto::default_provider;
use onetap_apdu_spec::gp::KeySet;
use onetap_apdu_spec::gp::ceremony::{self, CeremonyError, Issue};
use onetap_apdu_spec::gp::scp03::SecurityLevel;
use onetap_apdu_spec::personal::EnrolmentStatement;
use onetap_apdu_spec::rng::Rng;

use crate::error::ReaderError;
use crate::transport::Transport;

/// Why the issuer's conversation with a card ended.
pub type IssuerError = CeremonyError<ReaderError>;

/// The issuer, with a secure channel to a card over one contact.
pub type Issuer<'t> = ceremony::Issuer<'t, ReaderError>;

/// Makes a card: [`ceremony::personalise`] over one contact.
///
/// # Errors
/// [`IssuerError`]; [`advice`] says what to do.
pub fn personalise(
    card: &mut dyn Transport,
    issue: &Issue<'_>,
    rng: &mut dyn Rng,
) -> Result<EnrolmentStatement, IssuerError> {
    ceremony::personalise(default_provider(), issue, rng, &mut |apdu| card.transmit(apdu))
}

/// Opens a secure channel of `level` with `keys` and lets `work` use it.
///
/// # Errors
/// [`IssuerError`]; [`advice`] says what to do.
pub fn with_issuer<T>(
    card: &mut dyn Transport,
    keys: &KeySet,
    level: SecurityLevel,
    rng: &mut dyn Rng,
    work: impl FnOnce(&mut Issuer<'_>) -> Result<T, IssuerError>,
) -> Result<T, IssuerError> {
    let mut transmit = |apdu: &[u8]| card.transmit(apdu);
    work(&mut ceremony::Issuer::open(default_provider(), keys, level, rng, &mut transmit)?)
}

/// What to do next.
#[must_use]
pub fn advice(error: &IssuerError) -> &'static str {
    match error {
        CeremonyError::Transport(reader) => reader.advice(),
        other => other.advice(),
    }
}
