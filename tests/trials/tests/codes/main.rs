//! Payment codes in pictures (P-02), beside zbar: codes of two generators, segno and the crate `qrcode`, in the eight
//! character sets of EPC069-12 and as EMVCo has them, turned, in weak contrast and noisy.
//!
//! `ONETAP_YUBIKIT` names a Python interpreter that has segno, and `zbarimg` is in the path; `scripts/setup test` sees
//! to both. `ONETAP_CODES` is the number of pictures.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test and its row for the soak"
)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "pixels"
)]

mod bad;
mod render;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use onetap_pcsc_host::source::{Scanned, code, picture};
use qrcode::{Color, EcLevel, QrCode};
use render::{Matrix, Shot};

const PICTURES: u64 = 40;

/// Names and texts in the character sets of EPC069-12; their bytes are from Python's codecs.
const SETS: [(&str, &[u8], &str); 8] = [
    ("1", b"M\xc3\xbcller B\xc4\x83cania", "Müller Băcania"),
    ("2", b"M\xfcller & S\xf6hne", "Müller & Söhne"),
    ("3", b"\xa3\xf3d\xbc \xc8esk\xfd", "Łódź Český"),
    ("4", b"R\xefgas \xbeurn\xe0ls", "Rīgas žurnāls"),
    ("5", b"\xb1\xea\xdb\xd3\xd0\xe0\xd8\xef", "България"),
    ("6", b"\xc1\xe8\xde\xed\xe1", "Αθήνα"),
    ("7", b"\xde\xf3r\xf0ur \xa6", "Þórður Ķ"),
    ("8", b"\xbd\xbcuvre \xb8", "œŒuvre ž"),
];

/// The content of a code, and the payee that it names.
fn content(i: u64) -> (Vec<u8>, &'static str) {
    let (set, name, text) = SETS[(i / 2 % 8) as usize];
    if i % 10 == 9 {
        return (emv(i), "Coffee Shop");
    }
    let head = format!("BCD\n002\n{set}\nSCT\n\n");
    let tail = format!("\nDE89370400440532013000\nEUR{}.50\n\n\nInvoice {i}\n", i + 1);
    ([head.as_bytes(), name, tail.as_bytes()].concat(), text)
}

/// A merchant's static code, with its checksum by bitwise long division.
fn emv(i: u64) -> Vec<u8> {
    let till = format!("{i:04}");
    let mut code = format!(
        "00020101021126400010org.scheme0122DE8937040044053201300052045812530397854041.505802DE5911Coffee Shop\
         6006Berlin62080504{till}6304"
    );
    let mut rest = 0xFFFF_u32;
    for byte in code.bytes() {
        rest ^= u32::from(byte) << 8;
        for _ in 0..8 {
            rest = if rest & 0x8000 == 0 { rest << 1 } else { (rest << 1) ^ 0x1_1021 };
        }
    }
    code += &format!("{rest:04X}");
    code.into_bytes()
}

/// Codes of segno, all in one run.
fn segno(python: &Path, contents: &[Vec<u8>]) -> Vec<Matrix> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/codes/segno_matrix.py");
    let mut child =
        Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let list: Vec<_> = contents.iter().map(hex::encode).collect();
    child.stdin.take().unwrap().write_all(&serde_json::to_vec(&list).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let codes: Vec<Vec<String>> = serde_json::from_slice(&output.stdout).unwrap();
    codes
        .iter()
        .map(|rows| rows.iter().map(|row| row.chars().map(|c| c == '1').collect()).collect())
        .collect()
}

fn qrcode(content: &[u8]) -> Matrix {
    let code = QrCode::with_error_correction_level(content, EcLevel::M).unwrap();
    let dark: Vec<_> = code.to_colors().into_iter().map(|color| color == Color::Dark).collect();
    dark.chunks(code.width()).map(<[bool]>::to_vec).collect()
}

/// The bytes that zbar reads, if any.
fn zbar(folder: &Path, picture: &[u8]) -> Option<Vec<u8>> {
    let path = folder.join("picture");
    std::fs::write(&path, picture).unwrap();
    let program = ["--quiet", "--raw", "--oneshot", "-Sbinary", "-Sdisable", "-Sqrcode.enable"];
    let output = Command::new("zbarimg").args(program).arg(&path).stderr(Stdio::null()).output().unwrap();
    output.status.success().then_some(output.stdout)
}

fn payee(scanned: &Scanned) -> String {
    match scanned {
        Scanned::Complete(draft) => draft.payee_name.to_string(),
        Scanned::Open(open) => open.payee_name().to_string(),
    }
}

#[test]
fn p_02_pictures_of_codes_are_read_as_zbar_reads_them_or_better() {
    let Some(python) = std::env::var_os("ONETAP_YUBIKIT") else {
        eprintln!("not run: ONETAP_YUBIKIT names no Python interpreter with segno");
        return;
    };
    let count = std::env::var("ONETAP_CODES").map_or(PICTURES, |count| count.parse().unwrap());
    let contents: Vec<_> = (0..count).map(content).collect();
    let bytes: Vec<_> = contents.iter().map(|(bytes, _)| bytes.clone()).collect();
    let foreign = segno(Path::new(&python), &bytes);
    let folder = tempfile::tempdir().unwrap();
    let (mut ours, mut theirs, mut wrong, mut worse) = (0, 0, Vec::new(), Vec::new());
    for (i, ((content, name), segno)) in (0..).zip(contents.iter().zip(&foreign)) {
        let matrix = if i % 2 == 0 { segno.clone() } else { qrcode(content) };
        let taken = Shot::of(i).take(&matrix, i);
        let read = picture::encoded(&taken).ok();
        let zbar = zbar(folder.path(), &taken).is_some_and(|read| read == *content);
        ours += u64::from(read.is_some());
        theirs += u64::from(zbar);
        match read {
            Some(read) if read != *content || payee(&code(&read).unwrap()) != *name => wrong.push(i),
            None if zbar => worse.push(i),
            _ => (),
        }
    }
    println!("codes: pictures={count} read={ours} zbar={theirs} worse={} wrong={}", worse.len(), wrong.len());
    assert_eq!((worse, wrong), (Vec::<u64>::new(), Vec::<u64>::new()));
    assert!(ours >= theirs && ours * 10 >= count * 9, "{ours} of {count}, zbar {theirs}");
}
