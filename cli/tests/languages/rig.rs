//! What the languages share: the bank that a terminal pays at, and looks at its process from outside.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use onetap_conformance::bank::Bank;
use tempfile::TempDir;

use crate::support::{Running, account, bank, card, onetap, read_off_the_display, served};

/// The sources.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Where cargo put what it built: the libraries for C are beside the tests.
pub(crate) fn built() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

/// Standard output of a program that must succeed.
pub(crate) fn ok(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    out.into_owned()
}

/// Ada's card lies in the virtual reader and leaves once it has signed, while `terminal` pays the shop 4.20 at a service
/// over TLS. It gets server, authority, token, journal, account, amount and reader as arguments, asks for the joint password
/// on a line of its own, and tells what was executed.
pub(crate) fn pays_at_a_service(terminal: &mut Command) {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    bank(at);
    let (_service, url) = served(at);
    let ada = account(at, "Ada Lovelace");
    card(at, &ada, "ada");
    let _card =
        Running::of(onetap(at, &["--json", "card", "run", "--image", "ada.img", "--tap"]).env("TMPDIR", at));
    let shop = account(at, "Coffee Shop");
    let arguments = [&url, "ca.pem", "till.token", "journal", &shop, "4.20", "Virtual PCD 00 00"];
    terminal
        .args(arguments)
        .current_dir(at)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut terminal = terminal.spawn().unwrap();
    let password = read_off_the_display(at, "ada.img");
    // A slip of the finger first: it is asked for again.
    writeln!(terminal.stdin.take().unwrap(), "1234\n{password}").unwrap();
    let output = terminal.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("executed: 420 EUR"), "{out}");
    assert_eq!(std::fs::read_dir(at.join("journal")).unwrap().count(), 0, "the app is done with it");
}

/// So often a terminal pays that is looked at for what it leaves behind: `ONETAP_PAYMENTS` says more.
pub(crate) fn payments() -> usize {
    std::env::var("ONETAP_PAYMENTS").map_or(1_000, |count| count.parse().unwrap())
}

/// A bank in this process, its card behind a socket, and the files that a terminal needs.
pub(crate) struct Counter {
    pub(crate) folder: TempDir,
    pub(crate) bank: Bank,
    pub(crate) port: String,
}

impl Counter {
    pub(crate) fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bank = Bank::open(folder.path()).unwrap();
        std::fs::write(folder.path().join("ca.pem"), &bank.ca).unwrap();
        std::fs::write(folder.path().join("till.token"), &bank.token).unwrap();
        let port = bank.listen().unwrap().port().to_string();
        Self { folder, bank, port }
    }

    /// Server, authority, token, account and the card's port.
    pub(crate) fn arguments(&self) -> [String; 5] {
        let at = |name: &str| self.folder.path().join(name).to_str().unwrap().to_owned();
        let Bank { url, payee, .. } = &self.bank;
        [url.clone(), at("ca.pem"), at("till.token"), payee.to_string(), self.port.clone()]
    }

    /// Gives a program the arguments, a folder of its own, and whether there is a PC/SC service. One that is not there stays
    /// hidden even where it is.
    pub(crate) fn with_arguments<'c>(&self, program: &'c mut Command, pcscd: bool) -> &'c mut Command {
        if !pcscd {
            program.env("PCSCLITE_CSOCK_NAME", self.folder.path().join("no service"));
        }
        program.args(self.arguments()).arg(self.folder.path().join("own")).arg(u8::from(pcscd).to_string())
    }

    /// Runs a terminal that pays so often, and looks at its process after each payment. `slack` is what its language itself
    /// may take meanwhile, in kilobytes, such as for code that a compiler makes at run time.
    pub(crate) fn pays_steadily(&self, terminal: &mut Command, count: usize, slack: u64) {
        let mut uses = Vec::new();
        self.plays(terminal.args(self.arguments()).arg(count.to_string()), |process, line| {
            assert!(
                line.starts_with("paid ") && line.ends_with(" handles 1"),
                "the till alone is open: {line}"
            );
            uses.push(Use::of(process));
        });
        assert_eq!(uses.len(), count);
        flat(&uses, slack);
    }

    /// Runs a program to its good end. For `type` it gets what the display shows, for each other line, which `heard` looks at,
    /// an empty one.
    pub(crate) fn plays(&self, program: &mut Command, mut heard: impl FnMut(u32, &str)) {
        let mut program = Ends(program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
        let mut keyboard = program.0.stdin.take().unwrap();
        for line in BufReader::new(program.0.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let answer = if line == "type" { self.bank.holder_reads().unwrap() } else { String::new() };
            if line != "type" {
                heard(program.0.id(), &line);
            }
            // A program that has said its last may be gone.
            let _ = writeln!(keyboard, "{answer}");
        }
        let status = program.0.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

/// A program that ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a process holds.
#[derive(Debug, Clone, Copy)]
struct Use {
    kilobytes: u64,
    files: usize,
    threads: u64,
}

impl Use {
    fn of(process: u32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
        };
        let files = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
        Self { kilobytes: number("VmRSS:"), files, threads: number("Threads:") }
    }
}

/// After a fifth of the payments nothing grows any more: the most that was held in the last fifth is compared with the most
/// in the second one.
fn flat(uses: &[Use], slack: u64) {
    let most = |fifth: usize| {
        let part = &uses[fifth * uses.len() / 5..(fifth + 1) * uses.len() / 5];
        part.iter().copied().reduce(|a, b| Use {
            kilobytes: a.kilobytes.max(b.kilobytes),
            files: a.files.max(b.files),
            threads: a.threads.max(b.threads),
        })
    };
    let (Some(early), Some(late)) = (most(1), most(4)) else { panic!("too few payments") };
    println!("{} payments: {early:?}, then {late:?}", uses.len());
    // A leak of 100 bytes a payment would be seen at 10 000; pages that the allocator keeps would not be taken for one.
    let slack = slack + 256 + u64::try_from(uses.len()).unwrap() / 20;
    assert!(late.kilobytes <= early.kilobytes + slack, "memory grows: {early:?}, {late:?}");
    // A connection more or less is none that is left over.
    assert!(late.files <= early.files + 2 && late.threads <= early.threads + 2, "{early:?}, {late:?}");
}
