//! The vpcd client against a peer that speaks vpcd's side: split and coalesced segments, loss of the
//! connection, one tap, stopping.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use onetap_apdu_spec::apdu::Form;
use onetap_apdu_spec::command::{AID, CardState, Name};
use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::SharedCard;
use onetap_applet::front::vpcd::{Left, Meeting, Stop, VpcdConfig, VpcdError, serve};

use crate::rig::{Rig, transaction};

struct Peer {
    listener: TcpListener,
    card: SharedCard,
    stop: Stop,
    served: JoinHandle<Result<Left, VpcdError>>,
}

/// In vpcd's reversed mode the reader comes to the card.
struct Reversed {
    addr: SocketAddr,
    card: SharedCard,
    stop: Stop,
    served: JoinHandle<Result<Left, VpcdError>>,
}

fn start_reversed() -> Reversed {
    let meeting = Meeting::listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let addr = meeting.addr().unwrap();
    let config = VpcdConfig { meeting, leave_when_delivered: false, give_up_after: None };
    let card: SharedCard = Arc::new(Mutex::new(Rig::new().card));
    let stop = Stop::new();
    let (served_card, served_stop) = (Arc::clone(&card), stop.clone());
    let served = spawn(move || serve(&served_card, &config, &served_stop));
    Reversed { addr, card, stop, served }
}

fn come(reversed: &Reversed) -> TcpStream {
    let stream = TcpStream::connect(reversed.addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

#[test]
fn in_reversed_mode_the_reader_comes_and_comes_again() {
    let reversed = start_reversed();
    for _ in 0..3 {
        let mut stream = come(&reversed);
        exchange(&mut stream, Name::Select, &AID);
        assert!(reversed.card.lock().unwrap().in_field());
    }
    reversed.stop.stop();
    assert_eq!(reversed.served.join().unwrap().unwrap(), Left::Stopped);
}

#[test]
fn a_reader_that_comes_while_the_field_is_off_is_sent_away() {
    let reversed = start_reversed();
    let mut first = come(&reversed);
    exchange(&mut first, Name::Select, &AID);
    reversed.stop.hold();
    assert_eq!(first.read(&mut [0; 1]).unwrap(), 0, "out of the reader");
    let mut second = come(&reversed);
    assert!(second.read(&mut [0; 1]).is_ok_and(|read| read == 0), "and kept out");
    reversed.stop.resume();
    let mut third = come(&reversed);
    exchange(&mut third, Name::Select, &AID);
    reversed.stop.stop();
    assert_eq!(reversed.served.join().unwrap().unwrap(), Left::Stopped);
}

#[test]
fn a_card_that_waits_for_its_reader_can_be_stopped() {
    let reversed = start_reversed();
    reversed.stop.stop();
    assert_eq!(reversed.served.join().unwrap().unwrap(), Left::Stopped);
}

fn start(leave_when_delivered: bool) -> Peer {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let config = VpcdConfig {
        meeting: Meeting::At(listener.local_addr().unwrap()),
        leave_when_delivered,
        give_up_after: None,
    };
    let card: SharedCard = Arc::new(Mutex::new(Rig::new().card));
    let stop = Stop::new();
    let (served_card, served_stop) = (Arc::clone(&card), stop.clone());
    let served = spawn(move || serve(&served_card, &config, &served_stop));
    Peer { listener, card, stop, served }
}

fn accept(peer: &Peer) -> TcpStream {
    let stream = peer.listener.accept().unwrap().0;
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

pub(crate) fn framed(payload: &[u8]) -> Vec<u8> {
    [&u16::try_from(payload.len()).unwrap().to_be_bytes()[..], payload].concat()
}

pub(crate) fn receive(stream: &mut TcpStream) -> Vec<u8> {
    let mut len = [0; 2];
    stream.read_exact(&mut len).unwrap();
    let mut payload = vec![0; u16::from_be_bytes(len).into()];
    stream.read_exact(&mut payload).unwrap();
    payload
}

fn exchange(stream: &mut TcpStream, name: Name, data: &[u8]) -> Vec<u8> {
    let apdu = name.spec().apdu(None, data).encode(Form::Extended).unwrap();
    stream.write_all(&framed(&apdu)).unwrap();
    let response = receive(stream);
    assert!(response.ends_with(&StatusWord::OK.to_bytes()), "{name:?} {response:02X?}");
    response
}

fn pay(stream: &mut TcpStream) {
    exchange(stream, Name::Select, &AID);
    let alias = exchange(stream, Name::GetData, &[]);
    let message = transaction(std::str::from_utf8(&alias[3..19]).unwrap(), "12.34").encode().unwrap();
    exchange(stream, Name::PutTxn, message.bytes());
    exchange(stream, Name::GetSignature, &[]);
    exchange(stream, Name::GetEncPassword, &[]);
}

#[test]
fn p_03_messages_may_be_split_or_run_together() {
    let peer = start(false);
    let mut stream = accept(&peer);
    // Insertion as vpcd does it, in one segment: ATR, ATR, power on, ATR.
    stream.write_all(&[0, 1, 4, 0, 1, 4, 0, 1, 1, 0, 1, 4]).unwrap();
    let atr = receive(&mut stream);
    assert_eq!(atr, onetap_apdu_spec::atr::ATR);
    assert_eq!((receive(&mut stream), receive(&mut stream)), (atr.clone(), atr.clone()));
    // Byte by byte.
    let select = framed(
        &Name::Select
            .spec()
            .apdu(None, &AID)
            .encode(Form::Short)
            .unwrap_or_else(|_| [&[0, 0xA4, 4, 0, 8][..], &AID, &[0]].concat()),
    );
    for byte in select {
        stream.write_all(&[byte]).unwrap();
        stream.flush().unwrap();
    }
    assert!(receive(&mut stream).ends_with(&StatusWord::OK.to_bytes()));
    // An empty message is no command, and still gets two bytes.
    stream.write_all(&framed(&[])).unwrap();
    assert_eq!(receive(&mut stream), StatusWord::WRONG_LENGTH.to_bytes());
    pay(&mut stream);
    assert!(peer.card.lock().unwrap().in_field());
    peer.stop.stop();
    assert_eq!(peer.served.join().unwrap().unwrap(), Left::Stopped);
    assert!(!peer.card.lock().unwrap().in_field());
}

/// A reader that sends nothing that makes sense: the longest message, many empty ones, unknown words, half a
/// message and away. Each whole one that is no word of the protocol is answered with a status word.
#[test]
fn attack_any_lengths_from_the_reader() {
    let peer = start(false);
    for _ in 0..3 {
        let mut stream = accept(&peer);
        stream.write_all(&framed(&[1])).unwrap();
        stream.write_all(&framed(&[0; 65_535])).unwrap();
        assert_eq!(receive(&mut stream), StatusWord::WRONG_LENGTH.to_bytes());
        stream.write_all(&[0; 2 * 1000]).unwrap();
        for _ in 0..1000 {
            assert_eq!(receive(&mut stream), StatusWord::WRONG_LENGTH.to_bytes());
        }
        for word in [3, 5, 0xFF] {
            stream.write_all(&framed(&[word])).unwrap();
            assert_eq!(receive(&mut stream), StatusWord::WRONG_LENGTH.to_bytes(), "{word}");
        }
        exchange(&mut stream, Name::Select, &AID);
        stream.write_all(&[0xFF, 0xFF, 0]).unwrap();
    }
    peer.stop.stop();
    assert_eq!(peer.served.join().unwrap().unwrap(), Left::Stopped);
}

#[test]
fn p_19_one_tap_leaves_once_all_is_delivered() {
    let peer = start(true);
    let mut stream = accept(&peer);
    stream.write_all(&framed(&[1])).unwrap();
    pay(&mut stream);
    assert_eq!(peer.served.join().unwrap().unwrap(), Left::Delivered);
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "the card has gone");
    let card = peer.card.lock().unwrap();
    assert!(!card.in_field() && card.state() == CardState::Delivered);
}

#[test]
fn the_end_of_the_connection_is_removal_and_the_card_comes_back() {
    let peer = start(false);
    for _ in 0..3 {
        let mut stream = accept(&peer);
        stream.write_all(&[0, 1, 1, 0, 1, 4]).unwrap();
        receive(&mut stream);
        exchange(&mut stream, Name::Select, &AID);
    }
    peer.stop.stop();
    assert_eq!(peer.served.join().unwrap().unwrap(), Left::Stopped);
}

#[test]
fn without_a_reader_it_waits_longer_each_time_and_can_give_up() {
    let addr = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let card: SharedCard = Arc::new(Mutex::new(Rig::new().card));
    let give_up_after = Some(Duration::from_millis(50));
    let config = VpcdConfig { meeting: Meeting::At(addr), leave_when_delivered: false, give_up_after };
    let started = Instant::now();
    let why = serve(&card, &config, &Stop::new()).unwrap_err();
    assert!(started.elapsed() >= Duration::from_millis(50));
    assert!(why.to_string().contains("vsmartcard"));
    let stop = Stop::new();
    stop.stop();
    assert_eq!(serve(&card, &config, &stop).unwrap(), Left::Stopped);
}
