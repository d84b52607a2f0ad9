//! The card to compare with: knows some answers by heart and computes nothing. What an APDU costs with it
//! is what pcscd, vpcd and the kernel cost.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::thread::JoinHandle;

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
}

impl Bare {
    /// Puts it into the reader whose vpcd listens at `port`.
    pub(crate) fn insert(port: u16, answers: Answers, manner: Manner) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        let card = stream.try_clone()?;
        // Ends when the connection is closed, by either side.
        let thread = std::thread::spawn(move || drop(serve(card, &answers, manner)));
        Ok(Self { stream, thread: Some(thread) })
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

fn serve(mut stream: TcpStream, answers: &Answers, manner: Manner) -> io::Result<()> {
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
            send(&mut stream, answer, manner)?;
        }
        buffer.copy_within(end..have, 0);
        have -= end;
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
