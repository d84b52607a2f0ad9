//! `onetap`: the one program a person types. It joins card, terminal and server, which do not know each
//! other; `docs/cli.md` describes each command, its JSON and its exit codes.

mod act;
mod args;
mod authority;
mod card;
mod conform;
mod demo;
mod doctor;
mod draft;
mod exit;
mod files;
mod interrupt;
mod load;
mod neighbours;
mod online;
mod output;
mod pay;
mod progress;
mod readers;
mod resolve;
mod stage;
mod targets;
mod terminal;
mod trace;
mod verifier;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use args::{Cli, Command};
use exit::Failure;
use onetap_apdu_spec::foreign::{ShownLines, json_shown};
use output::Output;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return wrong_usage(&error),
    };
    let out = Output::new(cli.json);
    match run(&cli.command, out) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has read enough.
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure, out);
            ExitCode::from(failure.code())
        }
    }
}

fn run(command: &Command, out: Output) -> Result<(), Failure> {
    match command {
        Command::Demo(options) => demo::run(options, out),
        Command::Card(command) => card::run(command, out),
        Command::Readers => readers::list(out),
        Command::Doctor(options) => doctor::run(options, out),
        Command::Pay(options) => pay::run(options, out),
        Command::Terminal(options) => terminal::run(options, out),
        Command::Verifier(command) => verifier::run(command, out),
        Command::Load(options) => load::run(options, out),
        Command::Trace(command) => trace::run(command, out),
        Command::Conform(command) => conform::run(command, out),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "onetap", &mut script);
            out.raw(&String::from_utf8_lossy(&script))
        }
        Command::Manual { into } => {
            let failed = |source| Failure::file("write the manual into", into, source);
            clap_mangen::generate_to(Cli::command(), into).map_err(failed)?;
            out.result(
                &serde_json::json!({ "into": into.to_string_lossy() }),
                format!("the manual is in {}", into.display()),
            )
        }
    }
}

/// What clap found wrong, or the help or version that was asked for.
fn wrong_usage(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    if json && error.use_stderr() {
        let text = error.to_string();
        let what = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
        let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
        report(&Failure::Usage(what), Output::new(true));
        return ExitCode::from(2);
    }
    error.exit()
}

/// What went wrong, its causes, and what to do next: on standard error, for people and programs.
#[allow(clippy::print_stderr, reason = "the one place that reports failures")]
fn report(failure: &Failure, out: Output) {
    let mut message = failure.to_string();
    let mut cause = std::error::Error::source(failure);
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = error.source();
    }
    let advice = failure.advice();
    if out.is_json() {
        let object = serde_json::json!({ "error": message, "advice": advice, "code": failure.code() });
        eprintln!("{}", json_shown(&object.to_string()));
    } else {
        eprintln!("onetap: {}", ShownLines(&message));
        if let Some(advice) = advice {
            eprintln!("  what to do: {}", ShownLines(&advice));
        }
    }
}
