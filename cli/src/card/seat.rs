//! Where each of several cards meets its reader, and how it speaks for itself.

use std::borrow::Cow;
use std::io::Write as _;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

use onetap_apdu_spec::foreign::{ShownLines, json_shown};
use onetap_applet::SharedCard;
use onetap_applet::card::Interface;
use onetap_applet::front::panel::{Field, Panel, PanelConfig, Rehearsal};
use onetap_applet::front::vpcd::{Meeting, Stop};
use serde::Serialize;

use super::control;
use super::press::{lock, open_within, patiently, rehearse};
use super::told::Told;
use crate::args;
use crate::exit::Failure;
use crate::output::Output;

/// What ends `card run`, or a part of it.
pub(super) enum End {
    /// A person or the system wants it to end.
    Interrupted,
    /// A card is done: its one tap is over.
    Done,
    /// A card has no reader.
    Failed(Failure),
}

/// A card of this process, with all that reaches it.
pub(super) struct Seat {
    pub(super) voice: Voice,
    pub(super) card: SharedCard,
    /// Where its reader is, if it has a virtual one.
    pub(super) meeting: Option<Meeting>,
    pub(super) stop: Stop,
    pub(super) field: Field,
    panel: Option<Panel>,
    _control: control::Control,
}

/// All the cards, ready to go into their readers; or none.
pub(super) fn all(options: &args::CardRun, out: Output) -> Result<Vec<Seat>, Failure> {
    let meetings = meetings(options)?;
    let several = options.image.len() > 1;
    let cards = options.image.iter().map(|image| {
        let voice = Voice { image: image.clone(), several, out };
        let opened = patiently(|| match options.rehearse {
            Some(seed) => {
                rehearse(image, seed, options.limits).map(|(card, rehearsal)| (card, Some(rehearsal)))
            }
            None => open_within(image, options.limits).map(|card| (card, None)),
        });
        let card = opened.map_err(|failure| voice.name(failure))?;
        Ok((voice, card))
    });
    // First all the images: one that is damaged or in use stops them all before a reader sees any.
    let cards = cards.collect::<Result<Vec<_>, Failure>>()?;
    let seats = cards.into_iter().zip(meetings).enumerate().map(|(n, ((voice, card), meeting))| {
        let name = voice.clone();
        Seat::prepare(n, voice, card, meeting, options).map_err(|failure| name.name(failure))
    });
    seats.collect()
}

impl Seat {
    fn prepare(
        n: usize,
        voice: Voice,
        (card, rehearsal): (SharedCard, Option<Rehearsal>),
        meeting: Option<Place>,
        options: &args::CardRun,
    ) -> Result<Self, Failure> {
        if options.contactless {
            lock(&card).set_interface(Interface::Contactless);
        }
        let control = control::listen(&voice.image, &card)?;
        let meeting = meeting.map(Place::meeting).transpose()?;
        let stop = Stop::new();
        let field = if meeting.is_some() { Field::Vpcd(stop.clone()) } else { Field::Panel };
        let panel = match options.panel {
            Some(first) => {
                let config = PanelConfig::new(following(first, n)?, field.clone(), rehearsal);
                Some(Panel::serve(SharedCard::clone(&card), config)?)
            }
            None => None,
        };
        Ok(Self { voice, card, meeting, stop, field, panel, _control: control })
    }

    /// Says where the card can be reached.
    pub(super) fn announce(&self) -> Result<(), Failure> {
        let mut reached = Reached::default();
        let mut lines = Vec::new();
        match &self.meeting {
            Some(Meeting::At(addr)) => {
                reached.vpcd = Some(addr.to_string());
                lines.push(format!(
                    "the card goes into the virtual reader at {addr}; press its keys with `onetap card press`"
                ));
            }
            Some(here) => {
                let addr = here.addr().map_err(Failure::Input)?;
                reached.listen = Some(addr.to_string());
                lines.push(format!(
                    "the card waits at {addr} for its reader; press its keys with `onetap card press`"
                ));
            }
            None => {}
        }
        if let Some(panel) = &self.panel {
            reached.panel = Some(panel.url());
            lines.push(format!("its panel: {}", panel.url()));
        }
        self.voice.result(&reached, &lines.join("\n"))
    }
}

/// Where a card can be reached.
#[derive(Default, Serialize)]
struct Reached {
    #[serde(skip_serializing_if = "Option::is_none")]
    vpcd: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    panel: Option<String>,
}

/// How a card speaks: where there are several, with its image's name before each line.
#[derive(Debug, Clone)]
pub(super) struct Voice {
    image: PathBuf,
    several: bool,
    out: Output,
}

/// What a card says to programs.
#[derive(Serialize)]
struct Said<'a, T> {
    image: Cow<'a, str>,
    #[serde(flatten)]
    what: &'a T,
}

impl Voice {
    /// A result of this card.
    pub(super) fn result(&self, value: &impl Serialize, prose: &str) -> Result<(), Failure> {
        self.out.result(&Said { image: self.image.to_string_lossy(), what: value }, self.lines(prose))
    }

    /// What became of the reader, on standard error.
    pub(super) fn told(&self, told: &Told) {
        let said = Said { image: self.image.to_string_lossy(), what: told };
        let mut stderr = std::io::stderr().lock();
        // Where nobody reads it, nobody misses it.
        let _ = match serde_json::to_string(&said) {
            Ok(line) if self.out.is_json() => writeln!(stderr, "{}", json_shown(&line)),
            _ => writeln!(stderr, "{}", ShownLines(&self.lines(&told.line))),
        };
    }

    /// Says which card failed, where there are several.
    pub(super) fn name(&self, failure: Failure) -> Failure {
        match self.several {
            true => Failure::Among { image: self.image.clone(), source: Box::new(failure) },
            false => failure,
        }
    }

    fn lines(&self, prose: &str) -> String {
        if !self.several {
            return prose.to_owned();
        }
        let name = self.image.display();
        prose.lines().map(|line| format!("{name}: {line}")).collect::<Vec<_>>().join("\n")
    }
}

/// Where a card and its reader will meet.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// At vpcd's.
    At(SocketAddr),
    /// Here.
    Here(SocketAddr),
}

impl Place {
    fn meeting(self) -> Result<Meeting, Failure> {
        match self {
            Self::At(addr) => Ok(Meeting::At(addr)),
            Self::Here(addr) => Ok(Meeting::listen(addr)?),
        }
    }
}

/// A place for each card.
fn meetings(options: &args::CardRun) -> Result<Vec<Option<Place>>, Failure> {
    let count = options.image.len();
    if options.no_vpcd {
        return Ok(vec![None; count]);
    }
    let (given, place): (_, fn(SocketAddr) -> Place) =
        if options.listen.is_empty() { (&options.vpcd, Place::At) } else { (&options.listen, Place::Here) };
    let addresses = addresses(given, count)?;
    for (n, addr) in addresses.iter().enumerate() {
        if addr.port() != 0 && addresses.iter().take(n).any(|other| other == addr) {
            return Err(Failure::Usage(format!("two cards cannot both be at {addr}")));
        }
    }
    Ok(addresses.into_iter().map(place).map(Some).collect())
}

/// One address for each card, or the first one's and the ports after it.
fn addresses(given: &[String], count: usize) -> Result<Vec<SocketAddr>, Failure> {
    match given {
        [first] => {
            let first = resolve(first)?;
            (0..count).map(|n| following(first, n)).collect()
        }
        all if all.len() == count => all.iter().map(|addr| resolve(addr)).collect(),
        all => Err(Failure::Usage(format!(
            "{} addresses for {count} cards: give one for each, or that of the first card only",
            all.len()
        ))),
    }
}

/// The address of card `n`, counted from 0. Port 0 takes any free one each time.
fn following(first: SocketAddr, n: usize) -> Result<SocketAddr, Failure> {
    if first.port() == 0 {
        return Ok(first);
    }
    let port = u16::try_from(n).ok().and_then(|n| first.port().checked_add(n));
    let port = port.ok_or_else(|| Failure::Usage(format!("there are too few ports after {first}")))?;
    Ok(SocketAddr::new(first.ip(), port))
}

/// The first address of that name.
pub(crate) fn resolve(addr: &str) -> Result<SocketAddr, Failure> {
    let found = addr.to_socket_addrs().ok().and_then(|mut all| all.next());
    found.ok_or_else(|| Failure::Usage(format!("{addr} is not an address like 127.0.0.1:35963")))
}
