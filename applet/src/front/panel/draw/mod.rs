//! The display as a picture, dot by dot: the same for every viewer, whatever fonts it has.

mod png;
mod svg;

pub(crate) use png::{MAX_SCALE, png};
pub(crate) use svg::svg;

use onetap_apdu_spec::text::glyph_width;

use crate::signing::display::{COLUMNS, LINES, Screen};

/// Dots of one column.
const CELL: usize = 8;
/// Dots of one line; a glyph is as high.
const LINE: usize = 16;
/// Dots around the text.
const MARGIN: usize = 8;
/// Dots of a picture.
const WIDTH: usize = COLUMNS * CELL + 2 * MARGIN;
/// As many lines as the display has, and one for the foot.
const HEIGHT: usize = (LINES + 1) * LINE + 2 * MARGIN;
/// Stands below every screen: nobody shall take the picture for a photograph of a card.
const MARK: &str = "VIRTUAL CARD";

/// Colour of the ink and of the paper, as 8-bit red, green, blue.
const INK: [u8; 3] = [0x1D, 0x1F, 0x21];
const PAPER: [u8; 3] = [0xE9, 0xE7, 0xDF];

/// A picture of ink on paper. Wiped when dropped: it may show the joint password.
pub(crate) struct Bitmap(zeroize::Zeroizing<Vec<bool>>);

impl Bitmap {
    /// Draws a screen with its page number and the mark.
    pub(crate) fn draw(screen: &Screen) -> Self {
        let mut bitmap = Self(zeroize::Zeroizing::new(vec![false; WIDTH * HEIGHT]));
        for (i, line) in screen.lines().iter().enumerate() {
            bitmap.write(line, MARGIN, MARGIN + i * LINE);
        }
        let foot = MARGIN + LINES * LINE + MARGIN / 2;
        bitmap.write(MARK, MARGIN, foot);
        if !screen.is_blank() {
            let page = format!("{}/{}", screen.page_number(), screen.pages());
            bitmap.write(&page, WIDTH - MARGIN - page.len() * CELL, foot);
        }
        bitmap
    }

    /// Writes from left to right, each glyph in the columns that the display gives it.
    fn write(&mut self, text: &str, mut left: usize, top: usize) {
        for c in text.chars() {
            let width = glyph_width(c).unwrap_or(1) * CELL;
            if let Some(glyph) = unifont::get_glyph(c) {
                for (x, y) in (0..width).flat_map(|x| (0..LINE).map(move |y| (x, y))) {
                    if glyph.get_pixel(x, y) {
                        self.ink(left + x, top + y);
                    }
                }
            }
            left += width;
        }
    }

    fn ink(&mut self, x: usize, y: usize) {
        if x < WIDTH
            && let Some(dot) = self.0.get_mut(y * WIDTH + x)
        {
            *dot = true;
        }
    }

    /// The rows, from the top, each from the left.
    fn rows(&self) -> impl Iterator<Item = &[bool]> {
        self.0.chunks(WIDTH)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use onetap_apdu_spec::text::{Kind, kind};

    use super::*;

    fn dots(bitmap: &Bitmap) -> usize {
        bitmap.0.iter().filter(|dot| **dot).count()
    }

    #[test]
    fn the_font_has_every_glyph_of_the_display_in_its_columns() {
        let repertoire = ('\u{0}'..='\u{FFFF}').filter_map(|c| Some((c, glyph_width(c)?))).chain([('▸', 1)]);
        let mut seen = 0;
        for (c, columns) in repertoire {
            let glyph = unifont::get_glyph(c).unwrap_or_else(|| panic!("no glyph for {c:?}"));
            assert_eq!(glyph.get_width(), columns * CELL, "{c:?}");
            seen += 1;
        }
        assert!(seen > 21_800, "{seen}");
    }

    /// The pairs that docs/spec/transaction.md names, and no others; letters of two scripts never
    /// stand in one word.
    #[test]
    fn two_characters_of_one_word_do_not_look_the_same() {
        let mut by_look: HashMap<_, Vec<_>> = HashMap::new();
        for (c, kind) in ('\u{21}'..='\u{FFFF}').filter_map(|c| Some((c, kind(c)?))) {
            let mut bitmap = Bitmap(zeroize::Zeroizing::new(vec![false; WIDTH * HEIGHT]));
            bitmap.write(&c.to_string(), 0, 0);
            let dots: Vec<_> =
                bitmap.0.iter().enumerate().filter(|(_, dot)| **dot).map(|(at, _)| at).collect();
            by_look.entry(dots).or_default().push((c, kind));
        }
        let letters = |kind| matches!(kind, Kind::Latin | Kind::Greek | Kind::Cyrillic);
        let meet = |a, b| a == b || !letters(a) || !letters(b);
        let mut same: Vec<_> = by_look
            .values()
            .flat_map(|alike| alike.iter().flat_map(move |a| alike.iter().map(move |b| (*a, *b))))
            .filter(|((a, of_a), (b, of_b))| a < b && meet(*of_a, *of_b))
            .map(|((a, _), (b, _))| (a, b))
            .collect();
        same.sort_unstable();
        assert_eq!(same, [(',', '\u{201A}'), ('Ð', 'Đ'), ('晚', '晩')]);
    }

    #[test]
    fn a_screen_is_drawn_whole_and_two_screens_differ() {
        let line = |text: &str| Screen::page(&[text.to_owned()], 1, 2);
        let (blank, one) = (Bitmap::draw(&Screen::blank()), Bitmap::draw(&line("12.34 EUR")));
        assert!(dots(&blank) > 100, "the mark stands on a blank screen too");
        assert!(dots(&one) > dots(&blank));
        assert_ne!(*one.0, *Bitmap::draw(&line("12.35 EUR")).0);
        // A line of the full width, in wide glyphs, reaches the right margin and no further.
        let wide = Bitmap::draw(&line(&"画".repeat(COLUMNS / 2)));
        let right = wide.rows().take(MARGIN + LINE).filter_map(|row| row.iter().rposition(|dot| *dot)).max();
        assert!(right.is_some_and(|x| (WIDTH - 2 * MARGIN..WIDTH - MARGIN).contains(&x)), "{right:?}");
    }
}
