//! Through pcscd and vpcd: our card in one reader, a bare one in the other, asked by turns.

use std::hint::black_box;
use std::path::Path;
use std::sync::{Arc, Mutex};

use onetap_apdu_spec::apdu::Form;
use onetap_apdu_spec::command::Name;
use onetap_apdu_spec::objects;
use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::Environment;
use onetap_applet::applets::Echo;
use onetap_applet::card::Product;
use onetap_applet::front::vpcd::{Stop, VpcdConfig, serve};
use onetap_applet::nvm::MemoryImage;
use onetap_applet::runtime::DEFAULT_SELECTED;
use onetap_pcsc_host::pcsc::{Wanted, wait_for_card, wait_for_removal};
use onetap_pcsc_host::{Atr, Deadline, Disposition, Reader as _, ReaderError, Transport};

use crate::bare::{Answers, Bare, Manner};
use crate::row::{Row, median};
use crate::support::{Fallible, LONG, Payer, SECOND_SLOT, WAIT, has_pcscd, session, virtual_readers};
use crate::{ROUNDS, openssl_rsa_2048, seconds};

/// APDUs of each card.
const CALLS: usize = 4_000;
/// APDUs of the naive card, 44 to 50 ms each.
const NAIVE_CALLS: usize = 40;
/// Transactions in a round.
const TRANSACTIONS: usize = 200;

pub(crate) fn measure(folder: &Path) -> Fallible<Vec<Row>> {
    if !has_pcscd() {
        return Ok(Vec::new());
    }
    let payer = Payer::new(folder, Suite::default())?;
    let stop = Stop::new();
    std::thread::scope(|scope| {
        let (card, inner) = (Arc::clone(&payer.card), stop.clone());
        scope.spawn(move || serve(&card, &VpcdConfig::default(), &inner));
        let rows = compare(&payer);
        stop.stop();
        rows
    })
    .and_then(|mut rows| {
        rows.insert(1, applet()?);
        Ok(rows)
    })
}

/// An applet of the tutorial, a card without a display and keys, beside a bare card that echoes by heart.
fn applet() -> Fallible<Row> {
    let name = Echo::name();
    let product = Product::new(&[Echo::module()]).instance(name, name, [DEFAULT_SELECTED, 0, 0], &[]);
    let card = product.make(Box::new(MemoryImage::default()), Environment::default())?;
    let (card, stop) = (Arc::new(Mutex::new(card)), Stop::new());
    for reader in virtual_readers()? {
        wait_for_removal(&reader, &Deadline::after(WAIT))?;
    }
    std::thread::scope(|scope| {
        let inner = stop.clone();
        scope.spawn(move || serve(&card, &VpcdConfig::default(), &inner));
        let row = echoes();
        stop.stop();
        row
    })
}

fn echoes() -> Fallible<Row> {
    const COMMAND: [u8; 22] = *b"\x80\x10\x00\x00\x1016 bytes to say.\x00";
    let answer = [&COMMAND[5..21], &StatusWord::OK.to_bytes()].concat();
    let [first, second] = virtual_readers()?;
    let _bare = Bare::insert(SECOND_SLOT, vec![(COMMAND.to_vec(), answer)], Manner::Quick)?;
    let connect = |name: &str| {
        wait_for_card(&Wanted::in_reader(name), &Deadline::after(WAIT))?.connect(&Deadline::after(LONG))
    };
    let (mut ours, mut bare) = (connect(&first)?, connect(&second)?);
    let (_, row) = round_trip("APDU to an applet of the tutorial, p50", &mut *ours, &mut *bare, &COMMAND)?;
    ours.release(Disposition::Leave)?;
    bare.release(Disposition::Leave)?;
    Ok(row)
}

fn compare(payer: &Payer) -> Fallible<Vec<Row>> {
    let [first, second] = virtual_readers()?;
    let mut reader = wait_for_card(&Wanted::in_reader(&first), &Deadline::after(WAIT))?;
    let mut ours = reader.connect(&Deadline::after(LONG))?;
    let (status, answers) = record(payer, &mut *ours)?;
    let mut rows = Vec::new();
    let bare_card = Bare::insert(SECOND_SLOT, answers.clone(), Manner::Quick)?;
    {
        let mut reader = wait_for_card(&Wanted::in_reader(&second), &Deadline::after(WAIT))?;
        let mut bare = reader.connect(&Deadline::after(LONG))?;
        let name = "APDU through pcscd and vpcd, p50";
        let (our_time, row) = round_trip(name, &mut *ours, &mut *bare, &status)?;
        rows.push(row);
        rows.extend(transactions(payer, &mut *ours, (&mut *bare, &bare_card), &answers)?);
        bare.release(Disposition::Leave)?;
        drop(bare_card);
        rows.insert(1, naive(&second, answers, &status, our_time)?);
    }
    ours.release(Disposition::Leave)?;
    Ok(rows)
}

/// GET DATA of the card status, and every answer of ours to it and to one whole transaction.
fn record(payer: &Payer, ours: &mut dyn Transport) -> Fallible<(Vec<u8>, Answers)> {
    payer.again()?;
    let mut recorder = Recorder { inner: ours, answers: Answers::new() };
    session(&mut recorder)?;
    let status = Name::GetData.spec().apdu(Some(objects::CARD_STATUS), &[]);
    let status = onetap_apdu_spec::apdu::CommandApdu { ne: Some(256), ..status }.encode(Form::Short)?;
    recorder.transmit(&status)?;
    Ok((status, recorder.answers))
}

/// The p50 of one APDU, by turns; with ours in seconds.
fn round_trip(
    name: &'static str,
    ours: &mut dyn Transport,
    bare: &mut dyn Transport,
    apdu: &[u8],
) -> Fallible<(f64, Row)> {
    let (mut our_times, mut bare_times) = (Vec::new(), Vec::new());
    for _ in 0..CALLS {
        our_times.push(seconds(|| ours.transmit(black_box(apdu)))?);
        bare_times.push(seconds(|| bare.transmit(black_box(apdu)))?);
    }
    let (ours, bare) = (median(our_times), median(bare_times));
    let row = Row::new(name, ours * 1e6, "bare card", bare * 1e6, ours / bare);
    Ok((ours, row.at_most(1.15)))
}

/// What a card gets that leaves its socket alone.
fn naive(reader: &str, answers: Answers, apdu: &[u8], ours: f64) -> Fallible<Row> {
    wait_for_removal(reader, &Deadline::after(WAIT))?;
    let _card = Bare::insert(SECOND_SLOT, answers, Manner::Naive)?;
    let mut reader = wait_for_card(&Wanted::in_reader(reader), &Deadline::after(WAIT))?;
    let mut naive = reader.connect(&Deadline::after(LONG))?;
    let mut times = Vec::new();
    for _ in 0..NAIVE_CALLS {
        times.push(seconds(|| naive.transmit(black_box(apdu)))?);
    }
    naive.release(Disposition::Leave)?;
    let naive = median(times);
    let name = "APDU of a naive card through pcscd and vpcd, p50";
    Ok(Row::new(name, naive * 1e6, "ours", ours * 1e6, naive / ours).at_least(300.0))
}

/// Whole transactions, then the same five exchanges with the bare card, in each round beside OpenSSL; then with a bare card
/// that computes as long as OpenSSL signs.
fn transactions(
    payer: &Payer,
    ours: &mut dyn Transport,
    (bare, bare_card): (&mut dyn Transport, &Bare),
    answers: &Answers,
) -> Fallible<Vec<Row>> {
    let commands: Vec<_> = answers[..5].iter().map(|(command, _)| command).collect();
    let [mut ours_by_round, mut bare_by_round, mut busy_by_round, mut peers] = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        let signature = openssl_rsa_2048()?;
        let [mut our_times, mut bare_times, mut busy_times] = [const { Vec::new() }; 3];
        for _ in 0..TRANSACTIONS {
            payer.again()?;
            our_times.push(seconds(|| session(ours))?);
            for (computes, times) in [(0.0, &mut bare_times), (signature, &mut busy_times)] {
                bare_card.compute_for(computes);
                let exchange = || commands.iter().try_for_each(|command| bare.transmit(command).map(drop));
                times.push(seconds(exchange)?);
            }
        }
        ours_by_round.push(median(our_times));
        bare_by_round.push(median(bare_times));
        busy_by_round.push(median(busy_times));
        peers.push(signature);
    }
    let ratio = |ours: &[f64], peers: &[f64]| median(ours.iter().zip(peers).map(|(a, b)| a / b).collect());
    let sums: Vec<f64> = peers.iter().zip(&bare_by_round).map(|(a, b)| a + b).collect();
    let row = |name, ours: &[f64], peer, peers: &[f64]| {
        Row::new(name, median(ours.to_vec()) * 1e6, peer, median(peers.to_vec()) * 1e6, ratio(ours, peers))
    };
    let sum = "bare card's five exchanges + OpenSSL RSA-2048 signature";
    Ok(vec![
        row("signing transaction through PC/SC", &ours_by_round, sum, &sums).at_most(1.15),
        row("of which a bare card that computes as long before it answers", &busy_by_round, sum, &sums),
        row(
            "of which transport: the same five exchanges on the bare card",
            &bare_by_round,
            "OpenSSL RSA-2048 signature",
            &peers,
        ),
    ])
}

/// Writes down what goes over.
struct Recorder<'a> {
    inner: &'a mut dyn Transport,
    answers: Answers,
}

impl Transport for Recorder<'_> {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        let response = self.inner.transmit(command)?;
        self.answers.push((command.to_vec(), response.clone()));
        Ok(response)
    }

    fn atr(&self) -> &Atr {
        self.inner.atr()
    }

    fn supports_extended(&self) -> bool {
        self.inner.supports_extended()
    }

    fn release(self: Box<Self>, _: Disposition) -> Result<(), ReaderError> {
        Ok(())
    }
}
