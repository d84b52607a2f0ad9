//! C: the example, compiled by the system's compiler against the installed library.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use tempfile::TempDir;

use crate::rig::{Counter, built, ok, pays_at_a_service, root};
use crate::support::reader;

/// The library, installed.
static PREFIX: LazyLock<TempDir> = LazyLock::new(|| {
    // Names the crate, so that cargo builds it.
    assert_eq!(onetap::onetap_version(), onetap::ONETAP_VERSION);
    let prefix = tempfile::tempdir().unwrap();
    ok(Command::new(root().join("bindings/c/install")).arg(prefix.path()).arg(built()));
    prefix
});

fn pkg_config(arguments: &[&str]) -> Vec<String> {
    let mut command = Command::new("pkg-config");
    command.args(arguments).arg("onetap").env("PKG_CONFIG_PATH", PREFIX.path().join("lib/pkgconfig"));
    ok(&mut command).split_whitespace().map(str::to_owned).collect()
}

/// Compiles a source of bindings/c with every warning an error.
fn compiled(source: &str, to: &Path, libraries: &[String]) -> PathBuf {
    let program = to.join(Path::new(source).file_stem().unwrap());
    let mut compiler = Command::new("cc");
    compiler.args(["-std=gnu11", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-pthread", "-o"]);
    ok(compiler.arg(&program).arg(root().join("bindings/c").join(source)).args(libraries));
    program
}

/// Linked with the shared library, as a program of a distribution is.
fn shared(source: &str, to: &Path) -> Command {
    let program = compiled(source, to, &pkg_config(&["--cflags", "--libs"]));
    let mut command = Command::new(program);
    command.env("LD_LIBRARY_PATH", PREFIX.path().join("lib"));
    command
}

#[test]
fn c_the_example_pays_over_tls_with_the_virtual_card() {
    let Some(_reader) = reader() else { return };
    let folder = tempfile::tempdir().unwrap();
    pays_at_a_service(&mut shared("examples/terminal.c", folder.path()));
}

#[test]
fn c_memory_and_handles_stay_flat_over_many_payments() {
    let counter = Counter::open();
    let folder = tempfile::tempdir().unwrap();
    counter.pays_steadily(&mut shared("tests/steady.c", folder.path()), 1_000);
}
