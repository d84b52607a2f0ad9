//! One contact with a reader at a time in this process. Who comes second waits here, not in a call of PC/SC that cannot
//! be taken back: however often a busy reader is asked for, it costs one thread and one context.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::deadline::{Deadline, Reply, Stopped};
use crate::error::ReaderError;

/// Readers that have a contact, and who waits for each.
static TAKEN: Mutex<Taken> = Mutex::new(Taken { next: 0, readers: BTreeMap::new() });

struct Taken {
    next: u64,
    readers: BTreeMap<String, Queue>,
}

#[derive(Default)]
struct Queue {
    /// Why the contact was given up, if its last call has not returned.
    given_up: Option<ReaderError>,
    waiting: VecDeque<(u64, Reply<Place>)>,
}

/// The right to a contact with one reader. Dropped, it goes to the next who waits.
pub(super) struct Place {
    reader: String,
}

impl Place {
    /// Waits for the reader's place.
    pub(super) fn take(reader: &str, deadline: &Deadline) -> Result<Self, Stopped> {
        let mut id = None;
        let place = deadline.wait(|reply| id = enqueue(reader, reply));
        if let (Err(_), Some(id)) = (&place, id)
            && let Some(queue) = taken().readers.get_mut(reader)
        {
            queue.waiting.retain(|(other, _)| *other != id);
        }
        place
    }

    /// Notes that the contact which has the reader's place was given up, and what those are told who come after it.
    pub(super) fn give_up(reader: &str, why: ReaderError) {
        if let Some(queue) = taken().readers.get_mut(reader) {
            queue.given_up = Some(why);
        }
    }

    /// What is in the way, if a contact that was given up holds the place.
    pub(super) fn given_up(reader: &str) -> Option<ReaderError> {
        taken().readers.get(reader)?.given_up.clone()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = taken();
        let next = taken.readers.get_mut(&self.reader).and_then(|queue| {
            queue.given_up = None;
            queue.waiting.pop_front()
        });
        if next.is_none() {
            taken.readers.remove(&self.reader);
        }
        // The next one may be gone; its place is then dropped in turn.
        drop(taken);
        if let Some((_, reply)) = next {
            let _ = reply.send(Self { reader: std::mem::take(&mut self.reader) });
        }
    }
}

/// Answers at once if the place is free.
fn enqueue(reader: &str, reply: Reply<Place>) -> Option<u64> {
    let mut taken = taken();
    taken.next += 1;
    let id = taken.next;
    if let Some(queue) = taken.readers.get_mut(reader) {
        queue.waiting.push_back((id, reply));
        return Some(id);
    }
    taken.readers.insert(reader.to_owned(), Queue::default());
    drop(taken);
    let _ = reply.send(Place { reader: reader.to_owned() });
    None
}

fn taken() -> MutexGuard<'static, Taken> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn soon() -> Deadline {
        Deadline::after(Duration::from_millis(10))
    }

    fn later() -> Deadline {
        Deadline::after(Duration::from_secs(60))
    }

    #[test]
    fn a_place_is_had_by_one_and_then_by_the_next() {
        let first = Place::take("one and then the next", &later()).unwrap();
        std::thread::scope(|scope| {
            let next = scope.spawn(|| Place::take("one and then the next", &later()));
            assert!(Place::take("one and then the next", &soon()).is_err());
            assert!(Place::take("another", &soon()).is_ok());
            drop(first);
            assert!(next.join().unwrap().is_ok());
        });
        assert!(Place::take("one and then the next", &soon()).is_ok());
    }

    #[test]
    fn who_gave_up_waiting_leaves_nothing_behind() {
        let held = Place::take("gave up", &later()).unwrap();
        for _ in 0..100 {
            assert_eq!(
                Place::take("gave up", &Deadline::after(Duration::ZERO)).err(),
                Some(Stopped::TimedOut)
            );
        }
        assert!(taken().readers["gave up"].waiting.is_empty());
        Place::give_up("gave up", ReaderError::ServiceSilent);
        assert_eq!(Place::given_up("gave up"), Some(ReaderError::ServiceSilent));
        drop(held);
        assert!(!taken().readers.contains_key("gave up"));
        assert_eq!(Place::given_up("gave up"), None);
    }
}
