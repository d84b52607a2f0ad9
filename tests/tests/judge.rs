//! The judge of cards that are not ours, through a real PC/SC stack: our card in a virtual reader, of which the judge knows
//! what anybody would be lent: claims, keys, and the panel's address.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::print_stdout, reason = "the counts of a run are worth reading")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use onetap_apdu_spec::crypto::{Crypto, RsaBits, RsaPrivate, default_provider};
use onetap_apdu_spec::gp::scp03::SecurityLevel;
use onetap_apdu_spec::gp::{KeySet, KeyVersion};
use onetap_apdu_spec::personal::{EnrolmentStatement, Personalisation};
use onetap_apdu_spec::rng::OsRng;
use onetap_apdu_spec::suite::Suite;
use onetap_applet::card::{Millis, VirtualClock};
use onetap_applet::front::panel::{Field, Panel, PanelConfig};
use onetap_applet::front::vpcd::{Left, Meeting, Stop, VpcdConfig, VpcdError, serve};
use onetap_applet::nvm::MemoryImage;
use onetap_applet::{Card, Environment, SharedCard};
use onetap_conformance::conform::{self, Filter, Plan, Report, Summary, Verdict};
use onetap_conformance::judge::{
    BadAddress, Grade, HandKey, Hands, Judgement, KnownFailures, Lent, Loan, NoRobot, PanelHands, RobotHands,
};
use onetap_conformance::target::{CardUnderTest, Claims, Known, samples};
use onetap_pcsc_host::gp::{Issuer, with_issuer};
use onetap_pcsc_host::pcsc::{Wanted, wait_for_card, wait_for_removal};
use onetap_pcsc_host::trace::StageError;
use onetap_pcsc_host::{Atr, Deadline, Disposition, ReaderError, Transport};

mod bugs;

use bugs::Buggy;

/// The virtual reader's second slot, one test at a time.
const READER: &str = "Virtual PCD 00 01";
static SLOT: Mutex<()> = Mutex::new(());

fn addr() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 35_964))
}

/// A card in the reader, and what its issuer and its holder have.
struct Bench {
    order: Personalisation,
    management: KeySet,
    server_key: Arc<dyn RsaPrivate>,
    statement: EnrolmentStatement,
    card: SharedCard,
    panel: Panel,
    stop: Stop,
    served: Option<JoinHandle<Result<Left, VpcdError>>>,
    _slot: MutexGuard<'static, ()>,
}

/// Who takes the card out of the field.
#[derive(Clone, Copy)]
enum Leaving {
    /// The panel's switch, while the reader keeps its connection: no poll of pcscd is waited for.
    Field,
    /// The virtual reader loses the card, and pcscd notices at one of its next polls.
    Reader,
}

/// A suite that signs with ECDSA.
const ECDSA: &str = "a3+sha256+aes-cbc-cmac+ecdsa";

impl Bench {
    /// A card of the default suite. `None` outside of `scripts/with-pcscd`.
    fn new(leaving: Leaving) -> Option<Self> {
        Self::of(Suite::default(), default_provider(), leaving)
    }

    /// A card of this suite that computes with this provider.
    fn of(suite: Suite, computing: &'static dyn Crypto, leaving: Leaving) -> Option<Self> {
        if std::env::var_os("ONETAP_PCSCD").is_none() {
            println!("no pcscd of our own: run under scripts/with-pcscd");
            return None;
        }
        let slot = SLOT.lock().unwrap_or_else(PoisonError::into_inner);
        wait_for_removal(READER, &Deadline::after(Duration::from_secs(10))).unwrap();
        let crypto = default_provider();
        let server_key: Arc<dyn RsaPrivate> =
            Arc::from(crypto.rsa_private(&crypto.generate_rsa(RsaBits::B2048).unwrap()).unwrap());
        let order = samples::order(suite, &*server_key);
        let management = KeySet::draw(KeyVersion::FIRST, &mut OsRng);
        let clock = VirtualClock::at(Millis(1_000_000));
        let env = Environment { crypto: computing, clock: Box::new(clock.clone()), ..Environment::default() };
        let (pin, nvm) = (samples::PIN.parse().unwrap(), Box::new(MemoryImage::default()));
        let (card, statement) = Card::issue(&order, pin, Some(&management), nvm, env).unwrap();
        let (card, stop): (SharedCard, _) = (Arc::new(Mutex::new(card)), Stop::new());
        let field = match leaving {
            Leaving::Field => Field::Panel,
            Leaving::Reader => Field::Vpcd(stop.clone()),
        };
        let config = PanelConfig { field, clock: Some(clock), ..PanelConfig::default() };
        let panel = Panel::serve(SharedCard::clone(&card), config).unwrap();
        let (config, switch) =
            (VpcdConfig { meeting: Meeting::At(addr()), ..VpcdConfig::default() }, stop.clone());
        let held = SharedCard::clone(&card);
        let served = Some(std::thread::spawn(move || serve(&held, &config, &switch)));
        Some(Self { card, order, management, server_key, statement, panel, stop, served, _slot: slot })
    }

    fn claims(&self) -> Claims {
        Claims { suites: vec![self.order.binding.suite], ..Claims::of_our_card() }
    }

    /// Everything that there is to lend.
    fn loan(&self) -> Loan {
        let known = Known::new(
            default_provider(),
            self.order.binding,
            &self.statement.public_key,
            self.order.card_key.clone(),
            Some(Arc::clone(&self.server_key)),
        );
        Loan {
            claims: self.claims(),
            known: Some(known.unwrap()),
            hands: Some(Box::new(PanelHands::at(&self.panel.url()).unwrap())),
            pin: Some(samples::PIN.parse().unwrap()),
            issuer: Some(self.management.clone()),
            signatures: 10_000,
            case_time: Duration::from_secs(60),
            words: Vec::new(),
        }
    }

    fn lent(&self, loan: Loan) -> Lent {
        let reader =
            wait_for_card(&Wanted::in_reader(READER), &Deadline::after(Duration::from_secs(10))).unwrap();
        Lent::new(&format!("pcsc:{READER}"), Box::new(reader), loan).unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.stop();
        // A test that failed has said why.
        let _ = self.served.take().map(JoinHandle::join);
    }
}

/// Runs the plan; gives what failed or was not performed, whole, and how long it took.
fn judge(plan: &Plan, card: &mut dyn CardUnderTest) -> (Judgement, Summary, Vec<Report>, Duration) {
    let begun = Instant::now();
    let (mut judgement, mut reports) = (Judgement::new(KnownFailures::default(), false), Vec::new());
    let summary = conform::run_plan(plan, card, &mut |report| {
        judgement.hear(report);
        reports.push(report.clone());
    });
    (judgement, summary, reports, begun.elapsed())
}

fn trouble(reports: &[Report]) -> String {
    let bad = |report: &&Report| matches!(report.verdict, Verdict::Failed(_) | Verdict::NotPerformed { .. });
    reports.iter().filter(bad).map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
}

/// With claims, keys and a holder lent, a card that only a reader reaches is judged whole.
#[test]
fn with_everything_lent_every_case_that_the_claims_demand_is_performed_through_a_reader() {
    for suite in [Suite::default(), ECDSA.parse().unwrap()] {
        let Some(bench) = Bench::of(suite, default_provider(), Leaving::Field) else { return };
        let mut card = bench.lent(bench.loan());
        let (judgement, summary, reports, took) = judge(&Plan::default(), &mut card);
        let signed = card.spent().signatures;
        println!(
            "conformance, pcsc, everything lent, {suite}: {summary}, {signed} signatures, {:.1} s",
            took.as_secs_f64()
        );
        assert_eq!(judgement.grade(), Grade::Conforming, "{}", trouble(&reports));
        assert!(card.give_back().is_ok());
        let skipped = |report: &&Report| matches!(report.verdict, Verdict::NotApplicable { .. });
        for report in reports.iter().filter(skipped) {
            let id = report.id.as_str();
            let foreign = id.starts_with("signature/") || id.starts_with("password/");
            let ecdsa = id == "nonce/no-r-twice" && suite == Suite::default();
            assert!(foreign || id == "owed/nothing" || ecdsa, "{report}");
        }
    }
}

/// What the judge says of a card with this defect, if it does not say that it does not conform.
fn missed(bench: &Bench, bug: &'static bugs::Bug) -> Option<String> {
    let mut card = Buggy::new(bench.lent(bench.loan()), bug);
    let plan = Plan { filter: Filter::new(bug.caught_by).unwrap(), ..Plan::default() };
    let (judgement, summary, reports, _) = judge(&plan, &mut card);
    let caught = judgement.grade() == Grade::NotConforming;
    (!caught).then(|| format!("{}: {summary}\n{}", bug.name, trouble(&reports)))
}

/// Each defect that a card of this suite can have is caught, by what anybody would see of it.
#[test]
fn every_named_defect_is_caught_through_a_reader() {
    let Some(bench) = Bench::new(Leaving::Field) else { return };
    let of_ecdsa = |id: &&str| *id == "nonce/no-r-twice" || id.ends_with("+ecdsa");
    // One is about a suite that neither card has.
    let all = bugs::all().filter(|bug| bug.caught_by != ["owed/nothing"]);
    let (ecdsa, others): (Vec<_>, Vec<_>) = all.partition(|bug| bug.caught_by.iter().all(of_ecdsa));
    let mut wrong: Vec<_> = others.iter().filter_map(|bug| missed(&bench, bug)).collect();
    drop(bench);
    for bug in &ecdsa {
        let bench = Bench::of(ECDSA.parse().unwrap(), (bug.crypto)(), Leaving::Field);
        wrong.extend(missed(&bench.unwrap(), bug));
    }
    let tried = ecdsa.len() + others.len();
    println!("conformance, pcsc: {tried} defects, {} missed", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(ecdsa.len() >= 8 && tried >= 68, "{tried}");
}

/// Zero signatures, a wrong header, a counter that stands still, no limit of eight: nothing that pays is right.
#[test]
fn a_card_of_rubbish_is_not_conforming_and_fails_a_hundred_cases() {
    let Some(bench) = Bench::new(Leaving::Field) else { return };
    let mut card = Buggy::new(bench.lent(bench.loan()), &bugs::RUBBISH);
    let (judgement, summary, ..) = judge(&Plan::default(), &mut card);
    println!("conformance, pcsc, the card of rubbish: {summary}");
    assert_eq!(judgement.grade(), Grade::NotConforming);
    assert!(summary.failed >= 100, "{summary}");
}

/// The reader itself loses the card and finds it again, as a real one does.
#[test]
fn a_card_that_really_leaves_its_reader_is_judged_as_well() {
    let Some(bench) = Bench::new(Leaving::Reader) else { return };
    let mut card = bench.lent(bench.loan());
    let cases = ["contact/", "pin/blocked", "confirm/key-up-to-t1", "get-data/in-idle"];
    let plan = Plan { filter: Filter::new(&cases).unwrap(), ..Plan::default() };
    let (_, summary, reports, took) = judge(&plan, &mut card);
    println!("conformance, pcsc, the reader loses the card: {summary}, {:.1} s", took.as_secs_f64());
    assert_eq!((summary.failed, summary.not_performed), (0, 0), "{}", trouble(&reports));
    assert!(card.give_back().is_ok());
}

/// Without a holder nothing is signed, and without keys nothing is verified: then nothing is shown.
#[test]
fn what_is_not_lent_is_missing_in_the_verdict() {
    let Some(bench) = Bench::new(Leaving::Field) else { return };
    let mut card = bench.lent(Loan { hands: None, ..bench.loan() });
    let (judgement, summary, reports, _) = judge(&Plan::default(), &mut card);
    assert_eq!((judgement.grade(), summary.failed), (Grade::NotShown, 0), "{}", trouble(&reports));
    assert_eq!(card.spent().signatures, 0);
    assert!(judgement.to_string().contains("no holder is lent"), "{judgement}");
}

/// Signatures are a budget: what is over it is not performed, and no case goes beyond it.
#[test]
fn a_run_signs_no_more_often_than_it_may() {
    let Some(bench) = Bench::new(Leaving::Field) else { return };
    let mut card = bench.lent(Loan { signatures: 10, ..bench.loan() });
    let plan = Plan { filter: Filter::new(&["counter", "alias", "repeat"]).unwrap(), ..Plan::default() };
    let (judgement, summary, reports, _) = judge(&plan, &mut card);
    assert!(card.spent().signatures <= 10, "{}", card.spent().signatures);
    assert!(summary.failed == 0 && summary.passed > 1, "{}", trouble(&reports));
    assert!(judgement.to_string().contains("the signatures of the run are spent"), "{judgement}");
}

/// Hands that reach a desk where somebody has the issuer's keys.
struct Desk {
    hands: PanelHands,
    card: SharedCard,
    keys: KeySet,
}

/// What the desk's own reader is.
struct Wire {
    card: SharedCard,
    atr: Atr,
}

impl Transport for Wire {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        Ok(self.card.lock().unwrap().transmit(command))
    }

    fn atr(&self) -> &Atr {
        &self.atr
    }

    fn supports_extended(&self) -> bool {
        true
    }

    fn release(self: Box<Self>, _: Disposition) -> Result<(), ReaderError> {
        Ok(())
    }
}

impl Hands for Desk {
    fn press(&mut self, key: HandKey) -> Result<(), StageError> {
        self.hands.press(key)
    }

    fn look(&mut self) -> Result<Vec<String>, StageError> {
        self.hands.look()
    }

    fn hold_in_field(&mut self, there: bool) -> Result<(), StageError> {
        self.hands.hold_in_field(there)
    }

    fn wait(&mut self, time: Duration) -> Result<(), StageError> {
        self.hands.wait(time)
    }

    fn have_unblocked(&mut self) -> Result<(), StageError> {
        let atr = {
            let mut card = self.card.lock().unwrap();
            card.power_on();
            Atr::new(card.atr().to_vec())
        };
        let mut wire = Wire { card: SharedCard::clone(&self.card), atr };
        let pin = samples::PIN.parse().unwrap();
        let unblock = |issuer: &mut Issuer<'_>| issuer.unblock_pin(&pin);
        with_issuer(&mut wire, &self.keys, SecurityLevel::Full, &mut OsRng, unblock).unwrap();
        Ok(())
    }

    fn grain(&self) -> Duration {
        self.hands.grain()
    }
}

/// A card of another make is unblocked in another way than over GlobalPlatform.
#[test]
fn without_the_issuers_keys_the_holder_has_the_pin_unblocked() {
    let Some(bench) = Bench::new(Leaving::Field) else { return };
    let plan = || Plan { filter: Filter::new(&["pin/"]).unwrap(), ..Plan::default() };
    let hands = || PanelHands::at(&bench.panel.url()).unwrap();
    let (card, keys) = (SharedCard::clone(&bench.card), bench.management.clone());
    let desk: Box<dyn Hands> = Box::new(Desk { hands: hands(), card, keys });
    let mut card = bench.lent(Loan { issuer: None, hands: Some(desk), ..bench.loan() });
    let (judgement, summary, reports, _) = judge(&plan(), &mut card);
    assert_eq!(judgement.grade(), Grade::Conforming, "{summary}: {}", trouble(&reports));
    card.give_back().unwrap();
    drop(card);
    let mut card = bench.lent(Loan { issuer: None, ..bench.loan() });
    let (judgement, summary, reports, _) = judge(&plan(), &mut card);
    assert!(summary.failed == 0 && summary.not_performed > 0, "{}", trouble(&reports));
    assert_eq!(judgement.grade(), Grade::NotShown, "a panel unblocks nothing: {summary}");
}

/// A holder with a wrong PIN would block the card if he tried again for each case.
#[test]
fn a_wrong_pin_is_tried_once() {
    let Some(bench) = Bench::new(Leaving::Field) else { return };
    let mut card = bench.lent(Loan { pin: Some("1357".parse().unwrap()), ..bench.loan() });
    let plan = Plan { filter: Filter::new(&["confirm"]).unwrap(), ..Plan::default() };
    let (_, summary, reports, _) = judge(&plan, &mut card);
    assert_eq!((summary.passed, summary.failed), (0, 1), "{}", trouble(&reports));
    assert!(trouble(&reports).contains("the PIN that was lent"), "{}", trouble(&reports));
    assert!(card.give_back().is_ok());
    drop(card);
    let mut right = bench.lent(bench.loan());
    let (_, summary, reports, _) = judge(&plan, &mut right);
    assert_eq!(summary.failed, 0, "the card is not blocked: {}", trouble(&reports));
}

/// A card that goes in the middle ends the run with what was seen.
#[test]
fn a_card_that_goes_ends_the_run() {
    let Some(bench) = Bench::new(Leaving::Reader) else { return };
    let mut card = bench.lent(Loan { hands: None, ..bench.loan() });
    let (mut told, mut gone) = (0, Vec::new());
    let summary = conform::run(&Filter::default(), &mut card, &mut |report| {
        told += 1;
        if told == 40 {
            bench.stop.stop();
        }
        if let Verdict::NotPerformed { reason } = &report.verdict {
            gone.extend(reason.contains("the run ended in").then(|| report.id.clone()));
        }
    });
    assert!(summary.passed > 20 && summary.failed >= 1 && gone.len() > 100, "{summary}");
    assert!(summary.failed < 5, "what is gone is not failed: {summary}");
}

/// A program as docs/conformance.md describes it, in another language.
const ROBOT: &str = "
import json, sys
for line in sys.stdin:
    told = json.loads(line)
    answers = {
        'hello': {'protocol': 1, 'grain_ms': 50},
        'press': {'done': True} if told.get('key') in ['confirm', '7'] else {'error': 'no such key'},
        'look': {'lines': ['Payment', '12.34 EUR']},
        'field': {'done': told.get('in') is False},
        'wait': {'done': told.get('ms') == 300},
        'unblock': {'error': 'no desk here'},
    }
    print(json.dumps(answers[told['do']]), flush=True)
";

fn robot(script: &str) -> Result<RobotHands, NoRobot> {
    RobotHands::start("python3", &["-c".to_owned(), script.to_owned()])
}

#[test]
fn a_robot_is_a_program_that_is_told_what_to_do_in_lines_of_json() {
    let mut hands = robot(ROBOT).unwrap();
    assert_eq!(hands.grain(), Duration::from_millis(50));
    hands.press(HandKey::Confirm).unwrap();
    hands.press(HandKey::Digit(7)).unwrap();
    assert_eq!(hands.look().unwrap(), ["Payment", "12.34 EUR"]);
    hands.hold_in_field(false).unwrap();
    hands.wait(Duration::from_millis(300)).unwrap();
    assert!(hands.press(HandKey::Cancel).unwrap_err().to_string().contains("no such key"));
    assert!(hands.hold_in_field(true).unwrap_err().to_string().contains("has not done"));
    assert!(matches!(hands.have_unblocked(), Err(StageError::Unsupported(why)) if why.contains("blocked")));
    for (script, why) in [
        ("print('{\"protocol\": 2}')", "protocol 1"),
        ("print('hello')", "something else"),
        ("pass", "the holder's program"),
    ] {
        let error = robot(script).err().unwrap().to_string();
        assert!(error.contains(why), "{error}");
    }
    assert!(matches!(RobotHands::start("/no/such/program", &[]), Err(NoRobot::Start(_))));
}

#[test]
fn the_address_of_a_panel_is_the_one_that_it_prints() {
    for bad in ["", "127.0.0.1:80", "http://127.0.0.1:80", "http://127.0.0.1:80/#token="] {
        assert!(matches!(PanelHands::at(bad), Err(BadAddress::Form)), "{bad}");
    }
    assert!(matches!(PanelHands::at("http://127.0.0.1:9/#token=abc"), Err(BadAddress::Silent(_))));
}
