//! The terminal's picture of the card, and its keys, without a terminal.

use std::sync::{Arc, Mutex};

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::Environment;
use crate::applets::Echo;
use crate::card::{self, Product};
use crate::nvm::MemoryImage;
use crate::runtime::{DEFAULT_SELECTED, Runtime};
use crate::signing::controller::KeyRefused;
use crate::signing::display::Screen;

fn picture(face: &Face, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(frame, face)).unwrap();
    terminal.backend().to_string()
}

fn face(lines: &[&str], log: &[&str]) -> Face {
    let lines: Vec<_> = lines.iter().map(|&line| line.to_owned()).collect();
    let notice = "read all pages first, then wait a moment".to_owned();
    let log = log.iter().map(|&line| line.to_owned()).collect();
    Face { screen: Some(Screen::page(&lines, 1, 4)), in_field: false, field_on: true, notice, log }
}

#[test]
fn card_keys_and_log_stand_side_by_side_or_below_each_other() {
    let long = "→ 9000 done; signature message: counter 1, suite a3+sha256+rsa-oaep+pkcs1";
    let face = face(&["▸ Payment", "12.34 EUR", "▸ To", "Café Łódź 咖啡店"], &["GET SIGNATURE", long]);
    insta::assert_snapshot!("wide", picture(&face, 80, 20));
    insta::assert_snapshot!("narrow", picture(&face, 40, 24));
}

#[test]
fn it_is_drawn_in_any_room() {
    let face = face(&["▸ Payment"; 6], &["GET SIGNATURE"; 300]);
    for (width, height) in [(1, 1), (2, 50), (300, 2), (69, 10), (70, 9)] {
        assert!(!picture(&face, width, height).is_empty());
    }
}

#[test]
fn the_end_of_the_log_is_what_is_seen() {
    let mut face = face(&[], &["words that take more than one row of the log, each of them"; 100]);
    face.log.push_back("the last of all".to_owned());
    for width in 70..90 {
        assert!(picture(&face, width, 20).contains("the last of all"), "{width}");
    }
}

/// Shows the last key, and takes all but one.
struct LastKey(Option<Key>);

impl card::Face for LastKey {
    fn press(&mut self, key: Key, _: &mut Runtime) -> Result<(), KeyRefused> {
        if key == Key::Confirm {
            return Err(KeyRefused::Other("not this one"));
        }
        self.0 = Some(key);
        Ok(())
    }

    fn screen(&mut self, _: &mut Runtime) -> Screen {
        self.0.map_or_else(Screen::blank, |key| Screen::text(&format!("{key:?}")))
    }
}

fn echo() -> Product {
    Product::new(&[Echo::module()]).instance(Echo::name(), Echo::name(), [DEFAULT_SELECTED, 0, 0], &[])
}

fn shared(product: &Product) -> SharedCard {
    let made = product.make(Box::new(MemoryImage::default()), Environment::default());
    Arc::new(Mutex::new(made.unwrap()))
}

fn session(card: &SharedCard) -> Session<'_> {
    let (notice, log) = (String::new(), VecDeque::new());
    Session { card, field: &Field::Panel, told: watch(card), notice, log }
}

#[test]
fn a_card_is_watched_and_its_keys_are_pressed() {
    let card = shared(&echo().face(|| LastKey(None)));
    let mut session = session(&card);
    session.act(Action::Press(Key::Confirm));
    assert_eq!(session.notice, "not this one");
    session.act(Action::Press(Key::Next));
    assert!(session.notice.is_empty());
    let shown = picture(&session.look(), 100, 30);
    assert!(shown.contains("│ Next") && shown.contains(" 1/1 ") && shown.contains("VIRTUAL CARD"), "{shown}");
    session.act(Action::SwitchField);
    assert!(picture(&session.look(), 100, 30).contains("in the field"));
    assert_eq!(lock(&card).transmit(&[0x80, 0x10, 0, 0]), [0x90, 0x00]);
    let face = session.look();
    assert!(face.log.iter().any(|line| line.contains("9000")), "{:?}", face.log);
}

#[test]
fn a_card_without_a_face_shows_its_log_and_no_keys_of_its_own() {
    let card = shared(&echo());
    let mut session = session(&card);
    session.act(Action::Press(Key::Next));
    assert!(session.notice.contains("no keys"), "{}", session.notice);
    let shown = picture(&session.look(), 100, 30);
    assert!(
        shown.contains("no display") && shown.contains("field on, off") && !shown.contains("confirm"),
        "{shown}"
    );
}

#[test]
fn keys_of_the_keyboard_are_keys_of_the_card() {
    let plain = |code| action(KeyEvent::new(code, KeyModifiers::NONE));
    assert_eq!(plain(KeyCode::Enter), Some(Action::Press(Key::Confirm)));
    assert_eq!(plain(KeyCode::Esc), Some(Action::Press(Key::Cancel)));
    assert_eq!(plain(KeyCode::Char('7')), Some(Action::Press(Key::Digit(7))));
    assert_eq!(plain(KeyCode::Char('f')), Some(Action::SwitchField));
    assert_eq!(plain(KeyCode::Char('x')), None);
    let control = |c| action(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL));
    assert_eq!((control('c'), control('f')), (Some(Action::Quit), None));
    let released = KeyEvent::new_with_kind(KeyCode::Enter, KeyModifiers::NONE, KeyEventKind::Release);
    assert_eq!(action(released), None);
}
