//! `onetap verifier policy`: the operator's rules.

use onetap_server_verifier::{Policy, PolicyChange};
use serde_json::{Map, Value};

use super::keys::{open, open_to_read};
use crate::act::act;
use crate::args;
use crate::exit::Failure;
use crate::output::Output;

pub(super) fn run(command: &args::Policy, out: Output) -> Result<(), Failure> {
    match command {
        args::Policy::Show { db } => show(&open_to_read(db)?.stored_policy()?, out),
        args::Policy::Set { db, rules, why } => {
            let change = change(rules)?;
            show(&open(db)?.desk(act(None, why.reason())).change_policy(&change)?, out)
        }
    }
}

/// What is to be otherwise, rule by rule.
fn change(rules: &[String]) -> Result<PolicyChange, Failure> {
    let mut values = Map::new();
    for rule in rules {
        let (name, value) = rule
            .split_once('=')
            .ok_or_else(|| Failure::Usage(format!("{rule}: give a rule as NAME=VALUE")))?;
        let value = serde_json::from_str::<Value>(value)
            .map_err(|_| Failure::Usage(format!("{rule}: give a number, true or false")))?;
        if values.insert(name.replace('-', "_"), value).is_some() {
            return Err(Failure::Usage(format!("{name} is given twice")));
        }
    }
    serde_json::from_value(values.into()).map_err(|error| Failure::Usage(format!("the rules: {error}")))
}

fn show(policy: &Policy, out: Output) -> Result<(), Failure> {
    let rules = serde_json::to_value(policy).unwrap_or_default();
    let lines = rules.as_object().into_iter().flatten();
    let prose = lines.map(|(name, value)| format!("{:<26} {value}", name.replace('_', "-")));
    out.result(policy, prose.collect::<Vec<_>>().join("\n"))
}
