//! Bytes in hexadecimal, as logs write them.

use super::log::Wrong;

/// Appends the bytes of `text`, written with or without spaces or colons between them. A digit that stands alone is a byte,
/// too: pyscard writes `90 0`.
pub(super) fn read(text: &[u8], into: &mut Vec<u8>) -> Result<(), Wrong> {
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = if is_separator(*first) { after } else { group(rest, into)? };
    }
    Ok(())
}

/// Reads digits up to a separator; what follows them.
fn group<'t>(text: &'t [u8], into: &mut Vec<u8>) -> Result<&'t [u8], Wrong> {
    if let [digit, after @ ..] = text
        && after.first().is_none_or(|next| is_separator(*next))
        && let Some(value) = value(*digit)
    {
        into.push(value);
        return Ok(after);
    }
    let mut rest = text;
    while let [high, low, after @ ..] = rest
        && let (Some(high), Some(low)) = (value(*high), value(*low))
    {
        into.push(high << 4 | low);
        rest = after;
    }
    if rest.first().is_none_or(|next| is_separator(*next)) {
        return Ok(rest);
    }
    let whole = text.split(|byte| is_separator(*byte)).next().unwrap_or_default();
    Err(Wrong::NotHex(String::from_utf8_lossy(whole).chars().take(40).collect()))
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b':')
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
