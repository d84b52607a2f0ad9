//! `onetap card`: make a card, put it into a virtual reader, look at its display, press its keys.

mod control;
mod panel;

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use onetap_apdu_spec::command::CardState;
use onetap_apdu_spec::personal::Personalisation;
use onetap_applet::front::panel::Panel;
use onetap_applet::front::vpcd::{self, Left, Meeting, Stop, VpcdConfig};
use onetap_applet::nvm::{ImageFile, ImageOptions, NvmError};
use onetap_applet::{Card, CardError, DEAD_TIME_MS, Environment, Key, Pin, Screen, SharedCard};
use onetap_conformance::holder::Patience;
use serde::{Deserialize, Serialize};

use crate::args;
use crate::exit::Failure;
use crate::files::{self, NewFile};
use crate::output::Output;

/// A card that a person keeps must not sign twice with one counter value, whatever happens to the machine.
const DURABLE: ImageOptions = ImageOptions { durable: true };
/// How often a card in a reader looks at the clock to wake its display.
const TICK: Duration = Duration::from_millis(50);
/// How long a reader that is not there is looked for; long enough for pcscd to start again.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an image that another process has open is waited for.
const IN_USE: Duration = Duration::from_secs(2);

pub(crate) fn run(command: &args::Card, out: Output) -> Result<(), Failure> {
    match command {
        args::Card::New { image, order, pin, statement } => {
            new(image, order, pin.as_deref(), statement.as_deref(), out)
        }
        args::Card::Run(options) => run_card(options, out),
        args::Card::Show { image } => keys(image, &[], out),
        args::Card::Press { image, keys: pressed } => {
            let pressed = parse_keys(pressed)?;
            keys(image, &pressed, out)
        }
    }
}

fn new(
    image: &Path,
    order: &Path,
    pin: Option<&str>,
    statement: Option<&Path>,
    out: Output,
) -> Result<(), Failure> {
    let order: Personalisation = files::read_json(order, "a card order")?;
    let pin: Pin = match pin {
        Some(pin) => pin.parse()?,
        None => files::ask("PIN for the new card (4 to 12 digits): ")?.trim().parse()?,
    };
    let card_id = order.binding.card;
    let file = statement.map(|path| NewFile::create(path, files::Secrecy::Public)).transpose()?;
    let nvm = ImageFile::create(image, DURABLE)?;
    personalise(order, pin, nvm, file, out).inspect_err(|_| {
        // The file was made here, a moment ago, and holds no card, or one whose statement is lost.
        let _ = std::fs::remove_file(image);
    })?;
    let Some(path) = statement else {
        return Ok(());
    };
    let result = serde_json::json!({ "card": card_id, "image": image, "statement": path });
    out.result(&result, format!("card {card_id} made; activate it with its statement"))
}

/// Makes the card and writes its enrolment statement.
fn personalise(
    order: Personalisation,
    pin: Pin,
    nvm: ImageFile,
    statement: Option<NewFile<'_>>,
    out: Output,
) -> Result<(), Failure> {
    let (_, proof) = Card::personalise(order, pin, Box::new(nvm), Environment::default())?;
    match statement {
        Some(file) => file.write_json(&proof),
        None => out.json_line(&proof),
    }
}

/// Keys as typed on the command line. `read` turns pages to the end; digits may stand together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Press {
    Read,
    Key(Key),
}

/// Names of the keys, but for the digits.
const NAMES: [(&str, Press); 6] = [
    ("read", Press::Read),
    ("confirm", Press::Key(Key::Confirm)),
    ("cancel", Press::Key(Key::Cancel)),
    ("next", Press::Key(Key::Next)),
    ("previous", Press::Key(Key::Previous)),
    ("clear", Press::Key(Key::Clear)),
];

impl Press {
    fn word(self) -> String {
        let named = NAMES.iter().find(|(_, press)| *press == self).map(|(name, _)| (*name).to_owned());
        match self {
            Self::Key(Key::Digit(digit)) => digit.to_string(),
            _ => named.unwrap_or_default(),
        }
    }
}

fn parse_keys(words: &[String]) -> Result<Vec<Press>, Failure> {
    let mut pressed = Vec::new();
    for word in words {
        if let Some((_, press)) = NAMES.iter().find(|(name, _)| name == word) {
            pressed.push(*press);
        } else if !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit()) {
            pressed.extend(word.bytes().map(|b| Press::Key(Key::Digit(b - b'0'))));
        } else {
            // Not echoed: it may be a mistyped PIN.
            let keys = "a key is read, next, previous, confirm, cancel, clear, or digits of the PIN";
            return Err(Failure::Usage(keys.to_owned()));
        }
    }
    Ok(pressed)
}

/// A person's time: the machine's.
struct RealTime;

impl Patience for RealTime {
    fn wait(&self, millis: u64) {
        thread::sleep(Duration::from_millis(millis));
    }
}

/// What the display shows after each key.
#[derive(Debug, Serialize, Deserialize)]
struct Shown {
    state: CardState,
    lines: Vec<String>,
    page: usize,
    pages: usize,
    frame: String,
}

impl Shown {
    fn look(card: &mut Card) -> Self {
        let screen = card.screen();
        Self {
            state: card.state(),
            lines: screen.lines().to_vec(),
            page: screen.page_number(),
            pages: screen.pages(),
            frame: screen.to_string(),
        }
    }
}

/// Presses keys on the running card, or on one that lies in a drawer.
fn keys(image: &Path, pressed: &[Press], out: Output) -> Result<(), Failure> {
    let reply = patiently(|| match control::ask(image, pressed)? {
        Some(reply) => Ok(reply),
        None => Ok(press(&open(image)?, pressed)),
    })?;
    reply.print(out)
}

fn press(card: &SharedCard, pressed: &[Press]) -> control::Reply {
    let mut shown = vec![Shown::look(&mut lock(card))];
    let mut refused = None;
    for press in pressed {
        if let Err(why) = press_one(card, *press, &mut shown) {
            refused = Some(why.to_string());
            break;
        }
    }
    control::Reply { shown, refused }
}

fn press_one(card: &SharedCard, press: Press, shown: &mut Vec<Shown>) -> Result<(), Failure> {
    match press {
        Press::Read => loop {
            let mut card = lock(card);
            let screen: Screen = card.screen();
            if screen.page_number() >= screen.pages() {
                return Ok(());
            }
            card.press(Key::Next)?;
            shown.push(Shown::look(&mut card));
        },
        Press::Key(key) => {
            if key == Key::Confirm && !lock(card).screen().is_blank() {
                RealTime.wait(DEAD_TIME_MS + 50);
            }
            let mut card = lock(card);
            let result = card.press(key);
            shown.push(Shown::look(&mut card));
            Ok(result?)
        }
    }
}

fn run_card(options: &args::CardRun, out: Output) -> Result<(), Failure> {
    let vpcd = if options.no_vpcd { None } else { Some(resolve(&options.vpcd)?) };
    let card = patiently(|| open(&options.image))?;
    let _control = control::listen(&options.image, &card)?;
    let stop = Stop::new();
    let panel = options.panel.map(|addr| panel::serve(&card, addr, vpcd.map(|_| &stop))).transpose()?;
    announce(vpcd, panel.as_ref(), out)?;
    watch_display(&card, out);
    match vpcd {
        Some(addr) => in_reader(&card, addr, options.tap, &stop),
        None => loop {
            // The panel's thread does the work, until this process is ended.
            thread::park();
        },
    }
}

/// Says where the card can be reached.
fn announce(vpcd: Option<SocketAddr>, panel: Option<&Panel>, out: Output) -> Result<(), Failure> {
    let mut status = serde_json::Map::new();
    let mut lines = Vec::new();
    if let Some(addr) = vpcd {
        status.insert("vpcd".to_owned(), addr.to_string().into());
        lines.push(format!(
            "the card goes into the virtual reader at {addr}; press its keys with `onetap card press`"
        ));
    }
    if let Some(panel) = panel {
        status.insert("panel".to_owned(), panel.url().into());
        lines.push(format!("its panel: {}", panel.url()));
    }
    out.result(&status, lines.join("\n"))
}

fn in_reader(card: &SharedCard, addr: SocketAddr, tap: bool, stop: &Stop) -> Result<(), Failure> {
    let config =
        VpcdConfig { meeting: Meeting::At(addr), leave_when_delivered: tap, give_up_after: Some(PATIENCE) };
    match vpcd::serve(card, &config, stop)? {
        Left::Stopped => Ok(()),
        Left::Delivered => until_done(card),
    }
}

/// After one tap the holder takes the time that the card gives.
fn until_done(card: &SharedCard) -> Result<(), Failure> {
    while lock(card).state() != CardState::Idle {
        thread::sleep(TICK);
        lock(card).tick();
    }
    Ok(())
}

/// Prints the display whenever it changes, as long as the process lives.
fn watch_display(card: &SharedCard, out: Output) {
    let card = Arc::clone(card);
    thread::spawn(move || {
        let mut last = Screen::default();
        loop {
            let shown = {
                let mut card = lock(&card);
                let screen = card.screen();
                (screen != last).then(|| {
                    last = screen;
                    Shown::look(&mut card)
                })
            };
            if let Some(shown) = shown
                && out.result(&shown, &shown.frame).is_err()
            {
                return;
            }
            thread::sleep(TICK);
        }
    });
}

/// Tries again for a moment while another process has the image: one that presses keys has it shortly, one
/// that runs the card is soon there to be asked.
fn patiently<T>(mut work: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
    let deadline = Instant::now() + IN_USE;
    loop {
        match work() {
            Err(Failure::Card(CardError::Nvm(NvmError::InUse(_)))) if Instant::now() < deadline => {
                thread::sleep(TICK);
            }
            done => return done,
        }
    }
}

fn open(image: &Path) -> Result<SharedCard, Failure> {
    let card = Card::open_file(image, DURABLE, Environment::default())?;
    Ok(Arc::new(Mutex::new(card)))
}

fn resolve(addr: &str) -> Result<SocketAddr, Failure> {
    let found = addr.to_socket_addrs().ok().and_then(|mut all| all.next());
    found.ok_or_else(|| Failure::Usage(format!("{addr} is not an address like 127.0.0.1:35963")))
}

fn lock(card: &SharedCard) -> std::sync::MutexGuard<'_, Card> {
    card.lock().unwrap_or_else(PoisonError::into_inner)
}
