//! What both ends of an open channel do alike: session keys, MAC chaining, encryption counter
//! (Amendment D §6.2).

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::super::keys::{DataKey, Derivation, KeySet, derive_challenge, derive_key};
use super::super::padding::{pad, unpad};
use super::{Challenge, Mode, SecurityLevel};
use crate::apdu::{Form, MAX_SHORT_DATA};
use crate::class::authenticated;
use crate::crypto::{AesKey, Block, Crypto};
use crate::sw::StatusWord;

/// Why a secured message is refused, or cannot be secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecurityError {
    /// The message is not secured as the channel's level demands.
    #[error("the message is not secured as the secure channel demands; open a new channel")]
    NotSecured,
    /// The MAC is wrong: altered, replayed, out of order, or another channel's.
    #[error("the message's MAC is wrong; open a new channel")]
    BadMac,
    /// The MAC is right and the padding below it is not.
    #[error("the message's padding is wrong; open a new channel")]
    BadPadding,
    /// The command is secured already, or too long to be.
    #[error("the command cannot be secured: it is secured already, or longer than an APDU can be")]
    CannotSecure,
}

/// The keys of one channel.
#[derive(Debug)]
pub(super) struct SessionKeys {
    enc: AesKey,
    mac: AesKey,
    rmac: AesKey,
}

impl SessionKeys {
    pub(super) fn derive(crypto: &dyn Crypto, keys: &KeySet, host: &Challenge, card: &Challenge) -> Self {
        let context = [host.as_bytes(), card.as_bytes()];
        let [enc, mac, _] = keys.keys();
        Self {
            enc: derive_key(crypto, enc, Derivation::SessionEnc, &context),
            mac: derive_key(crypto, mac, Derivation::SessionMac, &context),
            rmac: derive_key(crypto, mac, Derivation::SessionRmac, &context),
        }
    }

    /// Card cryptogram and host cryptogram (§6.2.2).
    pub(super) fn cryptograms(
        &self,
        crypto: &dyn Crypto,
        host: &Challenge,
        card: &Challenge,
    ) -> [Challenge; 2] {
        let context = [host.as_bytes(), card.as_bytes()];
        [Derivation::CardCryptogram, Derivation::HostCryptogram]
            .map(|what| derive_challenge(crypto, &self.mac, what, host.mode(), &context))
    }
}

/// One end of a channel.
#[derive(Debug)]
pub(super) struct Messaging {
    pub(super) crypto: &'static dyn Crypto,
    pub(super) level: SecurityLevel,
    pub(super) mode: Mode,
    /// The data encryption key, which SCP03 does not derive per session.
    pub(super) data_key: DataKey,
    keys: SessionKeys,
    /// The MAC chaining value: the whole C-MAC before this one.
    chain: Block,
    /// Encryption counter: how many commands there have been.
    counter: u128,
}

/// Set in the counter block of a response (§6.2.7).
const RESPONSE: u128 = 1 << 127;

impl Messaging {
    /// A channel before EXTERNAL AUTHENTICATE.
    pub(super) fn new(
        crypto: &'static dyn Crypto,
        level: SecurityLevel,
        mode: Mode,
        data_key: DataKey,
        keys: SessionKeys,
    ) -> Self {
        Self { crypto, level, mode, data_key, keys, chain: Block::default(), counter: 0 }
    }

    /// A data field, and the MAC at its end; `None` if it is shorter than one.
    pub(super) fn mac_apart<'d>(&self, data: &'d [u8]) -> Option<(&'d [u8], &'d [u8])> {
        data.split_at_checked(data.len().checked_sub(self.mode.bytes())?)
    }

    /// The next command has its own counter value, with data or without.
    pub(super) fn count_command(&mut self) {
        self.counter += 1;
    }

    /// Encrypts a command data field; an absent one stays absent.
    pub(super) fn encrypt_command(&self, data: &[u8]) -> Zeroizing<Vec<u8>> {
        if data.is_empty() || !self.level.encrypts_commands() {
            return data.to_vec().into();
        }
        self.encrypt(self.counter, data).into()
    }

    /// The inverse of [`Messaging::encrypt_command`].
    pub(super) fn decrypt_command(&self, data: &[u8]) -> Result<Zeroizing<Vec<u8>>, SecurityError> {
        if data.is_empty() || !self.level.encrypts_commands() {
            return Ok(data.to_vec().into());
        }
        self.decrypt(self.counter, data)
    }

    /// Encrypts a response data field; an absent one stays absent.
    pub(super) fn encrypt_response(&self, data: Vec<u8>) -> Vec<u8> {
        if data.is_empty() || !self.level.encrypts_responses() {
            return data;
        }
        self.encrypt(self.counter | RESPONSE, &data)
    }

    /// The inverse of [`Messaging::encrypt_response`].
    pub(super) fn decrypt_response(&self, data: &[u8]) -> Result<Vec<u8>, SecurityError> {
        if data.is_empty() || !self.level.encrypts_responses() {
            return Ok(data.to_vec());
        }
        self.decrypt(self.counter | RESPONSE, data).map(|plain| plain.to_vec())
    }

    /// The C-MAC of a command whose data field is `data`, which becomes the chaining value (§6.2.4).
    pub(super) fn sign_command(&mut self, header: [u8; 4], form: Form, data: &[u8]) -> Challenge {
        self.chain = self.command_mac(header, form, data);
        self.head(self.chain)
    }

    /// Compares the C-MAC of a received command; if it is right it becomes the chaining value. The
    /// authenticated length field has the form in which the command was sent, which is tried, not told.
    pub(super) fn verify_command(
        &mut self,
        header: [u8; 4],
        data: &[u8],
        mac: &[u8],
    ) -> Result<(), SecurityError> {
        let short = (data.len() + self.mode.bytes() <= MAX_SHORT_DATA).then_some(Form::Short);
        let verified = short
            .into_iter()
            .chain([Form::Extended])
            .map(|form| self.command_mac(header, form, data))
            .find(|right| bool::from(self.head(*right).as_bytes().ct_eq(mac)));
        self.chain = verified.ok_or(SecurityError::BadMac)?;
        Ok(())
    }

    /// The R-MAC of a response whose data field is `data` (§6.2.5).
    pub(super) fn response_mac(&self, data: &[u8], sw: StatusWord) -> Challenge {
        self.head(self.crypto.aes_cmac(&self.keys.rmac, &[&self.chain, data, &sw.to_bytes()]))
    }

    fn command_mac(&self, [cla, ins, p1, p2]: [u8; 4], form: Form, data: &[u8]) -> Block {
        let [.., high, low] = (data.len() + self.mode.bytes()).to_be_bytes();
        let lc: &[u8] = match form {
            Form::Short => &[low],
            Form::Extended => &[0, high, low],
        };
        self.crypto.aes_cmac(&self.keys.mac, &[&self.chain, &[authenticated(cla), ins, p1, p2], lc, data])
    }

    fn head(&self, block: Block) -> Challenge {
        Challenge::head(self.mode, block)
    }

    fn encrypt(&self, counter: u128, data: &[u8]) -> Vec<u8> {
        let mut blocks = pad(data);
        self.crypto.aes_cbc_encrypt(&self.keys.enc, &self.iv(counter), &mut blocks);
        blocks.as_flattened().to_vec()
    }

    fn decrypt(&self, counter: u128, data: &[u8]) -> Result<Zeroizing<Vec<u8>>, SecurityError> {
        let (blocks, []) = data.as_chunks() else { return Err(SecurityError::BadPadding) };
        let mut blocks = Zeroizing::new(blocks.to_vec());
        self.crypto.aes_cbc_decrypt(&self.keys.enc, &self.iv(counter), &mut blocks);
        unpad(&blocks).ok_or(SecurityError::BadPadding)
    }

    /// The counter, encrypted (§6.2.6, §6.2.7).
    fn iv(&self, counter: u128) -> Block {
        let mut block = [counter.to_be_bytes()];
        self.crypto.aes_cbc_encrypt(&self.keys.enc, &Block::default(), &mut block);
        let [iv] = block;
        iv
    }
}

/// True if responses with this status word are secured: 9000 and warnings (§6.2.5).
pub(super) fn is_secured_status(sw: StatusWord) -> bool {
    sw == StatusWord::OK || sw.is_warning()
}
