//! How many APDUs a second the whole runtime takes, on one core: echo of 16 bytes, SELECT, and a persistent
//! write, unsynced and synced. `cargo run --release -p onetap-applet --example apdu_rate`
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use onetap_applet::Environment;
use onetap_applet::applets::{Echo, Purse};
use onetap_applet::nvm::{ImageFile, ImageOptions, MemoryImage, Nvm};
use onetap_applet::runtime::Runtime;

const FOR: Duration = Duration::from_millis(1500);

fn rate(runtime: &mut Runtime, command: &[u8]) -> f64 {
    let mut out = Vec::new();
    runtime.transmit(command, &mut out);
    assert!(out.ends_with(&[0x90, 0x00]), "{out:02X?}");
    let (start, mut done) = (Instant::now(), 0_u32);
    while start.elapsed() < FOR {
        for _ in 0..1000 {
            runtime.transmit(black_box(command), &mut out);
        }
        black_box(&out);
        done += 1000;
    }
    f64::from(done) / start.elapsed().as_secs_f64()
}

fn slow_rate(runtime: &mut Runtime, command: &[u8]) -> f64 {
    let mut out = Vec::new();
    let (start, mut done) = (Instant::now(), 0_u32);
    while start.elapsed() < FOR {
        runtime.transmit(black_box(command), &mut out);
        assert!(out.ends_with(&[0x90, 0x00]), "{out:02X?}");
        done += 1;
    }
    f64::from(done) / start.elapsed().as_secs_f64()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let modules = [Echo::module(), Purse::module()];
    let nvm = Nvm::format(Box::new(MemoryImage::default()))?;
    let mut runtime = Runtime::format(nvm, &modules, Environment::default())?;
    let refused = |sw| format!("refused with {sw}");
    runtime.install(&Echo::name(), Echo::name(), [0; 3], &[]).map_err(refused)?;
    let mut select = vec![0x00, 0xA4, 0x04, 0x00, 6];
    select.extend(Echo::name().as_bytes());
    println!("SELECT       {:>12.0} APDU/s", rate(&mut runtime, &select));
    let mut echo = vec![0x80, 0x10, 0x00, 0x00, 16];
    echo.extend([0x5A; 16]);
    echo.push(0);
    println!("echo 16 B    {:>12.0} APDU/s", rate(&mut runtime, &echo));
    for durable in [false, true] {
        let folder = tempfile::tempdir_in(".")?;
        let image = ImageFile::create(&folder.path().join("card"), ImageOptions { durable })?;
        let mut runtime = Runtime::format(Nvm::format(Box::new(image))?, &modules, Environment::default())?;
        runtime.install(&Purse::name(), Purse::name(), [0; 3], b"1234").map_err(refused)?;
        let mut select = vec![0x00, 0xA4, 0x04, 0x00, 7];
        select.extend(Purse::name().as_bytes());
        runtime.transmit(&select, &mut Vec::new());
        runtime.transmit(&[0x80, 0x30, 0, 0, 4, 0, 1, 0, 0], &mut Vec::new());
        runtime.transmit(&[0x80, 0x20, 0, 0, 4, b'1', b'2', b'3', b'4'], &mut Vec::new());
        // Nothing changes but the number of debits: one page for each command.
        let debit = [0x80, 0x32, 0, 0, 4, 0, 0, 0, 0, 0];
        println!("write, durable: {durable:<5} {:>8.0} APDU/s", slow_rate(&mut runtime, &debit));
    }
    Ok(())
}
