//! Writes that are cut off at each step, and processes that die while they rotate.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::process::{Command, Stdio};

use super::replace::Step;
use onetap_apdu_spec::header::KeyId;

use super::*;

const STEPS: [Step; 5] = [Step::Created, Step::HalfWritten, Step::Written, Step::Synced, Step::Renamed];

fn ids(keys: &ServerKeys) -> (KeyId, KeyId) {
    let ring = keys.ring();
    (ring.newest_server_key().0, ring.newest_issuer_key())
}

/// Adds a version of the issuer key with a disk that fails after `step`.
fn rotate_failing(keys: &ServerKeys, env: &Environment, step: Step) -> Result<(), KeyFileError> {
    let mut at = |now| if now == step { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) };
    keys.change(env, &mut at, |_, contents| {
        let key = IssuerRecord::Key(env.random_key());
        contents.secrets.issuer.push(Versioned { id: 2, key });
        Ok(())
    })
}

#[test]
fn a_write_that_fails_at_any_step_leaves_the_old_or_the_new_file() {
    for step in STEPS {
        let directory = tempfile::tempdir().unwrap();
        let env = Environment::system();
        let keys = ServerKeys::create(directory.path(), RsaBits::B2048, &env).unwrap();
        let before = fs::read(directory.path().join("keys.json")).unwrap();
        assert!(matches!(rotate_failing(&keys, &env, step), Err(KeyFileError::Io { .. })), "{step:?}");
        let (server, issuer) = ids(&ServerKeys::load(directory.path(), &env).unwrap());
        let renamed = step == Step::Renamed;
        assert_eq!((server, issuer), (1, if renamed { 2 } else { 1 }), "{step:?}");
        let after = fs::read(directory.path().join("keys.json")).unwrap();
        assert_eq!(after == before, !renamed, "{step:?}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "{step:?}: no key lies about");
        // What is in use is what is on the disk, at the latest when the next one looks.
        keys.refresh(&env).unwrap();
        assert_eq!(ids(&keys), (server, issuer), "{step:?}");
    }
}

/// One who died left half a file; it is not read, and nobody seals the keys while it is there.
#[test]
fn what_a_dead_writer_left_is_not_read_and_named_before_the_keys_are_sealed() {
    let directory = tempfile::tempdir().unwrap();
    let env = Environment::system();
    let keys = ServerKeys::create(directory.path(), RsaBits::B2048, &env).unwrap();
    let left = directory.path().join(".keys.json.0123456789abcdef.new");
    fs::write(&left, b"{ \"format\": 2, \"ser").unwrap();
    assert_eq!(ids(&ServerKeys::load(directory.path(), &env).unwrap()), (1, 1));
    assert_eq!(keys.rotate(KeyKind::Issuer, &env).unwrap(), 2);
    assert_eq!(ids(&ServerKeys::load(directory.path(), &env).unwrap()), (1, 2));
    let seal = || reseal(directory.path(), &KeyProtection::KeyFile(Key256::new([7; 32])), &env);
    assert!(matches!(seal(), Err(KeyFileError::LeftOver { path }) if path == left));
    fs::remove_file(&left).unwrap();
    seal().unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

/// Two processes that rotate at the same time, each of whose versions is there afterwards.
#[test]
fn rotations_at_the_same_time_wait_for_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let env = Environment::system();
    drop(ServerKeys::create(directory.path(), RsaBits::B2048, &env).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let env = Environment::system();
                let keys = ServerKeys::load(directory.path(), &env).unwrap();
                for _ in 0..10 {
                    keys.rotate(KeyKind::Issuer, &env).unwrap();
                }
            });
        }
    });
    assert_eq!(ids(&ServerKeys::load(directory.path(), &env).unwrap()), (1, 41));
}

const FOLDER: &str = "ONETAP_TEST_ROTATING";

/// Rotates until it is killed, telling each version that it was given. Does nothing unless it is a child of
/// [`a_process_that_is_killed_while_it_rotates_loses_no_version`].
#[test]
#[allow(clippy::print_stdout, reason = "a child tells its parent")]
fn rotates_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let env = Environment::system();
    let keys = ServerKeys::load(Path::new(&folder), &env).unwrap();
    loop {
        let version = keys.rotate(KeyKind::Issuer, &env).unwrap();
        println!("version {version}");
    }
}

#[test]
fn a_process_that_is_killed_while_it_rotates_loses_no_version() {
    let directory = tempfile::tempdir().unwrap();
    let env = Environment::system();
    drop(ServerKeys::create(directory.path(), RsaBits::B2048, &env).unwrap());
    let mut told = 1;
    for round in 0..20 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "keys::tests::rotates_until_it_is_killed", "--nocapture"])
            .env(FOLDER, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let versions =
            lines.by_ref().map(Result::unwrap).filter_map(|line| version(&line)).take(1 + round % 5);
        told = versions.last().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        told = lines.map_while(Result::ok).filter_map(|line| version(&line)).last().unwrap_or(told);
        let (_, there) = ids(&ServerKeys::load(directory.path(), &env).unwrap());
        assert!(there == told || there == told + 1, "told {told}, there is {there}");
    }
    assert!(told >= 40, "{told} versions only");
}

/// The version that a line tells; the test harness writes lines of its own.
fn version(line: &str) -> Option<KeyId> {
    line.rsplit_once("version ")?.1.trim().parse().ok()
}

#[test]
fn checkpoints_are_signed_by_a_key_that_stays() {
    let env = Environment::system();
    let directory = tempfile::tempdir().unwrap();
    let keys = ServerKeys::create(directory.path(), RsaBits::B2048, &env).unwrap();
    let signature = keys.sign_checkpoint(b"head 1").unwrap();
    keys.rotate(KeyKind::Server, &env).unwrap();
    let again = ServerKeys::load(directory.path(), &env).unwrap();
    let public = env.crypto.rsa_public(&again.checkpoint_public_spki()).unwrap();
    let verify = |message: &[u8]| public.verify(SignatureAlgorithm::PssSha256, message, &signature);
    assert_eq!(verify(b"head 1"), Ok(()));
    assert_eq!(verify(b"head 2"), Err(CryptoError::BadSignature));
    assert_eq!(again.webhook.expose(), keys.webhook.expose());
    let all = [&keys.requests, &keys.audit, &keys.webhook].map(|key| *key.expose());
    assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2], "one key, one purpose");
}

/// What stands in the way of a new file under a name that can be guessed, is somebody else's.
#[test]
fn files_and_links_beside_the_key_file_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let env = Environment::system();
    let precious = directory.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    for name in ["keys.json.new", ".keys.json.new", "keys.new"] {
        std::os::unix::fs::symlink(&precious, directory.path().join(name)).unwrap();
    }
    let keys = ServerKeys::create(directory.path(), RsaBits::B2048, &env).unwrap();
    keys.rotate(KeyKind::Issuer, &env).unwrap();
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 5);
}

#[test]
fn a_folder_in_which_everybody_may_put_files_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let env = Environment::system();
    drop(ServerKeys::create(directory.path(), RsaBits::B2048, &env).unwrap());
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    let refused = |result: Result<ServerKeys, _>| matches!(result, Err(KeyFileError::OpenFolder { .. }));
    assert!(refused(ServerKeys::load(directory.path(), &env)));
    assert!(refused(ServerKeys::create(directory.path(), RsaBits::B2048, &env)));
}

#[test]
fn keys_that_another_process_has_sealed_stay_in_use_and_are_read_again_with_what_opens_them() {
    let directory = tempfile::tempdir().unwrap();
    let env = Environment::system();
    let keys = ServerKeys::create(directory.path(), RsaBits::B2048, &env).unwrap();
    let seal = KeyProtection::KeyFile(Key256::new([7; 32]));
    reseal(directory.path(), &seal, &Environment::system()).unwrap();
    assert!(matches!(keys.refresh(&env), Err(KeyFileError::Sealed { .. })));
    assert_eq!(ids(&keys), (1, 1), "those it has");
    let wrong = KeyProtection::KeyFile(Key256::new([8; 32]));
    assert!(matches!(keys.reopen(KeyAccess::sealed(wrong), &env), Err(KeyFileError::WrongKeyFile { .. })));
    keys.reopen(KeyAccess::sealed(seal), &env).unwrap();
    assert_eq!(keys.rotate(KeyKind::Issuer, &env).unwrap(), 2);
}
