//! Rules of the house that a compiler does not check.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::{Path, PathBuf};

const ROOMS: [&str; 8] =
    ["apdu-spec", "applet", "bindings", "page", "pcsc-host", "server-verifier", "tests", "cli"];
/// A file longer than this wants a second room.
const MAX_LINES: usize = 600;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn sources(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
        }
    }
}

fn all_sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for room in ROOMS {
        sources(&root().join(room), &mut found);
    }
    assert!(found.len() > 100, "the rooms are where they are looked for");
    found
}

#[test]
fn card_terminal_and_server_do_not_know_each_other() {
    for (room, strangers) in [
        ("apdu-spec", ["onetap-applet", "onetap-pcsc-host", "onetap-server-verifier"]),
        ("applet", ["onetap-conformance", "onetap-pcsc-host", "onetap-server-verifier"]),
        ("bindings/c", ["onetap-applet", "onetap-conformance", "onetap-server-verifier"]),
        ("page", ["onetap-applet", "onetap-pcsc-host", "onetap-server-verifier"]),
        ("pcsc-host", ["onetap-applet", "onetap-conformance", "onetap-server-verifier"]),
        ("server-verifier", ["onetap-applet", "onetap-conformance", "onetap-pcsc-host"]),
    ] {
        let manifest = std::fs::read_to_string(root().join(room).join("Cargo.toml")).unwrap();
        for stranger in strangers {
            assert!(!manifest.contains(stranger), "{room} must not know {stranger}");
        }
    }
}

#[test]
fn status_words_stand_in_the_specification_only() {
    for (path, text) in all_sources() {
        let product =
            path.components().any(|part| part.as_os_str() == "src") && !path.starts_with("apdu-spec");
        for (number, line) in text.lines().enumerate().filter(|_| product) {
            let bare = ["0x6", "0x9"].iter().any(|start| {
                line.split(start).skip(1).any(|rest| {
                    let digits = rest.bytes().take_while(|b| b.is_ascii_hexdigit() || *b == b'_').count();
                    digits == 3
                })
            });
            assert!(!bare, "{}:{}: a status word in hex: {line}", path.display(), number + 1);
        }
    }
}

#[test]
fn files_fit_in_a_head() {
    for (path, text) in all_sources() {
        assert!(text.lines().count() <= MAX_LINES, "{} wants a second room", path.display());
    }
}

#[test]
fn nothing_is_left_open() {
    // Written apart, so that this file does not find itself.
    let open = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("to", "do!("), concat!("#[ig", "nore")];
    for (path, text) in all_sources() {
        for word in open {
            assert!(!text.contains(word), "{} has {word}", path.display());
        }
    }
}

/// A sentence that is spread over several fields or constants tells nothing where one of them is shown alone.
#[test]
fn a_doc_comment_is_no_part_of_another_ones_sentence() {
    let doc = |line: &str| Some(line.trim().strip_prefix("///")?.trim().to_owned());
    for (path, text) in all_sources() {
        let lines: Vec<_> = text.lines().map(doc).collect();
        for (number, line) in lines.iter().enumerate() {
            let Some(line) = line else { continue };
            let (first, last) =
                (number == 0 || lines[number - 1].is_none(), !matches!(lines.get(number + 1), Some(Some(_))));
            let goes_on = first && (line.starts_with('…') || line.starts_with("and "));
            let stops_short = last && line.ends_with(['…', ',']);
            assert!(!goes_on && !stops_short, "{}:{}: {line}", path.display(), number + 1);
        }
    }
}

/// The crate `rsa` decrypts in a time that depends on the key (RUSTSEC-2023-0071).
#[test]
fn no_program_has_an_rsa_that_time_tells_about() {
    let tree = std::process::Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["tree", "--locked", "--offline", "--package=onetap", "--edges=normal,build", "--prefix=none"])
        .output()
        .unwrap();
    let packages = String::from_utf8(tree.stdout).unwrap();
    let has = |name: &str| packages.lines().any(|line| line.split(' ').next() == Some(name));
    assert!(has("onetap-server-verifier") && has("aws-lc-rs"), "{}", String::from_utf8_lossy(&tree.stderr));
    assert!(!has("rsa"), "onetap is built with `rsa`: the feature rustcrypto of apdu-spec is for tests");
}

#[test]
fn set_up_names_each_package_once() {
    let setup = std::fs::read_to_string(root().join("scripts/setup")).unwrap();
    let mut packages: Vec<_> =
        setup.lines().filter_map(|line| line.trim().strip_prefix("need ")?.split(' ').next()).collect();
    assert!(packages.len() > 10, "packages stand where they are looked for");
    packages.sort_unstable();
    for pair in packages.windows(2) {
        assert_ne!(pair[0], pair[1], "scripts/setup names it twice");
    }
}

#[test]
fn specification_and_terminal_run_wherever_pcsc_does() {
    for (path, text) in all_sources() {
        if path.starts_with("apdu-spec/src") || path.starts_with("pcsc-host/src") {
            for word in ["std::os::", "cfg(unix", "target_os", "/proc/", "/dev/"] {
                assert!(!text.contains(word), "{} has {word}", path.display());
            }
        }
    }
}
