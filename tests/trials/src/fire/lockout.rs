//! P-24 under fire: wrong guesses at one account, many at once, from several processes.

use onetap_server_verifier::{Event, LockCause, ServiceError, Verifier};

use super::Fallible;
use super::scene::Scene;
use onetap_conformance::load::api::REFUSED;
use onetap_conformance::load::{self, Measured};

/// Signed transactions that the guesses are spread over.
const TAPS: usize = 4;

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// Guesses that were compared with the password.
    pub evaluated: usize,
    /// Whether the account is locked for that.
    pub locked: bool,
    /// Answers other than the one refusal: none of them may tell more, or say "executed".
    pub others: usize,
    /// How the processes took it.
    pub measured: Measured,
}

/// Sends so many wrong guesses over so many connections to so many processes that share the books.
///
/// # Errors
/// A process does not start or does not answer.
pub fn run(scene: &mut Scene, guesses: usize, connections: usize, processes: usize) -> Fallible<Report> {
    let taps = (0..TAPS).map(|_| scene.town.payment(0, |_| ())).collect::<Fallible<Vec<_>>>()?;
    let mut requests = Vec::with_capacity(guesses);
    for tap in taps.iter().cycle().take(guesses) {
        requests.push(scene.bytes(&tap.terminal, &tap.mistyped(0)?));
    }
    let serving = (0..processes).map(|_| scene.serve()).collect::<Fallible<Vec<_>>>()?;
    let addresses: Vec<_> = serving.iter().map(super::serve::Serving::address).collect();
    let mut others = 0;
    let measured = load::run(&addresses, connections, &requests, &mut |_, answer| {
        // Where the store was too busy, nothing was decided.
        others += usize::from(answer.status != 503 && (answer.status, answer.body) != (200, REFUSED));
    })?;
    drop(serving);
    let verifier = scene.books.open()?;
    let (evaluated, locked) = verdict(&verifier, scene)?;
    Ok(Report { evaluated, locked, others, measured })
}

fn verdict(verifier: &Verifier, scene: &Scene) -> Result<(usize, bool), ServiceError> {
    let number = &scene.town.holders()[0].account;
    let log = verifier.log(Some(number))?;
    let evaluated = log.iter().filter(|entry| matches!(entry.event, Event::WrongPassword { .. })).count();
    let lock = verifier.account(number)?.locked;
    Ok((evaluated, lock.is_some_and(|lock| lock.cause == LockCause::WrongInARow)))
}
