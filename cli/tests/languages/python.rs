//! Python: the wheel that maturin makes, installed by pip where nothing else is.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use tempfile::TempDir;

use crate::rig::{Counter, ok, payments, pays_at_a_service, root};
use crate::support::reader;

/// The tool that makes wheels, as `scripts/setup test` installs it.
fn maturin() -> Option<PathBuf> {
    let maturin = root().join("target/venv/bin/maturin");
    if !maturin.exists() {
        println!("not performed: no maturin, run scripts/setup test");
    }
    maturin.exists().then_some(maturin)
}

/// An environment of its own with the wheel.
static ENVIRONMENT: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let wheels = folder.path().join("wheels");
    let mut build = Command::new(maturin().unwrap());
    let interpreter = std::env::var_os("PYTHON").unwrap_or_else(|| "/usr/bin/python3".into());
    build
        .args(["build", "--offline", "--locked", "--interpreter"])
        .arg(&interpreter)
        .arg("--out")
        .arg(&wheels);
    ok(build.current_dir(root().join("bindings/python")));
    let wheel = std::fs::read_dir(&wheels).unwrap().next().unwrap().unwrap().path();
    assert!(wheel.to_str().unwrap().contains("-cp310-abi3-"), "one for all versions: {wheel:?}");
    ok(Command::new(&interpreter).args(["-m", "venv"]).arg(folder.path()));
    let pip = ["-m", "pip", "install", "--no-index", "--no-deps", "--disable-pip-version-check"];
    ok(Command::new(folder.path().join("bin/python")).args(pip).arg(wheel));
    folder
});

/// Runs a file of bindings/python there; none without the tool that makes the wheel.
fn python(file: &str) -> Option<Command> {
    maturin()?;
    let mut python = Command::new(ENVIRONMENT.path().join("bin/python"));
    python.args(["-W", "error"]).arg(root().join("bindings/python").join(file));
    Some(python)
}

#[test]
fn python_the_example_pays_over_tls_with_the_virtual_card() {
    let Some(_reader) = reader() else { return };
    let Some(mut terminal) = python("examples/terminal.py") else { return };
    pays_at_a_service(&mut terminal);
}

#[test]
fn python_memory_and_handles_stay_flat_over_many_payments() {
    let Some(mut terminal) = python("tests/steady.py") else { return };
    Counter::open().pays_steadily(&mut terminal, payments(), 512);
}

#[test]
fn python_the_package_passes_its_own_tests_without_a_service() {
    let Some(mut tests) = python("tests/test_onetap.py") else { return };
    let counter = Counter::open();
    counter.plays(counter.with_arguments(&mut tests, false), |_, line| println!("{line}"));
}

#[test]
fn python_the_package_passes_its_own_tests_where_the_service_runs() {
    let Some(_reader) = reader() else { return };
    let Some(mut tests) = python("tests/test_onetap.py") else { return };
    let counter = Counter::open();
    counter.plays(counter.with_arguments(&mut tests, true), |_, line| println!("{line}"));
}

#[test]
fn python_the_types_are_right_as_mypy_reads_them() {
    if python("").is_none() {
        return;
    }
    let at = root().join("bindings/python");
    let mut mypy = Command::new("mypy");
    mypy.args(["--strict", "--no-incremental", "--python-executable"])
        .arg(ENVIRONMENT.path().join("bin/python"));
    let files = ["examples/terminal.py", "tests/steady.py", "python/onetap"].map(|file| at.join(file));
    ok(mypy.args(files).current_dir(at.join("tests")));
}
