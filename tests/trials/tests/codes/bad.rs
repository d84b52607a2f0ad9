//! Pictures that are not of one payment code.

use std::io::Cursor;

use image::{DynamicImage, GrayAlphaImage, GrayImage, ImageFormat, Luma, LumaA, Rgb, RgbImage};
use onetap_pcsc_host::source::picture::{self, MAX_PICTURE, PictureError};
use onetap_pcsc_host::source::{CodeError, Scanned, SourceError, scan};
use proptest::prelude::*;

use crate::qrcode;

const CODE: &str = "BCD\n002\n1\nSCT\n\nRed Cross\nBE72000000001616\nEUR1.05\n";
const SCALE: u32 = 4;

/// Codes side by side.
fn drawn(contents: &[&str]) -> GrayImage {
    let codes: Vec<_> = contents.iter().map(|content| qrcode(content.as_bytes())).collect();
    let side = (codes.iter().map(Vec::len).max().unwrap() as u32 + 8) * SCALE;
    GrayImage::from_fn(side * codes.len() as u32, side, |x, y| {
        let code = &codes[(x / side) as usize];
        let module = |at: u32| (at / SCALE).wrapping_sub(4) as usize;
        let dark = code.get(module(y)).and_then(|row| row.get(module(x % side)));
        Luma([if dark == Some(&true) { 0 } else { 255 }])
    })
}

fn png(picture: &GrayImage) -> Vec<u8> {
    written(&picture.clone().into(), ImageFormat::Png)
}

fn written(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[test]
fn two_codes_in_one_picture_are_not_chosen_between() {
    let other = CODE.replace("Red Cross", "Mallory");
    assert_eq!(picture::encoded(&png(&drawn(&[CODE, &other]))), Err(PictureError::SeveralCodes(2)));
    assert_eq!(picture::encoded(&png(&drawn(&[CODE, CODE]))).unwrap(), CODE.as_bytes());
}

#[test]
fn a_code_of_something_else_is_read_and_refused() {
    let error = scan(&png(&drawn(&["https://example.com"]))).unwrap_err();
    assert!(matches!(error, SourceError::Code(CodeError::Other(_))), "{error}");
    assert!(matches!(scan(&png(&drawn(&[CODE]))), Ok(Scanned::Complete(_))));
    let empty = GrayImage::from_pixel(300, 200, Luma([255]));
    assert_eq!(picture::encoded(&png(&empty)), Err(PictureError::NoCode));
}

#[test]
fn a_picture_of_a_hundred_megapixels_is_refused_by_its_header() {
    let too_large = |bytes: &[u8]| matches!(picture::encoded(bytes), Err(PictureError::TooLarge { .. }));
    let mut header = Vec::new();
    png::Encoder::new(&mut header, 10_000, 10_000).write_header().unwrap();
    // The signature, the header, and the start of the data; the encoder has put an end there.
    header.truncate(8 + 25);
    header.extend(b"\0\0\0\0IDAT\x35\xAF\x06\x1E");
    assert!(too_large(&header), "there is nothing behind the header");
    let mut jpeg = Cursor::new(Vec::new());
    drawn(&[CODE]).write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
    let mut jpeg = jpeg.into_inner();
    let frame = jpeg.windows(2).position(|marker| marker == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0x7F, 0xFF, 0x7F, 0xFF]);
    assert!(too_large(&jpeg));
    assert_eq!(picture::encoded(&vec![0; MAX_PICTURE + 1]), Err(PictureError::TooLong));
    assert!(matches!(picture::luma(10_000, 10_000, &[]), Err(PictureError::TooLarge { .. })));
    assert!(matches!(picture::luma(usize::MAX, usize::MAX, &[]), Err(PictureError::TooLarge { .. })));
}

#[test]
fn a_truncated_picture_is_damaged() {
    let whole = png(&drawn(&[CODE]));
    for end in (8..whole.len() - 12).step_by(7) {
        assert!(matches!(picture::encoded(&whole[..end]), Err(PictureError::Damaged(_))), "{end}");
    }
    assert_eq!(picture::encoded(b"GIF89a"), Err(PictureError::Format));
    assert_eq!(picture::encoded(b""), Err(PictureError::Format));
}

#[test]
fn what_is_transparent_is_white() {
    let opaque = drawn(&[CODE]);
    let clear = GrayAlphaImage::from_fn(opaque.width(), opaque.height(), |x, y| {
        LumaA([0, 255 - opaque.get_pixel(x, y).0[0]])
    });
    let mut bytes = Cursor::new(Vec::new());
    clear.write_to(&mut bytes, ImageFormat::Png).unwrap();
    assert_eq!(picture::encoded(&bytes.into_inner()).unwrap(), CODE.as_bytes());
}

#[test]
fn a_picture_is_read_in_each_kind_of_pixels() {
    // Blue on yellow: its greys come of the colours' weights alone.
    let colours = |grey: u8| if grey == 0 { [0, 0, 160] } else { [255, 255, 160] };
    let grey = drawn(&[CODE]);
    let (width, height) = grey.dimensions();
    let coloured =
        DynamicImage::from(RgbImage::from_fn(width, height, |x, y| Rgb(colours(grey.get_pixel(x, y).0[0]))));
    let deep = DynamicImage::from(grey.clone()).into_luma16();
    for picture in [
        coloured.to_rgba8().into(),
        coloured.to_rgb16().into(),
        coloured.to_rgba16().into(),
        deep.into(),
        coloured.clone(),
    ] {
        assert_eq!(
            picture::encoded(&written(&picture, ImageFormat::Png)).unwrap(),
            CODE.as_bytes(),
            "{picture:?}"
        );
    }
    for picture in [coloured, grey.clone().into()] {
        assert_eq!(picture::encoded(&written(&picture, ImageFormat::Jpeg)).unwrap(), CODE.as_bytes());
    }
    let mut palette = Vec::new();
    let mut encoder = png::Encoder::new(&mut palette, width, height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_palette([colours(0), colours(255)].concat());
    let indices: Vec<_> = grey.as_raw().iter().map(|grey| grey / 255).collect();
    encoder.write_header().unwrap().write_image_data(&indices).unwrap();
    assert_eq!(picture::encoded(&palette).unwrap(), CODE.as_bytes());
}

#[test]
fn a_frame_of_a_camera_is_read_from_its_grey_values() {
    let frame = drawn(&[CODE]);
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    assert_eq!(picture::luma(width, height, frame.as_raw()).unwrap(), CODE.as_bytes());
    let negative: Vec<u8> = frame.as_raw().iter().map(|grey| 255 - grey).collect();
    assert_eq!(picture::luma(width, height, &negative).unwrap(), CODE.as_bytes());
    assert_eq!(picture::luma(width, height + 1, frame.as_raw()), Err(PictureError::Size(width * height)));
    assert_eq!(picture::luma(0, 0, &[]), Err(PictureError::NoCode));
    assert_eq!(picture::luma(1, 1, &[0]), Err(PictureError::NoCode));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_picture_is_looked_at_without_harm(width in 1..60usize, values in proptest::collection::vec(any::<u8>(), 60..3600)) {
        let height = values.len() / width;
        let _ = picture::luma(width, height, &values[..width * height]);
    }

    #[test]
    fn a_picture_with_other_bytes_in_it_is_looked_at_without_harm(at in 0..2000usize, value in any::<u8>()) {
        let mut bytes = png(&drawn(&[CODE]));
        let at = at % bytes.len();
        bytes[at] = value;
        let _ = picture::encoded(&bytes);
    }

    #[test]
    fn a_code_that_lost_pieces_is_read_right_or_not_at_all(spots in proptest::collection::vec((0..400u32, 0..400u32, 1..60u32), 1..8)) {
        let mut picture = drawn(&[CODE]);
        for (x, y, size) in spots {
            for (x, y) in (x..x + size).flat_map(|x| (y..y + size).map(move |y| (x, y))) {
                if let Some(pixel) = picture.get_pixel_mut_checked(x, y) {
                    *pixel = Luma([255 - pixel.0[0]]);
                }
            }
        }
        if let Ok(content) = picture::encoded(&png(&picture)) {
            prop_assert_eq!(content, CODE.as_bytes());
        }
    }
}
