//! `onetap trace record`: a scenario on a new card, or any card in any reader.

use std::path::Path;
use std::time::Duration;

use onetap_apdu_spec::foreign::json_shown;
use onetap_applet::front::vpcd::Stop;
use onetap_conformance::traces;
use onetap_pcsc_host::monitor::{Event, Monitor};
use onetap_pcsc_host::trace::{Header, Identity, Recorder};
use onetap_pcsc_host::{Atr, Clock as _, Deadline, Disposition, Reader, SystemClock};
use serde_json::json;

use super::card_at::CardAt;
use super::file::not_as_expected;
use super::proxy::Proxy;
use super::slot::occupy;
use crate::args;
use crate::card::resolve;
use crate::exit::Failure;
use crate::files;
use crate::output::Output;
use crate::readers::reader_named;
use crate::targets;

/// How long the card may take to say who it is.
const ASKING: Duration = Duration::from_secs(10);

pub(super) fn record(options: &args::TraceRecord, out: Output) -> Result<(), Failure> {
    let path = options.out.as_deref();
    let file = path.map(|path| files::NewFile::create(path, files::Secrecy::Public));
    match (path.zip(file.transpose()?), options.reader.is_some() || options.card_at.is_some()) {
        (Some((path, file)), true) => card(options, path, file, out),
        (file, _) => scenario(options, file, out),
    }
}

fn scenario(
    options: &args::TraceRecord,
    file: Option<(&Path, files::NewFile<'_>)>,
    out: Output,
) -> Result<(), Failure> {
    let trace = traces::record(options.scenario, options.profile, options.keep).map_err(not_as_expected)?;
    let text = trace.to_text().map_err(not_as_expected)?;
    let Some((path, file)) = file else {
        return out.raw(&json_shown(&text));
    };
    file.write_text(&text)?;
    let events = trace.events.len();
    out.result(&json!({ "trace": path.to_string_lossy(), "events": events }), format!("{events} events"))
}

/// Asks the card who it is, then stands between it and whoever uses the virtual reader.
fn card(
    options: &args::TraceRecord,
    path: &Path,
    file: files::NewFile<'_>,
    out: Output,
) -> Result<(), Failure> {
    let stop = Stop::new();
    let mut source = Source::find(options, &stop)?;
    let card = who_is_it(&mut *source.reader)?;
    let atr = Atr::new(card.atr.clone());
    let header = Header {
        recorded_by: Some(concat!("onetap ", env!("CARGO_PKG_VERSION")).to_owned()),
        started: SystemClock.now().date_time(),
        card: Some(card),
        ..Header::new(format!("a card in {}", source.reader.name()))
    };
    file.stream(|file| {
        let recorder = Recorder::new(file, &header).timed().keeping();
        let proxy = Proxy::new(source.reader, atr, recorder);
        occupy(&options.slot, &proxy, &stop, out)?;
        let commands = proxy.commands();
        proxy.finish().map_err(|source| Failure::file("write", path, source))?;
        out.result(
            &json!({ "trace": path.to_string_lossy(), "exchanges": commands }),
            format!("{commands} commands with their responses"),
        )
    })
}

/// The card that is recorded, and who watches it.
struct Source {
    reader: Box<dyn Reader>,
    /// Takes what stands for the card out of the virtual reader while the card is away.
    _monitor: Option<Monitor>,
}

impl Source {
    fn find(options: &args::TraceRecord, stop: &Stop) -> Result<Self, Failure> {
        let name = match (&options.reader, &options.card_at) {
            (Some(part), _) => reader_named(part)?,
            (None, Some(addr)) => {
                let reader = Box::new(CardAt::wait(resolve(addr)?, stop)?);
                return Ok(Self { reader, _monitor: None });
            }
            (None, None) => return Err(Failure::Usage("give --reader or --card-at".to_owned())),
        };
        let reader = targets::reader(&name)?;
        let stop = stop.clone();
        let monitor = Monitor::start(move |event| match event {
            Event::CardRemoved(reader) if reader == name => stop.hold(),
            Event::CardInserted { reader, .. } if reader == name => stop.resume(),
            _ => {}
        });
        Ok(Self { reader, _monitor: Some(monitor) })
    }
}

/// Before anybody uses it; then it forgets that it was asked.
fn who_is_it(reader: &mut dyn Reader) -> Result<Identity, Failure> {
    let mut contact = reader.connect(&Deadline::after(ASKING))?;
    let card = Identity::ask(&mut *contact)?;
    contact.release(Disposition::Unpower)?;
    Ok(card)
}
