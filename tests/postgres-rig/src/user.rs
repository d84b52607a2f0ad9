//! PostgreSQL refuses to run as root. Where the tests are root's, it runs in a user namespace in which root has another
//! number: its files stay root's, no other user needs a way to them. Where the kernel forbids that, as the user
//! `postgres` that Debian's package makes.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::RigError;

const USER: &str = "postgres";

/// As whom programs of PostgreSQL run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// As who runs the tests.
    Same,
    /// As root under another number.
    Renamed,
    /// As `postgres`, who must be able to reach the folder.
    Postgres,
}

impl User {
    /// The first of the three that may use `folder`, which is made theirs.
    ///
    /// # Errors
    /// [`RigError::NoUser`]; [`RigError::Io`] without `id` and util-linux.
    pub fn for_folder(folder: &Path) -> Result<Self, RigError> {
        let id = Command::new("id").arg("-u").output().map_err(RigError::io("id"))?;
        if id.stdout.trim_ascii() != b"0" {
            return Ok(Self::Same);
        }
        if Self::Renamed.may_use(folder)? {
            return Ok(Self::Renamed);
        }
        let owned = quiet(Command::new("chown").arg(USER).arg(folder))?;
        if owned && Self::Postgres.may_use(folder)? { Ok(Self::Postgres) } else { Err(RigError::NoUser) }
    }

    fn may_use(self, folder: &Path) -> Result<bool, RigError> {
        quiet(self.command("test").arg("-w").arg(folder))
    }

    /// `program`, run as this user, signalled to quit when the thread that started it ends.
    #[must_use]
    pub fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut words: Vec<&str> = Vec::new();
        match self {
            Self::Same => words.extend(["setpriv"]),
            Self::Renamed => {
                words.extend(["unshare", "--user", "--map-user", USER, "--map-group", USER, "setpriv"]);
            }
            Self::Postgres => {
                words.extend(["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups"]);
            }
        }
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(["--pdeathsig", "QUIT"]).arg(program);
        command
    }
}

/// Whether it succeeds; what it prints is of no interest.
fn quiet(command: &mut Command) -> Result<bool, RigError> {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    Ok(status.map_err(RigError::io(format!("{:?}", command.get_program())))?.success())
}
