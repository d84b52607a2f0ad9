//! APDU exchange over scripted transports: chaining, extended length, 61xx, 6Cxx, cards that leave.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail like tests")]

mod support;

use onetap_apdu_spec::apdu::{CommandApdu, ResponseApdu};
use onetap_apdu_spec::command::Name;
use onetap_apdu_spec::objects;
use onetap_pcsc_host::exchange::Exchange;
use onetap_pcsc_host::{Error, ProtocolError, ReaderError};
use support::Scripted;

fn send(card: &mut Scripted, name: Name, data: &[u8]) -> Result<ResponseApdu, Error> {
    Exchange::new(card).send(name.spec(), Some(objects::PAYER_ALIAS), data)
}

#[test]
fn short_case_2_asks_for_256_bytes() {
    let mut card = Scripted::new(&["aabb9000"]);
    assert_eq!(send(&mut card, Name::GetSignature, &[]).unwrap().data, [0xAA, 0xBB]);
    assert_eq!(card.sent(), ["8032000000"]);
}

#[test]
fn response_in_parts_is_put_together() {
    let mut card = Scripted::new(&["aa6102", "bb61ff", "cc9000"]);
    let response = send(&mut card, Name::GetSignature, &[]).unwrap();
    assert_eq!((response.data, response.sw.value()), (vec![0xAA, 0xBB, 0xCC], 0x9000));
    assert_eq!(card.sent(), ["8032000000", "00c0000002", "00c00000ff"]);
}

#[test]
fn no_number_left_stands_for_256() {
    let mut card = Scripted::new(&["6100", "cc9000"]);
    send(&mut card, Name::GetSignature, &[]).unwrap();
    assert_eq!(card.sent()[1], "00c0000000");
}

#[test]
fn endless_parts_are_given_up() {
    let mut card = Scripted::new(&vec!["6100"; 5_000]);
    let error = send(&mut card, Name::GetSignature, &[]).unwrap_err();
    assert!(matches!(error, Error::Protocol(ProtocolError::EndlessResponse)), "{error}");
    assert!(card.sent().len() < 300);
    let full = hex::encode(vec![1; 256]) + "6100";
    let mut card = Scripted::new(&vec![full.as_str(); 5_000]);
    let error = send(&mut card, Name::GetSignature, &[]).unwrap_err();
    assert!(matches!(error, Error::Protocol(ProtocolError::EndlessResponse)), "{error}");
}

#[test]
fn wrong_le_is_corrected_once() {
    let mut card = Scripted::new(&["6c10", "aa9000"]);
    assert_eq!(send(&mut card, Name::GetSignature, &[]).unwrap().data, [0xAA]);
    assert_eq!(card.sent(), ["8032000000", "8032000010"]);
    let mut card = Scripted::new(&["6c10", "6c11", "9000"]);
    let error = send(&mut card, Name::GetSignature, &[]).unwrap_err();
    assert!(matches!(error, Error::Protocol(ProtocolError::LeNotSettled)), "{error}");
    assert_eq!(card.sent().len(), 2);
}

#[test]
fn long_data_goes_in_a_chain() {
    for (length, blocks) in
        [(255, vec![255]), (256, vec![255, 1]), (510, vec![255, 255]), (512, vec![255, 255, 2])]
    {
        let mut card = Scripted::new(&["9000", "9000", "9000"]);
        let data = vec![5; length];
        assert_eq!(send(&mut card, Name::PutTxn, &data).unwrap().sw.value(), 0x9000);
        let sent = card.sent();
        assert_eq!(sent.len(), blocks.len(), "{length}");
        for (i, (apdu, block)) in sent.iter().zip(&blocks).enumerate() {
            let class = if i + 1 == blocks.len() { "80" } else { "90" };
            assert_eq!(*apdu, format!("{class}300000{block:02x}{}", "05".repeat(*block)), "{length}");
        }
    }
}

#[test]
fn a_refused_link_ends_the_chain() {
    let mut card = Scripted::new(&["6985", "9000"]);
    assert_eq!(send(&mut card, Name::PutTxn, &[5; 300]).unwrap().sw.value(), 0x6985);
    assert_eq!(card.sent().len(), 1);
}

#[test]
fn data_that_cannot_be_chained_is_refused_here() {
    let mut card = Scripted::new(&["9000"]);
    let error = send(&mut card, Name::Select, &[5; 256]).unwrap_err();
    assert!(matches!(error, Error::Protocol(ProtocolError::CommandTooLong(256))), "{error}");
    assert!(card.sent().is_empty());
}

#[test]
fn extended_length_where_it_gains() {
    let mut card = Scripted::new(&["9000", "9000", "9000"]).extended();
    let mut exchange = Exchange::new(&mut card);
    exchange.send(Name::Select.spec(), None, b"\xF0ONETAP\x01").unwrap();
    exchange.send(Name::GetSignature.spec(), None, &[]).unwrap();
    exchange.send(Name::PutTxn.spec(), None, &[5; 256]).unwrap();
    let sent = card.sent();
    assert_eq!(sent[..2], ["00a4040008f04f4e455441500100", "80320000000000"]);
    assert!(sent[2].starts_with("803000000001000505"));
}

#[test]
fn refused_extended_length_falls_back_for_good() {
    let mut card = Scripted::new(&["6700", "6103", "aabbcc9000", "dd9000"]).extended();
    let mut exchange = Exchange::new(&mut card);
    assert_eq!(exchange.send(Name::GetSignature.spec(), None, &[]).unwrap().data, [0xAA, 0xBB, 0xCC]);
    assert_eq!(exchange.send(Name::GetEncPassword.spec(), None, &[]).unwrap().data, [0xDD]);
    assert_eq!(card.sent(), ["80320000000000", "8032000000", "00c0000003", "8034000000"]);
}

#[test]
fn a_reader_that_refuses_extended_length_falls_back() {
    let mut card = Scripted::new(&["9000", "9000"]).extended();
    card.answers.push_front(Err(ReaderError::NotAccepted(263)));
    assert_eq!(send(&mut card, Name::PutTxn, &[5; 256]).unwrap().sw.value(), 0x9000);
    assert_eq!(card.sent().len(), 3);
}

#[test]
fn a_card_that_leaves_is_told_and_nothing_is_sent_again() {
    for answers in [&["6105"][..], &[], &["6c05"]] {
        let mut card = Scripted::new(answers).extended();
        let error = send(&mut card, Name::GetSignature, &[]).unwrap_err();
        assert!(matches!(error, Error::Reader(ReaderError::CardRemoved)), "{error}");
        assert_eq!(card.sent().len(), answers.len() + 1);
    }
}

#[test]
fn req_h_11_one_byte_is_a_wrong_answer_and_none_is_a_card_that_is_gone() {
    let mut card = Scripted::new(&["", "90"]);
    let error = send(&mut card, Name::GetSignature, &[]).unwrap_err();
    assert!(matches!(error, Error::Reader(ReaderError::CardRemoved)), "{error}");
    let error = send(&mut card, Name::GetSignature, &[]).unwrap_err();
    assert!(matches!(error, Error::Protocol(ProtocolError::NotAResponse(1))), "{error}");
}

#[test]
fn req_h_11_a_status_word_that_the_specification_does_not_have_is_a_protocol_error() {
    let mut card = Scripted::new(&["6985", "6a81"]);
    let mut exchange = Exchange::new(&mut card);
    let refused = exchange.command(Name::PutTxn, None, &[1]).unwrap_err();
    assert!(matches!(refused, Error::Card(_)), "{refused}");
    let unknown = exchange.command(Name::PutTxn, None, &[1]).unwrap_err();
    assert!(matches!(unknown, Error::Protocol(ProtocolError::UnknownStatus { .. })), "{unknown}");
    assert!(unknown.to_string().contains("PUT TXN with 6A81"), "{unknown}");
}

/// ISO/IEC 7816-4 §5.3: what any application may be asked, not ours alone.
#[test]
fn own_commands_are_chained_and_their_responses_put_together() {
    let data = [5; 300];
    let own = CommandApdu { cla: 0x02, ins: 0x2A, p1: 0x9E, p2: 0x9A, data: &data, ne: Some(256) };
    let mut card = Scripted::new(&["9000", "6c02", "aa6101", "bb9000"]);
    let response = Exchange::new(&mut card).apdu(&own, true).unwrap();
    assert_eq!((response.data, response.sw.value()), (vec![0xAA, 0xBB], 0x9000));
    let [first, last] = ["05".repeat(255), "05".repeat(45)];
    // Chaining sets bit 5; the channel, here 2, stays in every class byte.
    assert_eq!(
        card.sent(),
        [
            format!("122a9e9aff{first}"),
            format!("022a9e9a2d{last}00"),
            format!("022a9e9a2d{last}02"),
            "02c0000001".into()
        ]
    );
    let mut card = Scripted::new(&["9000"]);
    let error = Exchange::new(&mut card).apdu(&own, false).unwrap_err();
    assert!(matches!(error, Error::Protocol(ProtocolError::CommandTooLong(300))), "{error}");
    let mut card = Scripted::new(&["9000"]).extended();
    Exchange::new(&mut card).apdu(&own, false).unwrap();
    assert!(card.sent()[0].starts_with("022a9e9a00012c0505"));
}

#[test]
fn further_channels_are_kept_in_get_response() {
    let own = CommandApdu { cla: 0xC3, ins: 0x10, p1: 0, p2: 0, data: &[], ne: Some(256) };
    let mut card = Scripted::new(&["6101", "aa9000"]);
    Exchange::new(&mut card).apdu(&own, false).unwrap();
    assert_eq!(card.sent(), ["c310000000", "43c0000001"]);
}
