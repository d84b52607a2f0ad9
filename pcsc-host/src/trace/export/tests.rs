//! Round trips, and what a trace does not have.

use super::*;
use crate::trace::{BytePattern, Header, LogFormat, Recorder, import};

/// A card that answers exactly, with a PIN, a status word of a class, a challenge and a card that leaves.
const TRACE: &str = r#"{"onetap-trace":1,"description":"a \u001b card","started":"2026-07-01T12:00:00"}
{"field-in":{"atr":"3B85018073C001DB6D"},"at-us":10}
{"command":"00A4040000","at-us":1000}
{"response":{"sw":"9000","data":"6F108408A000000151000000A5049F6501FF"},"at-us":25000}
{"command":"0020000104????????","at-us":30000}
{"response":{"sw":"63C2"},"at-us":31000}
{"key":"confirm"}
{"command":"0084000008","at-us":32000}
{"response":{"sw":"9000","data":"????????????????","recorded":"0102030405060708"},"at-us":33000}
{"reset":{"atr":"3B85018073C001DB6D"},"at-us":34000}
{"command":"00EE0000","at-us":35000}
{"response":{"sw":["6D00","6Exx"]},"at-us":36000}
{"field-out":{},"at-us":37000}
"#;

fn exported(format: ExportFormat, trace: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let trace = Trace::parse(trace).unwrap();
    let commands = export(format, &trace, &mut out).unwrap();
    assert_eq!(
        commands,
        trace.events.iter().filter(|event| matches!(event, Event::Command(_))).count() as u64
    );
    out
}

fn text(format: ExportFormat) -> String {
    String::from_utf8(exported(format, TRACE)).unwrap()
}

fn imported(format: LogFormat, text: &str) -> Trace {
    let recorder = Recorder::new(Vec::new(), &Header::new("again")).keeping();
    import(format, text.as_bytes(), &recorder).unwrap();
    Trace::parse(&String::from_utf8(recorder.finish().unwrap()).unwrap()).unwrap()
}

#[test]
fn a_dump_of_apdu4j_is_as_apdu4j_writes_it() {
    let wanted = "# a \\u{1b} card\n# ATR: 3B85018073C001DB6D\n# PROTOCOL: T=1\n00A4040000\n# 24ms\n\
        6F108408A000000151000000A5049F6501FF9000\n\
        # line 5 of the trace has not all of these bytes: they are made up\n002000010400000000\n# 1ms\n63C2\n\
        # key confirm\n0084000008\n# 1ms\n01020304050607089000\n# ATR: 3B85018073C001DB6D\n# PROTOCOL: T=1\n\
        00EE0000\n# 1ms\n6D00\n# the card leaves\n";
    assert_eq!(text(ExportFormat::Apdu4j), wanted);
}

#[test]
fn a_script_for_scriptor_has_the_answers_beside_it() {
    let script = text(ExportFormat::Scriptor);
    let begins = "# a \\u{1b} card\nreset\n# < OK: 3B 85 01 80 73 C0 01 DB 6D\n00 A4 04 00 00\n# < 6F 10";
    assert!(script.starts_with(begins), "{script}");
}

#[test]
fn a_script_of_etsi_has_what_must_come() {
    let script = text(ExportFormat::Satl);
    let wanted = "REM a \\u{1b} card\nRST\nREM ATR: 3B 85 01 80 73 C0 01 DB 6D\nCMD 00 A4 04 00 00 \\\n \
        [6F 10 84 08 A0 00 00 01 51 00 00 00 A5 04 9F 65 \\\n 01 FF] \\\n (90 00)\n";
    assert!(script.starts_with(wanted), "{script}");
    assert!(script.contains("CMD 00 84 00 00 08 \\\n [XX XX XX XX XX XX XX XX] \\\n (90 00)\n"), "{script}");
    assert!(script.contains("CMD 00 EE 00 00 \\\n (6D 00, 6E XX)\nOFF\n"), "{script}");
}

/// Command and answer of each exchange, and each reset.
fn exchanges(trace: &Trace) -> Vec<Vec<u8>> {
    let mut bytes = Bytes::of(trace);
    let told = trace.events.iter().filter_map(|event| match bytes.happens(event) {
        Happening::Reset(atr) => Some(atr.unwrap_or_default()),
        Happening::Command(bytes) | Happening::Response(bytes, _) => Some(bytes),
        _ => None,
    });
    told.collect()
}

#[test]
fn what_was_exported_and_imported_again_is_the_same() {
    let trace = Trace::parse(TRACE).unwrap();
    for (format, log) in
        [(ExportFormat::Apdu4j, LogFormat::Apdu4j), (ExportFormat::Scriptor, LogFormat::ScriptorInput)]
    {
        let again = imported(log, &text(format));
        assert_eq!(exchanges(&again), exchanges(&trace), "{format}");
        let mut anew = Vec::new();
        export(format, &again, &mut anew).unwrap();
        assert_eq!(imported(log, &String::from_utf8(anew).unwrap()), again, "{format}");
    }
    let script = text(ExportFormat::Satl);
    let again = imported(LogFormat::Satl, &script);
    let patterns = |trace: &Trace| {
        let of = trace.events.iter().filter_map(|event| match event {
            Event::Response(pattern) => {
                Some((pattern.sw.clone(), pattern.data.clone().filter(|data| !data.to_string().is_empty())))
            }
            _ => None,
        });
        of.collect::<Vec<_>>()
    };
    let (before, after) = (patterns(&trace), patterns(&again));
    assert_eq!(before.len(), after.len());
    for ((sw, data), (sw_again, data_again)) in before.iter().zip(&after) {
        assert_eq!(sw, sw_again);
        let any = Some(BytePattern::default());
        assert!(data == data_again || (data.is_none() && *data_again == any), "{data:?} {data_again:?}");
    }
}

/// The same scenario in each format: bytes that were not recorded are said, and nothing fails.
#[test]
fn traces_of_ours_are_exported_with_transactions_and_made_up_signatures() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/traces");
    let mut files = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|ext| ext != "jsonl") {
            continue;
        }
        let trace = Trace::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert!(!trace.made_up().is_empty(), "{}", path.display());
        for format in [ExportFormat::Apdu4j, ExportFormat::Scriptor, ExportFormat::Satl, ExportFormat::Pcap] {
            let mut out = Vec::new();
            assert!(export(format, &trace, &mut out).unwrap() >= 4, "{}", path.display());
        }
        let mut out = Vec::new();
        export(ExportFormat::Apdu4j, &trace, &mut out).unwrap();
        let again = imported(LogFormat::Apdu4j, &String::from_utf8(out).unwrap());
        assert_eq!(exchanges(&again).len(), exchanges(&trace).len(), "{}", path.display());
        files += 1;
    }
    assert!(files > 20);
}
