//! What libpcscspy writes: for each call its thread, `>|seconds|microseconds|name`, an argument a line, and
//! `<|seconds|microseconds|name|0x00000000`, before which newer ones have a text. The calls of several threads may be mixed;
//! each line names its thread.

use std::collections::BTreeMap;

use super::hexadecimal;
use super::log::{Log, Tell, Wrong};

/// Threads whose calls are under way at one time.
const MAX_THREADS: usize = 64;
const TRANSMIT: &[u8] = b"SCardTransmit";

#[derive(Default)]
pub(super) struct Spy {
    /// Calls under way, by thread: what stands in the lines that are bytes, command before response.
    calls: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
}

impl Log for Spy {
    fn line(&mut self, line: &[u8], tell: &mut dyn Tell) -> Result<(), Wrong> {
        let Some(at) = line.iter().position(|byte| *byte == b'@') else { return Ok(()) };
        let (thread, rest) = (line.get(..at).unwrap_or_default(), line.get(at + 1..).unwrap_or_default());
        let mut fields = rest.split(|byte| *byte == b'|');
        match fields.next() {
            Some(b">") => {
                let name = fields.nth(2).unwrap_or_default();
                if name == TRANSMIT {
                    if self.calls.len() >= MAX_THREADS {
                        return Err(Wrong::Cut("the end of many calls"));
                    }
                    self.calls.insert(thread.to_vec(), Vec::new());
                } else if name == b"SCardConnect" || name == b"SCardReconnect" {
                    tell.reset(None);
                }
                Ok(())
            }
            Some(b"<") => match self.calls.remove(thread) {
                Some(call) => done(&call, fields.next_back().unwrap_or_default(), tell),
                None => Ok(()),
            },
            _ => {
                let is_argument = rest.starts_with(b"0x") || rest.is_empty();
                if let Some(call) = self.calls.get_mut(thread).filter(|_| !is_argument) {
                    call.push(hexadecimal::bytes(rest)?);
                }
                Ok(())
            }
        }
    }

    fn end(&mut self, _: &mut dyn Tell) -> Result<(), Wrong> {
        if self.calls.is_empty() { Ok(()) } else { Err(Wrong::Cut("the end of SCardTransmit")) }
    }
}

/// A call that failed had no response.
fn done(call: &[Vec<u8>], result: &[u8], tell: &mut dyn Tell) -> Result<(), Wrong> {
    match call {
        [command, response] if result.ends_with(b"00000000") => {
            tell.command(command)?;
            tell.response(response)
        }
        [_] | [_, _] if !result.ends_with(b"00000000") => Ok(()),
        _ => Err(Wrong::Cut("command and response of SCardTransmit")),
    }
}
