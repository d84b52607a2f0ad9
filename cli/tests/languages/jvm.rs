//! Java: the package over the library for C, compiled by the system's compiler. Kotlin: the same package, by JetBrains' compiler.

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

/// The package, the example, Android's with our stubs, and the tests, compiled with every warning an error, those of their
/// documentation, too.
static CLASSES: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    java_files(&root().join("bindings/jvm"), &mut files);
    let mut javac = Command::new("javac");
    javac
        .args(["-Xlint:all", "-Xdoclint:all,-missing", "-Werror", "--release", "17", "-cp", JNA, "-d"])
        .arg(folder.path());
    ok(javac.args(files));
    folder
});

/// Folder of the compiler's archives, if `scripts/setup test` was run, and the example's classes.
static KOTLIN: LazyLock<Option<(PathBuf, TempDir)>> = LazyLock::new(|| {
    let library = root().join("target/kotlin/lib");
    if !library.is_dir() {
        println!("not performed: needs Kotlin's compiler: scripts/setup test");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let example = root().join("bindings/jvm/examples/Terminal.kt");
    let (classes, standard) = (CLASSES.path().display(), library.join(STANDARD_LIBRARY));
    let mut compiler = Command::new("java");
    compiler.arg("-cp").arg(library.join("*")).arg("org.jetbrains.kotlin.cli.jvm.K2JVMCompiler");
    compiler.args(["-Werror", "-no-stdlib", "-no-reflect", "-jvm-target", "17"]);
    compiler.args(["-cp", &format!("{classes}:{JNA}:{}", standard.display())]);
    ok(compiler.arg("-d").arg(folder.path()).arg(example));
    Some((library, folder))
});

const STANDARD_LIBRARY: &str = "kotlin-stdlib.jar";

fn java(class: &str) -> Command {
    java_with(class, &[])
}

/// With further classes.
fn java_with(class: &str, more: &[&Path]) -> Command {
    let mut java = Command::new("java");
    // A small heap, so that what it forgets to let go is seen.
    java.args(["-Xmx32m", "-Xss512k", "-XX:+UseSerialGC"]);
    java.arg(format!("-Djna.library.path={}", c::library_folder().display()));
    let more: String = more.iter().map(|path| format!(":{}", path.display())).collect();
    java.args(["-cp", &format!("{}:{JNA}{more}", CLASSES.path().display()), class]);
    java
}

#[test]
fn java_the_example_pays_over_tls_with_the_virtual_card() {
    let Some(_reader) = reader() else { return };
    pays_at_a_service(&mut java("Terminal"));
}

#[test]
fn kotlin_the_example_pays_over_tls_with_the_virtual_card() {
    let (Some(_reader), Some((library, classes))) = (reader(), &*KOTLIN) else { return };
    let standard = library.join(STANDARD_LIBRARY);
    pays_at_a_service(&mut java_with("TerminalKt", &[classes.path(), &standard]));
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
