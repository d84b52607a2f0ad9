//! Text from elsewhere: how it is read, and how it is printed.
//!
//! Editors and scanners put a byte order mark before a text and blank lines behind it; [`unframed`] takes them off.
//! What others wrote may hold control characters and marks of writing direction, which would steer a terminal or
//! make a line look like another one; [`Shown`] prints them as escapes.

use std::fmt::{self, Write as _};

/// The text without a byte order mark at its start and without blank lines at its end.
///
/// The last line loses its line end too, but no spaces. Lines that end in CR LF are left alone: [`str::lines`] and
/// JSON take them.
///
/// ```
/// # use onetap_apdu_spec::foreign::unframed;
/// assert_eq!(unframed("\u{FEFF}a \r\nb \r\n \r\n\n"), "a \r\nb ");
/// ```
#[must_use]
pub fn unframed(text: &str) -> &str {
    let mut text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    while let Some((before, last)) = text.rsplit_once('\n')
        && last.trim().is_empty()
    {
        text = before.strip_suffix('\r').unwrap_or(before);
    }
    text
}

/// Displays a text with everything escaped that does not print: controls, line ends, bidirectional and zero-width
/// characters, combining marks, what Unicode has not assigned. An escape looks like `\u{1b}`.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a>(pub &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .chars()
            .try_for_each(|c| if prints(c) { f.write_char(c) } else { write!(f, "{}", c.escape_unicode()) })
    }
}

/// Displays a text of several lines as [`Shown`] does, but keeps line ends and tabs.
#[derive(Debug, Clone, Copy)]
pub struct ShownLines<'a>(pub &'a str);

impl fmt::Display for ShownLines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.split_inclusive(['\n', '\t']).try_for_each(|part| {
            let end = part.trim_end_matches(['\n', '\t']);
            write!(f, "{}{}", Shown(end), &part[end.len()..])
        })
    }
}

/// JSON with the same characters as `\u` escapes: the same value to a program, and harmless on a terminal.
#[must_use]
pub fn json_shown(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if prints(c) || c.is_ascii() {
            out.push(c);
        } else {
            let units = &mut [0; 2];
            for unit in c.encode_utf16(units) {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

/// Whether a character prints as itself. The standard library's tables know which do; it also escapes quotes and
/// the backslash, which are harmless here.
fn prints(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_at_the_start_and_blank_lines_at_the_end_go_and_nothing_else() {
        for (text, plain) in [
            ("a\nb", "a\nb"),
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a\n\n \t\r\n", "a"),
            ("\u{FEFF}a", "a"),
            ("\n\na", "\n\na"),
            (" a ", " a "),
            ("a \n", "a "),
            ("\n", ""),
            ("", ""),
            ("a\u{FEFF}", "a\u{FEFF}"),
        ] {
            assert_eq!(unframed(text), plain, "{text:?}");
        }
    }

    #[test]
    fn what_steers_a_terminal_or_hides_is_escaped() {
        for (text, shown) in [
            ("Café Zürič €5 \"x\" 'y' C:\\z 咖啡", "Café Zürič €5 \"x\" 'y' C:\\z 咖啡"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("a\r\nb\tc", "a\\u{d}\\u{a}b\\u{9}c"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{7f}", "\\u{7f}"),
            ("a\u{202E}b\u{2066}c\u{200F}d", "a\\u{202e}b\\u{2066}c\\u{200f}d"),
            ("a\u{200B}\u{AD}\u{2060}b", "a\\u{200b}\\u{ad}\\u{2060}b"),
            ("a\u{2028}b\u{E0041}", "a\\u{2028}b\\u{e0041}"),
            ("e\u{301}", "e\\u{301}"),
        ] {
            assert_eq!(Shown(text).to_string(), shown, "{text:?}");
        }
    }

    #[test]
    fn lines_stay_lines_where_they_may() {
        assert_eq!(ShownLines("a\n\tb\u{1b}c\n\nd").to_string(), "a\n\tb\\u{1b}c\n\nd");
        assert_eq!(ShownLines("a\r\n").to_string(), "a\\u{d}\n");
    }

    #[test]
    fn json_keeps_its_value() {
        let value = "a\u{202E}b\u{9b}\u{E0041}ü€";
        let json = json_shown(&format!("\"{value}\""));
        assert_eq!(json, "\"a\\u202eb\\u009b\\udb40\\udc41ü€\"");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), value);
    }
}
