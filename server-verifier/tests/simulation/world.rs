//! One simulation: a queue of events, and a network that loses, delays and repeats.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use onetap_server_verifier::{Outcome, Policy};

use crate::actors::{Action, Errand};
use crate::cast::CAST;
use crate::database::Database;
use crate::defect::Defect;
use crate::dice::Dice;
use crate::history::{History, Request, What};
use crate::verifiers::Process;

/// More events than this, and something goes in circles.
const MAX_STEPS: usize = 5_000;

/// How hard a seed is on everybody. Drawn once for each, so that some have nothing of one kind and much of another.
pub struct Weather {
    pub lost: i64,
    pub repeated: i64,
    /// Milliseconds, at most.
    pub delay: i64,
    pub full: i64,
    /// Deaths in the midst of a commit.
    pub fragile: i64,
    pub mistyped: i64,
    pub flawed: i64,
    /// Milliseconds from the first to the last action.
    pub span: i64,
}

impl Weather {
    fn draw(dice: &mut Dice) -> Self {
        Self {
            lost: dice.pick(&[0, 5, 20]),
            repeated: dice.pick(&[0, 5, 20]),
            delay: dice.pick(&[20, 500, 20_000]),
            full: dice.pick(&[0, 0, 5]),
            fragile: dice.pick(&[0, 0, 5, 15]),
            mistyped: dice.pick(&[0, 20, 50]),
            flawed: dice.pick(&[0, 10, 30]),
            span: dice.pick(&[10_000, 120_000, 900_000]),
        }
    }
}

/// What happens next.
#[derive(Debug)]
pub enum Event {
    Act(Action),
    /// A request arrives at a process.
    Deliver(usize, usize),
    /// An answer arrives at the client.
    Hear(usize, Outcome),
    /// The client has waited long enough.
    Timeout(usize),
    /// The writer of a process looks into its queue.
    Wake(usize),
    Decide(usize),
    Commit(usize),
    /// A process, as it was started for the so-manieth time, answers an errand by a record.
    Answer {
        process: usize,
        start: usize,
        errand: usize,
        record: usize,
    },
    Die(usize),
    Restart(usize),
}

pub struct World {
    pub dice: Dice,
    pub weather: Weather,
    /// Milliseconds since the start.
    pub now: i64,
    queue: BinaryHeap<Reverse<(i64, usize)>>,
    /// By the number in the queue.
    events: Vec<Option<Event>>,
    pub processes: Vec<Process>,
    pub database: Database,
    pub errands: Vec<Errand>,
    pub counters: Vec<u32>,
    pub history: History,
    pub defect: Option<Defect>,
    pub ticks: usize,
}

impl World {
    pub fn new(seed: u64, defect: Option<Defect>, told: bool) -> Self {
        let mut dice = Dice::new(seed);
        let weather = Weather::draw(&mut dice);
        let grouped = dice.percent(50);
        let policy = policy(&mut dice);
        let processes = if grouped { 1 } else { dice.pick(&[1, 2, 3]) };
        let history = History {
            policy: policy.clone(),
            grouped,
            taps: Vec::new(),
            letters: Vec::new(),
            records: Vec::new(),
            answers: Vec::new(),
            sent: Vec::new(),
            story: told.then(Vec::new),
            steps: 0,
            open: 0,
        };
        let mut world = Self {
            dice,
            weather,
            now: 0,
            queue: BinaryHeap::new(),
            events: Vec::new(),
            processes: (0..processes).map(|_| Process::default()).collect(),
            database: Database::new(grouped, policy, defect),
            errands: Vec::new(),
            counters: vec![0; CAST.cards.len()],
            history,
            defect,
            ticks: 0,
        };
        world.plan();
        world
    }

    /// Runs until nothing is left to happen.
    pub fn run(mut self) -> (History, crate::tables::Tables) {
        while let Some(Reverse((at, number))) = self.queue.pop() {
            if self.history.steps == MAX_STEPS {
                break;
            }
            self.history.steps += 1;
            self.now = at;
            if let Some(event) = self.events[number].take() {
                self.happen(event);
            }
        }
        self.history.open = self.errands.iter().filter(|errand| errand.is_open()).count();
        (self.history, self.database.durable)
    }

    /// Has `event` happen in so many milliseconds.
    pub fn after(&mut self, delay: i64, event: Event) {
        self.queue.push(Reverse((self.now + delay, self.events.len())));
        self.events.push(Some(event));
    }

    /// Adds a line to the story, if there is one.
    pub fn tell(&mut self, line: impl FnOnce(&Self) -> String) {
        let Some(mut story) = self.history.story.take() else { return };
        story.push(format!("{:>9.3} s  {}", seconds(self.now), line(self)));
        self.history.story = Some(story);
    }

    /// True until the last action: afterwards everything works, so that all find out what became of them.
    pub fn rough(&self) -> bool {
        self.now < self.weather.span
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Act(action) => self.act(action),
            Event::Deliver(errand, process) => self.deliver(errand, process),
            Event::Hear(errand, outcome) => self.hear(errand, outcome),
            Event::Timeout(errand) => self.timeout(errand),
            Event::Wake(process) => self.wake(process),
            Event::Decide(id) => self.decide(id),
            Event::Commit(id) => self.commit(id),
            Event::Answer { process, start, errand, record } => self.answer(process, start, errand, record),
            Event::Die(process) => self.crash(process),
            Event::Restart(process) => self.processes[process].down = false,
        }
    }

    /// Sends an errand's request over the network, to any process.
    pub fn send(&mut self, errand: usize) {
        let process = self.dice.below(self.processes.len());
        let request = self.errands[errand].request;
        self.history.sent.push(request);
        self.tell(|world| format!("{} to process {process}", world.describe(request)));
        for delay in self.transmit() {
            self.after(delay, Event::Deliver(errand, process));
        }
    }

    /// How long each copy of a message takes; none if it is lost.
    pub fn transmit(&mut self) -> Vec<i64> {
        let (lost, repeated) = (self.weather.lost, self.weather.repeated);
        let copies = match self.rough() {
            true if self.dice.percent(lost) => 0,
            true if self.dice.percent(repeated) => 2,
            _ => 1,
        };
        (0..copies).map(|_| self.dice.between(1, self.weather.delay)).collect()
    }

    pub fn describe_what(&self, what: &What) -> String {
        match what {
            What::Judged { request, outcome, looked } => {
                format!("{} gets {outcome} (password: {looked:?})", self.describe(*request))
            }
            What::Ended(request, outcome) => format!("{} gets {outcome}", self.describe(*request)),
            other => format!("{other:?}"),
        }
    }

    fn describe(&self, request: Request) -> String {
        let (tap, content) = (self.history.letters[request.letter].tap, self.history.content(request));
        let deal = self.history.tap(request);
        format!(
            "key {} of terminal {}: tap {tap} (card {} C {} pays {} to {}), {content:?}",
            request.key, request.terminal, deal.card, deal.counter, deal.amount, deal.payee
        )
    }
}

#[allow(clippy::cast_precision_loss, reason = "for reading")]
fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

/// Rules close enough together to meet in a short time.
fn policy(dice: &mut Dice) -> Policy {
    Policy {
        wrong_in_window: dice.pick(&[4, 6, 10]),
        window: dice.pick(&[60, 300, 2_592_000]),
        key_overlap: 60,
        transaction_limit: 5_000,
        ..Policy::default()
    }
}
