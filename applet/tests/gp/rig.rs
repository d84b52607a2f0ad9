//! A card as its manufacturer made it, memory that can be torn, and an issuer.

use onetap_apdu_spec::apdu::{CommandApdu, ResponseApdu};
use onetap_apdu_spec::crypto::{Key256, RsaBits, SigningKeyType, default_provider};
use onetap_apdu_spec::gp::ceremony::{CeremonyError, Issue, Issuer, personalise};
use onetap_apdu_spec::gp::put_key::PutKey;
use onetap_apdu_spec::gp::scp03::{
    AwaitingResponse, CardHandshake, HostSession, InitializeUpdate, Mode, Offer, SecurityLevel,
    SequenceCounter, Variant,
};
use onetap_apdu_spec::gp::{GpCommand, ISD, ISD_AID, KeySet, KeyVersion};
use onetap_apdu_spec::header::{Binding, CardId, ServerId};
use onetap_apdu_spec::keys::IssuerMasterKey;
use onetap_apdu_spec::password::PasswordPolicy;
use onetap_apdu_spec::personal::{ConfirmationPolicy, EnrolmentStatement, Personalisation, Pin};
use onetap_apdu_spec::rng::Rng;
use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::card::{Millis, PreparedKey, VirtualClock};
use onetap_applet::nvm::{Image, MemoryImage};
use onetap_applet::{Card, Environment};

const CARD_KEY: &[u8] = include_bytes!("../data/card-key.pk8");
pub(crate) const PIN: &str = "2468";

/// Counts up.
pub(crate) struct Counting(pub(crate) u8);

impl Rng for Counting {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            *byte = self.0;
            self.0 = self.0.wrapping_add(1);
        }
    }
}

fn environment(clock: &VirtualClock) -> Environment {
    Environment {
        rng: Box::new(Counting(0)),
        clock: Box::new(clock.clone()),
        keys: Box::new(PreparedKey(CARD_KEY.to_vec().into())),
        ..Environment::default()
    }
}

pub(crate) fn order() -> Personalisation {
    Personalisation {
        binding: Binding {
            server: ServerId(*b"testbank"),
            card: CardId(*b"card0001"),
            suite: "a3+sha256+aes-cbc-cmac+pkcs1".parse().unwrap(),
            signing_key: 1,
            server_key: 0,
            issuer_key: 1,
        },
        key_type: SigningKeyType::Rsa(RsaBits::B2048),
        card_key: Key256::new([7; 32]),
        server_public_key: Vec::new(),
        password: PasswordPolicy::default(),
        confirmation: ConfirmationPolicy {
            currency: "EUR".parse().unwrap(),
            key_up_to: 5_000,
            pin_up_to: 100_000,
            key_only_count: 3,
            key_only_sum: 10_000,
        },
    }
}

pub(crate) fn pin(digits: &str) -> Pin {
    digits.parse().unwrap()
}

/// The card's own keys, version 30 and up.
pub(crate) fn own_keys(version: u8) -> KeySet {
    let master = IssuerMasterKey(Key256::new([0x77; 32]));
    let version = KeyVersion::new(version).unwrap();
    KeySet::diversified(default_provider(), &master, CardId(*b"card0001"), version)
}

/// A terminal with a card in it.
pub(crate) struct Bench {
    pub(crate) card: Card,
    pub(crate) memory: MemoryImage,
    pub(crate) clock: VirtualClock,
    /// How long the terminal's challenges are.
    pub(crate) mode: Mode,
}

/// Why nothing came of it: the tests' transport does not fail.
pub(crate) type Failed = CeremonyError<std::convert::Infallible>;

impl Bench {
    /// A blank card.
    pub(crate) fn new() -> Self {
        let memory = MemoryImage::default();
        Self::manufacture(memory.clone(), memory)
    }

    /// A blank card whose secure channels are of this variant.
    pub(crate) fn of(variant: Variant) -> Self {
        let (memory, clock) = (MemoryImage::default(), VirtualClock::at(Millis(1_000_000)));
        let card = Card::manufacture_with(variant, Box::new(memory.clone()), environment(&clock)).unwrap();
        Self { mode: variant.mode, ..Self::with(card, memory, clock) }
    }

    pub(crate) fn manufacture(image: impl Image + 'static, memory: MemoryImage) -> Self {
        let clock = VirtualClock::at(Millis(1_000_000));
        let card = Card::manufacture(Box::new(image), environment(&clock)).unwrap();
        Self::with(card, memory, clock)
    }

    /// A card that was issued, with keys of its own (version 30).
    pub(crate) fn issued() -> (Self, EnrolmentStatement) {
        let mut bench = Self::new();
        let statement = bench.issue(&KeySet::TEST, Some(&own_keys(0x30))).unwrap();
        (bench, statement)
    }

    /// The card that memory holds, as after a restart of the process.
    pub(crate) fn open(image: impl Image + 'static, memory: MemoryImage) -> Self {
        let clock = VirtualClock::at(Millis(1_000_000));
        Self::with(Card::open(Box::new(image), environment(&clock)).unwrap(), memory, clock)
    }

    fn with(card: Card, memory: MemoryImage, clock: VirtualClock) -> Self {
        let mut bench = Self { card, memory, clock, mode: Mode::S8 };
        bench.enter();
        bench
    }

    pub(crate) fn enter(&mut self) {
        self.card.enter_field();
        self.card.power_on();
    }

    pub(crate) fn restart(self) -> Self {
        Self { mode: self.mode, ..Self::open(self.memory.clone(), self.memory) }
    }

    pub(crate) fn issue(
        &mut self,
        keys: &KeySet,
        new_keys: Option<&KeySet>,
    ) -> Result<EnrolmentStatement, Failed> {
        self.issue_at(SecurityLevel::Full, keys, new_keys)
    }

    pub(crate) fn issue_at(
        &mut self,
        level: SecurityLevel,
        keys: &KeySet,
        new_keys: Option<&KeySet>,
    ) -> Result<EnrolmentStatement, Failed> {
        let (order, pin) = (order(), pin(PIN));
        let issue = Issue { keys, level, order: &order, pin: &pin, new_keys };
        personalise(default_provider(), &issue, &mut Counting(1), &mut |apdu| Ok(self.card.transmit(apdu)))
    }

    /// Opens a channel with these keys and does something with it.
    pub(crate) fn with_keys<T>(
        &mut self,
        keys: &KeySet,
        act: impl FnOnce(&mut Issuer<'_, std::convert::Infallible>) -> Result<T, Failed>,
    ) -> Result<T, Failed> {
        let mut transmit = |apdu: &[u8]| Ok(self.card.transmit(apdu));
        act(&mut Issuer::open(
            default_provider(),
            keys,
            SecurityLevel::Full,
            &mut Counting(9),
            &mut transmit,
        )?)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> ResponseApdu {
        ResponseApdu::parse(&self.card.transmit(bytes)).unwrap()
    }

    pub(crate) fn sw(&mut self, apdu: &str) -> StatusWord {
        self.send(&hex_bytes(apdu)).sw
    }

    pub(crate) fn plain(&mut self, command: &GpCommand) -> ResponseApdu {
        self.send(&command.encode().to_bytes().unwrap())
    }

    /// SELECT and INITIALIZE UPDATE: what the card answers.
    pub(crate) fn initialize(&mut self, version: KeyVersion) -> (InitializeUpdate, ResponseApdu) {
        assert_eq!(self.plain(&GpCommand::Select(ISD)).sw, StatusWord::OK);
        let initialize = InitializeUpdate::new(&mut Counting(3), version, self.mode);
        let answer = self.send(&initialize.command().to_bytes().unwrap());
        (initialize, answer)
    }

    /// A raw channel, to say on it what no issuer says.
    pub(crate) fn channel(&mut self, keys: &KeySet, level: SecurityLevel) -> HostSession {
        let (initialize, answer) = self.initialize(keys.version());
        assert_eq!(answer.sw, StatusWord::OK);
        let authenticate = initialize.check(default_provider(), keys, level, &answer.data).unwrap();
        let sw = self.send(&authenticate.command().to_bytes().unwrap()).sw;
        authenticate.confirm(sw).unwrap()
    }

    /// One command on a raw channel.
    pub(crate) fn on(&mut self, host: HostSession, apdu: &str) -> (HostSession, ResponseApdu) {
        let bytes = hex_bytes(apdu);
        let (waiting, wrapped): (AwaitingResponse, _) =
            host.wrap(&CommandApdu::parse(&bytes).unwrap()).unwrap();
        let mut response = self.send(&wrapped);
        while let Some(left) = response.sw.as_bytes_left() {
            let more = self.send(&[0x00, 0xC0, 0, 0, left.to_le_bytes()[0]]);
            response.data.extend(more.data);
            response.sw = more.sw;
        }
        waiting.unwrap(&response).unwrap()
    }

    /// PUT KEY that adds a key set to those there are.
    pub(crate) fn add_keys(&mut self, keys: &KeySet, new: &KeySet) -> StatusWord {
        let host = self.channel(keys, SecurityLevel::Full);
        let put = PutKey::seal(default_provider(), host.data_key(), KeyVersion::INITIAL, new);
        let (waiting, bytes) = host.wrap(&GpCommand::PutKey(put).encode().borrow()).unwrap();
        let response = self.send(&bytes);
        waiting.unwrap(&response).unwrap().1.sw
    }

    /// The sequence counter that the card used last, seen from the answer to INITIALIZE UPDATE.
    pub(crate) fn sequence(&mut self, keys: &KeySet) -> u32 {
        let (initialize, answer) = self.initialize(keys.version());
        let [.., a, b, c] = answer.data[..] else { panic!("no answer") };
        let counter = SequenceCounter::new(u32::from_be_bytes([0, a, b, c])).unwrap();
        let challenge = initialize.host_challenge();
        let (_, expected) =
            CardHandshake::answer(default_provider(), keys, Offer::usual(counter, &ISD_AID), challenge);
        assert_eq!(answer.data, expected);
        counter.get()
    }
}

pub(crate) fn hex_bytes(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

/// What the card refused with.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, Failed>) -> StatusWord {
    match result {
        Err(CeremonyError::Refused { sw, .. }) => sw,
        other => panic!("not refused: {other:?}"),
    }
}
