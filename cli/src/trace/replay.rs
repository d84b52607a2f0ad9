//! `onetap trace replay`: against a new card of ours, or the card in a reader.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::path::Path;

use onetap_conformance::traces::{self, Place};
use onetap_pcsc_host::trace::{Divergence, HostError, InReader, Trace, replay_in_reader};
use serde::Serialize;

use super::file::{in_file, not_as_expected, read};
use crate::args::{self, Target};
use crate::exit::Failure;
use crate::output::Output;
use crate::readers::reader_named;
use crate::targets;

/// Where it is replayed.
enum Where {
    Ours(Place),
    Reader { name: String, whoever: bool },
}

/// What a replay says to programs.
#[derive(Serialize)]
struct Replayed<'a> {
    trace: Cow<'a, str>,
    result: &'static str,
    events: usize,
    #[serde(flatten)]
    reader: Option<InReader>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<Divergence>,
}

pub(super) fn replay(options: &args::TraceReplay, out: Output) -> Result<(), Failure> {
    let place = match &options.reader {
        Some(reader) => Where::Reader { name: reader_named(reader)?, whoever: options.any_card },
        None => Where::Ours(place(&options.target)?),
    };
    options.files.iter().try_for_each(|file| one(file, &place, options.keep_going, out))
}

fn place(target: &Target) -> Result<Place, Failure> {
    match target {
        Target::InProcess => Ok(Place::InProcess),
        Target::Pcsc(part) => {
            Ok(Place::Vpcd { reader: reader_named(part)?, addr: onetap_applet::front::vpcd::DEFAULT_ADDR })
        }
    }
}

fn one(file: &Path, place: &Where, keep_going: bool, out: Output) -> Result<(), Failure> {
    let trace = read(file)?;
    let mut differences = Vec::new();
    let reader = perform(&trace, place, &mut |difference| {
        differences.push(difference);
        if keep_going { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    let reader = reader.map_err(|why| match why {
        Failure::NotAsExpected(why) => in_file(file, why),
        other => other,
    })?;
    let same = differences.is_empty();
    let result = if same { "same" } else { "different" };
    let told = in_words(&differences);
    let events = trace.events.len();
    let replayed = Replayed { trace: file.to_string_lossy(), result, events, reader, differences };
    if same {
        return out.result(&replayed, format!("same  {}{}", file.display(), note(reader)));
    }
    if out.is_json() {
        out.json_line(&replayed)?;
    }
    Err(in_file(file, told))
}

fn perform(
    trace: &Trace,
    place: &Where,
    tell: &mut dyn FnMut(Divergence) -> ControlFlow<()>,
) -> Result<Option<InReader>, Failure> {
    match place {
        Where::Ours(place) => {
            traces::replay_on(trace, place, tell).map_err(not_as_expected)?;
            Ok(None)
        }
        Where::Reader { name, whoever } => {
            let reader = targets::reader(name)?;
            replay_in_reader(trace, reader, *whoever, tell).map(Some).map_err(|why| match why {
                HostError::Reader(why) => why.into(),
                other => Failure::NotAsExpected(format!("{other}; --any-card replays it all the same")),
            })
        }
    }
}

/// The first difference by itself; several with their number.
fn in_words(differences: &[Divergence]) -> String {
    match differences {
        [only] => only.to_string(),
        several => {
            let all = several.iter().map(|difference| format!("\n{difference}")).collect::<String>();
            format!("{} differences{all}", several.len())
        }
    }
}

/// What a reader could not do of it.
fn note(reader: Option<InReader>) -> String {
    let Some(InReader { card, left_out, not_judged }) = reader else { return String::new() };
    let mut note = format!(", with {card}");
    if left_out + not_judged > 0 {
        note += &format!(
            "; {left_out} events of holder and server were left out, {not_judged} predicates not judged"
        );
    }
    note
}
