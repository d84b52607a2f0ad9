//! A transaction as one JSON object: `docs/spec/transaction.schema.json`.

use onetap_apdu_spec::foreign::{Shown, unframed};

use super::{Draft, FieldErrors, Fields, SourceError};

/// Most bytes that are read of a JSON text.
pub const MAX_JSON: usize = 64 * 1024;

/// Why a text is no transaction in JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// More than [`MAX_JSON`] bytes.
    #[error("it has more than {MAX_JSON} bytes")]
    TooLong,
    /// The bytes are not UTF-8.
    #[error("it is not in UTF-8")]
    NotUtf8,
    /// Something other than an object, such as an array.
    #[error("it is not a JSON object")]
    NotAnObject,
    /// The parser's reason, escaped.
    #[error("{0}")]
    Form(String),
    /// Some fields are wrong; all of them are named.
    #[error(transparent)]
    Fields(#[from] FieldErrors),
}

/// Reads a transaction: [`Fields`] as one JSON object in UTF-8. A byte order mark before it does no harm.
///
/// # Errors
/// [`SourceError::Json`].
pub fn json(bytes: &[u8]) -> Result<Draft, SourceError> {
    Ok(read(bytes)?)
}

fn read(bytes: &[u8]) -> Result<Draft, JsonError> {
    if bytes.len() > MAX_JSON {
        return Err(JsonError::TooLong);
    }
    let text = unframed(std::str::from_utf8(bytes).map_err(|_| JsonError::NotUtf8)?);
    // serde would take an array of the values, in the order of the fields.
    if text.trim_start().starts_with('[') {
        return Err(JsonError::NotAnObject);
    }
    let fields: Fields =
        serde_json::from_str(text).map_err(|why| JsonError::Form(Shown(&why.to_string()).to_string()))?;
    Ok(fields.draft()?)
}

#[cfg(test)]
mod tests {
    use onetap_apdu_spec::txn::TransactionType;

    use super::*;

    const JSON: &str = r#"{"payee-account":"DE89 3704 0044 0532 0130 00","payee-name":"Coffee Shop",
        "amount":"12.34","currency":"EUR","reference":"Order 17"}"#;

    #[test]
    fn p_02_json_from_the_network_becomes_a_draft() {
        let draft = read(JSON.as_bytes()).unwrap();
        assert_eq!(draft.kind, TransactionType::Payment);
        assert_eq!(draft.payee_account.as_str(), "DE89370400440532013000");
        assert_eq!(draft.amount.to_string(), "12.34 EUR");
        assert_eq!(Fields::from(&draft).draft(), Ok(draft));
    }

    #[test]
    fn what_editors_add_does_no_harm() {
        let edited = format!("\u{FEFF}{}\r\n\r\n", JSON.replace('\n', "\r\n"));
        assert_eq!(read(edited.as_bytes()), read(JSON.as_bytes()));
    }

    #[test]
    fn other_json_is_refused() {
        let unknown = JSON.replace("\"reference\"", "\"payer\":\"x\",\"reference\"");
        let number = JSON.replace("\"12.34\"", "12.34");
        let twice = JSON.replace("\"amount\"", "\"amount\":\"1\",\"amount\"");
        for bad in ["", "{}", "null", "12", "\"x\"", &unknown, &number, &twice, &format!("{JSON}{JSON}")] {
            assert!(matches!(read(bad.as_bytes()), Err(JsonError::Form(_))), "{bad}");
        }
        assert_eq!(read(b"\xff"), Err(JsonError::NotUtf8));
        let long = format!("{JSON}{}", " ".repeat(MAX_JSON));
        assert_eq!(read(long.as_bytes()), Err(JsonError::TooLong));
        assert!(read(&long.as_bytes()[..MAX_JSON]).is_ok());
    }

    #[test]
    fn an_array_is_not_an_object_even_if_it_holds_the_values_in_order() {
        let array = r#" ["payment","DE89370400440532013000","Coffee Shop","12.34","EUR","17",null]"#;
        assert_eq!(read(array.as_bytes()), Err(JsonError::NotAnObject));
        let text = JsonError::NotAnObject.to_string();
        assert_eq!(text, "it is not a JSON object");
    }

    #[test]
    fn an_unknown_key_cannot_steer_the_terminal() {
        let key = "\u{1b}[2Jpay\u{202E}er\u{9b}";
        let json = JSON
            .replace("\"reference\"", &format!("\"{}\":1,\"reference\"", key.replace('\u{1b}', "\\u001b")));
        let said = SourceError::from(read(json.as_bytes()).unwrap_err()).to_string();
        assert!(said.contains("\\u{1b}[2Jpay\\u{202e}er\\u{9b}"), "{said}");
        assert!(!said.chars().any(|c| c.is_control() || c == '\u{202E}'), "{said}");
    }
}
