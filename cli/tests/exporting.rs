//! `onetap trace export`, read by the programs that it is for.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod support;

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::*;

const DISSECTOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/wireshark/onetap.lua");

/// A payment with what the card answered.
fn payment(folder: &Path) {
    ok(folder, &["trace", "record", "--keep", "--out", "payment.jsonl"]);
}

/// What tshark reads of these fields, a line a packet.
fn tshark(folder: &Path, fields: &[&str]) -> Vec<Vec<String>> {
    let script = format!("lua_script:{DISSECTOR}");
    let arguments = ["-r", "payment.pcap", "-X", &script, "-T", "fields", "-E", "separator=|"];
    let fields = fields.iter().flat_map(|field| ["-e", field]);
    let output = Command::new("tshark").current_dir(folder).args(arguments).args(fields).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && !errors.contains("Lua"), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect()
}

#[test]
fn wireshark_reads_a_capture_and_our_dissector_names_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    payment(folder.path());
    let result = ok_json(
        folder.path(),
        &["trace", "export", "--to", "pcap", "payment.jsonl", "--out", "payment.pcap"],
    );
    assert_eq!(
        (&result["exchanges"], &result["made-up"]),
        (&5.into(), &Value::Array(Vec::new())),
        "{result}"
    );
    let fields = [
        "frame.protocols",
        "exported_pdu.p2p_dir",
        "iso7816.atr.historical_bytes",
        "onetap.command",
        "onetap.status",
        "onetap.object",
    ];
    let packets = tshark(folder.path(), &fields);
    // The answer to reset, then command and response by turns.
    assert_eq!(packets.len(), 11, "{packets:?}");
    assert_eq!(packets[0][2], "8073c001db", "{packets:?}");
    let commands: Vec<_> = packets[1..].iter().step_by(2).map(|packet| packet[3].as_str()).collect();
    assert_eq!(commands, ["SELECT", "GET DATA", "PUT TXN", "GET SIGNATURE", "GET ENC-PASSWORD"]);
    for pair in packets[1..].chunks(2) {
        assert_eq!([pair[0][1].as_str(), pair[1][1].as_str()], ["0", "1"], "{pair:?}");
        assert!(pair.iter().all(|packet| packet[0] == "exported_pdu:iso7816"), "{pair:?}");
        assert_eq!(pair[1][4], "done", "{pair:?}");
    }
    let put_txn = &packets[5][5];
    assert!(
        put_txn.contains("transaction message T (template)") && put_txn.contains("payee name"),
        "{put_txn}"
    );
    let signature = &packets[8][5];
    assert!(signature.contains("header H: ") && signature.contains("digital signature: "), "{signature}");
}

/// The bytes in the capture are those of the trace, and their times.
#[test]
fn a_capture_has_every_byte_and_time() {
    let folder = tempfile::tempdir().unwrap();
    let trace = "{\"onetap-trace\":1,\"description\":\"\",\"started\":\"2026-07-01T12:00:00\"}\n\
        {\"field-in\":{\"atr\":\"3B00\"},\"at-us\":1}\n\
        {\"command\":\"00A4040000\",\"at-us\":1500000}\n{\"response\":{\"sw\":\"6A82\"},\"at-us\":1500042}\n\
        # a comment\n{\"command\":\"00B00000\",\"at-us\":2000000}\n{\"no-response\":{},\"at-us\":2000001}\n";
    std::fs::write(folder.path().join("t.jsonl"), trace).unwrap();
    ok(folder.path(), &["trace", "export", "--to", "pcap", "t.jsonl", "--out", "payment.pcap"]);
    let packets = tshark(folder.path(), &["frame.time_epoch", "exported_pdu.exported_pdu", "onetap.status"]);
    let wanted = [
        ["1782907200.000001000", "3b00", ""],
        ["1782907201.500000000", "00a4040000", ""],
        ["1782907201.500042000", "6a82", "no application of that name"],
        ["1782907202.000000000", "00b00000", ""],
    ];
    assert_eq!(packets, wanted);
}

#[test]
fn what_is_made_up_is_said() {
    let folder = tempfile::tempdir().unwrap();
    ok(folder.path(), &["trace", "record", "--out", "payment.jsonl"]);
    let output =
        onetap(folder.path(), &["trace", "export", "--to", "apdu4j", "payment.jsonl"]).output().unwrap();
    assert!(output.status.success());
    let (dump, note) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(dump.matches("they are made up").count(), 3, "alias, signature, password: {dump}");
    assert!(note.contains("made up: 6, 10, 12"), "{note}");
    std::fs::write(folder.path().join("dump.txt"), &dump).unwrap();
    let again =
        ok_json(folder.path(), &["trace", "import", "--from", "apdu4j", "dump.txt", "--out", "again.jsonl"]);
    assert_eq!(again["exchanges"], 5);
}
