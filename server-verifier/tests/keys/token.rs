//! Keys in a PKCS#11 token: SoftHSM2 of Debian, a token of its own for each test. A process has one
//! SoftHSM, configured by its environment, so that each test runs in a process of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use onetap_apdu_spec::suite::Suite;
use onetap_server_verifier::keys::{Passphrase, TokenPlace, show};
use onetap_server_verifier::*;

use crate::support::*;

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const RSA: &str = "a3+sha256+rsa-oaep";
const PIN: &str = "482915";
/// Says to a child process that it is one, and where its folder is.
const FOLDER: &str = "ONETAP_TEST_FOLDER";

/// Runs the test of this name in a process that has a token named `onetap` of its own; in that process does
/// `test`.
fn with_token(name: &str, test: impl FnOnce(&Path)) {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return test(&PathBuf::from(folder));
    }
    assert!(Path::new(MODULE).exists(), "SoftHSM2 is missing; run scripts/setup test");
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    fs::create_dir(&tokens).unwrap();
    let conf = folder.path().join("softhsm2.conf");
    let text = format!("directories.tokendir = {}\nobjectstore.backend = file\n", tokens.display());
    fs::write(&conf, text).unwrap();
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "onetap", "--pin", PIN, "--so-pin", "99887766"])
        .env("SOFTHSM2_CONF", &conf)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("token::{name}"), "--nocapture"])
        .env("SOFTHSM2_CONF", &conf)
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    let complained = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}\n{complained}");
}

fn access(pin: &str) -> KeyAccess {
    KeyAccess {
        protection: KeyProtection::Passphrase(Passphrase::new("one").unwrap()),
        token: Some(TokenPlace { module: MODULE.into(), label: "onetap".into() }),
        pin: Passphrase::new(pin),
    }
}

fn env(clock: &TestClock) -> Environment {
    environment(clock).with_keys(access(PIN))
}

fn world(folder: &Path) -> World {
    let clock = TestClock::new();
    let options = options(|policy| policy.wrong_in_window = 1_000);
    let verifier = Verifier::init(&folder.join("bank"), options, env(&clock)).unwrap();
    World::around(verifier, clock)
}

fn pays(world: &World, card: &mut Card) -> bool {
    let tap = card.tap(world.payment(100));
    matches!(world.send(&tap.request), Outcome::Executed(_))
}

#[test]
fn cards_of_every_suite_pay_with_the_keys_in_the_token() {
    with_token("cards_of_every_suite_pay_with_the_keys_in_the_token", |folder| {
        let world = world(folder);
        let mut paid = 0;
        for suite in Suite::all().filter(|suite| suite.danger().is_none()) {
            let mut card = world.card_of(&world.ada, suite);
            assert!(pays(&world, &mut card), "{suite}");
            let tap = card.tap(world.payment(100));
            assert_eq!(world.send(&tap.typed("wrongpass")), Outcome::Refused, "{suite}");
            assert!(matches!(world.send(&tap.request), Outcome::Executed(_)), "{suite}");
            paid += 1;
        }
        assert!(paid > 10);
        world.check_books();
        // The private halves are nowhere but in the token.
        let summary = show(&folder.join("bank"), &env(&world.clock)).unwrap();
        assert_eq!(summary.token, access(PIN).token);
        drop(world.verifier);
        let again = Verifier::open(&folder.join("bank"), env(&world.clock)).unwrap();
        again.audit_verify().unwrap();
    });
}

#[test]
fn rotation_and_retirement_make_and_destroy_keys_in_the_token() {
    with_token("rotation_and_retirement_make_and_destroy_keys_in_the_token", |folder| {
        let world = world(folder);
        let objects = || {
            let tokens = fs::read_dir(folder.join("tokens")).unwrap().next().unwrap().unwrap().path();
            let is_object = |name: &str| name.ends_with(".object") && name != "token.object";
            let names = fs::read_dir(tokens).unwrap().map(|entry| entry.unwrap().file_name());
            names.filter(|name| is_object(name.to_str().unwrap())).count()
        };
        assert_eq!(objects(), 3, "public, private and master key");
        let mut old = world.card(RSA);
        for kind in [KeyKind::Server, KeyKind::Issuer] {
            assert_eq!(world.verifier.desk(Act::of_program("test", "set-up")).rotate_key(kind).unwrap(), 2);
        }
        assert_eq!(objects(), 6);
        let mut new = world.card(RSA);
        assert!(pays(&world, &mut old) && pays(&world, &mut new));
        world.verifier.desk(Act::of_program("op", "replaced")).block_card(old.order.binding.card).unwrap();
        for kind in [KeyKind::Server, KeyKind::Issuer] {
            world.verifier.desk(Act::of_program("test", "set-up")).retire_key(kind, 1).unwrap();
        }
        assert_eq!(objects(), 3);
        assert!(!pays(&world, &mut old) && pays(&world, &mut new));
    });
}

#[test]
fn a_token_that_forgot_its_sessions_is_connected_again() {
    with_token("a_token_that_forgot_its_sessions_is_connected_again", |folder| {
        let world = world(folder);
        let mut card = world.card(RSA);
        for _ in 0..3 {
            assert!(pays(&world, &mut card));
            // The same module state as ours: all sessions and the login are gone.
            Pkcs11::new(MODULE).unwrap().finalize().unwrap();
        }
        assert!(pays(&world, &mut card));
    });
}

/// Nothing is decided about a payment while the token is away: no try, no dead counter value.
#[test]
fn a_lost_token_gives_one_clear_error_and_nothing_is_decided_until_it_is_back() {
    with_token("a_lost_token_gives_one_clear_error_and_nothing_is_decided_until_it_is_back", |folder| {
        let world = world(folder);
        let mut card = world.card(RSA);
        let (tokens, away) = (folder.join("tokens"), folder.join("away"));
        let tap = card.tap(world.payment(100));
        fs::rename(&tokens, &away).unwrap();
        fs::create_dir(&tokens).unwrap();
        Pkcs11::new(MODULE).unwrap().finalize().unwrap();
        for _ in 0..3 {
            let error = world.verifier.authorise(&world.client, "lost", &tap.request).unwrap_err();
            assert!(error.to_string().contains("token that holds the key does not answer"), "{error}");
        }
        let error = Verifier::open(&folder.join("bank"), env(&world.clock)).unwrap_err();
        assert!(error.to_string().contains("no token named onetap is connected"), "{error}");
        fs::remove_dir(&tokens).unwrap();
        fs::rename(&away, &tokens).unwrap();
        Pkcs11::new(MODULE).unwrap().finalize().unwrap();
        let outcome = world.verifier.authorise(&world.client, "lost", &tap.request).unwrap();
        assert!(matches!(outcome, Outcome::Executed(_)), "{outcome:?}");
        assert_eq!(world.wrong_passwords(), 0);
    });
}

#[test]
fn a_wrong_pin_is_refused_and_a_missing_one_is_asked_for() {
    with_token("a_wrong_pin_is_refused_and_a_missing_one_is_asked_for", |folder| {
        let world = world(folder);
        let clock = world.clock.clone();
        drop(world);
        Pkcs11::new(MODULE).unwrap().finalize().unwrap();
        let bank = folder.join("bank");
        let open = |access| match Verifier::open(&bank, environment(&clock).with_keys(access)) {
            Err(ServiceError::Keys(KeyFileError::Token(error))) => error,
            other => panic!("{other:?}"),
        };
        assert!(matches!(open(access("000000")), TokenError::PinRefused { .. }));
        assert!(matches!(open(access("")), TokenError::PinMissing));
        Verifier::open(&bank, env(&clock)).unwrap();
    });
}

/// Each payment would otherwise try it again, until the token locks itself.
#[test]
fn a_pin_that_was_refused_is_not_tried_again() {
    with_token("a_pin_that_was_refused_is_not_tried_again", |folder| {
        let world = world(folder);
        let tap = world.card(RSA).tap(world.payment(100));
        let authorise = || world.verifier.authorise(&world.client, "pin", &tap.request);
        change_pin(PIN, "11112222");
        assert!(authorise().is_err());
        change_pin("11112222", PIN);
        assert!(authorise().is_err(), "the right PIN is not tried either");
        let restarted = Verifier::open(&folder.join("bank"), env(&world.clock)).unwrap();
        let outcome = restarted.authorise(&world.client, "pin", &tap.request).unwrap();
        assert!(matches!(outcome, Outcome::Executed(_)), "{outcome:?}");
    });
}

/// Changes the token's PIN; all sessions and the login of this process are gone then.
fn change_pin(from: &str, to: &str) {
    let finalize = || {
        let _ = Pkcs11::new(MODULE).unwrap().finalize();
    };
    finalize();
    let module = Pkcs11::new(MODULE).unwrap();
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let slot = module.get_slots_with_initialized_token().unwrap()[0];
    let session = module.open_rw_session(slot).unwrap();
    session.login(UserType::User, Some(&AuthPin::from(from))).unwrap();
    session.set_pin(&AuthPin::from(from), &AuthPin::from(to)).unwrap();
    drop(session);
    finalize();
}

#[test]
fn another_token_of_the_same_name_is_refused() {
    with_token("another_token_of_the_same_name_is_refused", |folder| {
        let world = world(folder);
        // What the file says of its keys is what another token cannot have.
        let mut other = access(PIN);
        other.token = Some(TokenPlace { module: MODULE.into(), label: "other".into() });
        let elsewhere = folder.join("elsewhere");
        let made = Verifier::init(&elsewhere, options(|_| ()), environment(&world.clock).with_keys(other));
        assert!(made.unwrap_err().to_string().contains("no token named other"));
        let wrong = KeyAccess {
            token: Some(TokenPlace { module: "/nowhere.so".into(), label: "onetap".into() }),
            ..access(PIN)
        };
        let made = Verifier::init(&elsewhere, options(|_| ()), environment(&world.clock).with_keys(wrong));
        assert!(made.unwrap_err().to_string().contains("cannot be loaded"));
        let tokens = folder.join("tokens");
        fs::remove_dir_all(&tokens).unwrap();
        fs::create_dir(&tokens).unwrap();
        let args = ["--init-token", "--free", "--label", "onetap", "--pin", PIN, "--so-pin", "99887766"];
        assert!(Command::new("softhsm2-util").args(args).output().unwrap().status.success());
        Pkcs11::new(MODULE).unwrap().finalize().unwrap();
        let error = Verifier::open(&folder.join("bank"), env(&world.clock)).unwrap_err();
        assert!(error.to_string().contains("does not hold the key"), "{error}");
    });
}

#[test]
fn sixty_threads_share_the_sessions() {
    with_token("sixty_threads_share_the_sessions", |folder| {
        let world = world(folder);
        let taps: Vec<_> = (0..60).map(|_| world.card(RSA).tap(world.payment(1))).collect();
        std::thread::scope(|scope| {
            for (n, tap) in taps.iter().enumerate() {
                let world = &world;
                scope.spawn(move || {
                    let key = format!("thread-{n}");
                    let outcome = world.verifier.authorise(&world.client, &key, &tap.request).unwrap();
                    assert!(matches!(outcome, Outcome::Executed(_)), "{outcome:?}");
                });
            }
        });
        assert_eq!(world.balances(), (99_940, 60));
    });
}
