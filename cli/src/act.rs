//! Who acts on the command line, for the audit log: the system's user.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use onetap_server_verifier::Act;

/// An act of the system's user that runs this program, with a reason, or none if it is empty; `operator` is the person that
/// the user acts for, if that was said.
pub(crate) fn act(operator: Option<&str>, reason: &str) -> Act {
    let user = user();
    match operator {
        Some(operator) => Act::of_program(&format!("{user} for {operator}"), reason),
        None => Act::of_program(&user, reason),
    }
}

/// The name of the user that this process runs as, or the number where the system knows no name.
fn user() -> String {
    let Ok(process) = fs::metadata("/proc/self") else {
        return "unknown".to_owned();
    };
    let id = process.uid().to_string();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    });
    named.unwrap_or(id)
}
