//! What the demonstration showed, for programs.

use onetap_apdu_spec::suite::Suite;
use serde::Serialize;

use crate::exit::Failure;
use crate::output::Output;

/// One suite's results, each in the words of `onetap pay --json`.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    pub(super) profile: Suite,
    pub(super) result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tampered: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) wrong_passwords: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) locked: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) while_locked: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) after_unlock: Option<&'static str>,
}

impl Entry {
    pub(super) fn new(profile: Suite, result: &'static str) -> Self {
        Self {
            profile,
            result,
            tampered: None,
            wrong_passwords: Vec::new(),
            locked: None,
            while_locked: None,
            after_unlock: None,
        }
    }

    fn went_well(&self) -> bool {
        let executed = |result: &&str| *result == "executed";
        let refused = |result: &&str| *result == "refused";
        executed(&self.result)
            && self.tampered.as_ref().is_none_or(refused)
            && self.wrong_passwords.iter().all(refused)
            && self.locked.unwrap_or(true)
            && self.while_locked.as_ref().is_none_or(refused)
            && self.after_unlock.as_ref().is_none_or(executed)
    }
}

/// All of them.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    result: &'static str,
    profiles: Vec<Entry>,
}

impl Report {
    pub(super) fn add(&mut self, entry: Entry) {
        self.profiles.push(entry);
    }

    /// Ends the output; fails if something went otherwise than it should.
    pub(super) fn finish(mut self, out: Output) -> Result<(), Failure> {
        let bad = self.profiles.iter().find(|entry| !entry.went_well());
        self.result = if bad.is_none() { "executed" } else { "failed" };
        let failure =
            bad.map(|entry| Failure::NotAsExpected(format!("{}: not as it should be", entry.profile)));
        if self.profiles.len() > 1 {
            for entry in &self.profiles {
                out.say(format!("{:<44} {}", entry.profile.to_string(), entry.result))?;
            }
        }
        let executed = self.profiles.iter().filter(|entry| entry.result == "executed").count();
        out.result(
            &self,
            format!("\nresult: {} ({executed} of {} profiles)", self.result, self.profiles.len()),
        )?;
        failure.map_or(Ok(()), Err)
    }
}
