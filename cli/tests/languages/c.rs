//! C: the example, compiled by the system's compiler against the installed library.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use tempfile::TempDir;

use crate::rig::{Counter, built, ok, payments, pays_at_a_service, root};
use crate::support::reader;

/// The library, installed.
static PREFIX: LazyLock<TempDir> = LazyLock::new(|| {
    // Names the crate, so that cargo builds it.
    assert_eq!(onetap::onetap_version(), onetap::ONETAP_VERSION);
    let prefix = tempfile::tempdir().unwrap();
    ok(Command::new(root().join("bindings/c/install")).arg(prefix.path()).arg(built()));
    prefix
});

/// Where the shared library is.
pub(crate) fn library_folder() -> PathBuf {
    PREFIX.path().join("lib")
}

fn pkg_config(arguments: &[&str]) -> Vec<String> {
    let mut command = Command::new("pkg-config");
    command.args(arguments).arg("onetap").env("PKG_CONFIG_PATH", library_folder().join("pkgconfig"));
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
    command.env("LD_LIBRARY_PATH", library_folder());
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
    counter.pays_steadily(&mut shared("tests/steady.c", folder.path()), payments(), 0);
}

/// A debugger of memory in front of the program, which fails where it finds something.
fn under_valgrind(program: &Command) -> Command {
    let mut valgrind = Command::new("valgrind");
    valgrind.args([
        "--quiet",
        "--error-exitcode=99",
        "--leak-check=full",
        "--errors-for-leak-kinds=definite,indirect",
    ]);
    valgrind.args([
        "--show-leak-kinds=definite,indirect",
        "--child-silent-after-fork=yes",
        "--fair-sched=yes",
    ]);
    // Assembly of the TLS library looks uninitialised to it, and all that was decrypted with it.
    valgrind.arg("--undef-value-errors=no");
    valgrind.arg(program.get_program());
    for (name, value) in program.get_envs() {
        valgrind.env(name, value.unwrap_or_default());
    }
    valgrind
}

#[test]
fn c_each_kind_of_error_is_told_and_valgrind_finds_nothing() {
    let counter = Counter::open();
    let folder = tempfile::tempdir().unwrap();
    let mut program = under_valgrind(&shared("tests/errors.c", folder.path()));
    counter.plays(counter.with_arguments(&mut program, false), |_, line| println!("{line}"));
}

#[test]
fn c_each_kind_of_error_is_told_where_the_service_runs() {
    let Some(_reader) = reader() else { return };
    let counter = Counter::open();
    let folder = tempfile::tempdir().unwrap();
    let mut program = shared("tests/errors.c", folder.path());
    counter.plays(counter.with_arguments(&mut program, true), |_, line| println!("{line}"));
}

#[test]
fn c_a_program_can_have_the_library_in_it() {
    let counter = Counter::open();
    let folder = tempfile::tempdir().unwrap();
    let all = pkg_config(&["--cflags", "--libs", "--static"]);
    let archive = format!("{}/libonetap.a", library_folder().display());
    let libraries: Vec<_> =
        all.into_iter().map(|it| if it == "-lonetap" { archive.clone() } else { it }).collect();
    let program = compiled("tests/steady.c", folder.path(), &libraries);
    let needed = ok(Command::new("readelf").arg("--dynamic").arg(&program));
    assert!(needed.contains("libpcsclite") && !needed.contains("libonetap"), "{needed}");
    counter.plays(Command::new(program).args(counter.arguments()).arg("3"), |_, line| println!("{line}"));
}

#[test]
fn c_the_shared_library_has_a_versioned_name_and_no_functions_but_its_own() {
    let library = library_folder().join("libonetap.so");
    let dynamic = ok(Command::new("readelf").arg("--dynamic").arg(&library));
    assert!(dynamic.contains("Library soname: [libonetap.so.0]"), "{dynamic}");
    let names =
        ok(Command::new("nm").args(["--dynamic", "--defined-only", "--format=just-symbols"]).arg(&library));
    let header = std::fs::read_to_string(PREFIX.path().join("include/onetap.h")).unwrap();
    let names: Vec<_> = names.lines().collect();
    assert!(names.len() > 20);
    for name in names {
        assert!(header.contains(&format!("{name}(")), "{name} is not in the header");
    }
}
