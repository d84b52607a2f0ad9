//! What several subjects make of rows and states: parts of ids, and commands.

use onetap_apdu_spec::command::{AID, CommandSpec, DataField, Name};

use crate::conform::command::CommandBuilder;
use crate::target::samples;

/// A row's name in ids, such as `get-enc-password`.
pub(super) fn slug(row: &CommandSpec) -> String {
    row.title.to_lowercase().replace(' ', "-")
}

/// A command of this row that is right in form. A transaction message in it is well formed but names
/// no payer of this card.
pub(super) fn well_formed(row: &CommandSpec) -> CommandBuilder {
    let data = match (row.name, row.data) {
        (Name::Select, _) => AID.to_vec(),
        (_, DataField::Required { .. }) => samples::encode(&samples::transaction()),
        (_, DataField::Absent) => Vec::new(),
    };
    CommandBuilder::row(row.name, None, &data)
}
