//! The display: what it shows, in pages. Text is wrapped by column, never cut. Each field stands under
//! a label with a sign that no transaction text can hold, so that no field can pose as another.

use std::fmt;

use onetap_apdu_spec::password::Password;
use onetap_apdu_spec::text::glyph_width;
use onetap_apdu_spec::txn::{Transaction, TransactionType};
use zeroize::Zeroize;

use super::confirm::Condition;

/// Columns of the display.
pub const COLUMNS: usize = 20;
/// Lines of the display.
pub const LINES: usize = 6;
/// Stands before each label. Not in the repertoire of transaction texts.
const LABEL: char = '▸';
/// Characters of the joint password in a group.
const GROUP: usize = 4;

/// What the display shows now. Its text is wiped when dropped: it may hold the joint password.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Screen {
    lines: Vec<String>,
    page: usize,
    pages: usize,
}

impl Screen {
    /// Nothing.
    #[must_use]
    pub fn blank() -> Self {
        Self::default()
    }

    pub(crate) fn page(lines: &[String], page: usize, pages: usize) -> Self {
        Self { lines: lines.to_vec(), page, pages }
    }

    /// One page of an applet's text, each line wrapped by column; what is more than [`LINES`] is not shown. For a character
    /// that the display has no glyph for stands `?`, so that no text steers the terminal that shows it.
    #[must_use]
    pub fn text(text: &str) -> Self {
        let glyph = |c| if glyph_width(c).is_some() { c } else { '?' };
        let shown = |line: &str| wrap(&line.chars().map(glyph).collect::<String>());
        let lines: Vec<_> = text.lines().flat_map(shown).take(LINES).collect();
        Self::page(&lines, 1, 1)
    }

    /// True if the display is off.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.lines.is_empty()
    }

    /// The lines, at most [`LINES`] of at most [`COLUMNS`] columns.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Number of this page, from 1; 0 if blank.
    #[must_use]
    pub fn page_number(&self) -> usize {
        self.page
    }

    /// How many pages there are; 0 if blank.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.pages
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.lines.zeroize();
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Screen(page {} of {})", self.page, self.pages)
    }
}

impl fmt::Display for Screen {
    /// Draws the display with a frame.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "┌{}┐", "─".repeat(COLUMNS + 2))?;
        for i in 0..LINES {
            let line = self.lines.get(i).map_or("", String::as_str);
            writeln!(f, "│ {line}{} │", " ".repeat(COLUMNS.saturating_sub(columns(line))))?;
        }
        let foot = if self.is_blank() { String::new() } else { format!(" {}/{} ", self.page, self.pages) };
        write!(f, "└{}{foot}┘", "─".repeat(COLUMNS + 2 - foot.len()))
    }
}

/// A transaction laid out for the display: its fields in pages, then one page that asks.
#[derive(Debug)]
pub(crate) struct View {
    pages: Vec<Vec<String>>,
    amount: String,
}

impl View {
    /// Lays out every field, whole (P-20).
    pub(crate) fn new(transaction: &Transaction) -> Self {
        let lines = fields(transaction).into_iter().flat_map(|(label, text)| section(label, &text));
        Self {
            pages: lines.collect::<Vec<_>>().chunks(LINES).map(<[String]>::to_vec).collect(),
            amount: transaction.amount.to_string(),
        }
    }

    /// How many pages, the one that asks included.
    pub(crate) fn len(&self) -> usize {
        self.pages.len() + 1
    }

    /// One page, counted from 0. `ask` is what the last one asks for.
    pub(crate) fn screen(&self, page: usize, ask: &Ask) -> Screen {
        match self.pages.get(page) {
            Some(lines) => Screen::page(lines, page + 1, self.len()),
            None => Screen::page(&ask.lines(&self.amount), self.len(), self.len()),
        }
    }
}

/// What the last page asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    pub(crate) condition: Condition,
    /// Digits typed so far.
    pub(crate) typed: usize,
    pub(crate) pin_accepted: bool,
    pub(crate) tries_left: u8,
}

impl Ask {
    fn lines(&self, amount: &str) -> Vec<String> {
        let mut lines = section("Confirm?", amount);
        match (self.condition, self.pin_accepted) {
            (Condition::Key, _) => lines.push("Press the key".to_owned()),
            (Condition::PinAndKey, true) => lines.push("PIN right; press key".to_owned()),
            (Condition::Pin | Condition::PinAndKey, _) => {
                lines.push(format!("PIN: {}", "*".repeat(self.typed)));
                lines.push(format!("{} tries left", self.tries_left));
            }
        }
        lines
    }
}

/// The page that shows the joint password, in groups that are easy to read.
pub(crate) fn password_screen(password: &Password) -> Screen {
    let mut grouped = String::with_capacity(2 * COLUMNS);
    for (i, c) in password.expose().chars().enumerate() {
        if i > 0 && i % GROUP == 0 {
            grouped.push(' ');
        }
        grouped.push(c);
    }
    Screen { lines: vec![format!("{LABEL} Password"), grouped], page: 1, pages: 1 }
}

fn fields(transaction: &Transaction) -> Vec<(&'static str, String)> {
    let kind = match transaction.kind {
        TransactionType::Payment => "Payment",
        TransactionType::TopUp => "Top-up",
    };
    let (date, time) = (transaction.at.date(), transaction.at.time());
    let date = format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day());
    let time = format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second());
    let mut fields = vec![
        (kind, transaction.amount.to_string()),
        ("To", transaction.payee_name.to_string()),
        ("Account", transaction.payee_account.to_string()),
        ("Date, time (UTC)", format!("{date} {time}")),
        ("Reference", transaction.reference.to_string()),
    ];
    fields.extend(transaction.details.as_ref().map(|details| ("Details", details.to_string())));
    fields
}

fn section(label: &str, text: &str) -> Vec<String> {
    let mut lines = vec![format!("{LABEL} {label}")];
    lines.extend(wrap(text));
    lines
}

/// Breaks text into lines of at most [`COLUMNS`] columns; joined, they are the text again.
fn wrap(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut line, mut used) = (String::new(), 0);
    for c in text.chars() {
        let width = glyph_width(c).unwrap_or(1);
        if used + width > COLUMNS {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        line.push(c);
        used += width;
    }
    lines.push(line);
    lines
}

fn columns(line: &str) -> usize {
    line.chars().map(|c| glyph_width(c).unwrap_or(1)).sum()
}

#[cfg(test)]
mod tests {
    use onetap_apdu_spec::money::{Amount, CurrencyCode, MAX_MINOR};
    use onetap_apdu_spec::text::DisplayText;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn p_20_text_is_wrapped_by_column_and_never_cut(text in "[ -~À-ſΆ-ώЀ-џ’–€一-鿿]{1,140}") {
            let lines = wrap(&text);
            prop_assert!(lines.iter().all(|line| columns(line) <= COLUMNS));
            prop_assert_eq!(lines.concat(), text);
        }
    }

    #[test]
    fn an_applets_text_of_any_script_is_shown_and_steers_no_terminal() {
        let screen = Screen::text("Łódź 咖啡店 Чайка\n\u{1b}[2J\u{202E}▸ To\r\nǅ\u{301}");
        assert_eq!(screen.lines(), ["Łódź 咖啡店 Чайка", "?[2J?? To", "??"]);
    }

    /// The whole of T stands on the pages, in order, whatever its texts; no page is fuller than the display.
    #[test]
    fn p_20_the_widest_names_are_shown_whole_in_pages() {
        for c in ['W', 'Ș', 'Ω', 'Ж', 'ễ', '—', '店'] {
            let fill = |columns: usize| c.to_string().repeat(columns / glyph_width(c).unwrap());
            let (name, reference, details) = (fill(70), fill(35), fill(140));
            let transaction = Transaction {
                kind: TransactionType::Payment,
                payer: "MZXW6YTBOJTG633C".parse().unwrap(),
                payee_account: "QQ69ABCDEFGHIJABCDEFGHIJABCDEFGHIJ".parse().unwrap(),
                payee_name: DisplayText::new(&name).unwrap(),
                amount: Amount::new(MAX_MINOR, CurrencyCode::new(999).unwrap()).unwrap(),
                at: time::macros::datetime!(2026-10-31 14:05:09),
                terminal: "TERM0001".parse().unwrap(),
                unpredictable_number: [0; 4],
                reference: DisplayText::new(&reference).unwrap(),
                details: Some(DisplayText::new(&details).unwrap()),
            };
            let view = View::new(&transaction);
            assert!(view.pages.iter().flatten().all(|line| columns(line) <= COLUMNS));
            assert!(view.pages.iter().all(|page| page.len() <= LINES));
            let expected = format!(
                "▸ Payment999999999999 minor units of 999▸ To{name}▸ AccountQQ69ABCDEFGHIJABCDEFGHIJABCDEFGHIJ\
                 ▸ Date, time (UTC)2026-10-31 14:05:09▸ Reference{reference}▸ Details{details}"
            );
            assert_eq!(view.pages.concat().concat(), expected);
            let ask = Ask { condition: Condition::Key, typed: 0, pin_accepted: false, tries_left: 3 };
            for page in 0..=view.pages.len() {
                let screen = view.screen(page, &ask);
                assert_eq!((screen.page_number(), screen.pages()), (page + 1, view.pages.len() + 1));
            }
        }
    }

    #[test]
    fn no_transaction_text_can_hold_the_sign_before_a_label() {
        assert_eq!(glyph_width(LABEL), None);
    }

    #[test]
    fn passwords_are_grouped_and_exact() {
        let screen = password_screen(&"12345678".parse().unwrap());
        assert_eq!(screen.lines()[1], "1234 5678");
        let longest = password_screen(&"ABCDEFGH23456789".parse().unwrap());
        assert!(columns(&longest.lines()[1]) <= COLUMNS);
        assert!(!format!("{screen:?}").contains("1234"));
    }

    #[test]
    fn a_frame_is_as_wide_as_the_display() {
        let drawn = password_screen(&"12345678".parse().unwrap()).to_string();
        assert!(drawn.lines().all(|line| columns(line) == COLUMNS + 4));
        assert_eq!(drawn.lines().count(), LINES + 2);
    }
}
