//! The terminal's picture of the card, and its keys, without a terminal.

use onetap_apdu_spec::suite::Suite;
use onetap_applet::DEBOUNCE_MS;
use onetap_conformance::world::{Route, World};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;

fn picture(face: &Face, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(frame, face)).unwrap();
    terminal.backend().to_string()
}

fn face(lines: &[&str], log: &[&str]) -> Face {
    let shown = Shown {
        state: onetap_apdu_spec::command::CardState::Showing,
        lines: lines.iter().map(|&line| line.to_owned()).collect(),
        page: 1,
        pages: 4,
        frame: String::new(),
    };
    let notice = "read all pages first, then wait a moment".to_owned();
    let log = log.iter().map(|&line| line.to_owned()).collect();
    Face { shown, in_field: false, field_on: true, notice, log }
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

#[test]
fn a_payment_is_watched_and_its_keys_are_pressed() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path(), Suite::default(), Route::InProcess).unwrap();
    let card = world.card.clone();
    let mut session = Session {
        card: &card,
        field: &Field::Panel,
        told: watch(&card),
        notice: String::new(),
        log: VecDeque::new(),
    };
    world.plain_tap(&world.draft(12_34).unwrap()).unwrap();
    world.clock.advance(DEBOUNCE_MS);
    let shown = picture(&session.look(), 100, 30);
    assert!(
        shown.contains("12.34 EUR") && shown.contains(" 1/") && shown.contains("VIRTUAL CARD"),
        "{shown}"
    );

    session.act(Action::Press(Key::Confirm));
    assert!(session.notice.contains("read all pages"), "{}", session.notice);
    session.act(Action::Press(Key::Next));
    assert!(session.notice.is_empty());
    assert!(picture(&session.look(), 100, 30).contains(" 2/"));
    session.act(Action::SwitchField);
    assert!(picture(&session.look(), 100, 30).contains("in the field"));
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
