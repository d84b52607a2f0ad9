//! Tables of the specification, rendered from the code's own tables. `docs/spec` holds them between
//! `<!-- generated: NAME -->` and `<!-- end -->`; a test compares, `make docs` writes.

use std::fmt::Write as _;

use onetap_apdu_spec::command::{COMMANDS, CardState, CommandSpec, DataField, Parameters};
use onetap_apdu_spec::gp::command::GP_COMMANDS;
use onetap_apdu_spec::objects::DATA_OBJECTS;
use onetap_apdu_spec::suite::{DigestMethod, EncryptionMethod, Owed, Profile, SignatureAlgorithm, Suite};
use onetap_apdu_spec::sw::MEANINGS;
use onetap_apdu_spec::tlv::Tag;
use onetap_server_verifier::{NotInTheLog, not_in_the_log};

use crate::conform::coverage::{CLAUSES, Demand, shown_by};
use crate::conform::{Shows, cases};

/// The table of that name as Markdown, or `None` if there is none.
#[must_use]
pub fn table(name: &str) -> Option<String> {
    Some(match name {
        "commands" => commands(),
        "states" => states(),
        "status-words" => status_words(),
        "data-objects" => data_objects(),
        "codes" => codes(),
        "suites" => suites(),
        "gp-commands" => gp_commands(),
        "not-in-the-log" => unlogged(),
        "clauses" => clauses(),
        "clauses-not-shown" => clauses_not_shown(),
        _ => return None,
    })
}

/// A document with every generated part rendered anew.
///
/// # Errors
/// The name of a part that does not exist or does not end.
pub fn refresh(document: &str) -> Result<String, String> {
    const START: &str = "<!-- generated: ";
    const END: &str = "<!-- end -->";
    let mut out = String::new();
    let mut rest = document;
    while let Some((before, after)) = rest.split_once(START) {
        let (name, body) = after.split_once(" -->").ok_or("a marker does not end")?;
        let (_, tail) = body.split_once(END).ok_or_else(|| name.to_owned())?;
        let table = table(name).ok_or_else(|| name.to_owned())?;
        let _ = write!(out, "{before}{START}{name} -->\n{table}{END}");
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

fn commands() -> String {
    let rows = COMMANDS.iter().map(|row| {
        [
            row.title.to_owned(),
            format!("`{:02X} {:02X}`", row.cla, row.ins),
            parameters(row),
            data(row),
            tags(row.response),
            if row.chaining { "yes" } else { "no" }.to_owned(),
            row.status.iter().map(|sw| format!("`{sw}`")).collect::<Vec<_>>().join(" "),
            row.clause.to_owned(),
        ]
    });
    markdown(
        ["command", "CLA INS", "P1-P2", "data field", "response", "chaining", "own status words", "clause"],
        rows,
    )
}

fn parameters(row: &CommandSpec) -> String {
    match row.parameters {
        Parameters::Exactly(p1, p2) => format!("`{p1:02X}{p2:02X}`"),
        Parameters::Tags(tags) => format!("tag: {}", self::tags(tags)),
    }
}

fn data(row: &CommandSpec) -> String {
    match row.data {
        DataField::Absent => "absent".to_owned(),
        DataField::Required { min, max, content } => format!("{content}, {min} … {max} bytes"),
    }
}

fn tags(tags: &[Tag]) -> String {
    if tags.is_empty() {
        return "none".to_owned();
    }
    tags.iter().map(|tag| format!("`{tag}`")).collect::<Vec<_>>().join(" or ")
}

/// The states that an APDU can find: entering a field ends Revealed.
fn observed() -> impl Iterator<Item = &'static CardState> {
    CardState::ALL.iter().filter(|state| **state != CardState::Revealed)
}

fn states() -> String {
    let header: Vec<String> =
        std::iter::once("command".to_owned()).chain(observed().map(|state| format!("{state:?}"))).collect();
    let rows = COMMANDS.iter().map(|row| {
        let cell = |state: &CardState| match row.states.iter().find(|(from, _)| from == state) {
            None => "`6985`".to_owned(),
            Some((_, next)) => {
                let names: Vec<_> = next.iter().map(|state| format!("{state:?}")).collect();
                format!("→ {}", names.join(" or "))
            }
        };
        std::iter::once(row.title.to_owned()).chain(observed().map(cell)).collect::<Vec<_>>()
    });
    markdown(header, rows)
}

fn clauses() -> String {
    let cases = cases();
    let side = |clause: &str, side: Shows| {
        let shown = shown_by(&cases, clause, side);
        let named = shown.iter().take(NAMED).map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
        match shown.len() {
            0 => "-".to_owned(),
            more if more > NAMED => format!("{more}: {named} …"),
            _ => named,
        }
    };
    let judged = CLAUSES.iter().filter(|(_, demand)| !matches!(demand, Demand::Nothing(_)));
    let rows = judged
        .map(|(clause, _)| [(*clause).to_owned(), side(clause, Shows::Done), side(clause, Shows::Refused)]);
    markdown(["clause", "what it says is done", "what it does not allow is refused, or does nothing"], rows)
}

/// Cases that are named where there are more.
const NAMED: usize = 3;

/// Clauses that have the same reason share a row.
fn clauses_not_shown() -> String {
    let mut rows: Vec<(&str, Vec<&str>)> = Vec::new();
    for (clause, demand) in CLAUSES {
        let Demand::Nothing(reason) = demand else { continue };
        match rows.iter_mut().find(|(known, _)| known == reason) {
            Some((_, clauses)) => clauses.push(clause),
            None => rows.push((reason, vec![clause])),
        }
    }
    markdown(
        ["clauses", "why no judge shows them"],
        rows.into_iter().map(|(why, ids)| [ids.join(", "), why.to_owned()]),
    )
}

fn status_words() -> String {
    let rows = MEANINGS.iter().map(|row| {
        let sw = if row.exact { row.sw.to_string() } else { format!("{:02X}xx", row.sw.to_bytes()[0]) };
        [format!("`{sw}`"), row.meaning.to_owned(), row.advice.to_owned()]
    });
    markdown(["SW", "when", "what the terminal does"], rows)
}

fn data_objects() -> String {
    let rows = DATA_OBJECTS.iter().map(|row| {
        [format!("`{}`", row.tag), row.name.to_owned(), row.format.to_owned(), row.source.to_owned()]
    });
    markdown(["tag", "name", "format", "tag is from"], rows)
}

fn codes() -> String {
    let line =
        |kind: &str, code: u8, name: &str| [kind.to_owned(), format!("`{code:02X}`"), format!("`{name}`")];
    let profiles = Profile::ALL.iter().map(|p| line("profile", p.code(), p.name()));
    let digests = DigestMethod::ALL.iter().map(|d| line("digest method", d.code(), d.name()));
    let encryptions = EncryptionMethod::ALL.iter().map(|e| line("encryption method", e.code(), e.name()));
    let signatures = SignatureAlgorithm::ALL.iter().map(|s| line("signature algorithm", s.code(), s.name()));
    markdown(["what", "byte in H", "name"], profiles.chain(digests).chain(encryptions).chain(signatures))
}

fn unlogged() -> String {
    let rows = not_in_the_log().into_iter().map(|NotInTheLog { table, column, why }| {
        let what =
            column.map_or_else(|| "whether a row is still there".to_owned(), |name| format!("`{name}`"));
        [format!("`{table}`"), what, why.to_owned()]
    });
    markdown(["table", "what the log does not tell", "why"], rows)
}

fn suites() -> String {
    let rows = Suite::all().map(|suite| {
        let owed = match suite.owed() {
            None => "–",
            Some(Owed::Encrypted) => "E",
            Some(Owed::EncryptedDigest) => "D(E)",
            Some(Owed::PasswordDigest) => "D(pw)",
        };
        let danger = suite.danger().map_or_else(|| "–".to_owned(), |danger| danger.to_string());
        [format!("`{suite}`"), format!("`{}`", hex::encode_upper(suite.to_bytes())), owed.to_owned(), danger]
    });
    markdown(["suite", "bytes in H", "travels besides S", "refused by the default policy because"], rows)
}

fn gp_commands() -> String {
    let rows = GP_COMMANDS.iter().map(|row| {
        let served = if row.open { "yes" } else { "no: `6982`" };
        let header = format!("`{:02X} {:02X}`", row.cla, row.name.code());
        [row.title.to_owned(), header, served.to_owned(), row.clause.to_owned()]
    });
    markdown(["command", "CLA INS", "without a secure channel", "clause"], rows)
}

fn markdown<H: AsRef<str>, R: AsRef<[String]>>(
    header: impl AsRef<[H]>,
    rows: impl Iterator<Item = R>,
) -> String {
    let header: Vec<_> = header.as_ref().iter().map(|cell| cell.as_ref().to_owned()).collect();
    let mut out = format!("| {} |\n|{}\n", header.join(" | "), "---|".repeat(header.len()));
    for row in rows {
        let _ = writeln!(out, "| {} |", row.as_ref().join(" | "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refreshing_twice_changes_nothing() {
        let once = refresh("a\n<!-- generated: suites --><!-- end -->\nb").unwrap();
        assert!(once.contains("a3+sha256+rsa-oaep+pkcs1"));
        assert_eq!(refresh(&once).unwrap(), once);
    }

    #[test]
    fn unknown_or_open_parts_are_named() {
        assert_eq!(refresh("<!-- generated: nonsense --><!-- end -->"), Err("nonsense".to_owned()));
        assert_eq!(refresh("<!-- generated: suites -->"), Err("suites".to_owned()));
    }
}
