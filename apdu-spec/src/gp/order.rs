//! What STORE DATA carries to the signing applet, and what the applet answers: private data objects.
//!
//! | tag | data object | format |
//! |---|---|---|
//! | FF30 | personalisation order (template) | DF30 … DF36, in this order |
//! | FF31 | PIN unblock order (template) | DF36 |
//! | DF30 | binding | b 26: server id, suite, card id, ids of signing, server and issuer key |
//! | DF31 | bits of the RSA modulus of the signing key; 0 where the suite signs with ECDSA | b 2 |
//! | DF32 | card key | sealed, b 48 |
//! | DF33 | the server's encryption key | SubjectPublicKeyInfo DER; empty if the suite has none |
//! | DF34 | password policy | b 2: classes (bit 1 digits, 2 letters, 3 symbols), length |
//! | DF35 | confirmation policy | b 28: currency, t1, t2, count, sum |
//! | DF36 | PIN | sealed, b 16 |
//! | DF37 | public key, in the answer | SubjectPublicKeyInfo DER |
//!
//! Sealed objects are encrypted under the data encryption key ([`DataKey::seal`]), on top of the secure
//! channel: whoever takes the channel off in a gateway does not see them. The answer to the last block of a
//! personalisation order is the enrolment statement: DF30, DF37 and the signature 5F3D, one after another.

use iso7816_tlv::ber;

use super::store_data::MAX_PAYLOAD;
use super::{DataKey, take_object};
use crate::crypto::{Key256, SigningKeyType};
use crate::header::{Binding, CardId, KeyId, ServerId};
use crate::money::CurrencyCode;
use crate::objects;
use crate::password::{Alphabet, PasswordPolicy};
use crate::personal::{ConfirmationPolicy, EnrolmentStatement, Personalisation, Pin};
use crate::suite::Suite;
use crate::tlv::{self, Tag, Template};

/// Personalisation order (template).
pub const PERSONALISATION: Tag = Tag(0xFF30);
/// PIN unblock order (template).
pub const PIN_UNBLOCK: Tag = Tag(0xFF31);
/// Binding.
pub const BINDING: Tag = Tag(0xDF30);
/// Bits of the signing key's RSA modulus, or 0.
pub const RSA_BITS: Tag = Tag(0xDF31);
/// Card key, sealed.
pub const CARD_KEY: Tag = Tag(0xDF32);
/// The server's encryption key.
pub const SERVER_PUBLIC_KEY: Tag = Tag(0xDF33);
/// Password policy.
pub const PASSWORD_POLICY: Tag = Tag(0xDF34);
/// Confirmation policy.
pub const CONFIRMATION_POLICY: Tag = Tag(0xDF35);
/// PIN, sealed.
pub const PIN: Tag = Tag(0xDF36);
/// The card's public key.
pub const PUBLIC_KEY: Tag = Tag(0xDF37);

/// What the issuer tells the signing applet.
#[derive(Debug, Clone)]
pub enum Order {
    /// Become this card; make a signing key; answer with the enrolment statement.
    Personalise(Box<Personalisation>, Pin),
    /// Take this PIN, with all its tries.
    UnblockPin(Pin),
}

/// The payload is no order, or was sealed under another key. The card answers 6A80.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an order of this specification, or sealed under another key")]
pub struct BadOrder;

impl Order {
    /// The payload of STORE DATA.
    #[must_use]
    pub fn encode(&self, data_key: &DataKey) -> Vec<u8> {
        match self {
            Self::Personalise(order, pin) => encode_personalisation(order, pin, data_key),
            Self::UnblockPin(pin) => tlv::object(PIN_UNBLOCK, &sealed_pin(pin, data_key)),
        }
    }

    /// Reads the payload of STORE DATA.
    ///
    /// # Errors
    /// [`BadOrder`].
    pub fn parse(payload: &[u8], data_key: &DataKey) -> Result<Self, BadOrder> {
        if let Ok(template) = Template::parse(payload, PIN_UNBLOCK) {
            let [pin] = template.into_exactly([PIN]).ok_or(BadOrder)?;
            return open_pin(&pin, data_key).map(Self::UnblockPin).ok_or(BadOrder);
        }
        let template = Template::parse(payload, PERSONALISATION).map_err(|_| BadOrder)?;
        let (order, pin) = read_personalisation(template, data_key).ok_or(BadOrder)?;
        Ok(Self::Personalise(Box::new(order), pin))
    }
}

const ORDER_OBJECTS: [Tag; 7] =
    [BINDING, RSA_BITS, CARD_KEY, SERVER_PUBLIC_KEY, PASSWORD_POLICY, CONFIRMATION_POLICY, PIN];

fn encode_personalisation(order: &Personalisation, pin: &Pin, data_key: &DataKey) -> Vec<u8> {
    let mut inner = tlv::object(BINDING, &binding_bytes(&order.binding));
    tlv::write(RSA_BITS, &u16::from(order.key_type).to_be_bytes(), &mut inner);
    tlv::write(CARD_KEY, &data_key.seal(order.card_key.expose()), &mut inner);
    tlv::write(SERVER_PUBLIC_KEY, &order.server_public_key, &mut inner);
    tlv::write(PASSWORD_POLICY, &password_bytes(&order.password), &mut inner);
    tlv::write(CONFIRMATION_POLICY, &confirmation_bytes(&order.confirmation), &mut inner);
    inner.extend(sealed_pin(pin, data_key));
    tlv::object(PERSONALISATION, &inner)
}

fn read_personalisation(template: Template, data_key: &DataKey) -> Option<(Personalisation, Pin)> {
    let [binding, bits, card_key, server_public_key, password, confirmation, pin] =
        template.into_exactly(ORDER_OBJECTS)?;
    let card_key = data_key.open(&card_key).ok()?;
    let order = Personalisation {
        binding: read_binding(&binding)?,
        key_type: SigningKeyType::try_from(u16::from_be_bytes(bits.try_into().ok()?)).ok()?,
        card_key: Key256::new(card_key.as_slice().try_into().ok()?),
        server_public_key,
        password: read_password(&password)?,
        confirmation: read_confirmation(&confirmation)?,
    };
    Some((order, open_pin(&pin, data_key)?))
}

fn sealed_pin(pin: &Pin, data_key: &DataKey) -> Vec<u8> {
    tlv::object(PIN, &data_key.seal(pin.expose().as_bytes()))
}

fn open_pin(sealed: &[u8], data_key: &DataKey) -> Option<Pin> {
    let digits = data_key.open(sealed).ok()?;
    std::str::from_utf8(&digits).ok()?.parse().ok()
}

fn binding_bytes(binding: &Binding) -> Vec<u8> {
    let ids = [binding.signing_key, binding.server_key, binding.issuer_key];
    let mut out = [&binding.server.0[..], &binding.suite.to_bytes(), &binding.card.0].concat();
    out.extend(ids.iter().flat_map(|id| id.to_be_bytes()));
    out
}

fn read_binding(bytes: &[u8]) -> Option<Binding> {
    let mut input = bytes;
    let binding = Binding {
        server: ServerId(take(&mut input)?),
        suite: Suite::from_bytes(take(&mut input)?)?,
        card: CardId(take(&mut input)?),
        signing_key: KeyId::from_be_bytes(take(&mut input)?),
        server_key: KeyId::from_be_bytes(take(&mut input)?),
        issuer_key: KeyId::from_be_bytes(take(&mut input)?),
    };
    input.is_empty().then_some(binding)
}

fn password_bytes(policy: &PasswordPolicy) -> [u8; 2] {
    let Alphabet { digits, letters, symbols } = policy.alphabet();
    let classes = u8::from(digits) | u8::from(letters) << 1 | u8::from(symbols) << 2;
    [classes, u8::try_from(policy.length()).unwrap_or(u8::MAX)]
}

fn read_password(bytes: &[u8]) -> Option<PasswordPolicy> {
    let &[classes @ 0..8, length] = bytes else { return None };
    let alphabet =
        Alphabet { digits: classes & 1 != 0, letters: classes & 2 != 0, symbols: classes & 4 != 0 };
    PasswordPolicy::new(alphabet, usize::from(length)).ok()
}

fn confirmation_bytes(policy: &ConfirmationPolicy) -> Vec<u8> {
    let mut out = policy.currency.numeric().to_be_bytes().to_vec();
    out.extend(policy.key_up_to.to_be_bytes());
    out.extend(policy.pin_up_to.to_be_bytes());
    out.extend(policy.key_only_count.to_be_bytes());
    out.extend(policy.key_only_sum.to_be_bytes());
    out
}

fn read_confirmation(bytes: &[u8]) -> Option<ConfirmationPolicy> {
    let mut input = bytes;
    let policy = ConfirmationPolicy {
        currency: CurrencyCode::new(u16::from_be_bytes(take(&mut input)?)).ok()?,
        key_up_to: u64::from_be_bytes(take(&mut input)?),
        pin_up_to: u64::from_be_bytes(take(&mut input)?),
        key_only_count: u16::from_be_bytes(take(&mut input)?),
        key_only_sum: u64::from_be_bytes(take(&mut input)?),
    };
    input.is_empty().then_some(policy)
}

fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = input.split_first_chunk::<N>()?;
    *input = rest;
    Some(*head)
}

/// The answer to a personalisation order.
#[must_use]
pub fn encode_statement(statement: &EnrolmentStatement) -> Vec<u8> {
    let mut out = tlv::object(BINDING, &binding_bytes(&statement.binding));
    tlv::write(PUBLIC_KEY, &statement.public_key, &mut out);
    tlv::write(objects::SIGNATURE, &statement.signature, &mut out);
    out
}

/// Reads the answer to a personalisation order; `None` if it is not exactly an encoded statement.
#[must_use]
pub fn parse_statement(answer: &[u8]) -> Option<EnrolmentStatement> {
    let mut input = (answer.len() <= MAX_PAYLOAD).then_some(answer)?;
    let statement = EnrolmentStatement {
        binding: read_binding(&next_value(&mut input)?)?,
        public_key: next_value(&mut input)?,
        signature: next_value(&mut input)?,
    };
    // Tags and canonical form: only what we would have written ourselves.
    (encode_statement(&statement) == answer).then_some(statement)
}

/// The value of the primitive object at the front, which is taken off.
fn next_value(input: &mut &[u8]) -> Option<Vec<u8>> {
    let (_, object) = take_object(input)?;
    match object.value() {
        ber::Value::Primitive(value) => Some(value.clone()),
        ber::Value::Constructed(_) => None,
    }
}
