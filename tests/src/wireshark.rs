//! The dissector for Wireshark, written from the tables of the specification: `packaging/wireshark/onetap.lua`. A test
//! compares, `make docs` writes.

use std::collections::BTreeMap;

use onetap_apdu_spec::command::COMMANDS;
use onetap_apdu_spec::gp::command::GP_COMMANDS;
use onetap_apdu_spec::objects::DATA_OBJECTS;
use onetap_apdu_spec::sw::MEANINGS;

/// What is not in a table: it runs after Wireshark's own dissectors.
const PROGRAM: &str = include_str!("wireshark.lua");

/// The whole file.
#[must_use]
pub fn dissector() -> String {
    let command = |cla: u8, ins: u8, title: &'static str| (format!("0x{cla:02X}{ins:02X}"), title.to_owned());
    let gp = GP_COMMANDS.iter().map(|row| command(row.cla, row.name as u8, row.title));
    let own = COMMANDS.iter().map(|row| command(row.cla, row.ins, row.title));
    let objects = DATA_OBJECTS.iter().map(|row| (format!("0x{}", row.tag), row.name.to_owned()));
    let exact = MEANINGS.iter().filter(|row| row.exact);
    let status = exact.map(|row| (format!("0x{}", row.sw), row.meaning.to_owned()));
    let inexact = MEANINGS.iter().filter(|row| !row.exact);
    let classes = inexact.map(|row| (format!("0x{:02X}", row.sw.to_bytes()[0]), row.meaning.to_owned()));
    [
        "-- Names what OneTap cards say, in captures that `onetap trace export --to pcap` wrote. Made by `make docs`.\n"
            .to_owned(),
        "-- wireshark -X lua_script:onetap.lua FILE, or put it into the folder of personal plugins.\n\n".to_owned(),
        table("commands", gp.chain(own)),
        table("objects", objects),
        table("meanings", status),
        table("classes", classes),
        PROGRAM.to_owned(),
    ]
    .concat()
}

/// In order of the keys; what comes later of the same key counts.
fn table(name: &str, rows: impl Iterator<Item = (String, String)>) -> String {
    let rows: BTreeMap<_, _> = rows.collect();
    let lines = rows.iter().map(|(key, value)| format!("  [{key}] = {value:?},\n"));
    format!("local {name} = {{\n{}}}\n\n", lines.collect::<String>())
}
