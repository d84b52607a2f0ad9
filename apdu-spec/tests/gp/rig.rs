//! Keys, randomness and two ends of a channel.

use onetap_apdu_spec::apdu::CommandApdu;
use onetap_apdu_spec::crypto::{AesBits, AesKey, AwsLc, Crypto, RustCrypto};
use onetap_apdu_spec::gp::scp03::{
    CardHandshake, CardSession, HostSession, InitializeUpdate, Mode, Offer, SecurityLevel, SequenceCounter,
};
use onetap_apdu_spec::gp::{ISD_AID, KeySet, KeyVersion};
use onetap_apdu_spec::rng::Rng;
use onetap_apdu_spec::sw::StatusWord;

pub(crate) const PROVIDERS: [&dyn Crypto; 2] = [&AwsLc, &RustCrypto];

/// Counts up from a seed.
pub(crate) struct Counting(pub(crate) u8);

impl Rng for Counting {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            *byte = self.0;
            self.0 = self.0.wrapping_add(1);
        }
    }
}

/// Says these bytes and no others.
pub(crate) struct Saying(pub(crate) Vec<u8>);

impl Rng for Saying {
    fn fill(&mut self, out: &mut [u8]) {
        out.copy_from_slice(&self.0);
    }
}

pub(crate) fn key(seed: u8, bits: AesBits) -> AesKey {
    let mut bytes = vec![0; bits.bytes()];
    Counting(seed).fill(&mut bytes);
    AesKey::try_from(&bytes[..]).unwrap()
}

pub(crate) fn key_set(seed: u8, bits: AesBits) -> KeySet {
    let [enc, mac, dek] = [0, 40, 80].map(|more| key(seed.wrapping_add(more), bits));
    KeySet::new(KeyVersion::FIRST, enc, mac, dek).unwrap()
}

/// Both ends of an open channel, the terminal's and the card's, with a provider each.
pub(crate) fn channel(
    [host, card]: [&'static dyn Crypto; 2],
    keys: &KeySet,
    level: SecurityLevel,
) -> (HostSession, CardSession) {
    let initialize = InitializeUpdate::new(&mut Counting(7), keys.version(), Mode::S8);
    let counter = SequenceCounter::new(41).unwrap().next().unwrap();
    let challenge = initialize.host_challenge();
    let (handshake, answer) = CardHandshake::answer(card, keys, Offer::usual(counter, &ISD_AID), challenge);
    let authenticate = initialize.check(host, keys, level, &answer).unwrap();
    let command = authenticate.command().to_bytes().unwrap();
    let card = handshake.authenticate(&CommandApdu::parse(&command).unwrap()).unwrap();
    (authenticate.confirm(StatusWord::OK).unwrap(), card)
}
