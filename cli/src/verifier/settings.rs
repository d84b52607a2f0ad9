//! The settings of the service: options over variables over a file, and where each comes from.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::args::{Opener, Serve, Settings};
use crate::exit::Failure;
use clap::Parser;

/// Where one value comes from.
#[derive(Debug, Clone, Copy, strum::Display)]
#[strum(serialize_all = "kebab-case")]
pub(super) enum Source {
    Option,
    Variable,
    File,
    Default,
}

/// What is set, place by place; the first that speaks counts.
pub(super) struct Layers {
    options: Settings,
    variables: Settings,
    file: Settings,
}

impl Layers {
    pub(super) fn read(given: &Serve) -> Result<Self, Failure> {
        let file = given.config.as_deref().map(read_file).transpose()?.unwrap_or_default();
        Ok(Self { options: given.settings.clone(), variables: from_variables()?, file })
    }

    pub(super) fn merged(&self) -> Settings {
        self.options.clone().over(self.variables.clone()).over(self.file.clone())
    }

    /// Where a setting comes from, by its place among all.
    pub(super) fn source(&self, place: usize) -> Source {
        let places = [
            (&self.options, Source::Option),
            (&self.variables, Source::Variable),
            (&self.file, Source::File),
        ];
        let speaks = |(settings, _): &&(&Settings, Source)| {
            settings.entries().get(place).is_some_and(|(_, value)| value.is_some())
        };
        places.iter().find(speaks).map_or(Source::Default, |(_, source)| *source)
    }
}

/// Settings that fit each other.
pub(super) struct Usable {
    /// The server's folder.
    pub(super) folder: PathBuf,
    pub(super) settings: Settings,
}

/// The settings that hold.
///
/// # Errors
/// [`Failure::Usage`] with the file and line, the variable or the option that cannot be used, and [`Failure::File`].
pub(super) fn read(given: &Serve) -> Result<Usable, Failure> {
    usable(Layers::read(given)?.merged())
}

fn read_file(path: &Path) -> Result<Settings, Failure> {
    let text = fs::read_to_string(path).map_err(|source| Failure::file("read", path, source))?;
    toml::from_str(&text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let what = error.message().replace('\n', " ");
        Failure::Usage(format!(
            "{}, line {line}: {what}; `onetap verifier config show` lists all settings",
            path.display()
        ))
    })
}

/// The command line that the variables stand for.
#[derive(Parser)]
struct Variables {
    #[command(flatten)]
    settings: Settings,
}

fn from_variables() -> Result<Settings, Failure> {
    let mut line = vec![OsString::from("onetap")];
    for (name, _) in Settings::default().entries() {
        if let Some(value) = std::env::var_os(variable(&name)).filter(|value| !value.is_empty()) {
            let mut option = OsString::from(format!("--{name}="));
            option.push(value);
            line.push(option);
        }
    }
    let parsed = Variables::try_parse_from(line).map_err(|error| {
        let told = error.to_string();
        let what = told.lines().next().unwrap_or_default().trim_start_matches("error: ");
        Failure::Usage(format!("a variable of the environment, named ONETAP_ and the option: {what}"))
    })?;
    Ok(parsed.settings)
}

/// The variable of an option.
fn variable(name: &str) -> String {
    format!("ONETAP_{}", name.replace('-', "_").to_uppercase())
}

/// Settings, whatever place they come from, if they fit each other.
pub(super) fn usable(settings: Settings) -> Result<Usable, Failure> {
    let flag = |flag: Option<bool>| flag.unwrap_or_default();
    let needs = [
        ("tls-cert", settings.tls_cert.is_some(), "tls-key", settings.tls_key.is_some()),
        ("tls-key", settings.tls_key.is_some(), "tls-cert", settings.tls_cert.is_some()),
        ("client-ca", settings.client_ca.is_some(), "tls-cert", settings.tls_cert.is_some()),
        (
            "require-client-cert",
            flag(settings.require_client_cert),
            "client-ca",
            settings.client_ca.is_some(),
        ),
        ("webhook-ca", settings.webhook_ca.is_some(), "webhook", settings.webhook.is_some()),
    ];
    if let Some((one, _, other, _)) = needs.iter().find(|(_, one, _, other)| *one && !*other) {
        return Err(Failure::Usage(format!("the setting `{one}` needs `{other}`, too")));
    }
    if flag(settings.insecure_plain_http) && settings.tls_cert.is_some() {
        return Err(Failure::Usage("`insecure-plain-http` and `tls-cert` exclude each other".to_owned()));
    }
    let missing = "the setting `db`, the server's folder, is missing: give --db FOLDER";
    let folder = settings.db.clone().ok_or_else(|| Failure::Usage(missing.to_owned()))?;
    Ok(Usable { folder, settings })
}

impl Settings {
    /// What opens the keys.
    pub(super) fn opener(&self) -> Opener {
        Opener {
            passphrase_file: self.passphrase_file.clone(),
            key_file: self.key_file.clone(),
            pkcs11_pin_file: self.pkcs11_pin_file.clone(),
        }
    }
}
