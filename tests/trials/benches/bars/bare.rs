//! The card to compare with: knows some answers by heart and computes nothing. What an APDU costs with it
//! is what pcscd, vpcd and the kernel cost.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use onetap_apdu_spec::command::Name;
use socket2::SockRef;

/// Commands and the responses to them.
pub(crate) type Answers = Vec<(Vec<u8>, Vec<u8>)>;

/// How it treats its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As our card does: quick acknowledgement armed before each read, each answer in one write.
    Quick,
    /// As one writes it at first: length, then payload; acknowledgement when the kernel likes.
    Naive,
}

/// A bare card in a reader until it is dropped.
pub(crate) struct Bare {
    stream: TcpStream,
    thread: Option<JoinHandle<()>>,
    /// How long it keeps a processor busy before it answers GET SIGNATURE, in nanoseconds.
    busy: Arc<AtomicU64>,
}

impl Bare {
    /// Puts it into the reader whose vpcd listens at `port`.
    pub(crate) fn insert(port: u16, answers: Answers, manner: Manner) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        let card = stream.try_clone()?;
        // Ends when the connection is closed, by either side.
        let busy = Arc::new(AtomicU64::new(0));
        let inner = Arc::clone(&busy);
        let thread = std::thread::spawn(move || drop(serve(card, &answers, manner, &inner)));
        Ok(Self { stream, thread: Some(thread), busy })
    }

    /// From now on it computes so long before it answers GET SIGNATURE.
    pub(crate) fn compute_for(&self, seconds: f64) {
        let nanoseconds = u64::try_from(Duration::from_secs_f64(seconds).as_nanos()).unwrap_or(u64::MAX);
        self.busy.store(nanoseconds, Ordering::Relaxed);
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // Fails only if the reader is gone already.
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(mut stream: TcpStream, answers: &Answers, manner: Manner, busy: &AtomicU64) -> io::Result<()> {
    let mut buffer = vec![0; 65_537];
    let mut have = 0;
    loop {
        while have < 2 || have < 2 + length(&buffer) {
            if manner == Manner::Quick {
                SockRef::from(&stream).set_tcp_quickack(true)?;
            }
            match stream.read(&mut buffer[have..])? {
                0 => return Ok(()),
                read => have += read,
            }
        }
        let end = 2 + length(&buffer);
        if let Some(answer) = answer(&buffer[2..end], answers) {
            if buffer.get(3) == Some(&Name::GetSignature.spec().ins) {
                compute_for(Duration::from_nanos(busy.load(Ordering::Relaxed)));
            }
            send(&mut stream, answer, manner)?;
        }
        buffer.copy_within(end..have, 0);
        have -= end;
    }
}

fn compute_for(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

fn length(buffer: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([buffer[0], buffer[1]]))
}

/// The first answer to a command with this header; one byte is vpcd's own: 04 asks for the ATR.
fn answer<'a>(message: &[u8], answers: &'a Answers) -> Option<&'a [u8]> {
    match message {
        [0x04] => Some(&onetap_apdu_spec::atr::ATR),
        [_] => None,
        _ => {
            let known = answers.iter().find(|(command, _)| command.get(..4) == message.get(..4));
            Some(known.map_or(&[0x6D, 0x00], |(_, answer)| answer))
        }
    }
}

fn send(stream: &mut TcpStream, answer: &[u8], manner: Manner) -> io::Result<()> {
    let length = u16::try_from(answer.len()).unwrap_or(u16::MAX).to_be_bytes();
    match manner {
        Manner::Quick => stream.write_all(&[&length, answer].concat()),
        Manner::Naive => {
            stream.write_all(&length)?;
            stream.write_all(answer)
        }
    }
}
