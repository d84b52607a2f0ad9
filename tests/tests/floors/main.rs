//! Floors: modules of one crate do not import each other in a circle, and those of the server import downwards only.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;

mod reading;
use reading::{Crate, Edges, Names};

const ROOMS: [&str; 15] = [
    "apdu-spec",
    "applet",
    "bindings/c",
    "bindings/face",
    "bindings/python",
    "cli",
    "page",
    "pcsc-host",
    "server-verifier",
    "tests",
    "tests/card-process",
    "tests/keeping-allocator",
    "tests/postgres-rig",
    "tests/recording-vfs",
    "tests/trials",
];

/// The server's floors, from the ground up.
const FLOORS: [&str; 7] = ["domain", "rules", "books", "store", "keys", "service", "http"];

fn read(room: &str) -> Edges {
    Crate::in_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(room).join("src")).edges()
}

/// The modules that this one reaches through imports.
fn reached<'a>(edges: &'a Edges, from: &'a Names) -> BTreeSet<&'a Names> {
    let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(at) = open.pop() {
        open.extend(edges[at].keys().filter(|to| reached.insert(*to)));
    }
    reached
}

/// The imports that are part of a circle, a line for each.
fn circles(edges: &Edges) -> Vec<String> {
    let mut lines = Vec::new();
    for (from, imports) in edges {
        lines.extend(
            imports
                .iter()
                .filter(|(to, _)| reached(edges, to).contains(from))
                .map(|import| line(from, import)),
        );
    }
    lines
}

/// The imports that do not go down, a line for each.
fn upward(edges: &Edges, floors: &[&str]) -> Vec<String> {
    let floor =
        |name: &Names| floors.iter().position(|floor| Some(*floor) == name.first().map(String::as_str));
    let mut lines = Vec::new();
    for (from, imports) in edges.iter().filter(|(name, _)| !name.is_empty()) {
        let Some(own) = floor(from) else {
            lines.push(format!("{} stands on no floor", from.join("::")));
            continue;
        };
        let up = imports.iter().filter(|(to, _)| floor(to).is_none_or(|other| other > own));
        lines.extend(up.map(|import| line(from, import)));
    }
    lines
}

fn line(from: &Names, (to, path): (&Names, &Names)) -> String {
    let name = |name: &Names| if name.is_empty() { "the root".to_owned() } else { name.join("::") };
    format!("{} imports {} of {}", name(from), path.join("::"), name(to))
}

#[test]
fn no_modules_import_each_other_in_a_circle() {
    for room in ROOMS {
        let edges = read(room);
        assert!(edges.values().any(|imports| !imports.is_empty()) || edges.len() < 5, "{room} is read");
        let circles = circles(&edges);
        assert!(circles.is_empty(), "{room}:\n{}", circles.join("\n"));
    }
}

#[test]
fn the_servers_floors_import_downwards_only() {
    let upward = upward(&read("server-verifier"), &FLOORS);
    assert!(upward.is_empty(), "{}", upward.join("\n"));
}

/// Two modules of which the upper one uses the lower one; the text is put into the lower one.
fn two_floors(text: &str) -> Edges {
    Crate::of_text(&format!(
        "pub use high::High;
         mod low {{ pub struct Low; {text} }}
         mod high {{ mod inner {{ pub struct Inner; }} pub use inner::Inner; use crate::low::Low; pub struct High(Low); }}"
    ))
    .edges()
}

#[test]
fn an_import_that_goes_up_is_seen_however_it_is_written() {
    for text in [
        "use crate::high::High;",
        "use crate::{high::{High as Other}};",
        "use super::high::*;\npub fn f() { let _: Option<High> = None; }",
        "use super::High;",
        "use crate::high; fn f() -> high::High { high::High::new() }",
        "fn f() { assert!(crate::high::High::is_new()); }",
        "fn f() { use crate::high::High; }",
        "mod deep { use super::super::high::High; }",
        "#[derive(Clone)] struct Kept(crate::high::High);",
        "use super::high::Inner; use super::High as _;",
    ] {
        let edges = two_floors(text);
        assert!(!upward(&edges, &["low", "high"]).is_empty(), "{text}");
        assert_eq!(circles(&edges).is_empty(), text.contains("deep"), "{text}");
    }
}

#[test]
fn what_goes_down_or_stays_in_tests_is_no_circle() {
    for text in [
        "",
        "pub(in crate::high) fn f() {}",
        "// crate::high::High\nconst TEXT: &str = \"crate::high::High\";",
        "#[cfg(test)] use crate::high::High; fn f() { use std::io::Read as _; }",
        "#[cfg(test)] mod tests { use crate::high::High; }",
        "use other::high::High; fn f() -> impl Iterator + use<> { high::High }",
    ] {
        let edges = two_floors(text);
        assert_eq!(upward(&edges, &["low", "high"]), [""; 0], "{text}");
        assert_eq!(circles(&edges), [""; 0], "{text}");
    }
}

#[test]
fn a_module_on_no_floor_is_told() {
    let edges = Crate::of_text("mod low {} mod somewhere {}").edges();
    assert_eq!(upward(&edges, &["low"]), ["somewhere stands on no floor"]);
}
