//! The documents say what the code says. `UPDATE_DOCS=1` (make docs) writes the generated parts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::{Path, PathBuf};

use onetap_conformance::{render, wireshark};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn markdown_files(dir: &Path) -> Vec<PathBuf> {
    files_with(dir, "md")
}

fn files_with(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_with(&path, extension));
        } else if path.extension().is_some_and(|ext| ext == extension) {
            files.push(path);
        }
    }
    files
}

#[test]
fn generated_tables_are_current() {
    let update = std::env::var_os("UPDATE_DOCS").is_some();
    let mut generated = 0;
    for path in markdown_files(&root().join("docs")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let fresh = render::refresh(&text).unwrap_or_else(|part| panic!("{}: {part}", path.display()));
        generated += text.matches("<!-- generated: ").count();
        if update {
            std::fs::write(&path, &fresh).unwrap();
        } else {
            assert!(text == fresh, "{} is out of date: run `make docs`", path.display());
        }
    }
    assert!(generated >= 5, "the specification has its five generated tables, found {generated}");
}

/// The dissector knows the commands and data objects of today.
#[test]
fn the_dissector_is_current() {
    let path = root().join("packaging/wireshark/onetap.lua");
    let fresh = wireshark::dissector();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text == fresh, "{} is out of date: run `make docs`", path.display());
}

/// Relative links between documents, and from the README, lead somewhere.
#[test]
fn links_lead_somewhere() {
    let mut files = markdown_files(&root().join("docs"));
    files.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root().join(name)));
    let mut checked = 0;
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap();
            if file.is_empty() || file.contains("://") || file.contains(' ') {
                continue;
            }
            assert!(path.parent().unwrap().join(file).exists(), "{}: broken link {target}", path.display());
            checked += 1;
        }
    }
    assert!(checked > 10, "only {checked} links found");
}

/// What a document tells to type, `make` can do; and CONTRIBUTING.md has all that it can.
#[test]
fn make_can_do_what_the_documents_say() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    let targets: Vec<_> = makefile.lines().filter_map(|line| Some(line.split_once(": ## ")?.0)).collect();
    let mut files = markdown_files(&root().join("docs"));
    files.extend(["README.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let named: Vec<_> = make_targets(&text).collect();
        for target in &named {
            assert!(targets.contains(target), "{} names `make {target}`", path.display());
        }
        let wanted: &[&str] = match path.file_name().and_then(|name| name.to_str()) {
            Some("CONTRIBUTING.md") => &targets,
            Some("README.md") if path.parent() == Some(root()) => &["demo", "test"],
            _ => &[],
        };
        for target in wanted {
            assert!(named.contains(target), "{} lacks `make {target}`", path.display());
        }
    }
}

/// The targets of `make TARGET`, in code spans and on lines of code blocks.
fn make_targets(text: &str) -> impl Iterator<Item = &str> {
    let spans = text.split("`make ").skip(1);
    let blocks = text.split("```").skip(1).step_by(2);
    let lines = blocks.flat_map(str::lines).filter_map(|line| line.trim().strip_prefix("make "));
    spans.chain(lines).filter_map(|rest| rest.split(|c: char| !c.is_ascii_lowercase()).next())
}

/// Each test that the threat model names is there.
#[test]
fn the_threat_model_names_tests_that_exist() {
    let text = std::fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    let rooms = ["apdu-spec", "applet", "pcsc-host", "server-verifier", "tests", "tests/trials", "cli"];
    let sources: String = rooms
        .iter()
        .flat_map(|room| ["src", "tests"].map(|part| root().join(room).join(part)))
        .filter(|dir| dir.exists())
        .flat_map(|dir| files_with(&dir, "rs"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let rows = text.lines().filter(|line| line.starts_with("| TM-"));
    let names = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).filter(|name| {
        name.contains('_') && name.bytes().all(|b| b == b'_' || b.is_ascii_lowercase() || b.is_ascii_digit())
    });
    let mut checked = 0;
    for name in names {
        assert!(
            sources.contains(&format!("fn {name}(")),
            "docs/threat-model.md names {name}, which is not there"
        );
        checked += 1;
    }
    assert!(checked > 50, "only {checked} names found");
}
