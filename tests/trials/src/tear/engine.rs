//! The sweep over any card.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::rc::Rc;

use onetap_apdu_spec::crypto::{Digest, default_provider};
use onetap_applet::nvm::{Cut, How, TearSwitch, TearingImage};

use super::memory::{Log, Watched, lost, torn};
use super::report::{Report, Row, Violation};
use crate::rig::Surprise;

/// A kind of card, the situations it can be in and what can be done to it.
pub(super) trait Subject {
    /// A card under power.
    type Live;
    /// What is known of it when its power is gone.
    type Past;
    /// All that can be seen of a card that woke up.
    type State: PartialEq + Debug;
    /// What it did when it was used after that.
    type Future;

    fn name(&self) -> String;
    fn situations(&self) -> Vec<&'static str>;
    fn steps(&self) -> Vec<String>;

    /// The memory from which `situation` is reached.
    fn base(&self, situation: usize) -> Result<Vec<u8>, Surprise>;
    /// Opens the card and brings it into the situation.
    fn ready(&self, situation: usize, image: TearingImage) -> Result<Self::Live, Surprise>;
    /// Does a step; what it answers does not matter, what it gives away does.
    fn perform(&self, live: &mut Self::Live, step: usize) -> Result<(), Surprise>;
    /// The power is gone.
    fn end(&self, live: Self::Live) -> Self::Past;
    /// The moment at which the card wakes again.
    fn moment(&self, past: &Self::Past) -> u64;
    /// Opens the card and does nothing with it.
    fn recover(&self, image: Watched, moment: u64) -> Result<(), Surprise>;
    /// Opens the card, looks at everything and uses it.
    fn wake(&self, memory: &[u8], moment: u64) -> Result<(Self::State, Self::Future), Surprise>;
    /// Promises about past and future together, and about what may stand in the memory.
    fn judge(&self, case: &Case<'_, Self>) -> Result<(), String>;
}

/// A card that woke up from what a cut left, and what is known of it.
pub(super) struct Case<'a, S: Subject + ?Sized> {
    pub(super) past: &'a S::Past,
    /// What it was before the step.
    pub(super) before: &'a S::State,
    /// What the cut left.
    pub(super) memory: &'a [u8],
    pub(super) state: &'a S::State,
    pub(super) future: &'a S::Future,
}

type Woken<S> = Rc<Result<(<S as Subject>::State, <S as Subject>::Future), String>>;

/// How many steps there are in all situations.
pub(super) fn steps<S: Subject>(subject: &S) -> u64 {
    (subject.situations().len() * subject.steps().len()) as u64
}

/// Cuts the power at every write of every step in every situation; `tell` sees the report after each step.
pub(super) fn sweep<S: Subject>(subject: &S, report: &mut Report, tell: &mut dyn FnMut(&Report)) {
    let mut sweep = Sweep { subject, report, woken: HashMap::new(), recovered: HashSet::new() };
    for (situation, situation_name) in subject.situations().into_iter().enumerate() {
        let base = subject.base(situation);
        for (step, step_name) in subject.steps().into_iter().enumerate() {
            let place = Place { situation, step, names: (situation_name, step_name), cut: None };
            match &base {
                Ok(base) => sweep.step(&place, base),
                Err(why) => sweep.violated(&place, why.to_string()),
            }
            tell(sweep.report);
        }
    }
}

struct Place {
    situation: usize,
    step: usize,
    names: (&'static str, String),
    cut: Option<Cut>,
}

struct Sweep<'a, S: Subject> {
    subject: &'a S,
    report: &'a mut Report,
    /// What woke up of a memory at a moment: many cuts leave the same memory.
    woken: HashMap<(Digest, u64), Woken<S>>,
    /// Memories whose recovery was torn everywhere.
    recovered: HashSet<(Digest, u64)>,
}

impl<S: Subject> Sweep<'_, S> {
    fn step(&mut self, place: &Place, base: &[u8]) {
        self.report.steps += 1;
        let memory = Watched::new(base);
        let run = self.run(place, &memory);
        let Some((past, log, before)) = self.settle(place, run) else { return };
        let moment = self.subject.moment(&past);
        let writes = log.step_writes().len() as u64;
        let after = memory.bytes();
        let passed: Vec<_> = [&before]
            .into_iter()
            .chain(log.step_synced())
            .chain([&after])
            .map(|bytes| self.wake(bytes, moment))
            .collect();
        if writes > 0 {
            self.note(place, &log);
        }
        self.judge(place, &past, &after, &passed);
        self.lost(place, base, &log, moment, &passed);
        for at in 0..writes {
            for how in How::ALL {
                let (situation, step, names) = (place.situation, place.step, place.names.clone());
                let place = Place { situation, step, names, cut: Some(Cut { at, how }) };
                self.point(&place, base, &passed);
            }
        }
    }

    fn note(&mut self, place: &Place, log: &Log) {
        let (commits, writes) = (log.step_synced().count() as u64, log.step_writes().len() as u64);
        self.report.writes += writes;
        let (subject, situation, step) =
            (self.subject.name(), place.names.0.to_owned(), place.names.1.clone());
        self.report.rows.push(Row { subject, situation, step, commits, writes });
    }

    /// Brings a card into the situation and does the step, with the power cut as `place` says. Gives what is
    /// known then, what was written in the step, and the memory before it.
    fn run(&self, place: &Place, memory: &Watched) -> Result<(S::Past, Log, Vec<u8>), Surprise> {
        let (image, switch) = TearingImage::new(memory.clone());
        memory.start();
        let mut live = self.subject.ready(place.situation, image)?;
        let before = memory.bytes();
        memory.begin_step();
        place.cut.iter().for_each(|cut| TearSwitch::arm(&switch, *cut));
        self.subject.perform(&mut live, place.step)?;
        Ok((self.subject.end(live), memory.stop(), before))
    }

    /// The machine loses its power, and with it any writes that were not synced: the card is still what it was
    /// before the step or after one of its commits, and once the step is over, what it is after it.
    fn lost(&mut self, place: &Place, base: &[u8], log: &Log, moment: u64, passed: &[Woken<S>]) {
        let stretches = log.unsynced(base);
        let last = stretches.len().saturating_sub(1);
        for (at, (memory, writes)) in stretches.into_iter().enumerate() {
            let allowed = if at == last { passed.last().map(std::slice::from_ref) } else { Some(passed) };
            for memory in lost(&memory, writes) {
                self.report.lost_points += 1;
                let woken = self.wake(&memory, moment);
                let state = woken.as_ref().as_ref().map(|(state, _)| state);
                let mut allowed =
                    allowed.into_iter().flatten().filter_map(|woken| woken.as_ref().as_ref().ok());
                if !state.is_ok_and(|state| allowed.any(|(other, _)| other == state)) {
                    self.violated(place, format!("after unsynced writes were lost: {state:?}"));
                }
            }
        }
    }

    /// One cut.
    fn point(&mut self, place: &Place, base: &[u8], passed: &[Woken<S>]) {
        self.report.points += 1;
        let memory = Watched::new(base);
        let run = self.run(place, &memory);
        let Some((past, _, _)) = self.settle(place, run) else { return };
        let left = memory.bytes();
        self.judge(place, &past, &left, passed);
        self.recovery(place, &past, &left, passed);
    }

    /// Cuts the power at every write of the recovery too.
    fn recovery(&mut self, place: &Place, past: &S::Past, left: &[u8], passed: &[Woken<S>]) {
        let moment = self.subject.moment(past);
        let memory = Watched::new(left);
        memory.start();
        let opened = self.subject.recover(memory.clone(), moment);
        let log = memory.stop();
        self.report.recovery_points += log.writes.len() as u64 * How::ALL.len() as u64;
        if !self.recovered.insert((digest(left), moment)) || opened.is_err() {
            // Done before; or what does not open was told by the judge.
            return;
        }
        let whole = memory.bytes();
        let mut seen = HashSet::new();
        for torn in torn(left, &log.writes) {
            if !seen.insert(digest(&torn)) {
                continue;
            }
            let memory = Watched::new(&torn);
            match self.subject.recover(memory.clone(), moment) {
                Ok(()) if memory.bytes() == whole => {}
                // Another image may still be the same card.
                Ok(()) => self.judge(place, past, &torn, passed),
                Err(why) => self.violated(place, format!("torn again while it recovered: {why}")),
            }
        }
    }

    /// What `left` wakes up to must be one of the states that the step passes, and all promises must hold.
    fn judge(&mut self, place: &Place, past: &S::Past, left: &[u8], passed: &[Woken<S>]) {
        let woken = self.wake(left, self.subject.moment(past));
        match &*woken {
            Err(why) => self.violated(place, why.clone()),
            Ok((state, future)) => {
                let passed: Vec<_> = passed.iter().filter_map(|woken| woken.as_ref().as_ref().ok()).collect();
                if !passed.iter().any(|(other, _)| other == state) {
                    self.violated(place, format!("neither before nor after: {state:?}"));
                }
                let Some((before, _)) = passed.first() else { return };
                let case = Case { past, before, memory: left, state, future };
                if let Err(why) = self.subject.judge(&case) {
                    self.violated(place, why);
                }
            }
        }
    }

    fn wake(&mut self, memory: &[u8], moment: u64) -> Woken<S> {
        let subject = self.subject;
        let woken = self.woken.entry((digest(memory), moment));
        let wake = || Rc::new(subject.wake(memory, moment).map_err(|why| why.to_string()));
        Rc::clone(woken.or_insert_with(wake))
    }

    fn settle<T>(&mut self, place: &Place, result: Result<T, Surprise>) -> Option<T> {
        result.map_err(|why| self.violated(place, why.to_string())).ok()
    }

    fn violated(&mut self, place: &Place, what: String) {
        self.report.violations.push(Violation {
            subject: self.subject.name(),
            situation: place.names.0.to_owned(),
            step: place.names.1.clone(),
            write: place.cut.map(|cut| cut.at),
            how: place.cut.map(|cut| cut.how.into()),
            what,
        });
    }
}

fn digest(bytes: &[u8]) -> Digest {
    default_provider().sha256(&[bytes])
}

#[cfg(test)]
mod tests {
    use onetap_applet::nvm::{Image, MemoryImage};

    use super::*;

    /// Two numbers whose sum should stay the same, moved without a journal.
    struct Careless;

    const FIRST: usize = 0;
    const SECOND: usize = onetap_applet::nvm::PAGE_LEN;

    impl Subject for Careless {
        type Live = TearingImage;
        type Past = ();
        type State = u8;
        type Future = ();

        fn name(&self) -> String {
            "careless".to_owned()
        }

        fn situations(&self) -> Vec<&'static str> {
            vec!["ten here, none there"]
        }

        fn steps(&self) -> Vec<String> {
            vec!["one moves".to_owned()]
        }

        fn base(&self, _: usize) -> Result<Vec<u8>, Surprise> {
            let mut memory = vec![0; 2 * SECOND];
            memory[FIRST] = 10;
            Ok(memory)
        }

        fn ready(&self, _: usize, image: TearingImage) -> Result<TearingImage, Surprise> {
            Ok(image)
        }

        fn perform(&self, image: &mut TearingImage, _: usize) -> Result<(), Surprise> {
            let _ = image.write(FIRST, &[9]).and_then(|()| image.write(SECOND, &[1]));
            Ok(())
        }

        fn end(&self, _: TearingImage) {}

        fn moment(&self, (): &()) -> u64 {
            0
        }

        fn recover(&self, _: Watched, _: u64) -> Result<(), Surprise> {
            Ok(())
        }

        fn wake(&self, memory: &[u8], _: u64) -> Result<(u8, ()), Surprise> {
            let mut number = [0; 1];
            let image = MemoryImage::from_bytes(memory.to_vec());
            let mut read = |at| image.read(at, &mut number).map(|()| number[0]).unwrap_or_default();
            Ok((read(FIRST) + read(SECOND), ()))
        }

        fn judge(&self, _: &Case<'_, Self>) -> Result<(), String> {
            Ok(())
        }
    }

    #[test]
    fn a_tear_between_two_writes_is_found() {
        let mut report = Report::default();
        sweep(&Careless, &mut report, &mut |_| ());
        assert_eq!((report.steps, report.writes, report.points), (1, 2, 8));
        // One byte has no first half: it is there after the second, or whole. Without a sync either may be lost.
        let found: Vec<_> = report.violations.iter().map(|found| (found.write, found.how)).collect();
        let torn = [(0, "second-half"), (0, "after"), (1, "before"), (1, "half")];
        let torn = torn.map(|(write, how)| (Some(write), Some(how)));
        assert_eq!(found, [&[(None, None); 4][..], &torn].concat());
    }
}
