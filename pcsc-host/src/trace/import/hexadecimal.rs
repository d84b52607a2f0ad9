//! Bytes in hexadecimal, as logs write them.

use super::log::Wrong;

/// Appends the bytes of `text`, written with or without spaces or colons between them. A digit that stands alone is a byte,
/// too: pyscard writes `90 0`.
pub(super) fn read(text: &[u8], into: &mut Vec<u8>) -> Result<(), Wrong> {
    for group in text.split(|byte| matches!(byte, b' ' | b'\t' | b':')).filter(|group| !group.is_empty()) {
        let wrong = || Wrong::NotHex(String::from_utf8_lossy(group).chars().take(40).collect());
        match group {
            [digit] => into.push(value(*digit).ok_or_else(wrong)?),
            pairs if pairs.len() % 2 == 0 => {
                for pair in pairs.chunks_exact(2) {
                    let [high, low] = [0, 1].map(|at| pair.get(at).copied().and_then(value));
                    into.push(high.zip(low).map(|(high, low)| high << 4 | low).ok_or_else(wrong)?);
                }
            }
            _ => return Err(wrong()),
        }
    }
    Ok(())
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// The bytes of `text`.
pub(super) fn bytes(text: &[u8]) -> Result<Vec<u8>, Wrong> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    read(text, &mut bytes)?;
    Ok(bytes)
}

/// The decimal number that `text` begins with.
pub(super) fn number(text: &[u8]) -> Option<usize> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(text.get(..digits)?).ok()?.parse().ok()
}
