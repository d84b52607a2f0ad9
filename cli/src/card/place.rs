//! Where the issuer meets a card, and by which keys.

use std::path::Path;
use std::time::Duration;

use onetap_apdu_spec::crypto::default_provider;
use onetap_apdu_spec::gp::registry::KeyInformation;
use onetap_apdu_spec::gp::{KeySet, KeyVersion, ceremony};
use onetap_apdu_spec::header::CardId;
use onetap_apdu_spec::rng::OsRng;
use onetap_conformance::reader::InProcessReader;
use onetap_pcsc_host::gp::{Issuer, IssuerError, with_issuer};
use onetap_pcsc_host::pcsc::{Wanted, wait_for_card};
use onetap_pcsc_host::{Deadline, Disposition, Reader, Transport};

use super::press::{open, patiently};
use crate::args;
use crate::exit::Failure;
use crate::readers::reader_named;
use crate::verifier;

/// How long a card is waited for in a reader.
const WAIT: Duration = Duration::from_secs(10);
/// How long a contact may take: a card that makes a key takes long.
const CONTACT: Duration = Duration::from_secs(120);

/// Does `work` with the card, over one contact.
pub(super) fn with_card<T>(
    place: &args::Place,
    work: impl FnOnce(&mut dyn Transport) -> Result<T, Failure>,
) -> Result<T, Failure> {
    if let Some(image) = &place.image {
        let card = patiently(|| open(image))?;
        return contact(&mut InProcessReader::new(card), work);
    }
    let part = place.reader.as_deref().unwrap_or_default();
    contact(&mut wait_for_card(&Wanted::in_reader(reader_named(part)?), &Deadline::after(WAIT))?, work)
}

fn contact<T>(
    reader: &mut dyn Reader,
    work: impl FnOnce(&mut dyn Transport) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut card = reader.connect(&Deadline::after(CONTACT))?;
    let done = work(&mut *card);
    // What is done is done, however the contact ends.
    let _ = card.release(Disposition::Unpower);
    done
}

/// The server's keys of a card that it ordered.
pub(super) fn issuer_keys(db: &Path, card: CardId) -> Result<KeySet, Failure> {
    Ok(verifier::keys::open(db)?.management_keys(card)?)
}

/// The keys that the card says it has.
pub(super) fn key_information(card: &mut dyn Transport) -> Result<Vec<KeyInformation>, Failure> {
    Ok(ceremony::key_information(default_provider(), &mut |apdu| card.transmit(apdu))?)
}

/// Opens a secure channel of a level with `keys`, if the card has a key set of their version, and lets `work` use it.
pub(super) fn issuer<T>(
    card: &mut dyn Transport,
    keys: &KeySet,
    channel: args::Channel,
    work: impl FnOnce(&mut Issuer<'_>) -> Result<T, IssuerError>,
) -> Result<T, Failure> {
    expect(&key_information(card)?, keys.version())?;
    Ok(with_issuer(card, keys, channel.security_level, &mut OsRng, work)?)
}

/// Before any key is tried: is it the kind of card that this is for?
pub(super) fn expect(found: &[KeyInformation], version: KeyVersion) -> Result<(), Failure> {
    if found.iter().any(|key| key.version == version) {
        return Ok(());
    }
    let blank = found.iter().any(|key| key.version == KeyVersion::INITIAL);
    let why = match (blank, version == KeyVersion::INITIAL) {
        (true, _) => "this card is blank: it has no issuer yet; `onetap card issue` issues it",
        (false, true) => {
            "this card has its issuer's keys already; give --db and --card to manage it, or a blank card to issue"
        }
        (false, false) => "this card has another issuer's keys; take the server that ordered it",
    };
    Err(Failure::Usage(why.to_owned()))
}
