//! The header is what cbindgen makes of the sources, and the system's compilers take it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::Path;
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The header, made of this crate and of the values that the face names.
fn made() -> String {
    let here = Path::new(ROOT);
    let mut builder = cbindgen::Builder::new()
        .with_config(cbindgen::Config::from_file(here.join("cbindgen.toml")).unwrap());
    for file in ["src/lib.rs", "src/types.rs"] {
        builder = builder.with_src(here.join(file));
    }
    for file in ["error.rs", "payment.rs", "readers.rs", "till.rs"] {
        builder = builder.with_src(here.join("../face/src").join(file));
    }
    let mut header = Vec::new();
    builder.generate().unwrap().write(&mut header);
    String::from_utf8(header).unwrap()
}

#[test]
fn the_header_is_current() {
    let path = Path::new(ROOT).join("include/onetap.h");
    let made = made();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == made, "include/onetap.h is not current: run `make docs`");
}

#[test]
fn compilers_of_c_and_cpp_take_the_header_without_a_word() {
    for (language, standard) in [("c", "c99"), ("c", "c17"), ("c++", "c++11")] {
        let standard = format!("-std={standard}");
        let mut compiler = Command::new("cc");
        compiler.args([
            "-x",
            language,
            &standard,
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Werror",
            "-fsyntax-only",
        ]);
        let output = compiler.arg(Path::new(ROOT).join("include/onetap.h")).output().unwrap();
        assert!(output.status.success(), "{language}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
