//! A reader that tells what goes over it.

use std::time::Instant;

use onetap_apdu_spec::apdu::CommandApdu;
use onetap_pcsc_host::decode::{command_row, describe_command, describe_response};
use onetap_pcsc_host::{Atr, Deadline, Disposition, Reader, ReaderError, Transport};

use crate::output::Output;

/// Passes everything on and, if told to, tells it.
pub(super) struct Narrating<'r> {
    inner: &'r mut dyn Reader,
    out: Option<Output>,
}

impl<'r> Narrating<'r> {
    pub(super) fn new(inner: &'r mut dyn Reader, out: Option<Output>) -> Self {
        Self { inner, out }
    }
}

impl Reader for Narrating<'_> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn connect(&mut self, deadline: &Deadline) -> Result<Box<dyn Transport>, ReaderError> {
        let out = self.out;
        Ok(Box::new(Contact { inner: self.inner.connect(deadline)?, out }))
    }
}

struct Contact {
    inner: Box<dyn Transport>,
    out: Option<Output>,
}

impl Contact {
    /// Telling must not fail the payment: where nobody reads, nobody misses it.
    fn tell(&self, text: &str) {
        if let Some(out) = self.out {
            let lines: Vec<_> = text.lines().map(|line| format!("     {line}")).collect();
            let _ = out.say(lines.join("\n"));
        }
    }
}

impl Transport for Contact {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        self.tell(&format!("→ {}", describe_command(command)));
        let start = Instant::now();
        let response = self.inner.transmit(command)?;
        let took = start.elapsed().as_micros();
        let row = CommandApdu::parse(command).ok().and_then(|apdu| command_row(&apdu));
        let text = describe_response(row.map(|row| row.name), &response);
        self.tell(&format!("← {text}  ({took} µs)"));
        Ok(response)
    }

    fn atr(&self) -> &Atr {
        self.inner.atr()
    }

    fn supports_extended(&self) -> bool {
        self.inner.supports_extended()
    }

    fn release(self: Box<Self>, disposition: Disposition) -> Result<(), ReaderError> {
        self.inner.release(disposition)
    }
}
