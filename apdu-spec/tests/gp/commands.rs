//! The commands: what is encoded parses to the same, and everything else has its one refusal.

use onetap_apdu_spec::apdu::CommandApdu;
use onetap_apdu_spec::crypto::{AesBits, AwsLc};
use onetap_apdu_spec::gp::command::{GP_COMMANDS, GpCommand, Ins, IsdObject};
use onetap_apdu_spec::gp::install::{Delete, Install, NewApplication};
use onetap_apdu_spec::gp::life_cycle::{
    ApplicationLifeCycle, ApplicationState, CardLifeCycle, Privilege, Privileges,
};
use onetap_apdu_spec::gp::put_key::{PutKey, WrongCheckValue};
use onetap_apdu_spec::gp::registry::{
    Entry, Format, GetStatus, KeyInformation, RegistryEntry, Scope, SetStatus,
};
use onetap_apdu_spec::gp::scp03::{Challenge, Mode, SecurityLevel};
use onetap_apdu_spec::gp::store_data::{Assembled, Assembler, MAX_PAYLOAD, StoreData};
use onetap_apdu_spec::gp::{Aid, ISD, KeySet, KeyVersion, SIGNING_APPLET, SIGNING_PACKAGE};
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::tlv::Tag;
use proptest::prelude::*;

use super::rig::key_set;

fn put_key(seed: u8, bits: AesBits) -> PutKey {
    let data_key = KeySet::TEST.data_key(&AwsLc);
    PutKey::seal(&AwsLc, &data_key, KeyVersion::INITIAL, &key_set(seed, bits))
}

fn new_application(parameters: Vec<u8>) -> NewApplication {
    NewApplication {
        package: SIGNING_PACKAGE,
        module: SIGNING_APPLET,
        instance: SIGNING_APPLET,
        privileges: Privileges::NONE.with(Privilege::DefaultSelected),
        parameters,
    }
}

fn any_aid() -> impl Strategy<Value = Aid> {
    proptest::collection::vec(any::<u8>(), 5..=16).prop_map(|bytes| Aid::new(&bytes).unwrap())
}

fn any_format() -> impl Strategy<Value = Format> {
    let tags = proptest::sample::subsequence(vec![0x4F, 0x9F70, 0xC5, 0xC4, 0x84, 0xCF], 1..=6);
    prop_oneof![
        Just(Format::Whole),
        Just(Format::Untagged),
        tags.prop_map(|tags| Format::Only(tags.into_iter().map(Tag).collect())),
    ]
}

fn any_content() -> impl Strategy<Value = GpCommand> {
    let block = (any::<bool>(), any::<bool>(), any::<u8>(), proptest::collection::vec(any::<u8>(), 0..255));
    prop_oneof![
        any_aid().prop_map(GpCommand::Select),
        any::<(u8, [u8; 16], bool)>().prop_map(|(version, bytes, long)| {
            let challenge = Challenge::new(if long { &bytes } else { &bytes[..8] }).unwrap();
            GpCommand::InitializeUpdate { version, challenge }
        }),
        (any_aid(), any_aid(), any_aid(), any::<[u8; 3]>(), proptest::collection::vec(any::<u8>(), 0..=64))
            .prop_map(|(package, module, instance, privileges, parameters)| {
                let privileges = Privileges::from_bytes(&privileges).unwrap();
                let new = NewApplication { package, module, instance, privileges, parameters };
                GpCommand::Install(Install::MakeSelectable(new))
            }),
        any_aid().prop_map(|aid| GpCommand::Install(Install::Personalization(aid))),
        (any_aid(), any::<bool>())
            .prop_map(|(aid, related)| GpCommand::Delete(Delete::Content { aid, related })),
        (1..=0x7Fu8).prop_map(|version| GpCommand::Delete(Delete::Keys(KeyVersion::new(version).unwrap()))),
        (0..4usize, proptest::collection::vec(any::<u8>(), 0..=16), any_format(), any::<bool>()).prop_map(
            |(scope, aid, format, next)| {
                GpCommand::GetStatus(GetStatus { scope: Scope::ALL[scope], aid, format, next })
            }
        ),
        (0..5usize).prop_map(|i| GpCommand::SetStatus(SetStatus::Card(CardLifeCycle::ALL[i]))),
        (any_aid(), any::<bool>())
            .prop_map(|(aid, lock)| GpCommand::SetStatus(SetStatus::Application { aid, lock })),
        block.prop_map(|(last, encrypted, number, data)| {
            GpCommand::StoreData(StoreData { last, encrypted, number, data: data.into() })
        }),
        (any::<u8>(), 0..3usize).prop_map(|(seed, i)| GpCommand::PutKey(put_key(seed, AesBits::ALL[i]))),
        Just(GpCommand::GetData(IsdObject::CardData)),
        Just(GpCommand::GetData(IsdObject::KeyInformation)),
    ]
}

proptest! {
    #[test]
    fn what_is_encoded_parses(command in any_content(), channel in 0..4u8) {
        let apdu = command.encode();
        prop_assert!(apdu.to_bytes().unwrap().len() <= 261, "the short form");
        let mut on_channel = apdu.borrow();
        on_channel.cla |= channel;
        prop_assert_eq!(GpCommand::parse(&on_channel), Ok(command));
    }

    /// Whatever is read is written the same way again, except where a card is to ignore something.
    #[test]
    fn any_bytes_are_a_command_or_refused(
        row in 0..GP_COMMANDS.len(),
        parameters: [u8; 2],
        data in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let (spec, [p1, p2]) = (&GP_COMMANDS[row], parameters);
        let apdu = CommandApdu { cla: spec.cla, ins: spec.name.code(), p1, p2, data: &data, ne: None };
        if let Ok(command) = GpCommand::parse(&apdu) {
            prop_assert_eq!(GpCommand::parse(&command.encode().borrow()), Ok(command));
        }
    }

    #[test]
    fn registry_entries_survive(
        aids in proptest::collection::vec(any_aid(), 0..5),
        package in proptest::option::of(any_aid()),
        modules in proptest::collection::vec(any_aid(), 0..3),
        locked: bool,
    ) {
        let state = ApplicationState::Personalized;
        let entry = Entry::Application(ApplicationLifeCycle { state, locked });
        let entries: Vec<_> = aids
            .into_iter()
            .map(|aid| {
                let (privileges, modules) = (Privileges::ISSUER, modules.clone());
                RegistryEntry { aid, entry, privileges, package, modules }
            })
            .collect();
        let answer: Vec<u8> = entries.iter().flat_map(|entry| entry.encode(&Format::Whole)).collect();
        prop_assert_eq!(RegistryEntry::parse_all(Scope::Applications, &answer), Some(entries));
        if !answer.is_empty() {
            prop_assert_eq!(RegistryEntry::parse_all(Scope::Applications, &answer[1..]), None);
            prop_assert_eq!(RegistryEntry::parse_all(Scope::Applications, &answer[..answer.len() - 1]), None);
        }
    }

    #[test]
    fn any_answer_is_a_registry_or_none(answer in proptest::collection::vec(any::<u8>(), 0..64)) {
        let answer = [&[0xE3, 0x40][..], &answer].concat();
        for scope in Scope::ALL {
            if let Some(entries) = RegistryEntry::parse_all(scope, &answer) {
                prop_assert!(!entries.is_empty());
            }
        }
    }

    #[test]
    fn blocks_make_the_payload_again(len in 1..=MAX_PAYLOAD, level in 0..5usize, mode in 0..2usize) {
        let most = SecurityLevel::ALL[level].max_short_data(Mode::ALL[mode]);
        let payload: Vec<u8> = (0..len).map(|i| i.to_le_bytes()[0]).collect();
        let blocks = StoreData::split(&payload, most).unwrap();
        let mut assembler = Some(Assembler::default());
        for block in &blocks {
            prop_assert!(block.data.len() <= most);
            match assembler.take().unwrap().push(block).unwrap() {
                Assembled::Partial(next) => assembler = Some(next),
                Assembled::Whole(whole) => prop_assert_eq!(whole.as_slice(), &payload[..]),
            }
        }
        prop_assert!(assembler.is_none(), "the last block is the last");
    }
}

/// Made by hand from GPCS §11.5.2, §11.2.2, §11.4.2, §11.10.2, §11.11.2.
#[test]
fn commands_stand_as_the_standard_has_them() {
    let cases = [
        (GpCommand::Select(ISD), "00a4040008a00000015100000000"),
        (
            GpCommand::Install(Install::MakeSelectable(new_application(vec![]))),
            "80e60c002207f04f4e4554415008f04f4e455441500108f04f4e45544150010304000002c9000000",
        ),
        (
            GpCommand::Install(Install::Personalization(SIGNING_APPLET)),
            "80e620000e000008f04f4e455441500100000000",
        ),
        (
            GpCommand::Delete(Delete::Content { aid: SIGNING_APPLET, related: false }),
            "80e400000a4f08f04f4e455441500100",
        ),
        (GpCommand::Delete(Delete::Keys(KeyVersion::FIRST)), "80e4000003d2013000"),
        (GpCommand::GetStatus(GetStatus::first(Scope::IssuerDomain)), "80f28002024f0000"),
        (
            GpCommand::GetStatus(GetStatus {
                format: Format::Only(vec![Tag(0x4F), Tag(0x9F70), Tag(0xC5)]),
                next: true,
                ..GetStatus::first(Scope::Modules)
            }),
            "80f21003084f005c044f9f70c500",
        ),
        (
            GpCommand::GetStatus(GetStatus { format: Format::Untagged, ..GetStatus::first(Scope::Packages) }),
            "80f22000024f0000",
        ),
        (GpCommand::SetStatus(SetStatus::Card(CardLifeCycle::Secured)), "80f0800f"),
        (
            GpCommand::SetStatus(SetStatus::Application { aid: SIGNING_APPLET, lock: true }),
            "80f0408008f04f4e4554415001",
        ),
        (
            GpCommand::StoreData(StoreData {
                last: true,
                encrypted: true,
                number: 2,
                data: vec![0xAA].into(),
            }),
            "80e2b10201aa00",
        ),
        (GpCommand::GetData(IsdObject::KeyInformation), "80ca00e000"),
    ];
    for (command, expected) in cases {
        assert_eq!(hex::encode(command.encode().to_bytes().unwrap()), expected, "{command:?}");
    }
}

fn refuse(hex_apdu: &str) -> StatusWord {
    let bytes = hex::decode(hex_apdu).unwrap();
    GpCommand::parse(&CommandApdu::parse(&bytes).unwrap()).unwrap_err()
}

#[test]
fn each_bad_command_has_its_one_refusal() {
    for (apdu, sw) in [
        ("00f28002024f0000", StatusWord::WRONG_CLA),
        ("80ff8002024f0000", StatusWord::WRONG_INS),
        ("90f28002024f0000", StatusWord::NO_CHAINING),
        ("80f2c002024f0000", StatusWord::WRONG_P1P2),
        ("80f28004024f0000", StatusWord::WRONG_P1P2),
        // A tag list in the form without tags, a tag of it cut or too long, the list before the name.
        ("80f28000054f005c014f00", StatusWord::WRONG_DATA),
        ("80f28002054f005c019f00", StatusWord::WRONG_DATA),
        ("80f28002074f005c039f817000", StatusWord::WRONG_DATA),
        ("80f28002055c014f4f0000", StatusWord::WRONG_DATA),
        ("80f28002034f000000", StatusWord::WRONG_DATA),
        ("80f2400200", StatusWord::WRONG_DATA),
        ("00a4040c08a000000151000000", StatusWord::WRONG_P1P2),
        ("00a4040004a0000001", StatusWord::NOT_FOUND),
        ("8050300108010203040506070800", StatusWord::WRONG_P1P2),
        ("80503000070102030405060700", StatusWord::WRONG_LENGTH),
        ("8482330010000102030405060708090a0b0c0d0e0f", StatusWord::CONDITIONS),
        // For load, alone and with all that may follow; and LOAD.
        ("80e602000e000008f04f4e455441500100000000", StatusWord::NOT_SUPPORTED),
        ("80e60e000e000008f04f4e455441500100000000", StatusWord::NOT_SUPPORTED),
        ("80e880000ac408000102030405060700", StatusWord::NOT_SUPPORTED),
        ("80e604000e000008f04f4e455441500100000000", StatusWord::WRONG_P1P2),
        ("80e620010e000008f04f4e455441500100000000", StatusWord::WRONG_P1P2),
        ("80e620000d000008f04f4e45544150010000", StatusWord::WRONG_DATA),
        ("80e620000e000008f04f4e455441500100000100", StatusWord::WRONG_DATA),
        ("80e400010a4f08f04f4e455441500100", StatusWord::WRONG_P1P2),
        ("80e40000044f02f04f00", StatusWord::WRONG_DATA),
        ("80e4008003d2013000", StatusWord::WRONG_DATA),
        ("80e4000003d2018000", StatusWord::WRONG_DATA),
        ("80f08002", StatusWord::WRONG_P1P2),
        ("80f0208005f04f4e4554", StatusWord::WRONG_P1P2),
        ("80f0408002f04f", StatusWord::WRONG_DATA),
        ("80e2800001aa", StatusWord::WRONG_P1P2),
        ("80e2f00001aa", StatusWord::WRONG_P1P2),
        ("80d8008001aa", StatusWord::WRONG_P1P2),
        ("80d8ff8101aa", StatusWord::WRONG_P1P2),
        ("80d8008101aa", StatusWord::WRONG_DATA),
        ("80ca9f7f00", StatusWord::NO_SUCH_OBJECT),
    ] {
        assert_eq!(refuse(apdu), sw, "{apdu}");
    }
}

#[test]
fn parameters_beyond_the_bound_are_refused() {
    let install = GpCommand::Install(Install::MakeSelectable(new_application(vec![1; 65])));
    assert_eq!(GpCommand::parse(&install.encode().borrow()), Err(StatusWord::WRONG_DATA));
}

#[test]
fn blocks_out_of_order_or_without_end_are_refused() {
    let block = |number, len| StoreData { last: false, encrypted: false, number, data: vec![0; len].into() };
    assert_eq!(Assembler::default().push(&block(1, 1)).err(), Some(StatusWord::WRONG_P1P2));
    let Ok(Assembled::Partial(next)) = Assembler::default().push(&block(0, 1)) else { panic!("one block") };
    assert_eq!(next.push(&block(0, 1)).err(), Some(StatusWord::WRONG_P1P2));
    let Ok(Assembled::Partial(full)) = Assembler::default().push(&block(0, MAX_PAYLOAD)) else {
        panic!("full")
    };
    assert_eq!(full.push(&block(1, 1)).err(), Some(StatusWord::NO_SPACE));
    assert!(StoreData::split(&[0; MAX_PAYLOAD + 1], 239).is_err());
    let mut assembler = Assembler::default();
    for number in 0..255 {
        let Ok(Assembled::Partial(next)) = assembler.push(&block(number, 1)) else {
            panic!("block {number}")
        };
        assembler = next;
    }
    assert_eq!(assembler.push(&block(255, 1)).err(), Some(StatusWord::WRONG_P1P2));
}

#[test]
fn keys_are_put_under_the_right_key_only_and_in_either_form() {
    let data_key = KeySet::TEST.data_key(&AwsLc);
    for bits in AesBits::ALL {
        let (put, keys) = (put_key(5, bits), key_set(5, bits));
        let opened = put.open(&AwsLc, &data_key).unwrap();
        let exposed = |set: &KeySet| set.keys().map(|key| key.expose().to_vec());
        assert_eq!(exposed(&opened), exposed(&keys));
        assert_eq!(put.open(&AwsLc, &keys.data_key(&AwsLc)).unwrap_err(), WrongCheckValue);
        assert_eq!(put.answer().len(), 10);
        // Without the key's own length before it, where it is of whole blocks (GPCS table 11-71).
        let mut bare = vec![KeyVersion::FIRST.get()];
        let sealed_len = bits.bytes().next_multiple_of(16);
        for block in GpCommand::PutKey(put.clone()).encode().data[1..].chunks(1 + 1 + 1 + sealed_len + 4) {
            bare.extend([block[0], block[1] - 1]);
            bare.extend(&block[3..]);
        }
        let apdu = CommandApdu { cla: 0x80, ins: Ins::PutKey.code(), p1: 0, p2: 0x81, data: &bare, ne: None };
        let Ok(GpCommand::PutKey(bare)) = GpCommand::parse(&apdu) else { panic!("{bits:?}") };
        // 32 bytes without a length are a key of 256 bits, whose check value then is another.
        assert_eq!(bare.open(&AwsLc, &data_key).is_ok(), bits != AesBits::B192, "{bits:?}");
    }
    let replacing = PutKey::seal(&AwsLc, &data_key, KeyVersion::FIRST, &key_set(1, AesBits::B128));
    assert_eq!(GpCommand::PutKey(replacing).encode().header, [0x80, 0xD8, 0x30, 0x81]);
}

/// A hostile card nests templates as deep as an answer goes: refused, without a stack to match.
#[test]
fn deep_nesting_is_refused() {
    let mut answer = Vec::new();
    while answer.len() < 65_000 {
        answer = onetap_apdu_spec::tlv::object(onetap_apdu_spec::tlv::Tag(0xE3), &answer);
    }
    for at in [0, answer.len() - 1_000, answer.len() - 100] {
        for scope in Scope::ALL {
            assert_eq!(RegistryEntry::parse_all(scope, &answer[at..]), None);
        }
        assert_eq!(onetap_apdu_spec::gp::order::parse_statement(&answer[at..]), None);
    }
}

#[test]
fn key_information_survives() {
    let keys = KeyInformation::of_set(KeyVersion::FIRST, AesBits::B256);
    let template = KeyInformation::encode_all(&keys);
    assert_eq!(hex::encode(&template), "e012c00401308820c00402308820c00403308820");
    assert_eq!(KeyInformation::parse_all(&template), Some(keys.to_vec()));
    assert_eq!(KeyInformation::parse_all(&template[..19]), None);
}
