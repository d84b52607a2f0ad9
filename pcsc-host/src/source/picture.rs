//! QR codes in pictures (feature `codes`): PNG and JPEG as they are sent, and grey values as a camera gives them.
//!
//! Memory is bounded: the header is read first, and what is larger than [`MAX_PIXELS`] is refused.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::ops::Range;

use image::{DynamicImage, ImageError, ImageFormat, ImageReader, Limits};
use onetap_apdu_spec::foreign::Shown;
use rqrr::PreparedImage;

/// Most bytes of a picture as it is sent.
pub const MAX_PICTURE: usize = 32 << 20;
/// Most pixels of a picture: what the cameras of phones give.
pub const MAX_PIXELS: u64 = 25_000_000;
/// Most bytes of a decoded picture.
const MAX_DECODED: u64 = 128 << 20;

/// Why no content of a code comes out of a picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// Another format.
    #[error("the picture is neither PNG nor JPEG")]
    Format,
    /// More than [`MAX_PICTURE`] bytes.
    #[error("the picture has more than {} MiB", MAX_PICTURE >> 20)]
    TooLong,
    /// More than [`MAX_PIXELS`], or more memory than that should take.
    #[error("the picture has {width} × {height} pixels, more than is read")]
    TooLarge {
        /// Pixels in a row.
        width: u64,
        /// Rows.
        height: u64,
    },
    /// Cut off, or not what its header says; the decoder's reason, escaped.
    #[error("the picture is damaged: {0}")]
    Damaged(String),
    /// The number of grey values is not width times height.
    #[error("{0} grey values do not make a picture of that size")]
    Size(usize),
    /// No code was found that can be read.
    #[error("no QR code can be read in the picture")]
    NoCode,
    /// Several codes with different contents.
    #[error("the picture shows {0} different QR codes")]
    SeveralCodes(usize),
}

impl PictureError {
    pub(super) fn advice(&self) -> &'static str {
        match self {
            Self::Format => "give a PNG or JPEG picture",
            Self::TooLong | Self::TooLarge { .. } => "give a smaller picture, of the code alone",
            Self::Damaged(_) | Self::Size(_) => "take the picture again",
            Self::NoCode => "take a picture of the code alone, flat, sharp and in good light",
            Self::SeveralCodes(_) => "cover the other code, or take a picture of the one that is meant",
        }
    }
}

/// Whether the bytes begin as a PNG or JPEG does.
pub(super) fn is_picture(bytes: &[u8]) -> bool {
    matches!(image::guess_format(bytes), Ok(ImageFormat::Png | ImageFormat::Jpeg))
}

/// The content of the one QR code in a PNG or JPEG picture.
///
/// # Errors
/// [`PictureError`].
pub fn encoded(bytes: &[u8]) -> Result<Vec<u8>, PictureError> {
    if bytes.len() > MAX_PICTURE {
        return Err(PictureError::TooLong);
    }
    if !is_picture(bytes) {
        return Err(PictureError::Format);
    }
    let (width, height) = reader(bytes)?.into_dimensions().map_err(|why| damaged(&why))?;
    let too_large = PictureError::TooLarge { width: width.into(), height: height.into() };
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(too_large);
    }
    let mut reader = reader(bytes)?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODED);
    reader.limits(limits);
    let picture = reader.decode().map_err(|why| match why {
        ImageError::Limits(_) => too_large,
        other => damaged(&other),
    })?;
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    Grey { width, height, values: grey(picture) }.content()
}

/// The content of the one QR code in a picture of grey values, row by row, 0 for black and 255 for white.
///
/// # Errors
/// [`PictureError`].
pub fn luma(width: usize, height: usize, values: &[u8]) -> Result<Vec<u8>, PictureError> {
    let pixels = (width as u64).saturating_mul(height as u64);
    if pixels > MAX_PIXELS {
        return Err(PictureError::TooLarge { width: width as u64, height: height as u64 });
    }
    if pixels != values.len() as u64 {
        return Err(PictureError::Size(values.len()));
    }
    Grey { width, height, values: values.to_vec() }.content()
}

fn reader(bytes: &[u8]) -> Result<ImageReader<Cursor<&[u8]>>, PictureError> {
    ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|why| damaged(&why.into()))
}

fn damaged(why: &ImageError) -> PictureError {
    PictureError::Damaged(Shown(&why.to_string()).to_string())
}

/// Grey values; what is transparent is printed on white.
fn grey(picture: DynamicImage) -> Vec<u8> {
    if !picture.color().has_alpha() {
        return picture.into_luma8().into_raw();
    }
    let on_white = |[grey, alpha]: [u8; 2]| {
        let (grey, alpha) = (u16::from(grey), u16::from(alpha));
        u8::try_from((grey * alpha + 255 * (255 - alpha)) / 255).unwrap_or(u8::MAX)
    };
    picture.into_luma_alpha8().pixels().map(|pixel| on_white(pixel.0)).collect()
}

/// Modules of the smallest code's side (ISO/IEC 18004), so pixels at least.
const SMALLEST: usize = 21;

/// A picture in grey.
#[derive(Clone)]
struct Grey {
    width: usize,
    height: usize,
    values: Vec<u8>,
}

/// Makes another picture of one.
type Step = fn(&Grey) -> Grey;

/// Ways to see a picture in which no code is found at first, each a row of steps: with less noise, without specks,
/// with larger or smaller pixels, with dark and light exchanged.
const WAYS: [&[Step]; 8] = [
    &[Grey::smooth],
    &[Grey::clean],
    &[Grey::clean, Grey::smooth],
    &[Grey::clean, Grey::double],
    &[Grey::smooth, Grey::double],
    &[Grey::clean, Grey::half],
    &[Grey::clean, Grey::smooth, Grey::smooth, Grey::half],
    &[Grey::negative],
];

impl Grey {
    /// The content of the one code: in the picture as it is or, if none is found, in one of [`WAYS`] to see it.
    fn content(&self) -> Result<Vec<u8>, PictureError> {
        let others = WAYS.iter().map(|way| way.iter().fold(self.clone(), |seen, step| step(&seen)).codes());
        let found = std::iter::once_with(|| self.codes()).chain(others).find(|codes| !codes.is_empty());
        let mut found = found.ok_or(PictureError::NoCode)?;
        match (found.len(), found.pop_first()) {
            (1, Some(content)) => Ok(content),
            (several, _) => Err(PictureError::SeveralCodes(several)),
        }
    }

    /// The contents of all codes that can be read, each once.
    fn codes(&self) -> BTreeSet<Vec<u8>> {
        if self.width.min(self.height) < SMALLEST {
            return BTreeSet::new();
        }
        let at = |x: usize, y: usize| self.at(x, y);
        let mut prepared = PreparedImage::prepare_from_greyscale(self.width, self.height, at);
        let read = |grid: rqrr::Grid<_>| {
            let mut content = Vec::new();
            grid.decode_to(&mut content).ok().map(|_| content)
        };
        prepared.detect_grids().into_iter().filter_map(read).collect()
    }

    fn at(&self, x: usize, y: usize) -> u8 {
        self.values.get(y * self.width + x).copied().unwrap_or_default()
    }

    /// Each pixel is the mean of itself and its neighbours.
    fn smooth(&self) -> Self {
        self.map(self.width, self.height, |x, y| self.mean(near(x, self.width), near(y, self.height)))
    }

    /// Each pixel is the median of itself and its neighbours, so that specks are gone.
    fn clean(&self) -> Self {
        self.map(self.width, self.height, |x, y| {
            let (mut around, mut count) = ([0; 9], 0);
            for (x, y) in near(y, self.height).flat_map(|y| near(x, self.width).map(move |x| (x, y))) {
                around[count] = self.at(x, y);
                count += 1;
            }
            *around[..count].select_nth_unstable(count / 2).1
        })
    }

    /// Four pixels for each, in between its neighbours; a picture that is large enough stays as it is.
    fn double(&self) -> Self {
        if 4 * self.values.len() as u64 > MAX_PIXELS {
            return self.clone();
        }
        let near = |at: usize, end: usize| (at / 2)..(at / 2 + 1 + at % 2).min(end);
        self.map(2 * self.width, 2 * self.height, |x, y| self.mean(near(x, self.width), near(y, self.height)))
    }

    /// Each pixel is the mean of four.
    fn half(&self) -> Self {
        self.map(self.width / 2, self.height / 2, |x, y| self.mean(2 * x..2 * x + 2, 2 * y..2 * y + 2))
    }

    fn negative(&self) -> Self {
        self.map(self.width, self.height, |x, y| u8::MAX - self.at(x, y))
    }

    fn map(&self, width: usize, height: usize, value: impl Fn(usize, usize) -> u8) -> Self {
        let value = &value;
        let values = (0..height).flat_map(|y| (0..width).map(move |x| value(x, y))).collect();
        Self { width, height, values }
    }

    fn mean(&self, columns: Range<usize>, rows: Range<usize>) -> u8 {
        let count = (columns.len() * rows.len()).max(1);
        let sum: usize = rows.flat_map(|y| columns.clone().map(move |x| usize::from(self.at(x, y)))).sum();
        u8::try_from(sum / count).unwrap_or(u8::MAX)
    }
}

/// A place and those beside it.
fn near(at: usize, end: usize) -> Range<usize> {
    at.saturating_sub(1)..(at + 2).min(end)
}
