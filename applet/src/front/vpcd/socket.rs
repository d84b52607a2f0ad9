//! The reader's side of vpcd's protocol: what vpcd itself does with a card that has come to it.

use std::io;
use std::net::TcpStream;

use super::connection::Connection;
use super::{GET_ATR, POWER_OFF, POWER_ON, RESET};

/// A card that has come to us as it would to vpcd.
pub struct Socket(Connection);

impl Socket {
    /// With the card at the other end of `stream`.
    ///
    /// # Errors
    /// The stream is closed.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self(Connection::new(stream)))
    }

    /// Gives the card power; its answer to reset.
    ///
    /// # Errors
    /// The card has gone.
    pub fn power_on(&mut self) -> io::Result<Vec<u8>> {
        self.0.send(&[POWER_ON])?;
        self.ask(&[GET_ATR])
    }

    /// Takes its power.
    ///
    /// # Errors
    /// The card has gone.
    pub fn power_off(&mut self) -> io::Result<()> {
        self.0.send(&[POWER_OFF])
    }

    /// Resets it; its answer to reset.
    ///
    /// # Errors
    /// The card has gone.
    pub fn reset(&mut self) -> io::Result<Vec<u8>> {
        self.0.send(&[RESET])?;
        self.ask(&[GET_ATR])
    }

    /// The response to a command of at least two bytes: a shorter one would be taken for something else.
    ///
    /// # Errors
    /// The card has gone.
    pub fn transmit(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        self.ask(command)
    }

    fn ask(&mut self, message: &[u8]) -> io::Result<Vec<u8>> {
        self.0.send(message)?;
        let answer = self.0.receive()?.map(<[u8]>::to_vec);
        answer.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}
