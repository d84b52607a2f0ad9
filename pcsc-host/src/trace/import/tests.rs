//! Logs as the programs write them, and logs that were cut or mixed. The samples of pcscd, OpenSC, scriptor, pyscard and
//! libpcscspy were printed by these programs; those of apdu4j and GlobalPlatformPro follow their documentation.

use super::*;
use crate::trace::{Event, Header, Trace};

const SELECT: &str = "00A4040000";
const FCI: &str = "6F108408A000000151000000A5049F6501FF";
const ATR: &str = "3B85018073C001DB6D";

/// SELECT and a command that is refused, in each format; and whether the answer to reset is in it.
const SAMPLES: [(LogFormat, bool, &str); 7] = [
    (
        LogFormat::Apdu4j,
        true,
        "# ATR: 3B85018073C001DB6D\n# PROTOCOL: T=1\n00A4040000\n# 24ms\n6F108408A000000151000000A5049F6501FF9000\n\n\
         00EE0000\n6E00\n",
    ),
    (
        LogFormat::GlobalPlatformPro,
        true,
        "SCardConnect(\"Virtual PCD 00 00\", T=*) -> T=1, 3B85018073C001DB6D\n\
         [DEBUG] Terminal - A>> T=1 (4+0000) 00A40400 00 \n\
         A<< (0018+2) (23ms) 6F108408A000000151000000A5049F6501FF 9000\n\
         A>> (4+0000) 00EE0000\nA<< (0000+2) (1ms) 6E00\nSCardDisconnect(\"Virtual PCD 00 00\", true)\n",
    ),
    (
        LogFormat::Pcscd,
        true,
        "00000026 Card ATR: 3B 85 01 80 73 C0 01 DB 6D \n00000159 APDU: 00 A4 04 00 00 \n\
         00000052 SW: 6F 10 84 08 A0 00 00 01 51 00 00 00 A5 04 9F 65 01 FF 90 00 \n\
         \u{1b}[36m00000114\u{1b}[0m \u{1b}[35mAPDU: 00 EE 00 00 \u{1b}[0m\n00000010 winscard.c:1 other words\n\
         00000053 SW: 6E 00 \n",
    ),
    (
        LogFormat::OpenSc,
        true,
        "P:3072; T:0x14 06:25:11.074 [opensc-tool] card.c:1234:match_atr_table: ATR     : 3b:85:01:80:73:c0:01:db:6d\n\
         P:3072; T:0x14 06:25:11.078 [opensc-tool] reader-pcsc.c:323:pcsc_transmit: reader 'Virtual PCD 00 00'\n\
         P:3072; T:0x14 06:25:11.078 [opensc-tool] reader-pcsc.c:324:pcsc_transmit: \nOutgoing APDU (5 bytes):\n\
         00 A4 04 00 00 .....\n\nP:3072; T:0x14 06:25:11.078 [opensc-tool] reader-pcsc.c:335:pcsc_transmit: \n\
         Incoming APDU (20 bytes):\n6F 10 84 08 A0 00 00 01 51 00 00 00 A5 04 9F 65 o.......Q......e\n\
         01 FF 90 00                                     ....\n\nOutgoing APDU (4 bytes):\n00 EE 00 00 ....\n\n\
         Incoming APDU (2 bytes):\n6E 00 n.\n",
    ),
    (
        LogFormat::Scriptor,
        true,
        "Using T=1 protocol\n# a comment\nreset\n> RESET\n< OK: 3B 85 01 80 73 C0 01 DB 6D \n00 A4 04 00 00\n\
         > 00 A4 04 00 00\n< 6F 10 84 08 A0 00 00 01 51 00 00 00 A5 04 9F 65 \n01 FF 90 00 : Normal processing.\n\
         00 EE \\\n00 00\n> 00 EE 00 00\n< 6E 00 : Class not supported.\n",
    ),
    (
        LogFormat::Pyscard,
        false,
        "connecting to Virtual PCD 00 00\n> 00 A4 04 00 00\n\
         < 6F 10 84 08 A0 00 00 01 51 00 00 00 A5 04 9F 65 01 FF 90 0 \n> 00 EE 00 00\n<  [] 6E 0 \n\
         disconnecting from Virtual PCD 00 00\n",
    ),
    (
        LogFormat::PcscSpy,
        false,
        "7F39@>|1796019936|922457|SCardConnect\n7F39@0x39796029\n7F39@Virtual PCD 00 00\n\
         7F39@<|1796019936|922689|SCardConnect|Command successful.|0x00000000\n\
         7F39@>|1796019936|922691|SCardTransmit\n7F39@0x74C9CC13\n7F39@0x00000005\n7F39@00 A4 04 00 00 \n\
         7F3A@>|1796019936|922692|SCardListReaders\n7F39@0x00000014\n\
         7F39@6F 10 84 08 A0 00 00 01 51 00 00 00 A5 04 9F 65 01 FF 90 00 \n\
         7F39@<|1796019936|922807|SCardTransmit|Command successful.|0x00000000\n\
         7F39@>|1796019936|922809|SCardTransmit\n7F39@0x74C9CC13\n7F39@00 EE 00 00 \n\
         7F39@0x00000002\n7F39@6E 00 \n7F39@<|1796019936|922919|SCardTransmit|0x00000000\n",
    ),
];

fn imported(format: LogFormat, log: &[u8]) -> (Result<Imported, ImportError>, Vec<Event>) {
    let recorder = Recorder::new(Vec::new(), &Header::new("a log"));
    let found = import(format, log, &recorder);
    let text = String::from_utf8(recorder.finish().unwrap()).unwrap();
    (found, Trace::parse(&text).unwrap().events)
}

/// The events, in the words of a trace.
fn words(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| serde_json::to_string(event).unwrap()).collect()
}

fn wrong(format: LogFormat, log: &[u8]) -> (u64, Wrong) {
    match imported(format, log).0 {
        Err(ImportError::Line { line, wrong }) => (line, wrong),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_apdu_of_each_format_is_read_in_order_and_none_is_invented() {
    for (format, has_atr, log) in SAMPLES {
        let (found, events) = imported(format, log.as_bytes());
        let lines = log.lines().count() as u64;
        assert_eq!(found.unwrap(), Imported { lines, exchanges: 2 }, "{format}");
        let atr = if has_atr { ATR } else { ".." };
        let wanted = [
            format!(r#"{{"field-in":{{"atr":"{atr}"}}}}"#),
            format!(r#"{{"command":"{SELECT}"}}"#),
            format!(r#"{{"response":{{"sw":"9000","data":"{FCI}"}}}}"#),
            r#"{"command":"00EE0000"}"#.to_owned(),
            r#"{"response":{"sw":"6E00"}}"#.to_owned(),
        ];
        assert_eq!(words(&events), wanted, "{format}");
    }
}

/// Notepad and PowerShell: UTF-16 in either order, a byte order mark, CR LF.
#[test]
fn a_log_that_windows_wrote_is_the_same_log() {
    for (format, _, log) in SAMPLES {
        let (_, wanted) = imported(format, log.as_bytes());
        let windows = log.replace('\n', "\r\n");
        let units = || std::iter::once(0xFEFF).chain(windows.encode_utf16());
        let little: Vec<u8> = units().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = units().flat_map(u16::to_be_bytes).collect();
        for bytes in [&little, &big, format!("\u{FEFF}{windows}").as_bytes(), windows.as_bytes()] {
            let (found, events) = imported(format, bytes);
            assert_eq!((found.unwrap().exchanges, events), (2, wanted.clone()), "{format}");
        }
    }
}

/// Cut after any byte it is read as far as it goes, or refused with the line at which it ends: nothing is invented.
#[test]
fn a_log_cut_anywhere_says_so_or_is_a_shorter_log() {
    for (format, _, log) in SAMPLES {
        let all = words(&imported(format, log.as_bytes()).1);
        let mut refused = 0;
        for at in 0..log.len() {
            let recorder = Recorder::new(Vec::new(), &Header::new("a log"));
            let found = import(format, &log.as_bytes()[..at], &recorder);
            refused += usize::from(matches!(found, Err(ImportError::Line { .. })));
            let events =
                Trace::parse(&String::from_utf8(recorder.finish().unwrap()).unwrap()).unwrap().events;
            assert!(all.starts_with(&words(&events)), "{format} at {at}: {events:?}");
        }
        assert!(refused > 10, "{format}");
    }
}

#[test]
fn two_programs_in_one_log_and_other_nonsense_are_said_with_their_line() {
    let pcscd = LogFormat::Pcscd;
    assert_eq!(wrong(pcscd, b"1 APDU: 00 A4 04 00\n2 APDU: 00 A4 04 0C\n"), (2, Wrong::Unanswered(1)));
    assert_eq!(wrong(pcscd, b"1 SW: 90 00\n"), (1, Wrong::Unasked));
    assert_eq!(wrong(pcscd, b"1 APDU: 00 A4\n"), (1, Wrong::Short(2)));
    assert_eq!(wrong(pcscd, b"1 APDU: 00 A4 04 0\n1 SW: 9\n"), (2, Wrong::Short(1)));
    assert_eq!(wrong(pcscd, b"1 APDU: 00 A4 04 0x\n"), (1, Wrong::NotHex("0x".into())));
    assert_eq!(wrong(pcscd, b"1 APDU: 00 A4 04 00\n2 SW: 90 00"), (2, Wrong::Unended));
    assert_eq!(wrong(pcscd, b"1 APDU: 00 A4 04 00\n\n"), (3, Wrong::Cut("the response to the last command")));
    let opensc =
        b"Outgoing APDU (17 bytes):\n00 A4 04 00 0B E8 2B 06 01 04 01 81 C3 1F 02 01 ................\n";
    assert_eq!(wrong(LogFormat::OpenSc, opensc), (3, Wrong::Length { announced: 17, got: 16 }));
    let nothing = imported(pcscd, b"three\nlines\nof words\n").0.unwrap_err().to_string();
    assert!(nothing.contains("none of its 3 lines") && nothing.contains("pcscd"), "{nothing}");
    let endless = vec![b'0'; 3 << 20];
    assert_eq!(wrong(LogFormat::Apdu4j, &endless), (1, Wrong::TooLong));
    let foreign = wrong(LogFormat::Apdu4j, b"\x1b[2J\n").1.to_string();
    assert!(!foreign.contains('\u{1b}'), "{foreign}");
}

/// The public example of ETSI TS 101 955, shortened, and a command without anything expected.
const ETSI: &str = "\
REM this is an example
RST
CMD A0 C2 00 00 00 (91 33 , 69 XX)
CMD A0 C2 00 00 B0 \\
 [XX XX XX 55 55 XX 55](91 33)
CMD A0 C2 00 00 B0 [] (90 00)

CMD A0 C2 00 00 04 \\
 D1 31 \\
 82 02 \\
 (90 00)
CMD A0 C0 00 00
OFF
";

#[test]
fn a_script_says_what_must_come() {
    let (found, events) = imported(LogFormat::Satl, ETSI.as_bytes());
    assert_eq!(found.unwrap(), Imported { lines: 13, exchanges: 5 });
    let wanted = [
        r#"{"field-in":{"atr":".."}}"#,
        r#"{"command":"A0C2000000"}"#,
        r#"{"response":{"sw":["9133","69xx"],"data":".."}}"#,
        r#"{"command":"A0C20000B0"}"#,
        r#"{"response":{"sw":"9133","data":"??????5555??55"}}"#,
        r#"{"command":"A0C20000B0"}"#,
        r#"{"response":{"sw":"9000","data":".."}}"#,
        r#"{"command":"A0C2000004D1318202"}"#,
        r#"{"response":{"sw":"9000","data":".."}}"#,
        r#"{"command":"A0C00000"}"#,
        r#"{"response":{"sw":["6xxx","9xxx"],"data":".."}}"#,
        r#"{"field-out":{}}"#,
    ];
    assert_eq!(words(&events), wanted);
    let satl = |text: &str| wrong(LogFormat::Satl, text.as_bytes());
    assert_eq!(satl("RST\nINI FF FF\n"), (2, Wrong::NoStatement("INI".into())));
    assert_eq!(satl("CMD A0 C2 00 00 [XX\n"), (1, Wrong::Cut("a closing bracket")));
    assert_eq!(satl("CMD A0 C2 00 00 (9 XX)\n"), (1, Wrong::NotHex("9XX".into())));
    assert_eq!(satl("CMD A0 C2 00 00 [X1] (9000)\n"), (1, Wrong::NotHex("X1".into())));
    assert_eq!(satl("CMD A0 C2 00 00 \\\n"), (2, Wrong::Cut("the rest of a line that goes on")));
    assert_eq!(satl("CMD A0 C2 00 00 (90 00)"), (1, Wrong::Unended));
    assert!(matches!(satl(&"CMD A0 \\\n".repeat(300_000)), (_, Wrong::TooLong)));
}

#[test]
fn a_script_of_scriptor_may_have_answers_and_needs_none() {
    let script = "# a comment\r\nreset\r\n# < OK: 3B 00\r\n00 A4 04 00 \\\r\n00\r\n# < 90 00\r\n\r\n00EE0000\r\nRESET\r\n";
    let (found, events) = imported(LogFormat::ScriptorInput, script.as_bytes());
    assert_eq!(found.unwrap().exchanges, 2);
    let wanted = [
        r#"{"field-in":{"atr":"3B00"}}"#,
        r#"{"command":"00A4040000"}"#,
        r#"{"response":{"sw":"9000"}}"#,
        r#"{"command":"00EE0000"}"#,
        r#"{"response":{"sw":["6xxx","9xxx"],"data":".."}}"#,
        r#"{"reset":{"atr":".."}}"#,
    ];
    assert_eq!(words(&events), wanted);
    let scriptor = |text: &str| wrong(LogFormat::ScriptorInput, text.as_bytes());
    assert_eq!(scriptor("00 A4 04 00\nwait\n"), (2, Wrong::NotHex("wait".into())));
    assert_eq!(scriptor("00 A4 04\n"), (1, Wrong::Short(3)));
}

/// Scripts cut anywhere are shorter scripts, or refused; each command is one of the whole script's.
#[test]
fn a_script_cut_anywhere_invents_no_command() {
    let scriptor = "reset\n# < OK: 3B 00\n00 A4 04 00 \\\n00\n# < 90 00\n00EE0000\n";
    for (format, script) in [(LogFormat::Satl, ETSI), (LogFormat::ScriptorInput, scriptor)] {
        let commands = |events: &[Event]| {
            words(events).into_iter().filter(|w| w.contains("command")).collect::<Vec<_>>()
        };
        let all = commands(&imported(format, script.as_bytes()).1);
        for at in 0..script.len() {
            let found = commands(&imported(format, &script.as_bytes()[..at]).1);
            assert!(all.starts_with(&found), "{format} at {at}: {found:?}");
        }
    }
}

/// A PIN that another program's log holds does not come into the trace.
#[test]
fn a_pin_stays_behind() {
    let log = b"0020000104313233340\n".strip_suffix(b"0\n").unwrap();
    let log = [log, b"\n9000\n002C00010831323334353637380A\n9000\n"].concat();
    let (_, events) = imported(LogFormat::Apdu4j, &log);
    assert_eq!(words(&events)[1], r#"{"command":"0020000104????????"}"#);
    assert!(!words(&events).concat().contains("31323334"), "{events:?}");
}
