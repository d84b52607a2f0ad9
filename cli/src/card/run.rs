//! `onetap card run`: cards in virtual readers, one thread each, until they are done or it is interrupted.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use onetap_apdu_spec::command::CardState;
use onetap_applet::front::tui::{self, TuiError};
use onetap_applet::front::vpcd::{self, Left, Meeting, Notice, Stop, VpcdConfig};
use onetap_applet::{Screen, SharedCard};

use super::press::{Shown, TICK, lock};
use super::seat::{self, End, Seat};
use super::told;
use crate::args;
use crate::exit::Failure;
use crate::interrupt;
use crate::output::Output;

/// How long a reader that is not there is looked for; long enough for pcscd to start again.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn run(options: &args::CardRun, out: Output) -> Result<(), Failure> {
    if options.tui && options.image.len() > 1 {
        return Err(Failure::Usage("a terminal shows one card; use --panel for several".to_owned()));
    }
    let (end, ended) = mpsc::channel();
    let interrupted = end.clone();
    interrupt::watch(move || {
        // Where all has ended already, nobody listens.
        let _ = interrupted.send(End::Interrupted);
    })?;
    let seats = seat::all(options, out)?;
    seats.iter().try_for_each(Seat::announce)?;
    let mut served = Vec::new();
    let started = seats.iter().try_for_each(|seat| {
        served.extend(serve(seat, options, &end)?);
        Ok(())
    });
    let result = started.and_then(|()| match seats.as_slice() {
        [seat] if options.tui => show(seat, &ended),
        _ => {
            watch_displays(&seats);
            wait(&ended, seats.len())
        }
    });
    leave(&seats, served);
    result
}

/// Shows the card in this terminal. Its holder reads on after the one tap.
fn show(seat: &Seat, ended: &Receiver<End>) -> Result<(), Failure> {
    let mut failed = None;
    tui::show(&seat.card, &seat.field, &mut || match ended.try_recv() {
        Ok(End::Failed(failure)) => {
            failed = Some(failure);
            true
        }
        Ok(End::Interrupted) => true,
        Ok(End::Done) | Err(_) => false,
    })
    .map_err(|why| match why {
        TuiError::Draw(why) => Failure::Output(why),
        TuiError::Keys(why) => Failure::Input(why),
    })?;
    failed.map_or(Ok(()), Err)
}

/// Until no card is left, one failed, or it is interrupted.
fn wait(ended: &Receiver<End>, mut cards: usize) -> Result<(), Failure> {
    while cards > 0 {
        match ended.recv() {
            Ok(End::Done) => cards -= 1,
            Ok(End::Failed(failure)) => return Err(failure),
            Ok(End::Interrupted) | Err(_) => return Ok(()),
        }
    }
    Ok(())
}

/// Takes the cards out of their readers.
fn leave(seats: &[Seat], served: Vec<JoinHandle<()>>) {
    seats.iter().for_each(|seat| seat.stop.stop());
    for thread in served {
        // One that panicked has said so itself.
        let _ = thread.join();
    }
}

/// Serves the card to its reader, if it has one, in a thread of its own.
fn serve(seat: &Seat, options: &args::CardRun, end: &Sender<End>) -> Result<Option<JoinHandle<()>>, Failure> {
    let Some(meeting) = seat.meeting.clone() else { return Ok(None) };
    let (voice, card, stop, end) =
        (seat.voice.clone(), Arc::clone(&seat.card), seat.stop.clone(), end.clone());
    // A terminal that shows the card has no room for notices; it shows the field itself.
    let (tap, tell) = (options.tap, !options.tui);
    let work = move || {
        let (speaker, place) = (voice.clone(), meeting.clone());
        let mut notice = |notice| {
            let speaker = speaker.clone();
            if tell {
                told::tell(notice, &place, move |told| speaker.told(&told));
            }
        };
        let ended = match in_reader(&card, meeting, tap, &stop, &mut notice) {
            Ok(()) => End::Done,
            Err(failure) => End::Failed(voice.name(failure)),
        };
        // Where all has ended already, nobody listens.
        let _ = end.send(ended);
    };
    let thread = thread::Builder::new().spawn(work);
    thread.map(Some).map_err(|source| Failure::System { what: "start a thread", source })
}

fn in_reader(
    card: &SharedCard,
    meeting: Meeting,
    tap: bool,
    stop: &Stop,
    tell: &mut dyn FnMut(Notice),
) -> Result<(), Failure> {
    let config = VpcdConfig { meeting, leave_when_delivered: tap, give_up_after: Some(PATIENCE) };
    match vpcd::serve_telling(card, &config, stop, tell)? {
        Left::Stopped => {}
        Left::Delivered => until_done(card, stop),
    }
    Ok(())
}

/// After one tap the holder takes the time that the card gives.
fn until_done(card: &SharedCard, stop: &Stop) {
    while !stop.is_stopped() && lock(card).state() != CardState::Idle {
        thread::sleep(TICK);
        lock(card).tick();
    }
}

/// Prints each display whenever it changes, as long as the process lives.
fn watch_displays(seats: &[Seat]) {
    let watched = seats.iter().map(|seat| (seat.voice.clone(), Arc::clone(&seat.card), Screen::default()));
    let mut watched: Vec<_> = watched.collect();
    thread::spawn(move || {
        loop {
            for (voice, card, last) in &mut watched {
                if let Some(shown) = changed(card, last)
                    && voice.result(&shown, &shown.frame).is_err()
                {
                    return;
                }
            }
            thread::sleep(TICK);
        }
    });
}

/// What the display shows, if it is not what it showed last.
fn changed(card: &SharedCard, last: &mut Screen) -> Option<Shown> {
    let mut card = lock(card);
    let screen = card.screen();
    (screen != *last).then(|| {
        *last = screen;
        Shown::look(&mut card)
    })
}
