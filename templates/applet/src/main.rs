//! The card as a program: `cargo run -- --help`.

mod applet;

use std::process::ExitCode;

use onetap_applet::front::program;

fn main() -> ExitCode {
    program::main(&applet::product())
}
