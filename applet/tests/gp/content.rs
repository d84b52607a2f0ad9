//! INSTALL, DELETE, GET STATUS, on a card whose ROM holds more than the signing applet.

use onetap_apdu_spec::apdu::{CommandApdu, ResponseApdu};
use onetap_apdu_spec::crypto::default_provider;
use onetap_apdu_spec::gp::ceremony::Issuer;
use onetap_apdu_spec::gp::install::NewApplication;
use onetap_apdu_spec::gp::life_cycle::{Privilege, Privileges};
use onetap_apdu_spec::gp::registry::{Entry, Scope};
use onetap_apdu_spec::gp::scp03::{HostSession, InitializeUpdate, Mode, SecurityLevel};
use onetap_apdu_spec::gp::{self as spec, Aid, KeySet};
use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::Environment;
use onetap_applet::applets::{Echo, Purse};
use onetap_applet::gp;
use onetap_applet::nvm::{MemoryImage, Nvm};
use onetap_applet::runtime::{Module, Runtime};

use crate::rig::{Counting, Failed, hex_bytes, refusal};

fn rom() -> [Module; 3] {
    [gp::module(), Echo::module(), Purse::module()]
}

/// A card with example applets in its ROM.
pub(crate) struct Bench {
    runtime: Runtime,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::made_with(&[]).unwrap()
    }

    /// A card whose domain was installed with these parameters.
    pub(crate) fn made_with(parameters: &[u8]) -> Result<Self, StatusWord> {
        let nvm = Nvm::format(Box::new(MemoryImage::default())).unwrap();
        let mut runtime = Runtime::format(nvm, &rom(), Environment::default()).unwrap();
        runtime.install(&gp::NAME, gp::NAME, gp::privileges(), parameters)?;
        Ok(Self { runtime })
    }

    pub(crate) fn install_echo(&mut self, instance: &[u8]) {
        self.issuer(|issuer| issuer.install(&echo(instance))).unwrap();
    }

    pub(crate) fn reset(&mut self) {
        self.runtime.reset();
    }

    /// A raw channel, to say on it what no issuer says.
    pub(crate) fn channel(&mut self, keys: &KeySet, level: SecurityLevel) -> HostSession {
        assert_eq!(self.sw("00A40400 00"), StatusWord::OK);
        let initialize = InitializeUpdate::new(&mut Counting(3), keys.version(), Mode::S8);
        let answer = self.send(&initialize.command().to_bytes().unwrap());
        let authenticate = initialize.check(default_provider(), keys, level, &answer.data).unwrap();
        let sw = self.send(&authenticate.command().to_bytes().unwrap()).sw;
        authenticate.confirm(sw).unwrap()
    }

    /// One command on a raw channel.
    pub(crate) fn on(&mut self, host: HostSession, apdu: &str) -> (HostSession, ResponseApdu) {
        let bytes = hex_bytes(apdu);
        let (waiting, wrapped) = host.wrap(&CommandApdu::parse(&bytes).unwrap()).unwrap();
        let response = self.send(&wrapped);
        waiting.unwrap(&response).unwrap()
    }

    fn send(&mut self, bytes: &[u8]) -> ResponseApdu {
        let mut out = Vec::new();
        self.runtime.transmit(bytes, &mut out);
        ResponseApdu::parse(&out).unwrap()
    }

    pub(crate) fn sw(&mut self, apdu: &str) -> StatusWord {
        self.send(&hex_bytes(apdu)).sw
    }

    fn issuer<T>(
        &mut self,
        act: impl FnOnce(&mut Issuer<'_, std::convert::Infallible>) -> Result<T, Failed>,
    ) -> Result<T, Failed> {
        let mut transmit = |apdu: &[u8]| Ok(self.send(apdu).to_bytes());
        act(&mut Issuer::open(
            default_provider(),
            &KeySet::TEST,
            SecurityLevel::Full,
            &mut Counting(5),
            &mut transmit,
        )?)
    }
}

fn aid(bytes: &[u8]) -> Aid {
    Aid::new(bytes).unwrap()
}

fn echo(instance: &[u8]) -> NewApplication {
    NewApplication {
        package: aid(b"\xF0ECHO"),
        module: aid(b"\xF0ECHO\x01"),
        instance: aid(instance),
        privileges: Privileges::NONE,
        parameters: Vec::new(),
    }
}

#[test]
fn applets_of_all_modules_are_installed_used_and_deleted() {
    let mut bench = Bench::new();
    let purse = NewApplication {
        package: aid(b"\xF0PURSE"),
        module: aid(b"\xF0PURSE\x01"),
        instance: aid(b"\xF0MY PURSE"),
        privileges: Privileges::NONE.with(Privilege::DefaultSelected),
        parameters: b"1234".to_vec(),
    };
    bench.issuer(|issuer| issuer.install(&purse)).unwrap();
    assert_eq!(bench.sw("00A40400 09 F04D59205055525345 00"), StatusWord::OK);
    assert_eq!(bench.sw("80200000 04 31323334"), StatusWord::OK, "the PIN came as a parameter");
    bench.runtime.reset();
    assert_eq!(bench.sw("80500000 00"), StatusWord::OK, "selected by default");
    let second = NewApplication { privileges: purse.privileges, ..echo(b"\xF0ECHO 1") };
    let refused = bench.issuer(|issuer| issuer.install(&second));
    assert_eq!(refusal(refused), StatusWord::CONDITIONS, "there is one default applet");
    bench.issuer(|issuer| issuer.delete(purse.instance)).unwrap();
    bench.issuer(|issuer| issuer.install(&second)).unwrap();
    assert_eq!(bench.sw("00A40400 09 F04D59205055525345 00"), StatusWord::NOT_FOUND);
}

#[test]
fn what_cannot_be_installed_leaves_nothing() {
    let mut bench = Bench::new();
    let mut refused = |new: NewApplication| refusal(bench.issuer(|issuer| issuer.install(&new)));
    let other_package = NewApplication { package: aid(b"\xF0OTHER"), ..echo(b"\xF0ECHO 1") };
    assert_eq!(refused(other_package), StatusWord::NO_SUCH_OBJECT);
    let other_module = NewApplication { module: aid(b"\xF0ECHO\x02"), ..echo(b"\xF0ECHO 1") };
    assert_eq!(refused(other_module), StatusWord::NO_SUCH_OBJECT);
    let package = aid(&spec::ISD_AID[..7]);
    let second_issuer = NewApplication { package, module: spec::ISD, ..echo(b"\xF0ECHO 1") };
    assert_eq!(refused(second_issuer), StatusWord::NO_SUCH_OBJECT);
    for privilege in [Privilege::SecurityDomain, Privilege::CardLock, Privilege::GlobalDelete] {
        let privileges = Privileges::NONE.with(privilege);
        assert_eq!(refused(NewApplication { privileges, ..echo(b"\xF0ECHO 1") }), StatusWord::WRONG_DATA);
    }
    let purse =
        NewApplication { package: aid(b"\xF0PURSE"), module: aid(b"\xF0PURSE\x01"), ..echo(b"\xF0MY PURSE") };
    assert_eq!(refused(purse), StatusWord::WRONG_DATA, "the purse wants a PIN");
    assert_eq!(
        refused(NewApplication { instance: spec::ISD, ..echo(b"\xF0ECHO 1") }),
        StatusWord::CONDITIONS
    );
    assert_eq!(bench.issuer(|issuer| issuer.list(Scope::Applications)).unwrap(), []);
    bench.issuer(|issuer| issuer.install(&echo(b"\xF0ECHO 1"))).unwrap();
    let twice = bench.issuer(|issuer| issuer.install(&echo(b"\xF0ECHO 1")));
    assert_eq!(refusal(twice), StatusWord::CONDITIONS);
}

#[test]
fn what_cannot_be_deleted_stays() {
    let mut bench = Bench::new();
    bench.issuer(|issuer| issuer.install(&echo(b"\xF0ECHO 1"))).unwrap();
    for (name, sw) in [
        (spec::ISD, StatusWord::CONDITIONS),
        (aid(b"\xF0ECHO"), StatusWord::CONDITIONS),
        (aid(b"\xF0ECHO 2"), StatusWord::NO_SUCH_OBJECT),
    ] {
        assert_eq!(refusal(bench.issuer(|issuer| issuer.delete(name))), sw, "{name}");
    }
    assert_eq!(bench.sw("00700001 00"), StatusWord::OK);
    assert_eq!(bench.sw("01A40400 07 F04543484F2031 00"), StatusWord::OK, "selected on channel 1");
    let in_use = bench.issuer(|issuer| issuer.delete(aid(b"\xF0ECHO 1")));
    assert_eq!(refusal(in_use), StatusWord::CONDITIONS);
}

#[test]
fn a_registry_of_any_size_is_listed_whole() {
    let mut bench = Bench::new();
    for number in 0..40 {
        let name = [b"\xF0ECHO number ", &[number][..]].concat();
        bench.issuer(|issuer| issuer.install(&echo(&name))).unwrap();
        if number % 13 == 0 {
            let listed = bench.issuer(|issuer| issuer.list(Scope::Applications)).unwrap();
            let last = listed.last().unwrap();
            assert_eq!((listed.len(), last.aid.as_bytes()), (usize::from(number) + 1, &name[..]));
            assert_eq!(last.package, Some(aid(b"\xF0ECHO")));
        }
    }
    let packages = bench.issuer(|issuer| issuer.list(Scope::Packages)).unwrap();
    let names: Vec<_> = packages.iter().map(|entry| entry.aid.as_bytes()).collect();
    assert_eq!(names, [b"\xF0ECHO".as_slice(), b"\xF0PURSE"]);
    assert!(packages.iter().all(|entry| entry.entry == Entry::Package));
}

/// The issuer domain works on any logical channel, and loses its secure channel when another applet is
/// selected there.
#[test]
fn the_domain_on_another_logical_channel() {
    let mut bench = Bench::new();
    assert_eq!(bench.sw("00700001 00"), StatusWord::OK);
    let on_channel_1 = |apdu: &[u8]| {
        let mut bytes = apdu.to_vec();
        bytes[0] |= 1;
        bytes
    };
    let mut transmit =
        |apdu: &[u8]| Ok::<_, std::convert::Infallible>(bench.send(&on_channel_1(apdu)).to_bytes());
    let listed =
        Issuer::open(default_provider(), &KeySet::TEST, SecurityLevel::Full, &mut Counting(5), &mut transmit)
            .and_then(|mut issuer| issuer.list(Scope::IssuerDomain));
    assert_eq!(listed.unwrap().len(), 1, "the class byte is authenticated without its channel");
    let apdu = CommandApdu { cla: 0x80, ins: 0xF2, p1: 0x80, p2: 2, data: &[0x4F, 0], ne: None };
    let bytes = apdu.encode(onetap_apdu_spec::apdu::Form::Short).unwrap();
    assert_eq!(bench.send(&bytes).sw, StatusWord::CONDITIONS, "nothing is selected on channel 0");
}
