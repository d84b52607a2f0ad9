//! Refusals that must look alike: made in all kinds, mixed at random, and timed over one connection.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use onetap_apdu_spec::money::Amount;
use onetap_apdu_spec::txn::PayeeName;
use onetap_server_verifier::Policy;

use super::Fallible;
use super::client::Client;
use super::scene::Scene;
use super::telling::Class;
use super::town::{Payment, euro};
use onetap_conformance::dice::Dice;
use onetap_conformance::load::api::REFUSED;

/// Accounts for each kind, so that none is more at hand than another.
const POOL: usize = 8;
/// Kinds that have accounts of their own: wrong passwords, locked, dead counter, refused payee.
const POOLS: usize = 4;
/// Most wrong passwords in a row that a policy allows, so that few right ones are needed in between.
const TRIES: u32 = 10;
const PATIENCE: Duration = Duration::from_secs(10);

/// So many accounts are needed.
pub const ACCOUNTS: usize = POOL * POOLS;

/// The policy under which this is measured: the decision is the same, but more tries are left to measure.
#[must_use]
pub fn policy() -> Policy {
    Policy {
        wrong_in_a_row: TRIES,
        wrong_per_counter: TRIES,
        wrong_in_window: u32::MAX,
        window: 1,
        max_age: 24 * 60 * 60,
        ..Policy::default()
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The password is wrong from this character on.
    Wrong(usize),
    /// The account is locked, the password right.
    Locked,
    /// C is dead, the password right.
    Dead,
    /// The payee has another name, the password is right.
    Payee,
}

impl Kind {
    fn name(self) -> String {
        match self {
            Self::Wrong(right) => format!("wrong password with {right} right characters"),
            Self::Locked => "locked account".to_owned(),
            Self::Dead => "dead counter".to_owned(),
            Self::Payee => "refused payee".to_owned(),
        }
    }
}

/// One request: measured as one of the kinds, or made only so that there are more tries.
struct Step {
    class: Option<usize>,
    bytes: Vec<u8>,
}

/// What was seen.
#[derive(Debug)]
pub struct Seen {
    /// Times by kind.
    pub classes: Vec<Class>,
    /// Refusals with another status or body than the one refusal.
    pub others: usize,
}

/// Times so many refusals by the process that serves `scene`, which was founded with [`ACCOUNTS`] and [`policy`].
///
/// # Errors
/// The process does not start or does not answer.
pub fn measure(scene: &mut Scene, samples: usize, seed: u64) -> Fallible<Seen> {
    let serving = scene.serve()?;
    let address = || Some(serving.address());
    let mut client = Client::new(&address, PATIENCE, PATIENCE);
    let mut maker = Maker { scene, dice: Dice::new(seed), wrong: vec![], dead: vec![], payee: vec![] };
    maker.prepare(&mut client)?;
    let (kinds, steps) = maker.steps(samples)?;
    // Signing takes longer than the service keeps a silent connection.
    let mut client = Client::new(&address, PATIENCE, PATIENCE);
    let class =
        |kind: &Kind| Class { name: kind.name(), times: Vec::with_capacity(samples / kinds.len() + 1) };
    let mut seen = Seen { classes: kinds.iter().map(class).collect(), others: 0 };
    for step in &steps {
        let began = Instant::now();
        let (status, body) = client.once(&step.bytes)?;
        let time = began.elapsed().as_secs_f64();
        if let Some(class) = step.class {
            seen.classes[class].times.push(time);
            seen.others += usize::from(status != 200 || body != REFUSED);
        } else if status != 200 || body == REFUSED {
            return Err("a right password in between was refused".into());
        }
    }
    Ok(seen)
}

struct Maker<'a> {
    scene: &'a mut Scene,
    dice: Dice,
    /// The current payment of each account that mistypes, and how often it did.
    wrong: Vec<(Payment, u32)>,
    dead: Vec<Payment>,
    payee: Vec<Payment>,
}

impl Maker<'_> {
    /// Locks accounts, kills counters, and signs what is used again and again.
    fn prepare(&mut self, client: &mut Client<'_>) -> Fallible<()> {
        let too_much = Amount::new(policy().transaction_limit + 1, euro()?)?;
        for place in 0..POOL {
            let [wrong, locked, dead, payee] = [0, 1, 2, 3].map(|pool| pool * POOL + place);
            let tap = self.pay(wrong)?;
            self.wrong.push((tap, 0));
            let tap = self.pay(locked)?;
            for _ in 0..TRIES {
                let request = tap.mistyped(0)?;
                client.ask(&self.scene.bytes(&tap.terminal, &request))?;
            }
            let tap = self.scene.town.payment(dead, |t| t.amount = too_much)?;
            client.ask(&self.scene.bytes(&tap.terminal, &tap.request))?;
            self.dead.push(tap);
            let stranger = PayeeName::new("Mallory")?;
            self.payee.push(self.scene.town.payment(payee, |t| t.payee_name = stranger)?);
        }
        Ok(())
    }

    fn pay(&mut self, payer: usize) -> Fallible<Payment> {
        self.scene.town.payment(payer, |_| ())
    }

    /// As many of each kind, in random order, all signed beforehand.
    fn steps(&mut self, samples: usize) -> Fallible<(Vec<Kind>, VecDeque<Step>)> {
        let length = self.wrong[0].0.request.verification_password.expose().len();
        let mut kinds: Vec<Kind> = (0..length).map(Kind::Wrong).collect();
        kinds.extend([Kind::Locked, Kind::Dead, Kind::Payee]);
        let mut order: Vec<usize> = (0..kinds.len()).cycle().take(samples).collect();
        for last in (1..order.len()).rev() {
            order.swap(last, self.dice.below(last + 1));
        }
        let mut steps = VecDeque::with_capacity(samples + samples / 8);
        for class in order {
            self.step(class, kinds[class], &mut steps)?;
        }
        Ok((kinds, steps))
    }

    fn step(&mut self, class: usize, kind: Kind, steps: &mut VecDeque<Step>) -> Fallible<()> {
        let place = self.dice.below(POOL);
        let (terminal, request) = match kind {
            Kind::Wrong(right) => {
                if self.wrong[place].1 == TRIES - 1 {
                    let (spent, _) = std::mem::replace(
                        &mut self.wrong[place],
                        (self.scene.town.payment(place, |_| ())?, 0),
                    );
                    let bytes = self.scene.bytes(&spent.terminal, &spent.request);
                    steps.push_back(Step { class: None, bytes });
                }
                let (tap, wrong) = &mut self.wrong[place];
                *wrong += 1;
                (tap.terminal.clone(), tap.mistyped(right)?)
            }
            Kind::Locked => {
                let tap = self.pay(POOL + place)?;
                (tap.terminal, tap.request)
            }
            Kind::Dead => (self.dead[place].terminal.clone(), self.dead[place].request.clone()),
            Kind::Payee => (self.payee[place].terminal.clone(), self.payee[place].request.clone()),
        };
        steps.push_back(Step { class: Some(class), bytes: self.scene.bytes(&terminal, &request) });
        Ok(())
    }
}
