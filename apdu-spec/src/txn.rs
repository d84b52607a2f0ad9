//! The transaction message T (P-01): canonical BER-TLV of EMV data objects.

use time::{Date, PrimitiveDateTime, Time};

use crate::account::{AccountError, AccountNumber, Alias};
use crate::editions::{EditionError, check_account, check_currency};
use crate::money::{Amount, CurrencyCode, MoneyError};
use crate::objects as tag;
use crate::text::{DisplayText, TextError};
use crate::tlv::{self, Tag, Template, TlvError};

/// Largest encoded transaction message: room for every text of letters that take one or two bytes.
pub const MAX_TRANSACTION: usize = 640;

/// Payee name: up to 70 columns.
pub type PayeeName = DisplayText<70>;
/// Reference: up to 35 columns.
pub type Reference = DisplayText<35>;
/// Details: up to 140 columns.
pub type Details = DisplayText<140>;

/// Why bytes are not a transaction message. The card answers each with 6A80.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// Longer than [`MAX_TRANSACTION`].
    #[error("the transaction message has {0} bytes; at most {MAX_TRANSACTION} are allowed")]
    TooLong(usize),
    /// Not a canonical template.
    #[error(transparent)]
    Tlv(#[from] TlvError),
    /// A data object is missing, repeated, unknown or out of order.
    #[error("expected the data object {expected} ({}) here", name(*.expected))]
    Unexpected {
        /// What ought to stand there.
        expected: Tag,
    },
    /// Something stands behind the last data object.
    #[error("unknown data object {0} at the end")]
    Trailing(Tag),
    /// A data object's value is out of range.
    #[error("{} ({tag}): {why}", name(*.tag))]
    Field {
        /// Which.
        tag: Tag,
        /// Why.
        why: FieldError,
    },
}

/// Why one data object's value is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// Wrong length, or digits that are not BCD, or characters outside of the format.
    #[error("wrong length or characters")]
    Format,
    /// A transaction type other than those of [`TransactionType`].
    #[error("not a transaction type of this specification")]
    Type,
    /// No such day or time of day.
    #[error("no date or time of the years 2000 to 2099")]
    Moment,
    /// See [`AccountError`].
    #[error(transparent)]
    Account(#[from] AccountError),
    /// See [`MoneyError`].
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// See [`TextError`].
    #[error(transparent)]
    Text(#[from] TextError),
    /// Found by terminals only; see [`EditionError`].
    #[error(transparent)]
    Edition(#[from] EditionError),
}

fn name(tag: Tag) -> &'static str {
    tag::DATA_OBJECTS.iter().find(|row| row.tag == tag).map_or("unknown", |row| row.name)
}

/// What the money does (tag 9C, the processing codes of ISO 8583).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransactionType {
    /// 00: payment for goods, services or a transfer.
    Payment,
    /// 28: top-up of a stored value (P-26).
    TopUp,
}

impl TransactionType {
    /// The type's byte.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Payment => 0x00,
            Self::TopUp => 0x28,
        }
    }

    fn from_code(code: u8) -> Result<Self, FieldError> {
        [Self::Payment, Self::TopUp].into_iter().find(|kind| kind.code() == code).ok_or(FieldError::Type)
    }
}

/// Terminal identification: eight letters and digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TerminalId(String);

impl TerminalId {
    /// The characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for TerminalId {
    type Err = FieldError;
    fn from_str(text: &str) -> Result<Self, FieldError> {
        let fits = text.len() == 8 && text.bytes().all(|b| b.is_ascii_alphanumeric());
        if fits { Ok(Self(text.to_owned())) } else { Err(FieldError::Format) }
    }
}

impl TryFrom<String> for TerminalId {
    type Error = FieldError;
    fn try_from(text: String) -> Result<Self, FieldError> {
        text.parse()
    }
}

impl From<TerminalId> for String {
    fn from(id: TerminalId) -> String {
        id.0
    }
}

/// What is to be executed, field by field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Payment or top-up.
    pub kind: TransactionType,
    /// The payer, by the alias that the card gave for this contact.
    pub payer: Alias,
    /// Payee's account.
    pub payee_account: AccountNumber,
    /// Payee's name.
    pub payee_name: PayeeName,
    /// How much.
    pub amount: Amount,
    /// When, UTC, to the second, years 2000-2099.
    pub at: PrimitiveDateTime,
    /// The terminal.
    pub terminal: TerminalId,
    /// The terminal's random number.
    pub unpredictable_number: [u8; 4],
    /// The payee's reference, such as an order number.
    pub reference: Reference,
    /// More, for the holder to read.
    pub details: Option<Details>,
}

/// A transaction together with the exact bytes that carry it. What is signed is the bytes as
/// received, never a second encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionMessage {
    bytes: Vec<u8>,
    transaction: Transaction,
}

impl TransactionMessage {
    /// Parses bytes: canonical, in order, nothing missing, unknown or repeated.
    ///
    /// # Errors
    /// [`TransactionError`], the first reason met.
    pub fn parse(bytes: &[u8]) -> Result<Self, TransactionError> {
        if bytes.len() > MAX_TRANSACTION {
            return Err(TransactionError::TooLong(bytes.len()));
        }
        let template = Template::parse(bytes, tag::TRANSACTION)?;
        let transaction = decode(&mut Fields(template.objects()))?;
        Ok(Self { bytes: bytes.to_vec(), transaction })
    }

    /// The bytes T.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The fields.
    #[must_use]
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }
}

impl Transaction {
    /// Checks the payee's account and the currency against the registries of today.
    ///
    /// # Errors
    /// [`EditionError`], the first reason met.
    pub fn check_editions(&self) -> Result<(), EditionError> {
        check_account(&self.payee_account)?;
        check_currency(self.amount.currency())
    }

    /// Writes T. Field types bound the lengths, so the result always fits [`MAX_TRANSACTION`]
    /// unless details are long and wide.
    ///
    /// # Errors
    /// [`TransactionError::TooLong`], [`FieldError::Moment`] for a year outside 2000-2099.
    pub fn encode(&self) -> Result<TransactionMessage, TransactionError> {
        check_year(self.at)?;
        let bytes = self.to_bytes();
        TransactionMessage::parse(&bytes)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut inner = Vec::with_capacity(256);
        let mut put = |tag: Tag, value: &[u8]| tlv::write(tag, value, &mut inner);
        put(tag::TRANSACTION_TYPE, &[self.kind.code()]);
        put(tag::PAYER_ALIAS, self.payer.as_str().as_bytes());
        put(tag::PAYEE_ACCOUNT, self.payee_account.as_str().as_bytes());
        put(tag::PAYEE_NAME, self.payee_name.as_str().as_bytes());
        put(tag::AMOUNT, &bcd::<6>(self.amount.minor()));
        put(tag::CURRENCY, &bcd::<2>(self.amount.currency().numeric().into()));
        let (date, time) = (self.at.date(), self.at.time());
        let year = u64::try_from(date.year().rem_euclid(100)).unwrap_or(0);
        put(
            tag::DATE,
            &bcd::<3>(year * 10_000 + u64::from(u8::from(date.month())) * 100 + u64::from(date.day())),
        );
        let (h, m, s) = time.as_hms();
        put(tag::TIME, &bcd::<3>(u64::from(h) * 10_000 + u64::from(m) * 100 + u64::from(s)));
        put(tag::TERMINAL_ID, self.terminal.as_str().as_bytes());
        put(tag::UNPREDICTABLE_NUMBER, &self.unpredictable_number);
        put(tag::REFERENCE, self.reference.as_str().as_bytes());
        if let Some(details) = &self.details {
            put(tag::DETAILS, details.as_str().as_bytes());
        }
        tlv::object(tag::TRANSACTION, &inner)
    }
}

/// The objects not yet taken.
struct Fields<'a>(&'a [(Tag, Vec<u8>)]);

impl<'a> Fields<'a> {
    fn take<T, E: Into<FieldError>>(
        &mut self,
        expected: Tag,
        read: impl FnOnce(&'a [u8]) -> Result<T, E>,
    ) -> Result<T, TransactionError> {
        match self.0 {
            [(tag, value), rest @ ..] if *tag == expected => {
                self.0 = rest;
                read(value).map_err(|why| TransactionError::Field { tag: expected, why: why.into() })
            }
            _ => Err(TransactionError::Unexpected { expected }),
        }
    }
}

fn decode(fields: &mut Fields<'_>) -> Result<Transaction, TransactionError> {
    let kind = fields.take(tag::TRANSACTION_TYPE, |v| {
        TransactionType::from_code(*array::<1>(v)?.first().ok_or(FieldError::Format)?)
    })?;
    let payer = fields.take(tag::PAYER_ALIAS, |v| text(v)?.parse::<Alias>().map_err(FieldError::from))?;
    let payee_account =
        fields.take(tag::PAYEE_ACCOUNT, |v| text(v)?.parse::<AccountNumber>().map_err(FieldError::from))?;
    let payee_name = fields.take(tag::PAYEE_NAME, PayeeName::from_utf8)?;
    let minor = fields.take(tag::AMOUNT, digits::<6>)?;
    let currency = fields.take(tag::CURRENCY, |v| {
        let code = u16::try_from(digits::<2>(v)?).map_err(|_| FieldError::Format)?;
        Ok::<_, FieldError>(CurrencyCode::new(code)?)
    })?;
    let amount = Amount::new(minor, currency)
        .map_err(|why| TransactionError::Field { tag: tag::AMOUNT, why: why.into() })?;
    let date = fields.take(tag::DATE, read_date)?;
    let time = fields.take(tag::TIME, read_time)?;
    let terminal = fields.take(tag::TERMINAL_ID, |v| text(v)?.parse::<TerminalId>())?;
    let unpredictable_number = fields.take(tag::UNPREDICTABLE_NUMBER, array::<4>)?;
    let reference = fields.take(tag::REFERENCE, Reference::from_utf8)?;
    let details = match fields.0 {
        [] => None,
        [(tag, _), ..] if *tag == tag::DETAILS => Some(fields.take(tag::DETAILS, Details::from_utf8)?),
        [(tag, _), ..] => return Err(TransactionError::Trailing(*tag)),
    };
    if let [(tag, _), ..] = fields.0 {
        return Err(TransactionError::Trailing(*tag));
    }
    Ok(Transaction {
        kind,
        payer,
        payee_account,
        payee_name,
        amount,
        at: PrimitiveDateTime::new(date, time),
        terminal,
        unpredictable_number,
        reference,
        details,
    })
}

fn read_date(value: &[u8]) -> Result<Date, FieldError> {
    let n = digits::<3>(value)?;
    let month = two(n / 100).try_into().map_err(|_| FieldError::Moment)?;
    let year = 2000 + i32::from(two(n / 10_000));
    Date::from_calendar_date(year, month, two(n)).map_err(|_| FieldError::Moment)
}

fn read_time(value: &[u8]) -> Result<Time, FieldError> {
    let n = digits::<3>(value)?;
    Time::from_hms(two(n / 10_000), two(n / 100), two(n)).map_err(|_| FieldError::Moment)
}

/// Whether a moment can be written: T has two digits of the year.
///
/// # Errors
/// [`FieldError::Moment`] for a year outside 2000-2099.
pub fn check_year(at: PrimitiveDateTime) -> Result<(), TransactionError> {
    let writable = (2000..=2099).contains(&at.year());
    let why = FieldError::Moment;
    if writable { Ok(()) } else { Err(TransactionError::Field { tag: tag::DATE, why }) }
}

/// The two lowest decimal digits.
#[allow(clippy::cast_possible_truncation)]
fn two(n: u64) -> u8 {
    (n % 100) as u8
}

fn array<const N: usize>(value: &[u8]) -> Result<[u8; N], FieldError> {
    value.try_into().map_err(|_| FieldError::Format)
}

fn text(value: &[u8]) -> Result<&str, FieldError> {
    std::str::from_utf8(value).map_err(|_| FieldError::Format)
}

/// Number to packed BCD, most significant digits first; digits that do not fit are dropped.
fn bcd<const N: usize>(mut n: u64) -> [u8; N] {
    let mut out = [0; N];
    for byte in out.iter_mut().rev() {
        let pair = two(n);
        *byte = ((pair / 10) << 4) | (pair % 10);
        n /= 100;
    }
    out
}

/// Packed BCD to number.
fn digits<const N: usize>(value: &[u8]) -> Result<u64, FieldError> {
    array::<N>(value)?.iter().try_fold(0, |acc, byte| {
        let (high, low) = (u64::from(byte >> 4), u64::from(byte & 0x0F));
        if high > 9 || low > 9 { Err(FieldError::Format) } else { Ok(acc * 100 + high * 10 + low) }
    })
}
