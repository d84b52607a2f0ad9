//! Where the server is, as libpq's users say it: a URL or `key=value` pairs, a service file, and where the password stands.
//!
//! What `tokio-postgres` does not know is taken out here: `service`, `sslrootcert`, `passfile`, and those values of `sslmode` and
//! `gssencmode` that ask for no more than is done anyway.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::domain::{StoreError, causes};

/// Names the file of certificates, as PostgreSQL's own programs read it.
pub(super) const ROOTS: &str = "PGSSLROOTCERT";

/// The server, and the file of certificates by which it is known, if one is named.
pub(super) struct Place {
    pub(super) config: Config,
    pub(super) roots: Option<PathBuf>,
}

/// What is said in one place, in the order in which it is said.
type Words = Vec<(String, String)>;

impl Place {
    /// Reads a URL or `key=value` pairs, and the files and variables that belong to them.
    ///
    /// # Errors
    /// [`StoreError::Refused`] with the word that cannot be taken.
    pub(super) fn read(text: &str) -> Result<Self, StoreError> {
        let (base, mut words) = parts(text)?;
        let is_url = !base.is_empty();
        if let Some(name) = take(&mut words, "service").or_else(|| variable("PGSERVICE")) {
            if is_url {
                return Err(refused("`service` cannot stand in a URL; write service=NAME".to_owned()));
            }
            add(&mut words, service(&name)?);
        }
        let roots = take(&mut words, "sslrootcert").or_else(|| variable(ROOTS)).map(PathBuf::from);
        let passwords = take(&mut words, "passfile").map(PathBuf::from);
        words.retain(|(key, value)| !is_done_anyway(key, value));
        let mut config = parse(base, &words)?;
        if config.get_password().is_none()
            && let Some(password) =
                variable("PGPASSWORD").map_or_else(|| noted(passwords, &config), |it| Ok(Some(it)))?
        {
            config.password(password);
        }
        Ok(Self { config, roots })
    }
}

/// The same place for another role, whose password is not known.
///
/// # Errors
/// [`StoreError::Refused`] with the word that cannot be taken.
pub(crate) fn for_role(text: &str, role: &str) -> Result<String, StoreError> {
    let (base, mut words) = parts(text)?;
    words.retain(|(key, _)| key != "user" && key != "password");
    let Some((scheme, rest)) = base.split_once("://") else {
        words.push(("user".to_owned(), role.to_owned()));
        return Ok(joined("", &words));
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    Ok(joined(&format!("{scheme}://{}@{hosts}{path}", encoded(role)), &words))
}

/// A URL without its words, or nothing, and the words.
fn parts(text: &str) -> Result<(&str, Words), StoreError> {
    let text = text.trim();
    let is_url = ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme));
    match text.split_once('?') {
        Some((base, query)) if is_url => Ok((base, of_query(query)?)),
        _ if is_url => Ok((text, Words::new())),
        _ => Ok(("", of_pairs(text)?)),
    }
}

/// What [`parts`] takes apart.
fn joined(base: &str, words: &Words) -> String {
    if base.is_empty() {
        let quoted = |value: &str| value.replace('\\', r"\\").replace('\'', r"\'");
        let words: Vec<_> = words.iter().map(|(key, value)| format!("{key}='{}'", quoted(value))).collect();
        return words.join(" ");
    }
    let words: Vec<_> = words.iter().map(|(key, value)| format!("{key}={}", encoded(value))).collect();
    if words.is_empty() { base.to_owned() } else { format!("{base}?{}", words.join("&")) }
}

fn refused(what: String) -> StoreError {
    StoreError::Refused(what)
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn home(name: &str) -> Option<PathBuf> {
    env::home_dir().map(|home| home.join(name))
}

fn take(words: &mut Words, key: &str) -> Option<String> {
    let place = words.iter().position(|(found, _)| found == key)?;
    Some(words.remove(place).1)
}

/// Adds what is not said yet.
fn add(words: &mut Words, more: Words) {
    for (key, value) in more {
        if words.iter().all(|(said, _)| *said != key) {
            words.push((key, value));
        }
    }
}

/// TLS with the server's name checked is all there is, and GSS there is none.
fn is_done_anyway(key: &str, value: &str) -> bool {
    match key {
        "sslmode" => matches!(value, "allow" | "verify-ca" | "verify-full"),
        "gssencmode" => matches!(value, "disable" | "prefer"),
        _ => false,
    }
}

fn parse(base: &str, words: &Words) -> Result<Config, StoreError> {
    let text = joined(base, words);
    text.parse().map_err(|error: tokio_postgres::Error| {
        refused(format!(
            "its URL is not valid: {}; docs/postgres.md lists the words that are taken",
            causes(&error)
        ))
    })
}

/// The words after a URL's question mark.
fn of_query(query: &str) -> Result<Words, StoreError> {
    let word = |part: &str| {
        let (key, value) = part.split_once('=').ok_or_else(|| refused(format!("`{part}` has no value")))?;
        Ok((key.to_owned(), decoded(value)?))
    };
    query.split('&').filter(|part| !part.is_empty()).map(word).collect()
}

fn decoded(text: &str) -> Result<String, StoreError> {
    let bad = || refused(format!("`{text}` is not encoded as a URL's words are"));
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let (digits, after) = rest.split_at_checked(2).ok_or_else(bad)?;
            bytes.extend(hex::decode(digits).map_err(|_| bad())?);
            rest = after;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

/// Percent-encoded (RFC 3986 §2.1, §2.3).
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let each = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(each).collect()
}

/// `key=value` pairs: values with blanks in quotes, `\` before what would mean something else.
fn of_pairs(text: &str) -> Result<Words, StoreError> {
    let (mut words, mut rest) = (Words::new(), text.trim_start());
    while !rest.is_empty() {
        let (key, after) =
            rest.split_once('=').ok_or_else(|| refused(format!("`{}` has no value", rest.trim_end())))?;
        let (value, after) = value(after.trim_start())?;
        words.push((key.trim_end().to_owned(), value));
        rest = after.trim_start();
    }
    Ok(words)
}

/// A value, and what comes after it.
fn value(text: &str) -> Result<(String, &str), StoreError> {
    let quoted = text.starts_with('\'');
    let (mut value, mut letters) = (String::new(), text.char_indices().skip(usize::from(quoted)));
    while let Some((place, letter)) = letters.next() {
        match letter {
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            '\'' if quoted => return Ok((value, &text[place + 1..])),
            letter if letter.is_whitespace() && !quoted => return Ok((value, &text[place..])),
            letter => value.push(letter),
        }
    }
    if quoted { Err(refused("a quote in its URL is not closed".to_owned())) } else { Ok((value, "")) }
}

/// What a service file says of a service.
fn service(name: &str) -> Result<Words, StoreError> {
    let path = variable("PGSERVICEFILE").map(PathBuf::from).or_else(|| home(".pg_service.conf"));
    let path = path.ok_or_else(|| refused("no service file: name it in PGSERVICEFILE".to_owned()))?;
    let text = read(&path)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut section = lines.skip_while(|line| *line != format!("[{name}]"));
    if section.next().is_none() {
        return Err(refused(format!("{} has no service [{name}]", path.display())));
    }
    let word = |line: &str| {
        let (key, value) = line
            .split_once('=')
            .ok_or_else(|| refused(format!("{}: `{line}` has no value", path.display())))?;
        Ok((key.trim().to_owned(), value.trim().to_owned()))
    };
    section.take_while(|line| !line.starts_with('[')).map(word).collect()
}

/// The password that a password file has for this server, database and user.
fn noted(named: Option<PathBuf>, config: &Config) -> Result<Option<String>, StoreError> {
    let named = named.or_else(|| variable("PGPASSFILE").map(PathBuf::from));
    let Some(path) = named.clone().or_else(|| home(".pgpass").filter(|path| path.exists())) else {
        return Ok(None);
    };
    let mode = fs::metadata(&path).map(|file| file.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o077 != 0) {
        return Err(refused(format!("others may read {}; run `chmod 600` on it", path.display())));
    }
    let text = read(&path)?;
    let user = config.get_user().unwrap_or_default();
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.as_str(),
        _ => "localhost",
    };
    let port = config.get_ports().first().copied().unwrap_or(5432).to_string();
    let sought = [host, port.as_str(), config.get_dbname().unwrap_or(user), user];
    let mut lines = text.lines().filter(|line| !line.starts_with('#')).map(fields);
    let fits = |fields: &Vec<String>| {
        fields.len() == 5 && fields.iter().zip(sought).all(|(field, sought)| field == "*" || field == sought)
    };
    Ok(lines.find(fits).and_then(|mut fields| fields.pop()))
}

/// The fields of a line of a password file, between colons; `\` makes a colon, or another `\`, a letter.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut letters) = (vec![String::new()], line.chars());
    while let Some(letter) = letters.next() {
        let letter = match letter {
            ':' => {
                fields.push(String::new());
                continue;
            }
            '\\' => letters.next(),
            letter => Some(letter),
        };
        if let Some(field) = fields.last_mut() {
            field.extend(letter);
        }
    }
    fields
}

fn read(path: &Path) -> Result<String, StoreError> {
    fs::read_to_string(path).map_err(|error| refused(format!("{} cannot be read: {error}", path.display())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_libpq_documents_them() {
        let words = of_pairs(r"host = db.example  user='a b' password='it\'s \\' dbname=one\ two").unwrap();
        let words: Vec<_> = words.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(
            words,
            [("host", "db.example"), ("user", "a b"), ("password", r"it's \"), ("dbname", "one two")]
        );
        assert!(of_pairs("host=a port").is_err());
        assert!(of_pairs("host='a").is_err());
        assert_eq!(
            of_query("a=b%20c&d=").unwrap(),
            [("a", "b c"), ("d", "")].map(|(a, b)| (a.into(), b.into()))
        );
        assert!(of_query("a=%2").is_err());
        assert_eq!(fields(r"a\:b:5432:*:u:p\\q"), ["a:b", "5432", "*", "u", r"p\q"]);
    }

    #[test]
    fn a_place_is_named_for_another_role_without_the_password_of_who_asked() {
        for (text, named) in [
            (
                "postgresql://boss:secret@a,b:5433/onetap?sslmode=disable",
                "postgresql://clerk@a,b:5433/onetap?sslmode=disable",
            ),
            (
                "postgresql:///onetap?host=%2Frun&user=boss&password=p%40",
                "postgresql://clerk@/onetap?host=%2Frun",
            ),
            ("host=a user=boss password='it\\'s' dbname=o", "host='a' dbname='o' user='clerk'"),
            ("service=bank", "service='bank' user='clerk'"),
        ] {
            assert_eq!(for_role(text, "clerk").unwrap(), named);
        }
        assert_eq!(for_role("postgres://a/b", "my clerk").unwrap(), "postgres://my%20clerk@a/b");
    }

    #[test]
    fn what_is_done_anyway_may_be_asked_for() {
        for text in [
            "postgresql://u:p@db.example/onetap?sslmode=verify-full&sslrootcert=ca.pem",
            "postgresql://u:p@db.example/onetap?gssencmode=prefer",
            "host=db.example user=u password=p dbname=onetap sslmode=verify-full sslrootcert='ca.pem'",
            "host=db.example user=u password=p dbname=onetap sslmode=disable gssencmode=disable",
        ] {
            let Place { config, roots } = Place::read(text).unwrap();
            assert_eq!(config.get_dbname(), Some("onetap"), "{text}");
            assert_eq!(config.get_password(), Some(b"p".as_slice()), "{text}");
            assert_eq!(
                roots.is_some_and(|roots| roots == Path::new("ca.pem")),
                text.contains("rootcert"),
                "{text}"
            );
        }
        for (text, word) in [
            ("host=a sslcert=x", "sslcert"),
            ("host=a gssencmode=require", "gssencmode"),
            ("host=a sslmode=no", "sslmode"),
        ] {
            let error = Place::read(text).err().map(|error| error.to_string());
            assert!(error.as_ref().is_some_and(|error| error.contains(word)), "{text}: {error:?}");
        }
    }
}
