//! How the terminal shows the card. It draws what it is given and asks nothing.

use std::collections::VecDeque;

use onetap_apdu_spec::text::glyph_width;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph};

use crate::signing::display::{COLUMNS, LINES, Screen};

/// The display with its frame and a space on either side.
#[allow(clippy::cast_possible_truncation, reason = "small constants")]
const DISPLAY: (u16, u16) = (COLUMNS as u16 + 4, LINES as u16 + 2);
/// Lines for the keys, their frame included.
const KEYS: u16 = 8;
/// Columns that it takes to show card and log side by side.
const WIDE: u16 = 70;
/// Keys of the card, which some have not.
const CARD_KEYS: [(&str, &str); 4] =
    [("← →", "previous, next page"), ("Enter", "confirm"), ("Esc", "cancel"), ("0 … 9, ⌫", "PIN, clear")];
const OTHER_KEYS: [(&str, &str); 2] = [("f", "field on, off"), ("q", "quit")];

/// What the terminal shows.
pub(super) struct Face {
    /// What the display shows; `None` on a card without one.
    pub(super) screen: Option<Screen>,
    pub(super) in_field: bool,
    pub(super) field_on: bool,
    /// Why the last key did nothing.
    pub(super) notice: String,
    pub(super) log: VecDeque<String>,
}

/// Draws the whole.
pub(super) fn draw(frame: &mut Frame<'_>, face: &Face) {
    let [top, middle, bottom] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)])
            .areas(frame.area());
    let mark = Style::new().add_modifier(Modifier::BOLD);
    frame.render_widget(Line::styled("OneTap · VIRTUAL CARD", mark), top);
    frame.render_widget(Line::raw(face.notice.as_str()), bottom);

    let card_width = Constraint::Length(DISPLAY.0 + 12);
    let [card, log] = if frame.area().width >= WIDE {
        Layout::horizontal([card_width, Constraint::Min(0)]).areas(middle)
    } else {
        Layout::vertical([Constraint::Length(DISPLAY.1 + KEYS), Constraint::Min(0)]).areas(middle)
    };
    let [display, keys] =
        Layout::vertical([Constraint::Length(DISPLAY.1), Constraint::Max(KEYS)]).areas(card);
    draw_display(frame, face, display);
    draw_keys(frame, face, keys);
    draw_log(frame, face, log);
}

fn draw_display(frame: &mut Frame<'_>, face: &Face, area: Rect) {
    let area = Rect { width: DISPLAY.0.min(area.width), ..area };
    let place = match (face.in_field, face.field_on) {
        (true, _) => "in the field",
        (false, true) => "waiting",
        (false, false) => "field off",
    };
    let mut block = Block::bordered().title(format!(" {place} "));
    let Some(screen) = &face.screen else {
        frame.render_widget(Paragraph::new(" no display").block(block), area);
        return;
    };
    if !screen.is_blank() {
        let pages = format!(" {}/{} ", screen.page_number(), screen.pages());
        block = block.title_bottom(Line::raw(pages).right_aligned());
    }
    let lines: Vec<Line<'_>> = screen.lines().iter().map(|line| Line::raw(format!(" {line}"))).collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn draw_keys(frame: &mut Frame<'_>, face: &Face, area: Rect) {
    let of_the_card = CARD_KEYS.iter().filter(|_| face.screen.is_some());
    let lines: Vec<Line<'_>> =
        of_the_card.chain(&OTHER_KEYS).map(|(key, does)| Line::raw(format!(" {key:<10} {does}"))).collect();
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" Keys ")), area);
}

/// The end of the log: what is newest stands last.
fn draw_log(frame: &mut Frame<'_>, face: &Face, area: Rect) {
    let block = Block::bordered().title(" What the reader sees ");
    let inner = block.inner(area);
    let rows: Vec<String> = face.log.iter().flat_map(|line| wrap(line, inner.width.into())).collect();
    let surplus = rows.len().saturating_sub(inner.height.into());
    let lines: Vec<Line<'_>> = rows.iter().skip(surplus).map(|row| Line::raw(row.as_str())).collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// Rows of at most so many columns.
fn wrap(line: &str, columns: usize) -> Vec<String> {
    let (mut rows, mut row, mut used) = (Vec::new(), String::new(), 0);
    for c in line.chars() {
        let width = glyph_width(c).unwrap_or(1);
        if used + width > columns {
            rows.push(std::mem::take(&mut row));
            used = 0;
        }
        row.push(c);
        used += width;
    }
    rows.push(row);
    rows
}
