//! The text of a scanned code: which kind it is, and what can be wrong with it.

use onetap_apdu_spec::foreign::{Shown, unframed};

use super::{EmvError, EpcError, FieldErrors, Scanned, SourceError, emv, epc};

/// How much of another text is quoted, in characters.
const QUOTED: usize = 24;

/// Why a scanned text cannot be paid. Whoever scans a code cannot correct what is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// The text is of neither kind; its beginning is quoted, escaped.
    #[error("no payment code (EPC QR or EMVCo merchant-presented QR): it begins with \"{0}\"")]
    Other(String),
    /// An EPC QR code that breaks its guidelines.
    #[error("the EPC QR code: {0}")]
    Epc(#[from] EpcError),
    /// An EMVCo code that breaks its specification, or that needs what this terminal does not have.
    #[error("the EMVCo QR code: {0}")]
    Emv(#[from] EmvError),
    /// Some fields of the code are wrong; all of them are named.
    #[error("the code's {0}")]
    Fields(#[from] FieldErrors),
}

impl CodeError {
    pub(super) fn advice(&self) -> &'static str {
        match self {
            Self::Other(_) => "scan the code that is meant for paying",
            Self::Emv(EmvError::Crc { .. } | EmvError::Cut) => {
                "scan again; if it persists, who made the code must mend it"
            }
            Self::Emv(error) if error.is_beyond_us() => "type the transaction in; the code is not to blame",
            Self::Epc(_) | Self::Emv(_) | Self::Fields(_) => {
                "who made the code must mend it: no other scanner should take it; or type the transaction in"
            }
        }
    }
}

/// Reads the content of a scanned code, EPC or EMVCo: the bytes that stand in the code, or the text that a scanner
/// made of them, in UTF-8.
///
/// # Errors
/// [`SourceError::Code`].
pub fn code(content: &[u8]) -> Result<Scanned, SourceError> {
    Ok(read(content)?)
}

/// Reads what a scanner gives: the content of a code, as [`code`] takes it, or a picture in PNG or JPEG.
///
/// # Errors
/// [`SourceError::Picture`], [`SourceError::Code`].
#[cfg(feature = "codes")]
pub fn scan(bytes: &[u8]) -> Result<Scanned, SourceError> {
    if super::picture::is_picture(bytes) { code(&super::picture::encoded(bytes)?) } else { code(bytes) }
}

pub(super) fn read(content: &[u8]) -> Result<Scanned, CodeError> {
    let content = content.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(content);
    if content.starts_with(b"BCD") {
        let fields = epc::fields(&epc::text(content)?)?;
        return Ok(Scanned::check(&fields, super::Tip::None)?);
    }
    if content.starts_with(emv::START) {
        let text = std::str::from_utf8(content).map_err(|_| EmvError::NotUtf8)?;
        let (fields, tip) = emv::fields(unframed(text))?;
        return Ok(Scanned::check(&fields, tip)?);
    }
    let start: String = String::from_utf8_lossy(content).chars().take(QUOTED).collect();
    Err(CodeError::Other(Shown(&start).to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_code_of_something_else_is_told_apart_and_cannot_steer_the_terminal() {
        let said = |content: &[u8]| {
            let error = SourceError::from(read(content).unwrap_err());
            (error.to_string(), error.advice())
        };
        let (what, advice) = said(b"https://example.com/menu/2026/winter");
        assert!(what.ends_with("it begins with \"https://example.com/menu\""), "{what}");
        assert_eq!(advice, "scan the code that is meant for paying");
        for content in [&b"WIFI:S:\x1b[2J\xE2\x80\xAE;;"[..], b"\xff\xfe\x00", b""] {
            let (what, _) = said(content);
            assert!(!what.chars().any(|c| c.is_control() || c == '\u{202E}'), "{what}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&bytes);
            for start in [&b"BCD\n002\n5\nSCT\n"[..], b"000201"] {
                let _ = read(&[start, &bytes].concat());
            }
        }
    }
}
