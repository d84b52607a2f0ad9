//! PNG (ISO/IEC 15948), one bit a dot.

use super::{Bitmap, HEIGHT, INK, PAPER, WIDTH};

/// Largest magnification.
pub(crate) const MAX_SCALE: usize = 8;

/// The picture, each dot a square of `scale` pixels.
///
/// # Errors
/// Never for the pictures of this module; whatever the encoder says.
pub(crate) fn png(bitmap: &Bitmap, scale: usize) -> Result<Vec<u8>, png::EncodingError> {
    let scale = scale.clamp(1, MAX_SCALE);
    let side = |dots: usize| u32::try_from(dots * scale).unwrap_or(u32::MAX);
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, side(WIDTH), side(HEIGHT));
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::One);
    encoder.set_palette([PAPER, INK].concat());
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels(bitmap, scale))?;
    writer.finish()?;
    Ok(file)
}

/// Rows of bits, each row from a full byte on.
fn pixels(bitmap: &Bitmap, scale: usize) -> Vec<u8> {
    let mut data = Vec::new();
    for row in bitmap.rows() {
        let bits: Vec<bool> = row.iter().flat_map(|dot| std::iter::repeat_n(*dot, scale)).collect();
        let packed: Vec<u8> = bits
            .chunks(8)
            .map(|byte| byte.iter().enumerate().fold(0, |sum, (i, dot)| sum | u8::from(*dot) << (7 - i)))
            .collect();
        for _ in 0..scale {
            data.extend(&packed);
        }
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::display::Screen;

    #[test]
    fn what_is_encoded_is_what_was_drawn() {
        let bitmap = Bitmap::draw(&Screen::page(&["Café 画 €".to_owned()], 1, 1));
        for scale in [1, 3] {
            let file = png(&bitmap, scale).unwrap();
            let mut reader = png::Decoder::new(std::io::Cursor::new(&file)).read_info().unwrap();
            let mut data = vec![0; reader.output_buffer_size().unwrap()];
            let info = reader.next_frame(&mut data).unwrap();
            assert_eq!((info.width as usize, info.height as usize), (WIDTH * scale, HEIGHT * scale));
            for (y, row) in bitmap.rows().enumerate() {
                for (x, dot) in row.iter().enumerate() {
                    let (px, py) = (x * scale + scale / 2, y * scale + scale / 2);
                    let byte = data[py * info.line_size + px / 8];
                    assert_eq!(byte >> (7 - px % 8) & 1 == 1, *dot, "{x},{y}");
                }
            }
        }
    }
}
