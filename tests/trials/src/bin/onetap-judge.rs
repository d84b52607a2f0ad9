//! The conformance suite on a card that is another process, until the first case that fails: `onetap-judge PROGRAM`.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use onetap_conformance::conform::{Plan, Verdict, run_plan};
use onetap_trials::process::CardProcess;

#[allow(clippy::print_stdout, reason = "a program's output")]
fn main() -> ExitCode {
    let Some(program) = std::env::args_os().nth(1) else {
        println!("which card: onetap-judge PROGRAM");
        return ExitCode::from(2);
    };
    let mut card = match CardProcess::start(Path::new(&program)) {
        Ok(card) => card,
        Err(why) => {
            println!("killed by: the card cannot be made: {why}");
            return ExitCode::FAILURE;
        }
    };
    let stop = Arc::new(AtomicBool::new(false));
    let plan = Plan { stop: Arc::clone(&stop), ..Plan::default() };
    let summary = run_plan(&plan, &mut card, &mut |report| {
        if let Verdict::Failed(_) = report.verdict
            && !stop.swap(true, Ordering::Relaxed)
        {
            println!("killed by: {}\n{report}", report.id);
        }
    });
    println!("{summary}");
    if summary.is_conforming() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
