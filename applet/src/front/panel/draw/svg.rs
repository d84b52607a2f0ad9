//! SVG: one path of one rectangle for each run of ink.

use std::fmt::Write as _;

use super::{Bitmap, HEIGHT, INK, PAPER, WIDTH};

/// The picture, of any size, its dots sharp.
pub(crate) fn svg(bitmap: &Bitmap) -> String {
    let mut path = String::new();
    for (y, row) in bitmap.rows().enumerate() {
        let mut x = 0;
        for run in row.chunk_by(|a, b| a == b) {
            if run.first() == Some(&true) {
                // Writing to a string does not fail.
                let _ = write!(path, "M{x} {y}h{0}v1h-{0}z", run.len());
            }
            x += run.len();
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         shape-rendering=\"crispEdges\"><path fill=\"{}\" d=\"M0 0h{WIDTH}v{HEIGHT}H0z\"/><path fill=\"{}\" \
         d=\"{path}\"/></svg>",
        colour(PAPER),
        colour(INK)
    )
}

fn colour([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::display::Screen;

    #[test]
    fn every_dot_is_in_exactly_one_run() {
        let bitmap = Bitmap::draw(&Screen::page(&["▸ To".to_owned(), "Łódź 画".to_owned()], 1, 1));
        let drawn = svg(&bitmap);
        let path = drawn.rsplit(" d=\"").next().unwrap();
        let mut dots = vec![false; WIDTH * HEIGHT];
        for run in path.split('M').skip(1) {
            let (at, rest) = run.split_once('h').unwrap();
            let (x, y) = at.split_once(' ').unwrap();
            let length: usize = rest.split_once('v').unwrap().0.parse().unwrap();
            let start = y.parse::<usize>().unwrap() * WIDTH + x.parse::<usize>().unwrap();
            for dot in &mut dots[start..start + length] {
                assert!(!std::mem::replace(dot, true));
            }
        }
        assert_eq!(dots, *bitmap.0);
    }
}
