//! The verifiers: processes that judge, decide in transactions, make them durable, answer, and die at any point of it.

use std::collections::VecDeque;

use onetap_server_verifier::rules::cancel::ProvenCancellation;
use onetap_server_verifier::rules::decide::Attempt;
use onetap_server_verifier::{Outcome, Timestamp};

use crate::cast::{CAST, moment};
use crate::database::{Job, Stage};
use crate::defect::{Defect, any_terminal};
use crate::history::{Content, Record, Request, What};
use crate::world::{Event, World};

/// Decisions in one commit at most, and how many may wait.
const BATCH: usize = 8;
const QUEUE: usize = 12;

/// A process.
#[derive(Default)]
pub struct Process {
    pub down: bool,
    /// How often it was started.
    start: usize,
    /// Seconds that its clock is ahead.
    pub ahead: i64,
    queue: VecDeque<Job>,
    busy: bool,
}

impl World {
    /// A process takes a request: cryptography at once, then the decision.
    pub fn deliver(&mut self, errand: usize, process: usize) {
        if self.processes[process].down {
            return;
        }
        let request = self.errands[errand].request;
        let Some(job) = self.job(errand, request, self.processes[process].ahead) else {
            self.history.answers.push((request, Outcome::Refused));
            return self.reply(errand, &Outcome::Refused);
        };
        if self.database.grouped && self.processes[process].queue.len() >= QUEUE {
            return self.reply(errand, &Outcome::Busy);
        }
        self.submit(process, job);
    }

    /// What is to be decided for an errand, if a card has signed it.
    fn job(&self, errand: usize, request: Request, ahead: i64) -> Option<Job> {
        if self.history.content(request) == Content::Cancellation {
            let cancellation = Box::new(self.cancellation(request, ahead)?);
            return Some(Job::Cancel { errand, request, cancellation });
        }
        Some(Job::Decide { errand, request, attempt: Box::new(self.attempt(request, ahead)?) })
    }

    fn cancellation(&self, request: Request, ahead: i64) -> Option<ProvenCancellation> {
        let deal = self.history.tap(request);
        Some(ProvenCancellation {
            account: i64::try_from(self.history.account(request)).unwrap(),
            terminal: CAST.terminals[request.terminal].clone(),
            now: moment(self.now, ahead),
            evidence: CAST.prove(deal.card, deal.key, &self.history.cancellation(request))?,
        })
    }

    /// What a verifier knows of a request before it reads anything that changes.
    fn attempt(&self, request: Request, ahead: i64) -> Option<Attempt> {
        let (deal, sent) = (self.history.tap(request), self.history.request(request));
        let now = moment(self.now, ahead);
        let terminal = if any_terminal(self.defect) { deal.terminal } else { request.terminal };
        let mut body = [0; 16];
        body[..8].copy_from_slice(&request.letter.to_be_bytes());
        Some(Attempt {
            account: i64::try_from(self.history.account(request)).unwrap(),
            terminal: CAST.terminals[terminal].clone(),
            key: request.key.to_string(),
            body,
            now,
            window_start: Timestamp(now.0 - self.history.policy.window),
            judged: CAST.judge(deal.card, deal.key, &sent)?,
        })
    }

    /// Queues a job for the one writer, or begins a transaction of its own.
    pub fn submit(&mut self, process: usize, job: Job) {
        if self.database.grouped {
            self.processes[process].queue.push_back(job);
            let delay = self.dice.between(0, 10);
            self.after(delay, Event::Wake(process));
        } else {
            self.begin(process, vec![job]);
        }
    }

    pub fn wake(&mut self, process: usize) {
        let process_now = &mut self.processes[process];
        if process_now.busy || process_now.down || process_now.queue.is_empty() {
            return;
        }
        let many = process_now.queue.len().min(BATCH);
        let jobs = process_now.queue.drain(..many).collect();
        process_now.busy = true;
        self.begin(process, jobs);
    }

    fn begin(&mut self, process: usize, jobs: Vec<Job>) {
        let (id, held) = self.database.begin(process, jobs);
        self.go_on(held.then_some(id));
    }

    /// A transaction that has its lock goes on.
    fn go_on(&mut self, id: Option<usize>) {
        if let Some(id) = id {
            let delay = self.dice.between(0, 5);
            self.after(delay, Event::Decide(id));
        }
    }

    pub fn decide(&mut self, id: usize) {
        if self.database.transactions[id].stage != Stage::Locked {
            return;
        }
        for job in 0..self.database.transactions[id].jobs.len() {
            let (rough, full) = (self.rough(), self.weather.full);
            if rough && self.dice.percent(full) {
                self.tell(|_| format!("transaction {id}: no room on the disk"));
                continue;
            }
            let now = self.database.transactions[id].jobs[job].now();
            let what = self.database.decide(id, job);
            self.tell(|world| format!("transaction {id}: {}", world.describe_what(&what)));
            let decided = self.tick();
            self.database.transactions[id].records.push((job, self.history.records.len()));
            self.history.records.push(Record { what, now, decided, durable: None, answered: false });
        }
        let next = self.database.decided(id);
        self.go_on(next);
        if self.defect == Some(Defect::AnswersBeforeDurable) {
            self.answer_all(id);
        }
        let delay = self.dice.between(1, 20);
        self.after(delay, Event::Commit(id));
        let fragile = self.weather.fragile;
        if self.rough() && self.dice.percent(fragile) {
            let delay = self.dice.between(0, 25);
            self.after(delay, Event::Die(self.database.transactions[id].process));
        }
    }

    fn tick(&mut self) -> usize {
        self.ticks += 1;
        self.ticks
    }

    pub fn commit(&mut self, id: usize) {
        if self.database.transactions[id].stage != Stage::Decided {
            return;
        }
        if self.database.meets(id) {
            self.tell(|_| format!("transaction {id}: its key is taken, once more"));
            self.database.restart(id);
            return self.go_on(Some(id));
        }
        self.make_durable(id);
        if self.defect != Some(Defect::AnswersBeforeDurable) {
            self.answer_all(id);
        }
        let process = self.database.transactions[id].process;
        self.processes[process].busy = false;
        self.after(0, Event::Wake(process));
    }

    fn make_durable(&mut self, id: usize) {
        self.tell(|_| format!("transaction {id}: durable"));
        let next = self.database.commit(id);
        let tick = self.tick();
        for (_, record) in &self.database.transactions[id].records {
            self.history.records[*record].durable = Some(tick);
        }
        self.go_on(next);
    }

    /// Each answer leaves in its own time, if the process lives so long.
    fn answer_all(&mut self, id: usize) {
        let transaction = &self.database.transactions[id];
        let process = transaction.process;
        let start = self.processes[process].start;
        let answers: Vec<_> = transaction
            .records
            .iter()
            .filter_map(|(job, record)| match &transaction.jobs[*job] {
                Job::Decide { errand, .. } | Job::Cancel { errand, .. } => Some((*errand, *record)),
                _ => None,
            })
            .collect();
        for (errand, record) in answers {
            let delay = self.dice.between(0, 5);
            self.after(delay, Event::Answer { process, start, errand, record });
        }
    }

    pub fn answer(&mut self, process: usize, start: usize, errand: usize, record: usize) {
        if self.processes[process].start != start || self.processes[process].down {
            return;
        }
        let record = &mut self.history.records[record];
        let (What::Judged { request, outcome, .. } | What::Ended(request, outcome)) = &record.what else {
            return;
        };
        record.answered = true;
        let (request, outcome) = (*request, outcome.clone());
        self.history.answers.push((request, outcome.clone()));
        self.reply(errand, &outcome);
    }

    fn reply(&mut self, errand: usize, outcome: &Outcome) {
        for delay in self.transmit() {
            self.after(delay, Event::Hear(errand, outcome.clone()));
        }
    }

    /// Kills a process. What it was about to make durable may or may not be.
    pub fn crash(&mut self, process: usize) {
        self.tell(|_| format!("process {process} dies"));
        self.processes[process].down = true;
        self.processes[process].start += 1;
        self.processes[process].busy = false;
        self.processes[process].queue.clear();
        self.cut(Some(process));
        let pause = self.dice.between(100, 5_000);
        self.after(pause, Event::Restart(process));
    }

    /// Ends the transactions of a process, or of all.
    pub fn cut(&mut self, process: Option<usize>) {
        for id in self.database.under_way(process) {
            match self.database.transactions[id].stage {
                Stage::Over => {}
                Stage::Decided if self.dice.percent(30) && !self.database.meets(id) => {
                    self.make_durable(id);
                }
                _ => {
                    let next = self.database.abort(id);
                    self.go_on(next);
                }
            }
        }
    }
}
