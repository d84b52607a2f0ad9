//! A card in a terminal, for those who come over SSH: what the reader sees and, if the card has them, display and keys.

mod view;
use view::Face;

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use onetap_apdu_spec::apdu::CommandApdu;
use onetap_apdu_spec::command::Name;
use onetap_apdu_spec::decode::{command_row, describe_command, describe_response};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::lock;
use super::panel::Field;
use crate::card::{Event, Observer, SharedCard};
use crate::signing::keys::Key;

/// Most lines of the log that are kept.
const MOST_LOGGED: usize = 200;
/// How often the card's time passes and the picture is drawn anew.
const TICK: Duration = Duration::from_millis(50);

/// Why a card is no longer shown.
#[derive(Debug, thiserror::Error)]
pub enum TuiError {
    /// The terminal takes no output.
    #[error("cannot draw in this terminal: {0}")]
    Draw(io::Error),
    /// The terminal gives no keys.
    #[error("nothing can be read from the keyboard: {0}")]
    Keys(io::Error),
}

/// What a key of the keyboard does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Press(Key),
    SwitchField,
    Quit,
}

/// Shows the card until the user quits, or `is_over` says so.
///
/// # Errors
/// [`TuiError`].
pub fn show(card: &SharedCard, field: &Field, is_over: &mut dyn FnMut() -> bool) -> Result<(), TuiError> {
    let told = watch(card);
    let mut terminal = ratatui::try_init().map_err(TuiError::Draw)?;
    let session = Session { card, field, told, notice: String::new(), log: VecDeque::new() };
    let result = session.run(&mut terminal, is_over);
    // The display may have held the joint password: it goes with the alternate screen.
    ratatui::try_restore().map_err(TuiError::Draw)?;
    result
}

/// Tells of each APDU in words.
fn watch(card: &SharedCard) -> Receiver<String> {
    let (tell, told) = mpsc::channel();
    lock(card).watch(Box::new(Telling { tell, asked: None }));
    told
}

struct Telling {
    tell: mpsc::Sender<String>,
    /// The command that waits for its response.
    asked: Option<Name>,
}

impl Observer for Telling {
    fn observe(&mut self, event: &Event<'_>) {
        let line = match event {
            Event::Command(bytes) => {
                let row = CommandApdu::parse(bytes).ok().and_then(|command| command_row(&command));
                self.asked = row.map(|row| row.name);
                describe_command(bytes)
            }
            Event::Response(bytes) => format!("→ {}", describe_response(self.asked.take(), bytes)),
            Event::Field(true) => "in the field".to_owned(),
            Event::Field(false) => "out of the field".to_owned(),
            _ => return,
        };
        // Nobody listens any more once the terminal is given back.
        let _ = self.tell.send(line);
    }
}

struct Session<'a> {
    card: &'a SharedCard,
    field: &'a Field,
    told: Receiver<String>,
    notice: String,
    log: VecDeque<String>,
}

impl Session<'_> {
    fn run(
        mut self,
        terminal: &mut DefaultTerminal,
        is_over: &mut dyn FnMut() -> bool,
    ) -> Result<(), TuiError> {
        loop {
            let face = self.look();
            terminal.draw(|frame| view::draw(frame, &face)).map_err(TuiError::Draw)?;
            self.log = face.log;
            if is_over() {
                return Ok(());
            }
            match next_action().map_err(TuiError::Keys)? {
                Some(Action::Quit) => return Ok(()),
                Some(action) => self.act(action),
                None => {}
            }
        }
    }

    /// The card as it is now.
    fn look(&mut self) -> Face {
        self.log.extend(self.told.try_iter());
        let surplus = self.log.len().saturating_sub(MOST_LOGGED);
        self.log.drain(..surplus);
        let (screen, in_field) = {
            let mut card = lock(self.card);
            let screen = card.screen();
            (card.has_face().then_some(screen), card.in_field())
        };
        let field_on = self.field.is_on(self.card);
        let log = std::mem::take(&mut self.log);
        Face { screen, in_field, field_on, notice: self.notice.clone(), log }
    }

    fn act(&mut self, action: Action) {
        self.notice.clear();
        match action {
            Action::Press(key) => {
                if let Err(why) = lock(self.card).press(key) {
                    self.notice = why.to_string();
                }
            }
            Action::SwitchField => self.field.switch(self.card, !self.field.is_on(self.card)),
            Action::Quit => {}
        }
    }
}

/// What the user wants, within one tick.
fn next_action() -> io::Result<Option<Action>> {
    if !event::poll(TICK)? {
        return Ok(None);
    }
    Ok(event::read()?.as_key_press_event().and_then(action))
}

fn action(key: KeyEvent) -> Option<Action> {
    if key.kind != KeyEventKind::Press {
        return None;
    }
    let press = |key| Some(Action::Press(key));
    match (key.code, key.modifiers.contains(KeyModifiers::CONTROL)) {
        (KeyCode::Char('c'), true) | (KeyCode::Char('q'), false) => Some(Action::Quit),
        (_, true) => None,
        (KeyCode::Enter, _) => press(Key::Confirm),
        (KeyCode::Esc, _) => press(Key::Cancel),
        (KeyCode::Right | KeyCode::PageDown, _) => press(Key::Next),
        (KeyCode::Left | KeyCode::PageUp, _) => press(Key::Previous),
        (KeyCode::Backspace | KeyCode::Delete, _) => press(Key::Clear),
        (KeyCode::Char('f'), _) => Some(Action::SwitchField),
        (KeyCode::Char(c), _) => {
            c.to_digit(10).and_then(|digit| press(Key::Digit(u8::try_from(digit).ok()?)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
