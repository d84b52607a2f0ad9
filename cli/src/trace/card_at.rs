//! A virtual card that comes to us as it would to vpcd, as a card in a reader.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use onetap_applet::front::vpcd::{Socket, Stop};
use onetap_pcsc_host::{Atr, Deadline, Disposition, Reader, ReaderError, Transport};

use crate::exit::Failure;

/// The place that the card comes to.
pub(super) struct CardAt {
    name: String,
    card: Arc<Mutex<Option<Socket>>>,
}

impl CardAt {
    /// Waits for the first card. Those that come later, when one has gone, have `stop` resumed.
    pub(super) fn wait(addr: SocketAddr, stop: &Stop) -> Result<Self, Failure> {
        let failed = |source| Failure::System { what: "wait for a card", source };
        let listener = TcpListener::bind(addr).map_err(failed)?;
        let name = listener.local_addr().map_err(failed)?.to_string();
        let card = Arc::new(Mutex::new(Some(next(&listener).map_err(failed)?)));
        let (place, stop) = (Arc::clone(&card), stop.clone());
        // Until the program ends.
        thread::spawn(move || {
            while let Ok(socket) = next(&listener) {
                *lock(&place) = Some(socket);
                stop.resume();
            }
        });
        Ok(Self { name, card })
    }
}

fn next(listener: &TcpListener) -> io::Result<Socket> {
    Socket::new(listener.accept()?.0)
}

impl Reader for CardAt {
    fn name(&self) -> &str {
        &self.name
    }

    fn connect(&mut self, _: &Deadline) -> Result<Box<dyn Transport>, ReaderError> {
        let atr = lock(&self.card).as_mut().map(Socket::power_on);
        match atr {
            Some(Ok(atr)) => Ok(Box::new(Contact { atr: Atr::new(atr), card: Arc::clone(&self.card) })),
            Some(Err(_)) | None => Err(ReaderError::NoCard),
        }
    }
}

struct Contact {
    atr: Atr,
    card: Arc<Mutex<Option<Socket>>>,
}

impl Transport for Contact {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        let answer = lock(&self.card).as_mut().map(|card| card.transmit(command));
        match answer {
            Some(Ok(answer)) if answer.len() >= 2 => Ok(answer),
            Some(Ok(answer)) => Err(ReaderError::NotAResponse(answer.len())),
            Some(Err(_)) | None => Err(ReaderError::CardRemoved),
        }
    }

    fn atr(&self) -> &Atr {
        &self.atr
    }

    fn release(self: Box<Self>, disposition: Disposition) -> Result<(), ReaderError> {
        let mut card = lock(&self.card);
        match (disposition, card.as_mut()) {
            (Disposition::Unpower, Some(card)) => card.power_off().map_err(|_| ReaderError::CardRemoved),
            _ => Ok(()),
        }
    }
}

fn lock(card: &Mutex<Option<Socket>>) -> MutexGuard<'_, Option<Socket>> {
    card.lock().unwrap_or_else(PoisonError::into_inner)
}
