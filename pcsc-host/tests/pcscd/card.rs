//! Virtual cards for vpcd, among them such as misbehave.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use onetap_apdu_spec::suite::Suite;
use pcsc::{Context, ReaderState, Scope, State};

use crate::PATIENCE;
use crate::support::formal_card;

/// By then pcscd has noticed that a card left.
const NOTICED: Duration = Duration::from_secs(2);
/// Where vpcd listens for the card in its first slot; the others follow.
const PORT: u16 = 35_963;

/// Category 80, extended length, T=1, with TCK.
pub(crate) fn atr() -> Vec<u8> {
    let mut atr = hex::decode("3b8580018073000040").unwrap();
    atr.push(atr[1..].iter().fold(0, |tck, byte| tck ^ byte));
    atr
}

/// A virtual card for vpcd; leaves when dropped.
pub(crate) struct VirtualCard {
    stream: TcpStream,
    power: Receiver<u8>,
    slot: u16,
    /// Events of the reader before this card came.
    before: u32,
    /// Ends a command that waits for ever.
    held: Option<Sender<()>>,
}

impl VirtualCard {
    /// A card in slot 0 that answers every command; `None` leaves in the middle of it.
    pub(crate) fn insert(answer: impl FnMut(&[u8]) -> Option<Vec<u8>> + Send + 'static) -> Self {
        Self::put(0, atr(), answer)
    }

    /// A card that answers rightly.
    pub(crate) fn formal(slot: u16) -> Self {
        let mut formal = formal_card(Suite::default());
        Self::put(slot, atr(), move |command| Some(formal(command)))
    }

    /// A card that never answers the command of this number, counted from 0, and tells when it came.
    pub(crate) fn stuck_at(number: usize) -> (Self, Receiver<()>) {
        let (came, arrived) = mpsc::channel();
        let mut formal = formal_card(Suite::default());
        let (let_go, held) = mpsc::channel::<()>();
        let mut seen = 0;
        let answer = move |command: &[u8]| {
            seen += 1;
            if seen <= number {
                return Some(formal(command));
            }
            let _ = came.send(());
            let _ = held.recv();
            None
        };
        let mut card = Self::put(0, atr(), answer);
        card.held = Some(let_go);
        (card, arrived)
    }

    /// Ends the command that waits for ever, by leaving.
    pub(crate) fn let_go(&mut self) {
        self.held = None;
    }

    pub(crate) fn put(
        slot: u16,
        atr: Vec<u8>,
        mut answer: impl FnMut(&[u8]) -> Option<Vec<u8>> + Send + 'static,
    ) -> Self {
        let start = Instant::now();
        // pcscd may have been started just now.
        let stream = loop {
            match TcpStream::connect(("127.0.0.1", PORT + slot)) {
                Ok(stream) => break stream,
                Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
            }
            thread::yield_now();
        };
        stream.set_nodelay(true).unwrap();
        let before = events(slot, u32::MAX).unwrap_or_default();
        let mut peer = stream.try_clone().unwrap();
        let (powered, power) = mpsc::channel();
        thread::spawn(move || {
            while let Some(message) = receive(&mut peer) {
                let reply = match message.as_slice() {
                    [4] => Some(atr.clone()),
                    [control] => {
                        let _ = powered.send(*control);
                        continue;
                    }
                    command => answer(command),
                };
                let Some(reply) = reply else {
                    let _ = peer.shutdown(Shutdown::Both);
                    return;
                };
                let length = u16::try_from(reply.len()).unwrap().to_be_bytes();
                if peer.write_all(&[&length[..], &reply].concat()).is_err() {
                    return;
                }
            }
        });
        Self { stream, power, slot, before, held: None }
    }

    /// Waits until the reader has told the card to power off (0), on (1), or to reset (2).
    pub(crate) fn wait_for_power(&self, control: u8) {
        while self.power.recv_timeout(PATIENCE).expect("the reader switches the power") != control {}
    }
}

impl Drop for VirtualCard {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        // pcscd looks every 400 ms, and takes the next card for this one if it comes before.
        let (start, mut count) = (Instant::now(), self.before);
        while (self.before..self.before + 2).contains(&count) && start.elapsed() < NOTICED {
            count = events(self.slot, count).unwrap_or(u32::MAX);
        }
    }
}

fn receive(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    from.read_exact(&mut length).ok()?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    from.read_exact(&mut message).ok()?;
    Some(message)
}

/// How many insertions and removals pcscd has noticed in this slot, as soon as they are other than `known`; `None`
/// without pcscd.
fn events(slot: u16, known: u32) -> Option<u32> {
    let context = Context::establish(Scope::User).ok()?;
    let mut names = context.list_readers_owned().ok()?;
    names.sort();
    let mut states = [ReaderState::new(names.into_iter().nth(usize::from(slot))?, State::UNAWARE)];
    context.get_status_change(Duration::ZERO, &mut states).ok()?;
    if states[0].event_count() == known {
        states[0].sync_current_state();
        match context.get_status_change(Duration::from_millis(100), &mut states) {
            Ok(()) | Err(pcsc::Error::Timeout) => {}
            Err(_) => return None,
        }
    }
    Some(states[0].event_count())
}
