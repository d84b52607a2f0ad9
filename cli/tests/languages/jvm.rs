//! Java: the package over the library for C, compiled by the system's compiler.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use tempfile::TempDir;

use crate::c;
use crate::rig::{Counter, ok, payments, pays_at_a_service, root};
use crate::support::reader;

/// Java Native Access, as Debian has it.
const JNA: &str = "/usr/share/java/jna.jar";

fn java_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            java_files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "java") {
            found.push(path);
        }
    }
}

/// The package, the example, Android's with our stubs, and the tests, compiled with every warning an error.
static CLASSES: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    java_files(&root().join("bindings/jvm"), &mut files);
    let mut javac = Command::new("javac");
    javac.args(["-Xlint:all", "-Werror", "--release", "17", "-cp", JNA, "-d"]).arg(folder.path());
    ok(javac.args(files));
    folder
});

fn java(class: &str) -> Command {
    let mut java = Command::new("java");
    // A small heap, so that what it forgets to let go is seen.
    java.args(["-Xmx32m", "-Xss512k", "-XX:+UseSerialGC"]);
    java.arg(format!("-Djna.library.path={}", c::library_folder().display()));
    java.args(["-cp", &format!("{}:{JNA}", CLASSES.path().display()), class]);
    java
}

#[test]
fn java_the_example_pays_over_tls_with_the_virtual_card() {
    let Some(_reader) = reader() else { return };
    pays_at_a_service(&mut java("Terminal"));
}

#[test]
fn java_memory_and_handles_stay_flat_over_many_payments() {
    Counter::open().pays_steadily(&mut java("Steady"), payments(), 8_192);
}

#[test]
fn java_each_kind_of_error_is_told_and_a_phone_is_a_terminal() {
    let counter = Counter::open();
    counter.plays(counter.with_arguments(&mut java("TestOneTap"), false), |_, line| println!("{line}"));
}

#[test]
fn java_each_kind_of_error_is_told_where_the_service_runs() {
    let Some(_reader) = reader() else { return };
    let counter = Counter::open();
    counter.plays(counter.with_arguments(&mut java("TestOneTap"), true), |_, line| println!("{line}"));
}
