//! Traces as other programs read them.
//!
//! | format | file | what it is |
//! |---|---|---|
//! | [`ExportFormat::Apdu4j`] | `export/apdu4j.rs` | a dump of apdu4j |
//! | [`ExportFormat::Scriptor`] | `export/scriptor.rs` | a script for scriptor; what the card answered stands beside it |
//! | [`ExportFormat::Satl`] | `export/satl.rs` | a script of ETSI TS 101 955, as SATL runs it: commands with what must come |
//! | [`ExportFormat::Pcap`] | `export/pcap.rs` | a capture for Wireshark |
//!
//! Each is a `Form`: it is told what happens, and writes it. Where the trace does not have all bytes
//! ([`Trace::made_up`]), texts say so in a comment.

use std::io::{self, Write};

use onetap_apdu_spec::account::Alias;
use onetap_apdu_spec::apdu::{CommandApdu, ResponseApdu};
use onetap_apdu_spec::command::Name;
use onetap_apdu_spec::objects;
use onetap_apdu_spec::suite::Suite;

use super::pattern::Captures;
use super::record::put_txn_command;
use super::{Event, PutTxn, ResponsePattern, Trace};
use crate::decode::command_row;
use crate::session::read_object;

mod apdu4j;
mod form;
mod pcap;
mod satl;
mod scriptor;

use form::{Form, Happening};

/// As what a trace is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum ExportFormat {
    /// A dump of apdu4j: command and response, a line each.
    Apdu4j,
    /// The input of scriptor.
    Scriptor,
    /// A script of ETSI TS 101 955, Annex B.
    Satl,
    /// A capture for Wireshark: link type 252, each APDU for its dissector of ISO/IEC 7816.
    Pcap,
}

/// Writes `trace`; how many commands it has.
///
/// # Errors
/// Those of `out`.
pub fn export(format: ExportFormat, trace: &Trace, out: &mut dyn Write) -> io::Result<u64> {
    let mut form: Box<dyn Form> = match format {
        ExportFormat::Apdu4j => Box::<apdu4j::Dump>::default(),
        ExportFormat::Scriptor => Box::new(scriptor::Script),
        ExportFormat::Satl => Box::<satl::Script>::default(),
        ExportFormat::Pcap => Box::<pcap::Capture>::default(),
    };
    form.begin(&trace.header, out)?;
    let (mut bytes, mut commands) = (Bytes::of(trace), 0);
    for (at, event) in trace.events.iter().enumerate() {
        let line = Some(trace.line(at)).filter(|_| trace.is_made_up(at));
        let what = bytes.happens(event);
        commands += u64::from(matches!(what, Happening::Command(_)));
        form.tell(what, trace.time(at), line, out)?;
    }
    out.flush()?;
    Ok(commands)
}

/// Makes bytes of events.
struct Bytes {
    suite: Suite,
    captures: Captures,
    alias: Alias,
    asked: Option<Name>,
}

impl Bytes {
    fn of(trace: &Trace) -> Self {
        let suite = trace.header.suite.unwrap_or_default();
        Self { suite, captures: Captures::new(), alias: Alias::from_bits(Default::default()), asked: None }
    }

    fn happens<'a>(&mut self, event: &'a Event) -> Happening<'a> {
        match event {
            Event::FieldIn { atr } | Event::Reset { atr } => Happening::Reset(atr.bytes(&self.captures)),
            Event::FieldOut {} => Happening::Leaves,
            Event::Command(pattern) => self.command(pattern.made_up(&self.captures)),
            Event::PutTxn(put) => match self.put_txn(put) {
                Some(bytes) => self.command(bytes),
                // Its fields are none: no card was ever sent it.
                None => Happening::Aside("PUT TXN with fields that are none".to_owned()),
            },
            Event::Response(pattern) => {
                let response = pattern.bytes(self.asked, self.suite, &self.captures);
                self.note(pattern, &response);
                Happening::Response(response.to_bytes(), pattern)
            }
            Event::NoResponse {} => Happening::NoResponse,
            aside => {
                let words = super::show::describe(aside, &mut None);
                Happening::Aside(words.split_whitespace().collect::<Vec<_>>().join(" "))
            }
        }
    }

    fn command(&mut self, bytes: Vec<u8>) -> Happening<'static> {
        self.asked = CommandApdu::parse(&bytes).ok().and_then(|apdu| Some(command_row(&apdu)?.name));
        Happening::Command(bytes)
    }

    /// With the alias that the card gave last.
    fn put_txn(&self, put: &PutTxn) -> Option<Vec<u8>> {
        let payer = put.payer.clone().unwrap_or_else(|| self.alias.clone());
        put_txn_command(&put.transaction(payer).ok()?.encode().ok()?)
    }

    fn note(&mut self, pattern: &ResponsePattern, response: &ResponseApdu) {
        // For what it captures.
        let _ = pattern.compare(response, &mut self.captures);
        let alias = read_object(&response.data, objects::PAYER_ALIAS).ok();
        if let Some(alias) = alias.and_then(|value| String::from_utf8(value).ok()?.parse().ok()) {
            self.alias = alias;
        }
    }
}

#[cfg(test)]
mod tests;
