//! A card on the bench: just enough of an issuer security domain and a signing applet to answer an
//! issuer. Not the product's card; that one is `onetap-applet`'s.

use std::sync::LazyLock;

use onetap_apdu_spec::apdu::{CommandApdu, ResponseApdu};
use onetap_apdu_spec::crypto::{AwsLc, Crypto, RsaBits};
use onetap_apdu_spec::gp::command::{GpCommand, Ins, IsdObject};
use onetap_apdu_spec::gp::install::{Delete, Install};
use onetap_apdu_spec::gp::life_cycle::{ApplicationLifeCycle, ApplicationState, CardLifeCycle, Privileges};
use onetap_apdu_spec::gp::order::{self, Order};
use onetap_apdu_spec::gp::registry::{Entry, Format, KeyInformation, RegistryEntry, Scope, SetStatus};
use onetap_apdu_spec::gp::scp03::{
    CardChallenge, CardHandshake, CardSession, Drawing, Offer, SequenceCounter, Variant,
};
use onetap_apdu_spec::gp::store_data::{Assembled, Assembler, StoreData};
use onetap_apdu_spec::gp::{self, Aid, ISD, ISD_AID, KeySet, SIGNING_APPLET, SIGNING_PACKAGE, status};
use onetap_apdu_spec::personal::{EnrolmentStatement, Personalisation};
use onetap_apdu_spec::sw::StatusWord;

use super::rig::Counting;

static SIGNING_KEY: LazyLock<Vec<u8>> =
    LazyLock::new(|| AwsLc.generate_rsa(RsaBits::B2048).unwrap().to_vec());

pub(crate) struct BenchCard {
    pub(crate) keys: KeySet,
    pub(crate) variant: Variant,
    pub(crate) life_cycle: CardLifeCycle,
    pub(crate) applet: Option<ApplicationLifeCycle>,
    pub(crate) order: Option<Personalisation>,
    pub(crate) pin: Option<String>,
    /// Bytes in one answer; the rest waits for GET RESPONSE.
    pub(crate) max_answer: usize,
    /// Status words of everything that was refused.
    pub(crate) refused: Vec<StatusWord>,
    sequence: SequenceCounter,
    handshake: Option<CardHandshake>,
    session: Option<CardSession>,
    assembler: Option<Assembler>,
    waiting: Vec<u8>,
    waiting_sw: StatusWord,
}

impl BenchCard {
    pub(crate) fn blank() -> Self {
        Self {
            keys: KeySet::TEST,
            variant: Variant::USUAL,
            life_cycle: CardLifeCycle::OpReady,
            applet: None,
            order: None,
            pin: None,
            max_answer: 256,
            refused: Vec::new(),
            sequence: SequenceCounter::default(),
            handshake: None,
            session: None,
            assembler: None,
            waiting: Vec::new(),
            waiting_sw: StatusWord::OK,
        }
    }

    pub(crate) fn transmit(&mut self, bytes: &[u8]) -> Vec<u8> {
        let apdu = CommandApdu::parse(bytes).unwrap();
        if apdu.ins == 0xC0 {
            return self.next_part();
        }
        let response = self.answer(&apdu).unwrap_or_else(|sw| {
            self.refused.push(sw);
            sw.into()
        });
        (self.waiting, self.waiting_sw) = (response.data, response.sw);
        self.next_part()
    }

    fn next_part(&mut self) -> Vec<u8> {
        let rest = self.waiting.split_off(self.max_answer.min(self.waiting.len()));
        let part = std::mem::replace(&mut self.waiting, rest);
        let left = self.waiting.len();
        let sw = if left == 0 { self.waiting_sw } else { StatusWord::bytes_left(left) };
        ResponseApdu { data: part, sw }.to_bytes()
    }

    fn answer(&mut self, apdu: &CommandApdu<'_>) -> Result<ResponseApdu, StatusWord> {
        if apdu.ins == Ins::ExternalAuthenticate.code() {
            let handshake = self.handshake.take().ok_or(StatusWord::CONDITIONS)?;
            self.session = Some(handshake.authenticate(apdu).map_err(|error| error.status())?);
            return Ok(StatusWord::OK.into());
        }
        let session = self.session.take();
        let opens = matches!(Ins::from_code(apdu.ins), Some(Ins::Select | Ins::InitializeUpdate));
        let Some(session) = session.filter(|_| !opens) else {
            return self.open(&GpCommand::parse(apdu)?).map(ResponseApdu::ok);
        };
        let (session, plain) = session.unwrap(apdu).map_err(|_| StatusWord::SECURITY_STATUS)?;
        let response = GpCommand::parse(&plain.borrow())
            .and_then(|command| self.secured(command, &session))
            .unwrap_or_else(|sw| {
                self.refused.push(sw);
                sw.into()
            });
        let response = session.wrap(response);
        self.session = Some(session);
        Ok(response)
    }

    fn open(&mut self, command: &GpCommand) -> Result<Vec<u8>, StatusWord> {
        match command {
            GpCommand::Select(aid) if *aid == ISD => Ok(gp::isd_fci()),
            GpCommand::Select(_) => Err(StatusWord::NOT_FOUND),
            GpCommand::InitializeUpdate { version, challenge } => {
                if ![0, self.keys.version().get()].contains(version) {
                    return Err(StatusWord::NO_SUCH_OBJECT);
                }
                if challenge.mode() != self.variant.mode {
                    return Err(StatusWord::WRONG_LENGTH);
                }
                self.sequence = self.sequence.next().unwrap();
                let mut rng = Counting(0x60);
                let drawn = match self.variant.drawing {
                    Drawing::Random => CardChallenge::Random(&mut rng),
                    Drawing::PseudoRandom => {
                        CardChallenge::PseudoRandom { sequence: self.sequence, aid: &ISD_AID }
                    }
                };
                let responses = self.variant.responses;
                let offer = Offer { diversification: [0; 10], challenge: drawn, responses };
                let (handshake, answer) = CardHandshake::answer(&AwsLc, &self.keys, offer, *challenge);
                self.handshake = Some(handshake);
                Ok(answer)
            }
            _ => Err(StatusWord::SECURITY_STATUS),
        }
    }

    fn secured(&mut self, command: GpCommand, session: &CardSession) -> Result<ResponseApdu, StatusWord> {
        let data = match command {
            GpCommand::Install(Install::MakeSelectable(new)) => {
                assert_eq!((new.package, new.module), (SIGNING_PACKAGE, SIGNING_APPLET));
                let state = ApplicationState::Selectable;
                self.applet = Some(ApplicationLifeCycle { state, locked: false });
                vec![0]
            }
            GpCommand::Install(Install::Personalization(aid)) => {
                self.find(aid)?;
                self.assembler = Some(Assembler::default());
                vec![0]
            }
            GpCommand::StoreData(block) => self.store(&block, session)?,
            GpCommand::PutKey(put) => {
                let keys = put.open(&AwsLc, session.data_key());
                self.keys = keys.map_err(|_| status::KEY_CHECK_FAILED)?;
                put.answer()
            }
            GpCommand::GetData(IsdObject::CardData) => gp::card_data(self.variant),
            GpCommand::GetData(IsdObject::KeyInformation) => {
                KeyInformation::encode_all(&KeyInformation::of_set(self.keys.version(), self.keys.bits()))
            }
            GpCommand::GetStatus(get) => return self.list(get.scope, get.next),
            GpCommand::SetStatus(SetStatus::Card(next)) => {
                self.life_cycle.may_become(next).then_some(()).ok_or(StatusWord::CONDITIONS)?;
                self.life_cycle = next;
                vec![]
            }
            GpCommand::SetStatus(SetStatus::Application { aid, lock }) => {
                self.find(aid)?.locked = lock;
                vec![]
            }
            GpCommand::Delete(delete) => {
                let Delete::Content { aid, .. } = delete else { return Err(StatusWord::CONDITIONS) };
                self.find(aid)?;
                self.applet = None;
                vec![0]
            }
            GpCommand::Select(_) | GpCommand::InitializeUpdate { .. } => return Err(StatusWord::CONDITIONS),
        };
        Ok(ResponseApdu::ok(data))
    }

    fn find(&mut self, aid: Aid) -> Result<&mut ApplicationLifeCycle, StatusWord> {
        self.applet.as_mut().filter(|_| aid == SIGNING_APPLET).ok_or(StatusWord::NO_SUCH_OBJECT)
    }

    fn store(&mut self, block: &StoreData, session: &CardSession) -> Result<Vec<u8>, StatusWord> {
        let assembler = self.assembler.take().ok_or(StatusWord::CONDITIONS)?;
        let payload = match assembler.push(block)? {
            Assembled::Whole(payload) => payload,
            Assembled::Partial(assembler) => {
                self.assembler = Some(assembler);
                return Ok(vec![]);
            }
        };
        match Order::parse(&payload, session.data_key()).map_err(|_| StatusWord::WRONG_DATA)? {
            Order::UnblockPin(pin) => {
                self.pin = Some(pin.expose().to_owned());
                Ok(vec![])
            }
            Order::Personalise(..) if self.order.is_some() => Err(StatusWord::CONDITIONS),
            Order::Personalise(order, pin) => {
                let key = AwsLc.rsa_private(&SIGNING_KEY).unwrap();
                let statement = EnrolmentStatement::make(order.binding, &*key).unwrap();
                (self.order, self.pin) = (Some(*order), Some(pin.expose().to_owned()));
                Ok(order::encode_statement(&statement))
            }
        }
    }

    /// One entry an answer, so that the terminal has to ask for the next.
    fn list(&self, scope: Scope, next: bool) -> Result<ResponseApdu, StatusWord> {
        let isd = RegistryEntry {
            aid: ISD,
            entry: Entry::IssuerDomain(self.life_cycle),
            privileges: Privileges::ISSUER,
            package: None,
            modules: Vec::new(),
        };
        let applet = |aid| {
            self.applet.map(|state| RegistryEntry {
                aid,
                entry: Entry::Application(state),
                privileges: Privileges::NONE,
                package: Some(SIGNING_PACKAGE),
                modules: Vec::new(),
            })
        };
        let other = Aid::new(b"\xF0OTHER").unwrap();
        match (scope, next) {
            (Scope::IssuerDomain, false) => Ok(ResponseApdu::ok(isd.encode(&Format::Whole))),
            (Scope::Applications, false) => {
                let entry = applet(other).ok_or(StatusWord::NO_SUCH_OBJECT)?;
                Ok(ResponseApdu { data: entry.encode(&Format::Whole), sw: status::MORE_DATA })
            }
            (Scope::Applications, true) => {
                Ok(ResponseApdu::ok(applet(SIGNING_APPLET).unwrap().encode(&Format::Whole)))
            }
            _ => Err(StatusWord::NO_SUCH_OBJECT),
        }
    }
}
