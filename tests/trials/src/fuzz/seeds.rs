//! Where fuzzing starts: valid and invalid bytes out of `fixtures/vectors`, which an independent
//! program made from the specification.

use std::path::Path;

use serde_json::Value;

use super::process::flows;
use super::target::Target;

/// The vectors cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NoSeeds {
    /// No such file.
    #[error("cannot read {0}: {1}")]
    Io(String, std::io::Error),
    /// Not JSON.
    #[error("{0} is not JSON: {1}")]
    Json(String, serde_json::Error),
}

/// The seeds of a target.
///
/// # Errors
/// [`NoSeeds`].
pub fn seeds(target: Target) -> Result<Vec<Vec<u8>>, NoSeeds> {
    Ok(match target {
        Target::Apdu => apdus()?,
        Target::Tlv => from(&["transactions.json", "sessions.json", "signatures.json"], is_template)?,
        Target::Process => flows(&apdus()?),
    })
}

fn apdus() -> Result<Vec<Vec<u8>>, NoSeeds> {
    from(&["apdus.json", "sessions.json"], |bytes| {
        (4..1024).contains(&bytes.len()) && matches!(bytes.first(), Some(0x00 | 0x10 | 0x80 | 0x90))
    })
}

fn is_template(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(0xE1 | 0xE2 | 0x6F))
}

/// All byte strings in those files that fit.
fn from(files: &[&str], fits: impl Fn(&[u8]) -> bool) -> Result<Vec<Vec<u8>>, NoSeeds> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/vectors");
    let mut found = Vec::new();
    for file in files {
        let path = folder.join(file);
        let name = || path.display().to_string();
        let text = std::fs::read(&path).map_err(|why| NoSeeds::Io(name(), why))?;
        let json: Value = serde_json::from_slice(&text).map_err(|why| NoSeeds::Json(name(), why))?;
        collect(&json["vectors"], &mut found);
    }
    found.retain(|bytes| fits(bytes));
    found.sort();
    found.dedup();
    Ok(found)
}

fn collect(json: &Value, found: &mut Vec<Vec<u8>>) {
    match json {
        Value::String(text) => found.extend(hex::decode(text)),
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(fields) => fields.values().for_each(|item| collect(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
