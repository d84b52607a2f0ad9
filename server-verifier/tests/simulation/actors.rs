//! Who does what: holders, a thief, a replayer, an administrator, and what breaks.

use onetap_apdu_spec::suite::Profile;
use onetap_server_verifier::Outcome;

use crate::cast::{CAST, Deal, EMPLOYER, Flaw, SHOP, moment};
use crate::database::Job;
use crate::history::{Content, Letter, Request, Tap};
use crate::world::{Event, World};

/// A client with a request, until it knows what became of it.
#[derive(Debug)]
pub struct Errand {
    pub request: Request,
    /// Who types again after a mistake.
    honest: bool,
    pub outcome: Option<Outcome>,
    /// The client has turned to a cancellation of it.
    given_up: bool,
}

impl Errand {
    /// Whether somebody still waits for it.
    pub fn is_open(&self) -> bool {
        self.outcome.is_none() && !self.given_up
    }
}

/// What somebody does at one moment.
#[derive(Debug, Clone, Copy)]
pub enum Action {
    /// A holder taps and pays.
    Pay,
    /// The employer pays the salaries.
    Payday,
    /// A thief guesses at a captured session.
    Guess,
    /// Somebody sends again what was sent before.
    Replay,
    /// Somebody changes what was sent.
    Tamper,
    /// Somebody cancels what a card has signed.
    Cancel,
    Unlock,
    Block,
    Rotate,
    /// A clock is set.
    SetClock,
    /// A process dies.
    Crash,
    /// The database dies.
    Outage,
    /// Sends an errand.
    Send(usize),
}

/// So often in a hundred actions.
const MIX: [(Action, usize); 12] = [
    (Action::Pay, 30),
    (Action::Payday, 6),
    (Action::Guess, 19),
    (Action::Replay, 19),
    (Action::Tamper, 4),
    (Action::Cancel, 7),
    (Action::Unlock, 10),
    (Action::Block, 1),
    (Action::Rotate, 2),
    (Action::SetClock, 3),
    (Action::Crash, 4),
    (Action::Outage, 2),
];

/// Nobody makes more of an errand than it is once there are so many.
const CROWD: usize = 60;

impl World {
    /// Decides when who acts.
    pub fn plan(&mut self) {
        let actions = self.dice.between(10, 45);
        for _ in 0..actions {
            let mut at = self.dice.below(MIX.iter().map(|(_, share)| share).sum());
            let chosen = MIX.iter().find(|(_, share)| {
                let here = at < *share;
                at = at.saturating_sub(*share);
                here
            });
            let when = self.dice.between(0, self.weather.span - 1);
            self.after(when, Event::Act(chosen.unwrap().0));
        }
    }

    pub fn act(&mut self, action: Action) {
        match action {
            Action::Pay => self.pay(),
            Action::Payday => self.payday(),
            Action::Guess => self.guess(),
            Action::Replay => self.replay(),
            Action::Tamper => self.tamper(),
            Action::Cancel => self.cancel(),
            Action::Send(errand) => {
                self.send(errand);
                let patience = self.weather.delay * 2 + self.dice.between(200, 3_000);
                self.after(patience, Event::Timeout(errand));
            }
            Action::SetClock => {
                let process = self.dice.below(self.processes.len());
                self.processes[process].ahead = self.dice.between(-90, 90);
            }
            Action::Crash => {
                let process = self.dice.below(self.processes.len());
                self.crash(process);
            }
            Action::Outage => {
                self.tell(|_| "the database dies".to_owned());
                if self.database.grouped { self.crash(0) } else { self.cut(None) }
            }
            Action::Unlock | Action::Block | Action::Rotate => self.administer(action),
        }
    }

    fn administer(&mut self, action: Action) {
        let process = self.dice.below(self.processes.len());
        if self.processes[process].down {
            return;
        }
        let now = moment(self.now, self.processes[process].ahead);
        let card = self.dice.below(CAST.cards.len());
        let job = match action {
            Action::Block => Job::Block(card, now),
            Action::Rotate => Job::Rotate(card, now),
            _ => Job::Unlock(self.dice.below(2), now),
        };
        self.submit(process, job);
    }

    fn pay(&mut self) {
        let card = self.dice.below(CAST.cards.len() - 1);
        self.pay_with(card);
    }

    fn pay_with(&mut self, card: usize) {
        let payees = [0, 1, SHOP, SHOP];
        let amount = if self.dice.percent(4) { 6_000 } else { self.dice.between(1, 400) };
        let tap = self.tap(card, payees, amount);
        let mistyped = self.weather.mistyped;
        let content = if self.dice.percent(mistyped) { self.wrong() } else { Content::Right };
        let withheld = if self.dice.percent(15) { self.dice.between(0, 900_000) } else { 0 };
        let delay = self.dice.between(0, 20_000) + withheld;
        self.entrust(tap, content, true, delay);
    }

    fn payday(&mut self) {
        let card = CAST.cards.iter().position(|card| card.account == EMPLOYER).unwrap();
        let amount = self.dice.between(500, 1_500);
        let tap = self.tap(card, [0, 0, 1, 1], amount);
        self.entrust(tap, Content::Right, true, 0);
    }

    /// A card signs.
    fn tap(&mut self, card: usize, payees: [usize; 4], amount: i64) -> usize {
        let account = CAST.cards[card].account;
        let payee = Some(self.dice.pick(&payees)).filter(|payee| *payee != account);
        let again = self.dice.percent(5) && self.counters[card] > 0;
        if !again {
            self.counters[card] += 1;
        }
        let flawed = self.weather.flawed;
        let flaws = [Flaw::PayeeName, Flaw::NoSuchPayee, Flaw::StoredValue, Flaw::OtherPayer];
        let rotated = self.database.durable.cards[card].newest_key == 2 && self.dice.percent(70);
        let deal = Deal {
            card,
            key: if rotated { 2 } else { 1 },
            counter: self.counters[card],
            payee: payee.unwrap_or(SHOP),
            amount: u64::try_from(amount).unwrap(),
            dated: moment(self.now, 0).0,
            terminal: self.dice.below(CAST.terminals.len()),
            flaw: self.dice.percent(flawed).then(|| self.dice.pick(&flaws)),
        };
        let request = CAST.sign(&deal, &mut self.dice);
        self.history.taps.push(Tap { deal, request });
        self.history.taps.len() - 1
    }

    fn wrong(&mut self) -> Content {
        Content::Wrong(u8::try_from(self.dice.below(4)).unwrap())
    }

    /// Gives a letter to the client of the tap's terminal, seldom to another.
    fn entrust(&mut self, tap: usize, content: Content, honest: bool, delay: i64) {
        let own = self.history.taps[tap].deal.terminal;
        let flawed = self.weather.flawed;
        let terminal = if self.dice.percent(flawed / 3) { 1 - own } else { own };
        let request = Request { terminal, key: self.new_key(), letter: self.letter(Letter { tap, content }) };
        self.run_errand(request, honest, delay);
        if self.dice.percent(2) {
            // Another body under the same key at the same time, perhaps for another account.
            let letter = self.dice.below(self.history.letters.len());
            self.run_errand(Request { letter, ..request }, false, delay);
        }
    }

    fn run_errand(&mut self, request: Request, honest: bool, delay: i64) {
        self.errands.push(Errand { request, honest, outcome: None, given_up: false });
        self.after(delay, Event::Act(Action::Send(self.errands.len() - 1)));
    }

    fn new_key(&self) -> u32 {
        u32::try_from(self.errands.len()).unwrap()
    }

    /// The name of a letter.
    fn letter(&mut self, letter: Letter) -> usize {
        let known = self.history.letters.iter().position(|known| *known == letter);
        known.unwrap_or_else(|| {
            self.history.letters.push(letter);
            self.history.letters.len() - 1
        })
    }

    /// Some tap, rather a late one.
    fn captured(&mut self) -> Option<usize> {
        let back = if self.dice.percent(70) { self.dice.below(3) } else { self.dice.below(12) };
        self.history.taps.len().checked_sub(back + 1)
    }

    /// One to six guesses at a captured session, at once or one after another; sometimes the last one is right.
    fn guess(&mut self) {
        let Some(tap) = self.captured() else { return };
        let apart = self.dice.pick(&[0, 20, 3_000]);
        let guesses = self.dice.between(1, 6);
        for i in 0..guesses {
            let content = if self.dice.percent(12) { Content::Right } else { self.wrong() };
            self.entrust(tap, content, false, i * apart);
        }
    }

    /// The same again: as it was, under another key, from another terminal, or with another body.
    fn replay(&mut self) {
        let back = if self.dice.percent(60) { self.dice.below(4) } else { self.dice.below(20) };
        let Some(errand) = self.errands.len().checked_sub(back + 1) else { return };
        let mut request = self.errands[errand].request;
        match self.dice.below(8) {
            0 | 1 => {}
            2 => request.terminal = 1 - request.terminal,
            3 => request.letter = self.dice.below(self.history.letters.len()),
            _ => request.key = self.new_key(),
        }
        self.run_errand(request, false, 0);
    }

    /// Other bytes than the card made.
    fn tamper(&mut self) {
        let Some(tap) = self.captured() else { return };
        let card = &CAST.cards[self.history.taps[tap].deal.card];
        let open = card.suite.profile() == Profile::B2 && self.dice.percent(70);
        let content = if open { Content::BrokenEnvelope } else { Content::Forged };
        self.entrust(tap, content, false, 0);
    }

    /// Once to three times, at any moment, from any terminal: also before what is cancelled was sent.
    fn cancel(&mut self) {
        let Some(tap) = self.captured() else { return };
        let apart = self.dice.pick(&[0, 20, 3_000]);
        let times = self.dice.between(1, 3);
        for i in 0..times {
            self.entrust(tap, Content::Cancellation, false, i * apart);
        }
    }

    /// The client waits no longer: it sends again, under the same key until it knows; or it gives up, and cancels.
    pub fn timeout(&mut self, errand: usize) {
        if !self.errands[errand].is_open() {
            return;
        }
        let request = self.errands[errand].request;
        let letter = self.history.letters[request.letter];
        if letter.content != Content::Cancellation && self.dice.percent(25) {
            self.errands[errand].given_up = true;
            let letter = self.letter(Letter { content: Content::Cancellation, ..letter });
            let honest = self.errands[errand].honest;
            let key = self.new_key();
            return self.run_errand(Request { letter, key, ..request }, honest, 0);
        }
        if self.now < self.weather.span && self.errands.len() < CROWD {
            if self.dice.percent(5) {
                let key = self.new_key();
                self.run_errand(Request { key, ..request }, false, 0);
            } else if self.dice.percent(3) {
                let letter = Letter { content: self.wrong(), ..letter };
                let letter = self.letter(letter);
                self.run_errand(Request { letter, ..request }, false, 0);
            }
        }
        self.act(Action::Send(errand));
    }

    /// The client learns what became of its request.
    pub fn hear(&mut self, errand: usize, outcome: Outcome) {
        if outcome == Outcome::Busy || self.errands[errand].outcome.is_some() {
            return;
        }
        let request = self.errands[errand].request;
        let mistaken = matches!(self.history.content(request), Content::Wrong(_));
        if self.errands[errand].honest && mistaken && outcome == Outcome::Refused {
            let content =
                if self.dice.percent(self.weather.mistyped) { self.wrong() } else { Content::Right };
            let tap = self.history.letters[request.letter].tap;
            let delay = self.dice.between(1_000, 15_000);
            self.entrust(tap, content, true, delay);
        }
        if self.errands[errand].honest && outcome == Outcome::Cancelled {
            // The holder taps again.
            self.pay_with(self.history.tap(request).card);
        }
        self.errands[errand].outcome = Some(outcome);
    }
}
