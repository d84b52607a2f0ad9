//! P-24 under fire: a thousand wrong guesses at once on one account.

use std::path::Path;
use std::sync::Barrier;

use onetap_apdu_spec::service::AuthorisationRequest;
use onetap_apdu_spec::suite::Suite;
use onetap_applet::{DEBOUNCE_MS, Key};
use onetap_conformance::world::{Route, World};
use onetap_server_verifier::{Event, Outcome};

use crate::row::Row;
use crate::support::Fallible;

const GUESSES: usize = 1_000;
/// Signed transactions that the guesses are spread over.
const TAPS: usize = 4;
/// How often a guess is sent again that met a busy store.
const ATTEMPTS: usize = 1_000;

pub(crate) fn measure(folder: &Path) -> Fallible<Vec<Row>> {
    let mut world = World::new(folder, Suite::default(), Route::InProcess)?;
    let requests = (0..TAPS).map(|_| wrong_guess(&mut world)).collect::<Fallible<Vec<_>>>()?;
    let barrier = Barrier::new(GUESSES);
    let (world, barrier) = (&world, &barrier);
    let (server, client) = (&world.server, &world.client);
    std::thread::scope(|scope| {
        let guesses: Vec<_> = (0..GUESSES)
            .map(|i| {
                let request = &requests[i % TAPS];
                scope.spawn(move || {
                    barrier.wait();
                    let answer = || server.authorise(client, &format!("guess-{i}"), request);
                    let mut answers = std::iter::repeat_with(answer).take(ATTEMPTS);
                    answers.find(|answer| !matches!(answer, Ok(Outcome::Busy)))
                })
            })
            .collect();
        for guess in guesses {
            let answer = guess.join().map_err(|_| "a guess panicked")?;
            let answer = answer.ok_or("the store stayed busy")??;
            if answer != Outcome::Refused {
                return Err(format!("a wrong guess was answered with {answer:?}").into());
            }
        }
        Ok::<(), Box<dyn std::error::Error>>(())
    })?;
    let log = server.log(Some(&world.payer))?;
    let evaluated = log.iter().filter(|entry| matches!(entry.event, Event::WrongPassword { .. })).count();
    let locked = server.account(&world.payer)?.locked.is_some();
    Ok(vec![
        Row::exactly("lockout: wrong guesses evaluated of 1000 in parallel", "guesses", evaluated, 3),
        Row::exactly("lockout: accounts locked after that", "accounts", usize::from(locked), 1),
    ])
}

/// A transaction that the card signed, with another password than its display shows.
fn wrong_guess(world: &mut World) -> Fallible<AuthorisationRequest> {
    let tapped = world.plain_tap(&world.draft(1_00)?)?;
    let shown = world.holder().confirm(&mut |_| {})?;
    let guess: String = shown.chars().rev().map(|c| if c == '7' { '3' } else { '7' }).collect();
    // Away with what is shown, ready for the next tap.
    world.clock.advance(DEBOUNCE_MS);
    world.card.lock().map_err(|_| "the card panicked")?.press(Key::Cancel)?;
    Ok(World::type_in(tapped, &guess)?)
}
