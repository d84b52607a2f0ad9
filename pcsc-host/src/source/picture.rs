//! QR codes in pictures (feature `codes`): PNG and JPEG as they are sent, and grey values as a camera gives them.
//!
//! Memory is bounded: the header is read first, and what is larger than [`MAX_PIXELS`] is refused.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::ops::Range;

use onetap_apdu_spec::foreign::Shown;
use rqrr::PreparedImage;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Most bytes of a picture as it is sent.
pub const MAX_PICTURE: usize = 32 << 20;
/// Most pixels of a picture: what the cameras of phones give.
pub const MAX_PIXELS: u64 = 25_000_000;
/// Most bytes of a decoded picture.
const MAX_DECODED: usize = 128 << 20;

/// How a PNG begins (its specification, 5.2).
const PNG: &[u8] = b"\x89PNG\r\n\x1A\n";
/// How a JPEG begins: start of image, and the next marker (ITU-T T.81, B.1.1).
const JPEG: &[u8] = b"\xFF\xD8\xFF";

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
    bytes.starts_with(PNG) || bytes.starts_with(JPEG)
}

/// The content of the one QR code in a PNG or JPEG picture.
///
/// # Errors
/// [`PictureError`].
pub fn encoded(bytes: &[u8]) -> Result<Vec<u8>, PictureError> {
    if bytes.len() > MAX_PICTURE {
        return Err(PictureError::TooLong);
    }
    let picture = match bytes {
        _ if bytes.starts_with(PNG) => png(bytes)?,
        _ if bytes.starts_with(JPEG) => jpeg(bytes)?,
        _ => return Err(PictureError::Format),
    };
    picture.content()
}

/// The content of the one QR code in a picture of grey values, row by row, 0 for black and 255 for white.
///
/// # Errors
/// [`PictureError`].
pub fn luma(width: usize, height: usize, values: &[u8]) -> Result<Vec<u8>, PictureError> {
    let pixels = check_size(width, height)?;
    if pixels != values.len() as u64 {
        return Err(PictureError::Size(values.len()));
    }
    Grey { width, height, values: values.to_vec() }.content()
}

/// How many pixels a picture has, unless they are too many.
fn check_size(width: usize, height: usize) -> Result<u64, PictureError> {
    let (width, height) = (width as u64, height as u64);
    let pixels = width.saturating_mul(height);
    if pixels > MAX_PIXELS { Err(PictureError::TooLarge { width, height }) } else { Ok(pixels) }
}

fn png(bytes: &[u8]) -> Result<Grey, PictureError> {
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: MAX_DECODED });
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    decoder.set_ignore_text_chunk(true);
    let (width, height) = decoder.read_header_info().map_err(damaged)?.size();
    let (width, height) = (width as usize, height as usize);
    check_size(width, height)?;
    let too_large = PictureError::TooLarge { width: width as u64, height: height as u64 };
    let wrong = |why| match why {
        png::DecodingError::LimitsExceeded => too_large.clone(),
        other => damaged(other),
    };
    let mut reader = decoder.read_info().map_err(wrong)?;
    let size = reader.output_buffer_size().filter(|size| *size <= MAX_DECODED);
    let mut values = vec![0; size.ok_or_else(|| too_large.clone())?];
    let frame = reader.next_frame(&mut values).map_err(wrong)?;
    Ok(Grey { width, height, values: grey(values, frame.color_type.samples()) })
}

fn jpeg(bytes: &[u8]) -> Result<Grey, PictureError> {
    let options = DecoderOptions::default().set_strict_mode(false);
    let options = options.set_max_width(usize::MAX).set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(damaged)?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    check_size(width, height)?;
    let out = match decoder.input_colorspace() {
        Some(ColorSpace::Luma | ColorSpace::YCbCr) => ColorSpace::Luma,
        _ => ColorSpace::RGB,
    };
    decoder.set_options(options.jpeg_set_out_colorspace(out));
    let values = decoder.decode().map_err(damaged)?;
    Ok(Grey { width, height, values: grey(values, out.num_components()) })
}

fn damaged(why: impl std::fmt::Display) -> PictureError {
    PictureError::Damaged(Shown(&why.to_string()).to_string())
}

/// Grey values of pixels that have so many: grey, or red, green and blue (weighed as in ITU-R BT.709), and how opaque they
/// are. What is transparent is printed on white.
fn grey(values: Vec<u8>, samples: usize) -> Vec<u8> {
    let of = |red: u8, green: u8, blue: u8| {
        let weighed = 2126 * u32::from(red) + 7152 * u32::from(green) + 722 * u32::from(blue);
        u8::try_from(weighed / 10_000).unwrap_or(u8::MAX)
    };
    let on_white = |grey: u8, alpha: u8| {
        let (grey, alpha) = (u16::from(grey), u16::from(alpha));
        u8::try_from((grey * alpha + 255 * (255 - alpha)) / 255).unwrap_or(u8::MAX)
    };
    if samples == 1 {
        return values;
    }
    let pixel = |pixel: &[u8]| match *pixel {
        [grey, alpha] => on_white(grey, alpha),
        [red, green, blue] => of(red, green, blue),
        [red, green, blue, alpha] => on_white(of(red, green, blue), alpha),
        _ => u8::MAX,
    };
    values.chunks_exact(samples).map(pixel).collect()
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
