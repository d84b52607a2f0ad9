//! Text that a card can show whole: what you see is what you sign.
//!
//! The repertoire ([`REPERTOIRE`], REQ-T-9) is what payees are called in: Latin with the marks of
//! Europe's languages, Greek, Cyrillic, typographic signs, and CJK unified ideographs (two columns
//! wide). Everything else is refused, never replaced or cut: controls, bidirectional overrides,
//! zero-width and combining characters. All of it is precomposed (Unicode's NFC), so one look has
//! one spelling. A word in letters of two look-alike scripts is refused ([`TextError::MixedScripts`]).
//! Spaces stand only single and inside, so that nothing can be pushed off a page.

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
    /// One word has letters of more than one of the scripts whose letters look alike.
    #[error("one word mixes Latin, Greek or Cyrillic letters, which look alike; write it in one of them")]
    MixedScripts,
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
        if text.split(ends_word).any(mixes_scripts) {
            return Err(TextError::MixedScripts);
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

/// What kind of character a range of [`REPERTOIRE`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Digits, punctuation and signs, which go with every script.
    Sign,
    /// Latin letters.
    Latin,
    /// Greek letters.
    Greek,
    /// Cyrillic letters.
    Cyrillic,
    /// Ideographs, two columns wide; no letter looks like them.
    Ideograph,
}

/// First and last character of a range, and what is in it.
type Range = (char, char, Kind);

/// Every character that a text may have (docs/spec/transaction.md, "Text repertoire"), in order.
pub const REPERTOIRE: &[Range] = &[
    ('\u{20}', '\u{40}', Kind::Sign),
    ('A', 'Z', Kind::Latin),
    ('\u{5B}', '\u{60}', Kind::Sign),
    ('a', 'z', Kind::Latin),
    ('\u{7B}', '\u{7E}', Kind::Sign),
    ('\u{A1}', '\u{AC}', Kind::Sign),
    ('\u{AE}', '\u{BF}', Kind::Sign),
    ('\u{C0}', '\u{D6}', Kind::Latin),
    ('\u{D7}', '\u{D7}', Kind::Sign),
    ('\u{D8}', '\u{F6}', Kind::Latin),
    ('\u{F7}', '\u{F7}', Kind::Sign),
    ('\u{F8}', '\u{17F}', Kind::Latin),
    ('\u{18F}', '\u{18F}', Kind::Latin),
    ('\u{1A0}', '\u{1A1}', Kind::Latin),
    ('\u{1AF}', '\u{1B0}', Kind::Latin),
    ('\u{1B7}', '\u{1B7}', Kind::Latin),
    ('\u{1E4}', '\u{1E9}', Kind::Latin),
    ('\u{1EE}', '\u{1EF}', Kind::Latin),
    ('\u{1FA}', '\u{1FF}', Kind::Latin),
    ('\u{218}', '\u{21B}', Kind::Latin),
    ('\u{21E}', '\u{21F}', Kind::Latin),
    ('\u{22A}', '\u{233}', Kind::Latin),
    ('\u{259}', '\u{259}', Kind::Latin),
    ('\u{292}', '\u{292}', Kind::Latin),
    ('\u{2B9}', '\u{2B9}', Kind::Sign),
    ('\u{2BC}', '\u{2BC}', Kind::Sign),
    ('\u{386}', '\u{386}', Kind::Greek),
    ('\u{388}', '\u{38A}', Kind::Greek),
    ('\u{38C}', '\u{38C}', Kind::Greek),
    ('\u{38E}', '\u{3A1}', Kind::Greek),
    ('\u{3A3}', '\u{3CE}', Kind::Greek),
    ('\u{400}', '\u{45F}', Kind::Cyrillic),
    ('\u{490}', '\u{4BF}', Kind::Cyrillic),
    ('\u{4D0}', '\u{4F9}', Kind::Cyrillic),
    ('\u{1E00}', '\u{1E99}', Kind::Latin),
    ('\u{1E9E}', '\u{1E9E}', Kind::Latin),
    ('\u{1EA0}', '\u{1EF9}', Kind::Latin),
    ('\u{2013}', '\u{2014}', Kind::Sign),
    ('\u{2018}', '\u{201A}', Kind::Sign),
    ('\u{201C}', '\u{201E}', Kind::Sign),
    ('\u{2026}', '\u{2026}', Kind::Sign),
    ('\u{2039}', '\u{203A}', Kind::Sign),
    ('\u{20AC}', '\u{20AC}', Kind::Sign),
    ('\u{2116}', '\u{2116}', Kind::Sign),
    ('\u{2122}', '\u{2122}', Kind::Sign),
    ('\u{4E00}', '\u{9FFF}', Kind::Ideograph),
];

/// The kind of `c`, or `None` if it is not in [`REPERTOIRE`].
#[must_use]
pub fn kind(c: char) -> Option<Kind> {
    let at = REPERTOIRE.partition_point(|(_, last, _)| *last < c);
    REPERTOIRE.get(at).filter(|(first, ..)| *first <= c).map(|(.., kind)| *kind)
}

/// Columns that `c` takes on the card's display, or `None` if it has no such glyph.
#[must_use]
pub fn glyph_width(c: char) -> Option<usize> {
    kind(c).map(|kind| if kind == Kind::Ideograph { 2 } else { 1 })
}

/// True for what separates two words that may be in different scripts: a space, a hyphen, a dash or
/// a slash.
fn ends_word(c: char) -> bool {
    matches!(c, ' ' | '-' | '/' | '\u{2013}' | '\u{2014}')
}

/// True if `word` has letters of more than one of the scripts whose letters look alike.
fn mixes_scripts(word: &str) -> bool {
    let letters = |kind: &Kind| matches!(kind, Kind::Latin | Kind::Greek | Kind::Cyrillic);
    let mut scripts = word.chars().filter_map(kind).filter(letters);
    scripts.next().is_some_and(|first| scripts.any(|other| other != first))
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
    fn names_are_taken_as_they_are() {
        for name in [
            "Băcănia Ștefan și fiii",                                      // Romanian, comma below
            "L’Atelier – Dupont",                                          // U+2019, U+2013
            "Gemeinschaftspraxis Dr. Muster und Dr. Beispiel Musterstadt", // 59 columns
            "Żółć „Gęśla” Spółka z o.o.",
            "Þórður Ægisson ehf.",
            "Ċensu Ħal Għaxaq",
            "Ŵyn a’r Ẁyrcs Cyf.",
            "GROẞE STRAẞE",
            "Sääʹm Ǩeeʹrjj Ǥõll",
            "Nguyễn Thị Hương",
            "Ταβέρνα Ο Γιώργος – Αθήνα",
            "Ресторант „Чайка“ № 7",
            "Њушкови и Ћирић д.о.о.",
            "Ґудзик і Їжак",
            "Қазақстан Темір Жолы",
            "Монголын Өнгө ҮЙЛДВЭР",
            "咖啡店",
        ] {
            assert!(DisplayText::<70>::new(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn what_the_display_lacks_is_refused() {
        for (text, bad) in [
            ("Caf\u{65}\u{301}", 0x301), // combining accent: NFD is refused, NFC is taken
            ("S\u{326}tefan", 0x326),    // combining comma below
            ("abc\u{202E}cba", 0x202E),  // right-to-left override
            ("a\u{200B}b", 0x200B),      // zero width space
            ("a\u{AD}b", 0xAD),          // soft hyphen
            ("a\u{2011}b", 0x2011),      // no-break hyphen, the same look as a hyphen
            ("a\nb", 0x0A),
            ("a\u{0}b", 0),
            ("a\u{85}b", 0x85),
            ("a\u{A0}b", 0xA0),     // no-break space
            ("a\u{37E}", 0x37E),    // Greek question mark, in NFC a semicolon
            ("\u{1F71}", 0x1F71),   // alpha with oxia, in NFC alpha with tonos
            ("\u{2126}", 0x2126),   // ohm sign, in NFC an omega
            ("\u{FF33}", 0xFF33),   // full-width letter
            ("\u{4C0}", 0x4C0),     // palochka, the same look as U+0406
            ("\u{1D5A0}", 0x1D5A0), // mathematical letter
            ("😀", 0x1F600),
        ] {
            assert_eq!(DisplayText::<40>::new(text), Err(TextError::NotDisplayable(bad)));
        }
    }

    #[test]
    fn a_word_in_letters_of_two_scripts_that_look_alike_is_refused() {
        for text in [
            "p\u{430}y",           // Cyrillic a
            "\u{421}offee Shop",   // Cyrillic Es
            "Coffee Sh\u{3BF}p",   // Greek omicron
            "\u{391}BC",           // Greek Alpha
            "\u{391}\u{411}",      // Greek and Cyrillic
            "H&\u{41C}",           // an ampersand is inside of a word
            "Rossmann’\u{455}",    // so is an apostrophe
            "pay.\u{440}\u{430}l", // and a full stop
            "3M 3\u{41C}x",
        ] {
            assert_eq!(DisplayText::<40>::new(text), Err(TextError::MixedScripts), "{text}");
        }
        for text in ["ООО Coffee Shop", "SMS-код", "Кафе/Café", "Αθήνα–Paris", "3М 3M", "卡拉OK", "10 µm Ω"]
        {
            assert!(DisplayText::<40>::new(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn the_repertoire_is_in_order_and_no_range_meets_another() {
        assert!(REPERTOIRE.iter().all(|(first, last, _)| first <= last));
        assert!(REPERTOIRE.windows(2).all(|pair| pair[0].1 < pair[1].0));
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
