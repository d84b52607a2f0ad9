//! How the terminal shows the card. It draws what it is given and asks nothing.

use std::collections::VecDeque;

use onetap_apdu_spec::text::glyph_width;
use onetap_applet::{COLUMNS, LINES};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph};

use super::super::press::Shown;

/// The display with its frame and a space on either side.
#[allow(clippy::cast_possible_truncation, reason = "small constants")]
const DISPLAY: (u16, u16) = (COLUMNS as u16 + 4, LINES as u16 + 2);
/// Lines for the keys, their frame included.
const KEYS: u16 = 8;
/// Columns that it takes to show card and log side by side.
const WIDE: u16 = 70;
const SHORTCUTS: [(&str, &str); 6] = [
    ("← →", "previous, next page"),
    ("Enter", "confirm"),
    ("Esc", "cancel"),
    ("0 … 9, ⌫", "PIN, clear"),
    ("f", "field on, off"),
    ("q", "quit"),
];

/// What the terminal shows.
pub(super) struct Face {
    pub(super) shown: Shown,
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
    draw_keys(frame, keys);
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
    if face.shown.pages > 0 {
        block = block
            .title_bottom(Line::raw(format!(" {}/{} ", face.shown.page, face.shown.pages)).right_aligned());
    }
    let lines: Vec<Line<'_>> = face.shown.lines.iter().map(|line| Line::raw(format!(" {line}"))).collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn draw_keys(frame: &mut Frame<'_>, area: Rect) {
    let lines: Vec<Line<'_>> =
        SHORTCUTS.iter().map(|(key, does)| Line::raw(format!(" {key:<10} {does}"))).collect();
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
