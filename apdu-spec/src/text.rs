//! Text that a card can show whole: what you see is what you sign.
//!
//! The display's repertoire is printable ASCII, the letters and signs of Latin-1, Latin Extended-A,
//! the euro sign, and CJK unified ideographs (two columns wide). Everything else is refused, never
//! replaced or cut: controls, bidirectional overrides, zero-width and combining characters, other
//! scripts' look-alikes. Spaces only single and inside, so that nothing can be pushed off a page.

use std::fmt;

/// Why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// No characters.
    #[error("the text is empty")]
    Empty,
    /// Too wide for its field.
    #[error("the text is {columns} columns wide; {max} fit")]
    TooWide {
        /// How wide it is.
        columns: usize,
        /// How wide it may be.
        max: usize,
    },
    /// A character that the display lacks.
    #[error("the card cannot display the character U+{0:04X}")]
    NotDisplayable(u32),
    /// A space at either end, or two in a row.
    #[error("spaces may only stand single and between words")]
    Spaces,
    /// The bytes are not UTF-8.
    #[error("the text is not UTF-8")]
    NotUtf8,
}

/// Displayable text of 1 … `MAX` columns.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DisplayText<const MAX: usize>(String);

impl<const MAX: usize> DisplayText<MAX> {
    /// Checks a text.
    ///
    /// # Errors
    /// [`TextError`], the first reason met.
    pub fn new(text: &str) -> Result<Self, TextError> {
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        let columns = width(text)?;
        if columns > MAX {
            return Err(TextError::TooWide { columns, max: MAX });
        }
        if text.starts_with(' ') || text.ends_with(' ') || text.contains("  ") {
            return Err(TextError::Spaces);
        }
        Ok(Self(text.to_owned()))
    }

    /// Checks bytes that ought to be UTF-8.
    ///
    /// # Errors
    /// [`TextError`].
    pub fn from_utf8(bytes: &[u8]) -> Result<Self, TextError> {
        Self::new(std::str::from_utf8(bytes).map_err(|_| TextError::NotUtf8)?)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Display for DisplayText<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MAX: usize> fmt::Debug for DisplayText<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Columns that `c` takes on the card's display, or `None` if it has no such glyph.
#[must_use]
pub fn glyph_width(c: char) -> Option<usize> {
    match c {
        ' '..='~' | '\u{A1}'..='\u{AC}' | '\u{AE}'..='\u{17F}' | '€' => Some(1),
        '\u{4E00}'..='\u{9FFF}' => Some(2),
        _ => None,
    }
}

/// Columns that `text` takes.
///
/// # Errors
/// [`TextError::NotDisplayable`] for the first character without a glyph.
pub fn width(text: &str) -> Result<usize, TextError> {
    text.chars().map(|c| glyph_width(c).ok_or(TextError::NotDisplayable(c.into()))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_display_lacks_is_refused() {
        for (text, bad) in [
            ("Caf\u{65}\u{301}", 0x301), // combining accent
            ("abc\u{202E}cba", 0x202E),  // right-to-left override
            ("a\u{200B}b", 0x200B),      // zero width space
            ("a\u{AD}b", 0xAD),          // soft hyphen
            ("a\nb", 0x0A),
            ("a\u{0}b", 0),
            ("a\u{85}b", 0x85),
            ("a\u{A0}b", 0xA0),   // no-break space
            ("p\u{430}y", 0x430), // Cyrillic a
            ("😀", 0x1F600),
        ] {
            assert_eq!(DisplayText::<40>::new(text), Err(TextError::NotDisplayable(bad)));
        }
    }

    #[test]
    fn widths_count_columns() {
        assert!(DisplayText::<6>::new("咖啡店").is_ok());
        assert_eq!(DisplayText::<5>::new("咖啡店"), Err(TextError::TooWide { columns: 6, max: 5 }));
        assert!(DisplayText::<10>::new("Café Zürič").is_ok());
    }

    #[test]
    fn spaces_cannot_push_text_away() {
        for text in [" a", "a ", "a  b"] {
            assert_eq!(DisplayText::<9>::new(text), Err(TextError::Spaces));
        }
        assert_eq!(DisplayText::<9>::new(""), Err(TextError::Empty));
        assert_eq!(DisplayText::<9>::from_utf8(&[0xC3]), Err(TextError::NotUtf8));
    }
}
