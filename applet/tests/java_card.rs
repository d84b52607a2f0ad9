//! docs/java-card.md: whatever the table names of ours exists.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;

use onetap_applet::applets::Echo;
use onetap_applet::crypto::{Aes, EcPair, EcPublic, Hmac};
use onetap_applet::{crypto, runtime};
use runtime::{Applet, Asked, Context, Fault, Server, Shareable};

trait Nothing {}
struct NothingInterface;
impl Shareable for NothingInterface {
    type Object<'a> = dyn Nothing + 'a;
}
struct Desk;
impl Nothing for Desk {}

/// Each name of the table with an expression that names it to the compiler. What is named is named in the expression
/// too: its last word stands there.
macro_rules! items {
    ($($name:path => $proof:expr;)*) => {
        fn items() -> BTreeSet<String> {
            $(
                let _ = $proof;
                let (name, proof) = (stringify!($name).replace(' ', ""), stringify!($proof));
                let last = name.rsplit("::").next().unwrap();
                assert!(proof.contains(last), "{name} is not what {proof} names");
            )*
            [$(stringify!($name).replace(' ', "")),*].into()
        }
    };
}

items! {
    runtime::Applet::install => <Echo as Applet>::install;
    runtime::Applet::process => <Echo as Applet>::process;
    runtime::Applet::select => <Echo as Applet>::select;
    runtime::Applet::deselect => <Echo as Applet>::deselect;
    runtime::Applet::uninstall => <Echo as Applet>::uninstall;
    runtime::Applet::admit => <Echo as Applet>::admit;
    runtime::Applet::share => <Echo as Applet>::share;
    runtime::Applet::store_data => <Echo as Applet>::store_data;
    runtime::Asked::answer => |asked: &mut Asked<'_>| asked.answer::<NothingInterface>(&mut Desk);
    runtime::Module::multiselectable => runtime::Module::multiselectable;
    runtime::Module::heirloom => runtime::Module::heirloom;
    runtime::Module::own_transport => runtime::Module::own_transport;
    runtime::Module::secure_messaging => runtime::Module::secure_messaging;
    runtime::Reply::send => runtime::Reply::send;
    runtime::Protocol => size_of::<runtime::Protocol>();
    runtime::Aid::new => runtime::Aid::new;
    runtime::Aid::as_bytes => runtime::Aid::as_bytes;
    runtime::Aid::answers_to => runtime::Aid::answers_to;
    runtime::Context::inherited => Context::inherited::<u8>;
    runtime::Context::channel => Context::channel;
    runtime::Context::begin => Context::begin;
    runtime::Context::commit => Context::commit;
    runtime::Context::abort => Context::abort;
    runtime::Context::transaction => |cx: &mut Context<'_>| cx.transaction(|_| Ok::<_, Fault>(()));
    runtime::Context::transaction_open => Context::transaction_open;
    runtime::Context::commit_capacity => Context::commit_capacity;
    runtime::Context::free => Context::free;
    runtime::Context::get => Context::get::<u8>;
    runtime::Context::find => Context::find::<u8>;
    runtime::Context::set => Context::set::<u8>;
    runtime::Context::set_now => Context::set_now::<u8>;
    runtime::Context::remove => Context::remove::<u8>;
    runtime::Context::transient => Context::transient::<u8>;
    runtime::Context::set_transient => Context::set_transient::<u8>;
    runtime::Context::aid => Context::aid;
    runtime::Context::client => Context::client;
    runtime::Context::call => |cx: &mut Context<'_>, server: &Server<NothingInterface>| {
        cx.call(server, |_| Ok::<(), Fault>(()))
    };
    runtime::Context::make_signing_key => Context::make_signing_key;
    runtime::Context::rng => Context::rng;
    runtime::Context::now => Context::now;
    runtime::Context::set_life_cycle => Context::set_life_cycle;
    runtime::Context::instance => Context::instance;
    runtime::Field::new => runtime::Field::<u8>::new;
    runtime::Transient::on_reset => runtime::Transient::<u8>::on_reset;
    runtime::Transient::on_deselect => runtime::Transient::<u8>::on_deselect;
    runtime::Server::new => Server::<NothingInterface>::new;
    runtime::Shareable => |desk: &mut <NothingInterface as Shareable>::Object<'_>| size_of_val(desk);
    runtime::OwnerPin::update => runtime::OwnerPin::update;
    runtime::OwnerPin::check => runtime::OwnerPin::check;
    runtime::OwnerPin::tries_left => runtime::OwnerPin::tries_left;
    runtime::OwnerPin::is_validated => runtime::OwnerPin::is_validated;
    runtime::OwnerPin::reset => runtime::OwnerPin::reset;
    runtime::OwnerPin::reset_and_unblock => runtime::OwnerPin::reset_and_unblock;
    runtime::Limits => runtime::Limits::REAL_CARD;
    runtime::Costs => runtime::Costs::CARD;
    runtime::Fault => size_of::<Fault>();
    runtime::Fault::CryptoException => Fault::CryptoException;
    crypto::Aes => size_of::<Aes>();
    crypto::Hmac => size_of::<Hmac>();
    crypto::EcPair => size_of::<EcPair>();
    crypto::EcPublic => size_of::<EcPublic>();
    crypto::Curve => [crypto::Curve::P256, crypto::Curve::P384];
    crypto::Hash => crypto::Hash::ALL;
    crypto::Mode => [crypto::Mode::Cbc, crypto::Mode::CbcPadded, crypto::Mode::Ctr];
    crypto::Key::persistent => crypto::Key::<Aes>::persistent;
    crypto::Key::on_reset => crypto::Key::<Aes>::on_reset;
    crypto::Key::on_deselect => crypto::Key::<Aes>::on_deselect;
    crypto::Key::key_type => crypto::Key::<Aes>::key_type;
    crypto::Key::bits => crypto::Key::<Aes>::bits;
    crypto::Key::is_initialized => crypto::Key::<Aes>::is_initialized;
    crypto::Key::clear => crypto::Key::<Aes>::clear;
    crypto::Key::set => crypto::Key::<Aes>::set;
    crypto::Key::expose => crypto::Key::<Aes>::expose;
    crypto::Key::generate => crypto::Key::<EcPair>::generate;
    crypto::Key::public => crypto::Key::<EcPair>::public;
    crypto::Key::sign => crypto::Key::<EcPair>::sign;
    crypto::Key::sign_digest => crypto::Key::<EcPair>::sign_digest;
    crypto::Key::agree => crypto::Key::<EcPair>::agree;
    crypto::Key::verify => crypto::Key::<EcPublic>::verify;
    crypto::Key::verify_digest => crypto::Key::<EcPublic>::verify_digest;
    crypto::Key::hmac => crypto::Key::<Hmac>::hmac;
    crypto::Key::verify_hmac => crypto::Key::<Hmac>::verify_hmac;
    crypto::Key::cmac => crypto::Key::<Aes>::cmac;
    crypto::Key::verify_cmac => crypto::Key::<Aes>::verify_cmac;
    crypto::Key::encrypt => crypto::Key::<Aes>::encrypt;
    crypto::Key::decrypt => crypto::Key::<Aes>::decrypt;
    crypto::Key::seal => crypto::Key::<Aes>::seal;
    crypto::Key::open => crypto::Key::<Aes>::open;
    crypto::MessageDigest::new => crypto::MessageDigest::new;
    crypto::MessageDigest::update => crypto::MessageDigest::update;
    crypto::MessageDigest::finish => crypto::MessageDigest::finish;
    crypto::Reason::code => crypto::Reason::code;
    onetap_apdu_spec::apdu::CommandApdu => size_of::<onetap_apdu_spec::apdu::CommandApdu<'_>>();
    onetap_apdu_spec::class::Class => size_of::<onetap_apdu_spec::class::Class>();
    onetap_apdu_spec::sw::StatusWord => size_of::<onetap_apdu_spec::sw::StatusWord>();
    onetap_apdu_spec::tlv::Tag => size_of::<onetap_apdu_spec::tlv::Tag>();
    onetap_apdu_spec::rng::Rng::fill => <dyn onetap_apdu_spec::rng::Rng>::fill;
    onetap_apdu_spec::crypto::Crypto::rsa_private => <dyn onetap_apdu_spec::crypto::Crypto>::rsa_private;
    onetap_apdu_spec::crypto::Crypto::rsa_public => <dyn onetap_apdu_spec::crypto::Crypto>::rsa_public;
    onetap_apdu_spec::crypto::RsaPrivate::sign => <dyn onetap_apdu_spec::crypto::RsaPrivate>::sign;
    onetap_apdu_spec::crypto::RsaPrivate::decrypt_oaep => <dyn onetap_apdu_spec::crypto::RsaPrivate>::decrypt_oaep;
    onetap_apdu_spec::crypto::RsaPublic::verify => <dyn onetap_apdu_spec::crypto::RsaPublic>::verify;
    onetap_apdu_spec::crypto::RsaPublic::encrypt_oaep => <dyn onetap_apdu_spec::crypto::RsaPublic>::encrypt_oaep;
}

/// What stands in backquotes after the first column of the table and has a path.
fn named() -> BTreeSet<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/java-card.md");
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    let quoted = rows.flat_map(|(_, ours)| ours.split('`').skip(1).step_by(2));
    quoted.filter(|name| name.contains("::")).map(str::to_owned).collect()
}

#[test]
fn whatever_the_table_names_exists_and_is_compiled_here() {
    let (named, items) = (named(), items());
    assert!(named.len() > 90, "the table is where it is looked for");
    assert_eq!(named.difference(&items).collect::<Vec<_>>(), Vec::<&String>::new(), "not compiled here");
    assert_eq!(items.difference(&named).collect::<Vec<_>>(), Vec::<&String>::new(), "not in the table");
}
