//! Plays the scenarios and records them.

use std::sync::PoisonError;
use std::time::Duration;

use onetap_apdu_spec::apdu::Form;
use onetap_apdu_spec::command::Name;
use onetap_apdu_spec::objects;
use onetap_apdu_spec::rng::Rng;
use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::tlv;
use onetap_apdu_spec::txn::{Transaction, TransactionMessage};
use onetap_applet::SharedCard;
use onetap_pcsc_host::trace::{Evidence, Header, Key, Recorder, Stage, Trace};
use onetap_pcsc_host::{
    Atr, Deadline, Disposition, Draft, LineKeyboard, Reader, ReaderError, Tapped, Terminal, Transport,
    VerificationPassword,
};

use super::judge::Judge;
use super::operator::Operator;
use super::scenario::{Scenario, TraceFailure, stage};
use crate::conform::CommandBuilder;
use crate::target::{CardUnderTest, InProcess, owed_tag, samples};

/// How long one contact may take.
const CONTACT: Duration = Duration::from_secs(60);

/// Plays `scenario` and gives what was recorded.
pub(super) fn play(
    scenario: Scenario,
    suite: Suite,
    keep: bool,
    card: InProcess,
    operator: Operator,
) -> Result<Trace, TraceFailure> {
    let header = Header {
        suite: Some(suite),
        clauses: scenario.clauses().iter().map(|&clause| clause.to_owned()).collect(),
        recorded_by: Some(concat!("onetap ", env!("CARGO_PKG_VERSION")).to_owned()),
        virtual_time: Some(samples::transaction().at),
        ..Header::new(scenario.description())
    };
    let judge = Judge::new(operator, card.known_of());
    let recorder = Recorder::new(Vec::new(), &header);
    let recorder = if keep { recorder.keeping() } else { recorder };
    let (evidence, transaction) = (Evidence::default(), samples::transaction());
    let mut player = Player { recorder, card, judge, evidence, transaction };
    match scenario {
        Scenario::Payment => player.payment()?,
        Scenario::Lockout => player.lockout()?,
        Scenario::Tamper => player.tamper()?,
        Scenario::WrongOrder => player.wrong_order()?,
    }
    let written = player.recorder.finish().map_err(stage)?;
    Trace::parse(&String::from_utf8_lossy(&written)).map_err(stage)
}

struct Player {
    recorder: Recorder<Vec<u8>>,
    card: InProcess,
    judge: Judge,
    evidence: Evidence,
    /// What is paid, again and again.
    transaction: Transaction,
}

type Played = Result<(), TraceFailure>;

/// Scenarios.
impl Player {
    fn payment(&mut self) -> Played {
        self.tap_and_confirm()?;
        self.server("as-shown")
    }

    fn lockout(&mut self) -> Played {
        self.tap_and_confirm()?;
        for _ in 0..3 {
            self.server("wrong-password")?;
        }
        self.server("as-shown")?;
        self.server("unlock")?;
        // Unlocking voids what was signed before.
        self.server("as-shown")?;
        self.key(Key::Cancel)?;
        self.tap_and_confirm()?;
        self.server("as-shown")
    }

    /// With an amount that takes the PIN, which the holder mistypes first.
    fn tamper(&mut self) -> Played {
        self.transaction = samples::payment(samples::KEY_UP_TO + 1, samples::CURRENCY);
        self.tap_and_read()?;
        for digit in [Key::WrongDigit, Key::Digit] {
            (0..self.card.claims().pin_digits).try_for_each(|_| self.key(digit))?;
            self.screen()?;
            self.key(Key::Confirm)?;
            self.screen()?;
        }
        self.server("tampered-amount")?;
        self.server("as-shown")?;
        self.server("tampered-amount")
    }

    fn wrong_order(&mut self) -> Played {
        let [get_signature, get_enc_password] =
            [CommandBuilder::get_signature(), CommandBuilder::get_enc_password()]
                .map(|command| command.bytes());
        let (select, status) = (CommandBuilder::select().bytes(), CommandBuilder::status().bytes());
        self.come()?;
        self.transmit(&[&status, &get_signature, &select, &get_signature, &get_enc_password])?;
        let put_txn = self.put_txn()?;
        self.transmit(&[&put_txn, &get_enc_password, &put_txn, &status])?;
        // Begun anew: what was loaded is void.
        self.transmit(&[&select, &get_signature, &status])?;
        self.transmit(&[&put_txn])?;
        self.leave()?;
        self.tap()?;
        self.tick(self.card.claims().timing().debounce)?;
        self.screen()?;
        // A second tap, while the card waits for its holder.
        self.come()?;
        self.transmit(&[&select])?;
        let other = self.put_txn()?;
        self.transmit(&[&other, &get_signature, &status])?;
        self.screen()?;
        self.leave()?;
        self.tick(self.card.claims().timing().debounce)?;
        self.screen()?;
        self.key(Key::Cancel)?;
        self.screen()
    }
}

/// What the people do.
impl Player {
    /// One contact; then the holder reads, confirms by key, and sees the joint password.
    fn tap_and_confirm(&mut self) -> Played {
        self.tap_and_read()?;
        self.key(Key::Confirm)?;
        self.screen()
    }

    /// One contact; then the holder reads all pages and waits until the confirm key works.
    fn tap_and_read(&mut self) -> Played {
        self.tap()?;
        self.screen()?;
        self.tick(self.card.claims().timing().debounce)?;
        let mut before = Vec::new();
        loop {
            let now = self.card.screen().map_err(stage)?.lines().to_vec();
            if now == before {
                break;
            }
            self.screen()?;
            self.key(Key::Next)?;
            before = now;
        }
        self.tick(self.card.claims().timing().dead_time)
    }

    /// The terminal takes everything in one contact (P-04), and the card leaves.
    fn tap(&mut self) -> Played {
        let transaction = self.transaction.clone();
        self.come()?;
        let at = transaction.at.into();
        let mut terminal = Terminal::with(transaction.terminal.clone(), move || at, Fixed);
        let mut reader = OnStage(self.card.card());
        let mut recording = self.recorder.over(&mut reader);
        let tapped =
            terminal.tap(&mut recording, &draft(&transaction), &Deadline::after(CONTACT)).map_err(stage)?;
        self.remember(tapped)?;
        self.leave()
    }

    /// Keeps what the server will get. The terminal lets it out only with a typed password (P-16);
    /// which one does not matter here, the right one comes from the display.
    fn remember(&mut self, tapped: Tapped) -> Played {
        let typed = VerificationPassword::type_in(&mut LineKeyboard(&b"00000000\n"[..])).map_err(stage)?;
        let request = tapped.authorise(typed);
        let tag = self.card.known().and_then(|known| owed_tag(known.suite()));
        let object = request.password_object.zip(tag).map(|(object, tag)| tlv::object(tag, &object.bytes));
        self.evidence.transaction = Some(request.transaction);
        self.evidence.signature_message = Some(request.signature_message);
        self.evidence.password_object = object;
        Ok(())
    }

    fn server(&mut self, request: &str) -> Played {
        let outcome = self.judge.request(request, &self.evidence).map_err(stage)?;
        self.recorder.server(request, &outcome);
        Ok(())
    }

    fn come(&mut self) -> Played {
        let atr = self.card.field_in().map_err(stage)?;
        self.recorder.field_in(&Atr::new(atr));
        Ok(())
    }

    fn leave(&mut self) -> Played {
        self.card.field_out().map_err(stage)?;
        self.recorder.field_out();
        Ok(())
    }

    fn transmit(&mut self, commands: &[&[u8]]) -> Played {
        let mut reader = OnStage(self.card.card());
        let mut recording = self.recorder.over(&mut reader);
        let mut contact = recording.connect(&Deadline::after(CONTACT)).map_err(stage)?;
        for command in commands {
            contact.transmit(command).map_err(stage)?;
        }
        contact.release(Disposition::Leave).map_err(stage)
    }

    /// Reads the alias; PUT TXN in its name.
    fn put_txn(&mut self) -> Result<Vec<u8>, TraceFailure> {
        let alias = CommandBuilder::alias().bytes();
        self.transmit(&[&alias])?;
        let answer = self.card.transmit(&alias).map_err(stage)?;
        let object = answer.get(..answer.len().saturating_sub(2)).unwrap_or_default();
        let value = crate::target::value_of(object, objects::PAYER_ALIAS).ok_or_else(|| stage("no alias"))?;
        let payer = String::from_utf8_lossy(&value).parse().map_err(stage)?;
        let message = Transaction { payer, ..self.transaction.clone() }.encode().map_err(stage)?;
        command(&message)
    }

    fn key(&mut self, key: Key) -> Played {
        self.card.key(key).map_err(stage)?;
        self.recorder.key(key);
        Ok(())
    }

    fn tick(&mut self, time: Duration) -> Played {
        self.card.tick(time).map_err(stage)?;
        self.recorder.tick(time);
        Ok(())
    }

    fn screen(&mut self) -> Played {
        let screen = self.card.screen().map_err(stage)?;
        self.recorder.screen(&screen);
        self.evidence.joint_password =
            screen.joint_password().cloned().or(self.evidence.joint_password.take());
        Ok(())
    }
}

/// PUT TXN in the form that a replay chooses.
fn command(message: &TransactionMessage) -> Result<Vec<u8>, TraceFailure> {
    Name::PutTxn.spec().apdu(None, message.bytes()).encode(Form::Short).map_err(stage)
}

fn draft(transaction: &Transaction) -> Draft {
    Draft {
        kind: transaction.kind,
        payee_account: transaction.payee_account.clone(),
        payee_name: transaction.payee_name.clone(),
        amount: transaction.amount,
        reference: transaction.reference.clone(),
        details: transaction.details.clone(),
    }
}

/// The terminal's unpredictable number stands in the trace as it was.
struct Fixed;

impl Rng for Fixed {
    fn fill(&mut self, out: &mut [u8]) {
        out.copy_from_slice(samples::transaction().unpredictable_number.get(..out.len()).unwrap_or_default());
    }
}

/// The card in the field, as a reader sees it. Field and power are the player's.
struct OnStage(SharedCard);

impl Reader for OnStage {
    fn name(&self) -> &str {
        "in-process"
    }

    fn connect(&mut self, _: &Deadline) -> Result<Box<dyn Transport>, ReaderError> {
        let contact =
            OnStageContact { card: SharedCard::clone(&self.0), atr: Atr::new(onetap_apdu_spec::atr::ATR) };
        Ok(Box::new(contact))
    }
}

struct OnStageContact {
    card: SharedCard,
    atr: Atr,
}

impl Transport for OnStageContact {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        Ok(self.card.lock().unwrap_or_else(PoisonError::into_inner).transmit(command))
    }

    fn atr(&self) -> &Atr {
        &self.atr
    }

    fn release(self: Box<Self>, _: Disposition) -> Result<(), ReaderError> {
        Ok(())
    }
}
