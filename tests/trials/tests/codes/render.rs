//! Codes as pictures: rotated, in weak contrast, blurred and noisy, in PNG or JPEG.

use std::io::Cursor;

use image::{GrayImage, ImageFormat, Luma};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// A code: rows of modules, dark where true.
pub(crate) type Matrix = Vec<Vec<bool>>;

/// Light modules around a code.
const QUIET: f64 = 4.0;
/// Samples of a pixel in each direction.
const SAMPLES: u32 = 3;

/// How a picture was taken.
pub(crate) struct Shot {
    /// Pixels of a module.
    pub(crate) scale: f64,
    /// In degrees.
    pub(crate) angle: f64,
    /// Grey value of a dark module.
    pub(crate) dark: f64,
    /// Grey value of a light module.
    pub(crate) light: f64,
    /// Largest deviation of a pixel.
    pub(crate) noise: f64,
    /// Pixels in a thousand that are black or white, whatever should be there.
    pub(crate) specks: u32,
    /// PNG or JPEG.
    pub(crate) format: ImageFormat,
}

impl Shot {
    /// One of many, by its seed. Every eighth is upright, clean and sharp.
    pub(crate) fn of(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let format = if seed.is_multiple_of(2) { ImageFormat::Png } else { ImageFormat::Jpeg };
        if seed.is_multiple_of(8) {
            return Self { scale: 4.0, angle: 0.0, dark: 0.0, light: 255.0, noise: 0.0, specks: 0, format };
        }
        Self {
            scale: random.random_range(3.0..9.0),
            angle: random.random_range(0.0..360.0),
            dark: random.random_range(0.0..70.0),
            light: random.random_range(170.0..255.0),
            noise: random.random_range(0.0..45.0),
            specks: random.random_range(0..8),
            format,
        }
    }

    /// The encoded picture.
    pub(crate) fn take(&self, code: &Matrix, seed: u64) -> Vec<u8> {
        let mut random = StdRng::seed_from_u64(seed.wrapping_add(1 << 32));
        let picture = GrayImage::from_fn(self.side(code), self.side(code), |x, y| {
            if random.random_range(0..1000) < self.specks {
                return Luma([if random.random() { 0 } else { 255 }]);
            }
            let noise = if self.noise > 0.0 { random.random_range(-self.noise..self.noise) } else { 0.0 };
            Luma([(self.grey(code, x, y) + noise).clamp(0.0, 255.0).round() as u8])
        });
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, self.format).unwrap();
        bytes.into_inner()
    }

    /// Pixels of a side: the turned code fits.
    fn side(&self, code: &Matrix) -> u32 {
        let modules = code.len() as f64 + 2.0 * QUIET;
        let (sin, cos) = self.angle.to_radians().sin_cos();
        (modules * self.scale * (sin.abs() + cos.abs())).ceil() as u32
    }

    /// The mean of some points of a pixel.
    fn grey(&self, code: &Matrix, x: u32, y: u32) -> f64 {
        let middle = f64::from(self.side(code)) / 2.0;
        let (sin, cos) = self.angle.to_radians().sin_cos();
        let points = (0..SAMPLES * SAMPLES).map(|i| {
            let within = |i: u32| (f64::from(i) + 0.5) / f64::from(SAMPLES);
            let (dx, dy) =
                (f64::from(x) + within(i % SAMPLES) - middle, f64::from(y) + within(i / SAMPLES) - middle);
            let (u, v) = ((dx * cos + dy * sin) / self.scale, (dy * cos - dx * sin) / self.scale);
            let half = code.len() as f64 / 2.0;
            if is_dark(code, u + half, v + half) { self.dark } else { self.light }
        });
        points.sum::<f64>() / f64::from(SAMPLES * SAMPLES)
    }
}

fn is_dark(code: &Matrix, column: f64, row: f64) -> bool {
    let size = code.len() as f64;
    let inside = (0.0..size).contains(&column) && (0.0..size).contains(&row);
    inside && code[row as usize][column as usize]
}
