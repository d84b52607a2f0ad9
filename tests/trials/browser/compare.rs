//! Pictures of pages beside those that people have reviewed.

use std::io::Cursor;
use std::path::Path;

use crate::browser::{Browser, Look};

/// Pictures are compared in squares of so many pixels, by their mean: the edges of letters differ from one
/// version of the browser to the next.
const SQUARE: usize = 10;
/// Least distance of two means, of 255, at which a square differs.
const DISTANCE: i32 = 24;
/// Most squares of a thousand that may differ.
const TOLERANCE: usize = 10;

struct Picture {
    width: usize,
    height: usize,
    /// Red, green, blue of each pixel.
    rgb: Vec<u8>,
}

fn decode(file: &[u8]) -> Picture {
    let mut decoder = png::Decoder::new(Cursor::new(file));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().unwrap();
    let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut rgb).unwrap();
    let (width, height) = (info.width as usize, info.height as usize);
    if info.color_type == png::ColorType::Rgba {
        rgb = rgb.chunks(4).flat_map(|pixel| pixel[..3].to_vec()).collect();
    }
    assert_eq!(rgb.len(), width * height * 3);
    Picture { width, height, rgb }
}

impl Picture {
    /// The mean colour of each square.
    fn squares(&self) -> Vec<[i32; 3]> {
        let tops = (0..self.height).step_by(SQUARE);
        let corners = tops.flat_map(|top| (0..self.width).step_by(SQUARE).map(move |left| (left, top)));
        corners.map(|(left, top)| self.mean(left, top)).collect()
    }

    fn mean(&self, left: usize, top: usize) -> [i32; 3] {
        let (right, bottom) = ((left + SQUARE).min(self.width), (top + SQUARE).min(self.height));
        let mut sum = [0; 3];
        for (x, y) in (top..bottom).flat_map(|y| (left..right).map(move |x| (x, y))) {
            for (part, sum) in sum.iter_mut().enumerate() {
                *sum += i32::from(self.rgb[(y * self.width + x) * 3 + part]);
            }
        }
        let count = i32::try_from((right - left) * (bottom - top)).unwrap();
        sum.map(|part| part / count)
    }

    /// Squares that differ, of a thousand.
    fn difference(&self, other: &Self) -> usize {
        let (ours, theirs) = (self.squares(), other.squares());
        let differ =
            |(a, b): &(&[i32; 3], &[i32; 3])| a.iter().zip(*b).any(|(a, b)| (a - b).abs() >= DISTANCE);
        ours.iter().zip(&theirs).filter(differ).count() * 1000 / ours.len()
    }
}

/// Compares what the browser shows in this look with the picture of that name in a folder of the repository.
pub(crate) fn compare(browser: &Browser, folder: &str, name: &str, look: Look) {
    browser.set_look(look);
    // Two frames: what was asked for has been drawn.
    browser.until("(window.frames_seen = (window.frames_seen ?? 0) + 1) % 3 === 0");
    let file = browser.screenshot();
    // Other packages have this file among their tests, too.
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let root = above.find(|folder| folder.join("Cargo.lock").exists()).unwrap();
    let path = root.join(folder).join(format!("{name}.png"));
    if std::env::var_os("UPDATE_SCREENSHOTS").is_some() {
        std::fs::write(&path, &file).unwrap();
        return;
    }
    let reference = std::fs::read(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    let (seen, reviewed) = (decode(&file), decode(&reference));
    let size = |picture: &Picture| (picture.width, picture.height);
    let difference = if size(&seen) == size(&reviewed) { seen.difference(&reviewed) } else { 1000 };
    if difference > TOLERANCE {
        let kept = std::env::temp_dir().join(format!("onetap-{name}.png"));
        std::fs::write(&kept, &file).unwrap();
        panic!(
            "{name} differs in {difference} of 1000 squares: see {}; if it is right, UPDATE_SCREENSHOTS=1",
            kept.display()
        );
    }
}

#[test]
fn a_picture_with_another_amount_or_colour_would_be_noticed() {
    let plain = |shade: u8| Picture { width: 100, height: 100, rgb: vec![shade; 100 * 100 * 3] };
    assert_eq!(plain(200).difference(&plain(200)), 0);
    assert_eq!(plain(200).difference(&plain(170)), 1000);
    let mut spot = plain(200);
    for y in 10..30 {
        spot.rgb[(y * 100 + 10) * 3..(y * 100 + 30) * 3].fill(0);
    }
    assert!(spot.difference(&plain(200)) > TOLERANCE);
}
