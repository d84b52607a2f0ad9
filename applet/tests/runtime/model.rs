//! A card of a hundred lines that shows what selection, channels, chaining and GET RESPONSE come to, and
//! random sequences that compare the real one with it.

use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::runtime::Limits;
use proptest::prelude::*;

use crate::probe::{Probe, pattern};
use crate::rig::{FAMILY, Rig, name, on};

/// Instances 1 to 4; those from here on are multiselectable.
const APPLETS: u8 = 4;
const FIRST_MULTI: u8 = 3;
const CHANNELS: u8 = 4;

#[derive(Debug, Clone)]
enum Op {
    /// By its own name.
    Select(u8, u8),
    /// By the name of the family: P2.
    Occurrence(u8, u8),
    Open(u8),
    OpenNumber(u8, u8),
    Close(u8, u8),
    /// Channel, length of the part, more to come, P1.
    Echo(u8, u8, bool, u8),
    /// Channel, length of the answer, Ne.
    Give(u8, u8, u16),
    GetResponse(u8, u16),
    Reset,
}

/// What each channel has: closed, or open with an applet or without.
type Channels = [Option<Option<u8>>; CHANNELS as usize];

#[derive(Debug)]
struct Model {
    channels: Channels,
    /// Channel, P1 and data of the chain that is open.
    chain: Option<(u8, u8, Vec<u8>)>,
    /// Channel and bytes that wait for GET RESPONSE.
    waiting: Option<(u8, Vec<u8>)>,
}

type Answered = Result<Vec<u8>, &'static str>;

impl Model {
    fn new() -> Self {
        Self { channels: [Some(None), None, None, None], chain: None, waiting: None }
    }

    /// Data and status word.
    fn step(&mut self, op: &Op) -> (Vec<u8>, String) {
        let (chain, waiting) = (self.chain.take(), self.waiting.take());
        let channel = match *op {
            Op::Reset => {
                *self = Self::new();
                return (vec![], String::new());
            }
            Op::Select(c, _) | Op::Occurrence(c, _) | Op::Open(c) | Op::OpenNumber(c, _) => c,
            Op::Close(c, _) | Op::Echo(c, ..) | Op::Give(c, ..) | Op::GetResponse(c, _) => c,
        };
        let Some(selected) = self.channels[usize::from(channel)] else { return error("6881") };
        let ne = match *op {
            Op::Give(_, _, ne) | Op::GetResponse(_, ne) => usize::from(ne),
            _ => 256,
        };
        let answered = match *op {
            Op::Echo(_, len, more, p1) => self.echo(selected, (channel, p1, len, more), chain),
            Op::Give(..) if selected.is_none() => Err("6985"),
            _ if chain.is_some() => Err("6883"),
            Op::Give(_, len, _) => Ok(pattern(len.into())),
            Op::GetResponse(..) => waiting.filter(|(c, _)| *c == channel).map(|(_, data)| data).ok_or("6985"),
            _ => self.select_or_manage(channel, selected, op),
        };
        match answered {
            Err(sw) => error(sw),
            Ok(mut data) if data.len() > ne => {
                let rest = data.split_off(ne);
                let sw = StatusWord::bytes_left(rest.len()).to_string();
                self.waiting = Some((channel, rest));
                (data, sw)
            }
            Ok(data) => (data, "9000".to_owned()),
        }
    }

    fn select_or_manage(&mut self, channel: u8, selected: Option<u8>, op: &Op) -> Answered {
        match *op {
            Op::Select(_, n) => self.select(channel, (1..=APPLETS).find(|at| *at == n)),
            Op::Occurrence(_, p2) => {
                let next = |n: u8| (n < APPLETS).then_some(n + 1);
                let previous = |n: u8| (n > 1).then_some(n - 1);
                let found = match p2 {
                    0 => Some(1),
                    1 => Some(APPLETS),
                    2 => selected.map_or(Some(1), next),
                    _ => selected.map_or(Some(APPLETS), previous),
                };
                self.select(channel, found)
            }
            Op::Open(_) => {
                let free = (1..CHANNELS).find(|c| self.channels[usize::from(*c)].is_none());
                self.open(channel, selected, free.ok_or("6A81")?).map(|()| vec![free.unwrap()])
            }
            Op::OpenNumber(_, c) => {
                let free = self.channels.get(usize::from(c)) == Some(&None);
                if free { self.open(channel, selected, c).map(|()| vec![]) } else { Err("6A86") }
            }
            Op::Close(_, c) => match if c == 0 { channel } else { c } {
                0 => Err("6A81"),
                CHANNELS.. => Err("6A86"),
                c => self.channels[usize::from(c)].take().map(|_| vec![]).ok_or("6200"),
            },
            _ => unreachable!("not a command of the card's own"),
        }
    }

    fn is_free_for(&self, channel: u8, n: u8) -> bool {
        let elsewhere = |(c, at): (u8, &Option<Option<u8>>)| c != channel && *at == Some(Some(n));
        n >= FIRST_MULTI || !(0..).zip(&self.channels).any(elsewhere)
    }

    fn select(&mut self, channel: u8, found: Option<u8>) -> Answered {
        let n = found.ok_or("6A82")?;
        if !self.is_free_for(channel, n) {
            return Err("6985");
        }
        self.channels[usize::from(channel)] = Some(Some(n));
        Ok(name(n).to_vec())
    }

    /// There is no default applet: from the basic channel nothing is inherited.
    fn open(&mut self, origin: u8, selected: Option<u8>, c: u8) -> Result<(), &'static str> {
        let inherited = selected.filter(|_| origin != 0);
        if inherited.is_some_and(|n| !self.is_free_for(c, n)) {
            return Err("6985");
        }
        self.channels[usize::from(c)] = Some(inherited);
        Ok(())
    }

    fn echo(
        &mut self,
        selected: Option<u8>,
        (channel, p1, len, more): (u8, u8, u8, bool),
        chain: Option<(u8, u8, Vec<u8>)>,
    ) -> Answered {
        if selected.is_none() {
            return Err("6985");
        }
        if chain.as_ref().is_some_and(|(c, p, _)| (*c, *p) != (channel, p1)) {
            return Err("6883");
        }
        let mut whole = chain.map(|(_, _, data)| data).unwrap_or_default();
        whole.extend(pattern(len.into()));
        if !more {
            return Ok(whole);
        }
        self.chain = Some((channel, p1, whole));
        Ok(vec![])
    }
}

fn error(sw: &str) -> (Vec<u8>, String) {
    (vec![], sw.to_owned())
}

/// The same on the real card.
fn play(rig: &mut Rig, op: &Op) -> (Vec<u8>, String) {
    let answer = match *op {
        Op::Reset => {
            rig.card.reset();
            return (vec![], String::new());
        }
        Op::Select(c, n) => rig.select_as(c, &name(n), 0),
        Op::Occurrence(c, p2) => rig.select_as(c, FAMILY, p2),
        Op::Open(c) => rig.send([c, 0x70, 0, 0], &[], Some(256)),
        Op::OpenNumber(c, number) => rig.send([c, 0x70, 0, number], &[], Some(256)),
        Op::Close(c, number) => rig.send([c, 0x70, 0x80, number], &[], Some(256)),
        Op::Echo(c, len, more, p1) => {
            let cla = on(0x80, c) | if more { 0x10 } else { 0 };
            rig.send([cla, Probe::ECHO, p1, 0], &pattern(len.into()), Some(256))
        }
        Op::Give(c, len, ne) => rig.send([on(0x80, c), Probe::GIVE, 0, len], &[], Some(ne.into())),
        Op::GetResponse(c, ne) => rig.send([c, 0xC0, 0, 0], &[], Some(ne.into())),
    };
    (answer.data, answer.sw)
}

fn op() -> impl Strategy<Value = Op> {
    let c = || prop_oneof![3 => Just(0), 2 => 1..CHANNELS];
    prop_oneof![
        3 => (c(), 1..=APPLETS + 1).prop_map(|(c, n)| Op::Select(c, n)),
        2 => (c(), 0..4_u8).prop_map(|(c, p2)| Op::Occurrence(c, p2)),
        2 => c().prop_map(Op::Open),
        1 => (c(), 1..=CHANNELS).prop_map(|(c, n)| Op::OpenNumber(c, n)),
        1 => (c(), 0..=CHANNELS).prop_map(|(c, n)| Op::Close(c, n)),
        6 => (c(), 0..100_u8, any::<bool>(), 0..2_u8).prop_map(|(c, len, more, p1)| Op::Echo(c, len, more, p1)),
        3 => (c(), any::<u8>(), 1..=256_u16).prop_map(|(c, len, ne)| Op::Give(c, len, ne)),
        3 => (c(), 1..=256_u16).prop_map(|(c, ne)| Op::GetResponse(c, ne)),
        1 => Just(Op::Reset),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_card_does_as_the_model(ops in proptest::collection::vec(op(), 1..50)) {
        let mut rig = Rig::empty(Limits::default());
        for n in 1..=APPLETS {
            rig.install(if n < FIRST_MULTI { Probe::PLAIN } else { Probe::MULTI }, n);
        }
        let mut model = Model::new();
        for (at, op) in ops.iter().enumerate() {
            let expected = model.step(op);
            prop_assert_eq!(play(&mut rig, op), expected, "operation {}: {:?} of {:?}", at, op, ops);
        }
    }
}
