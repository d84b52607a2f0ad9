//! Every workable suite, from SELECT to the joint password, checked as a server would check it.

use onetap_apdu_spec::command::{CardState, Name};
use onetap_apdu_spec::digest::{Digester, Subject};
use onetap_apdu_spec::envelope::Envelope;
use onetap_apdu_spec::objects;
use onetap_apdu_spec::password::Password;
use onetap_apdu_spec::signed::{SignatureMessage, signed_bytes};
use onetap_apdu_spec::suite::{Owed, Profile, Suite};
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::tlv::object;

use crate::rig::{Rig, SERVER, Tapped, crypto};

/// What a server would find: S and whatever else travelled belong to T and `password`.
fn check(rig: &Rig, tapped: &Tapped, password: &Password) {
    let message = SignatureMessage::parse(&tapped.signature_message).unwrap();
    let header = message.header;
    assert_eq!(header.binding, rig.order.binding);
    let suite = header.binding.suite;
    let bytes = header.to_bytes();
    let digester = Digester {
        crypto: crypto(),
        keys: &rig.keys,
        method: suite.digest(),
        header: &bytes,
        counter: header.counter,
    };
    let t = digester.digest(Subject::Transaction, &tapped.transaction);
    let pw = digester.digest(Subject::Password, password.expose().as_bytes());
    let envelope = Envelope::new(crypto(), &rig.keys, &header, &tapped.transaction);
    let value = |tag| {
        let owed = tapped.owed.as_deref().unwrap();
        let head = object(tag, &vec![0; owed.len() - 4]).len() - (owed.len() - 4);
        let value = if owed.len() < 0x80 + 3 { &owed[3..] } else { &owed[head..] };
        assert_eq!(object(tag, value), owed);
        value.to_vec()
    };
    let parts: Vec<Vec<u8>> = match (suite.profile(), suite.owed()) {
        (Profile::A1, None) => vec![t, password.expose().as_bytes().to_vec()],
        (Profile::A2, None) => vec![t, pw],
        (Profile::A2, Some(Owed::PasswordDigest)) => {
            assert_eq!(value(objects::PASSWORD_DIGEST), pw);
            vec![t, pw]
        }
        (Profile::A4, Some(Owed::EncryptedDigest)) => {
            let e = envelope.seal(password, None, &mut onetap_apdu_spec::rng::OsRng).unwrap();
            let digest = digester.digest(Subject::Envelope, &e);
            assert_eq!(value(objects::ENCRYPTED_PASSWORD_DIGEST), digest);
            vec![t, digest]
        }
        (profile, Some(Owed::Encrypted)) => {
            let e = value(objects::ENCRYPTED_PASSWORD);
            assert!(envelope.open(&e, Some(&**SERVER)).unwrap().matches(password));
            if profile.is_b() { vec![t] } else { vec![t, e] }
        }
        other => panic!("{other:?}"),
    };
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    rig.public().verify(suite.signature(), &signed_bytes(&header, &parts), &message.signature).unwrap();
}

#[test]
fn p_07_to_p_15_every_suite_runs_and_verifies() {
    for suite in Suite::all() {
        let mut rig = Rig::suite(suite);
        rig.statement.verify(crypto()).unwrap();
        for counter in 1..=2 {
            let tapped = rig.tap("12.34");
            let password = rig.confirm();
            check(&rig, &tapped, &password);
            let message = SignatureMessage::parse(&tapped.signature_message).unwrap();
            assert_eq!(message.header.counter, counter, "{suite}");
            rig.card.press(onetap_applet::Key::Clear).unwrap();
            assert_eq!(rig.card.state(), CardState::Idle);
        }
    }
}

#[test]
fn two_commits_for_each_contact_and_one_for_the_reveal() {
    for suite in Suite::all() {
        let mut rig = Rig::suite(suite);
        let before = rig.nvm.count();
        rig.deliver("12.34");
        assert_eq!(rig.nvm.count(), before + 2, "{suite}");
        rig.leave();
        rig.read();
        let before = rig.nvm.count();
        rig.card.press(onetap_applet::Key::Confirm).unwrap();
        assert_eq!(rig.nvm.count(), before + 1, "{suite}");
    }
}

#[test]
fn where_nothing_more_is_owed_get_enc_password_has_no_object() {
    for text in ["danger-a1+pkcs1", "danger-a2+sha256+pkcs1"] {
        let mut rig = Rig::suite(text.parse().unwrap());
        rig.deliver("12.34");
        assert_eq!(rig.sw(Name::GetEncPassword, &[]), StatusWord::NO_SUCH_OBJECT);
        assert_eq!(rig.card.state(), CardState::Delivered);
    }
}

#[test]
fn p_05_p_06_passwords_are_drawn_anew_for_each_transaction() {
    let mut rig = Rig::new();
    rig.tap("1.00");
    let first = rig.confirm();
    rig.tap("1.00");
    assert!(!first.matches(&rig.confirm()));
}

#[test]
fn the_card_generates_its_own_key() {
    use onetap_applet::card::VirtualClock;
    use onetap_applet::nvm::MemoryImage;
    for suite in [Suite::default(), "a3+sha256+aes-cbc-cmac+ecdsa".parse().unwrap()] {
        let order = crate::rig::order(suite);
        let env = crate::rig::environment(&VirtualClock::at(crate::rig::START));
        let nvm = MemoryImage::default();
        let (_, statement) =
            onetap_applet::Card::personalise(order, crate::rig::PIN.parse().unwrap(), Box::new(nvm), env)
                .unwrap();
        statement.verify(crypto()).unwrap();
        assert_ne!(statement.public_key, Rig::suite(suite).statement.public_key);
    }
}
