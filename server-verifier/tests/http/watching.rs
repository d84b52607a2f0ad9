//! What those see who watch over the service: numbers of what was refused and waits, and whether it is ready.

use onetap_server_verifier::Act;
use serde_json::json;

use crate::scene::{SYMMETRIC, Scene};
use crate::support::World;
use crate::wire::Request;

/// The value of a metric with these labels, as Prometheus reads it.
fn number(scene: &Scene, name: &str) -> Option<f64> {
    let numbers = scene.get("aud", "/metrics").text();
    numbers.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

fn refused(scene: &Scene, reason: &str) -> Option<f64> {
    number(scene, &format!("onetap_refusals_total{{reason=\"{reason}\"}}"))
}

#[test]
fn refusals_are_counted_by_the_reason_that_no_client_is_told() {
    let scene = Scene::new();
    let mut card = scene.card(SYMMETRIC);
    let tap = card.tap(scene.world.payment(1_00));
    let typed = tap.typed("WRONG234");
    for _ in 0..2 {
        assert_eq!(scene.authorise(&typed).json()["outcome"], "refused");
    }
    let mut stranger = World::new().card(SYMMETRIC);
    scene.authorise(&stranger.tap(scene.world.payment(1_00)).request);
    let mut forged = tap.request.clone();
    *forged.signature_message.last_mut().unwrap() ^= 1;
    scene.authorise(&forged);
    let mut elsewhere = scene.world.payment(1_00);
    elsewhere.terminal = "TERM0002".parse().unwrap();
    scene.authorise(&card.tap(elsewhere).request);
    for (reason, times) in
        [("wrong-password", 2.0), ("unknown-card", 1.0), ("not-signed", 1.0), ("other-terminal", 1.0)]
    {
        assert_eq!(refused(&scene, reason), Some(times), "{reason}");
    }
    assert_eq!(scene.get("pos", "/metrics").status, 403, "not for terminals");
}

#[test]
fn what_others_were_not_told_and_the_age_of_checkpoints_are_numbers() {
    let scene = Scene::new();
    assert_eq!(number(&scene, "onetap_checkpoint_age_seconds"), None, "there is none");
    assert_eq!(number(&scene, "onetap_outbox_oldest_age_seconds"), Some(0.0));
    let mut card = scene.card(SYMMETRIC);
    for _ in 0..3 {
        scene.authorise(&card.tap(scene.world.payment(1_00)).typed("WRONG234"));
    }
    scene.post("adm", "/v1/checkpoints", &json!({ "reason": "a test" }));
    scene.world.clock.advance(50);
    assert_eq!(number(&scene, "onetap_locked_accounts"), Some(1.0));
    assert_eq!(
        number(&scene, "onetap_outbox_messages{state=\"all\"}"),
        Some(1.0),
        "the holder is told of the lock"
    );
    assert_eq!(number(&scene, "onetap_outbox_messages{state=\"dead\"}"), Some(0.0));
    assert_eq!(number(&scene, "onetap_outbox_oldest_age_seconds"), Some(50.0));
    assert_eq!(number(&scene, "onetap_checkpoint_age_seconds"), Some(50.0));
    assert_eq!(number(&scene, "onetap_store_queue"), Some(0.0));
    assert_eq!(number(&scene, "onetap_build_info{version=\"0.1.0\"}"), Some(1.0));
}

fn ready(scene: &Scene) -> u16 {
    // One trial a second: the next one is awaited.
    std::thread::sleep(std::time::Duration::from_millis(1_050));
    scene.ask(&Request::new("GET", "/readyz")).status
}

#[test]
fn a_service_with_another_schema_is_not_ready_and_lives() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::around(World::on_disk(directory.path()), |_| ());
    assert_eq!(ready(&scene), 200);
    let other = rusqlite::Connection::open(directory.path().join("verifier.db")).unwrap();
    let version: i64 = other.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    for (found, status) in [(version + 1, 503), (version - 1, 503), (version, 200)] {
        other.pragma_update(None, "user_version", found).unwrap();
        assert_eq!(ready(&scene), status, "{found}");
        assert_eq!(scene.ask(&Request::new("GET", "/healthz")).status, 200);
    }
}

#[test]
fn a_service_whose_clock_was_stepped_or_is_behind_the_log_is_not_ready() {
    let scene = Scene::new();
    assert_eq!(ready(&scene), 200);
    scene.world.clock.advance(30);
    assert_eq!(ready(&scene), 200, "a correction");
    scene.world.clock.advance(3_600);
    assert_eq!(ready(&scene), 503, "an hour");
    let late = Scene::new();
    late.world.clock.advance(-3_600);
    assert_eq!(ready(&late), 503, "its first look, and an hour behind what is in the log");
    late.world.clock.advance(3_600);
    let act = Act::of_program("test", "an act");
    late.world.verifier.desk(act).register_terminal("TERM0009".parse().unwrap()).unwrap();
    assert_eq!(late.ask(&Request::new("GET", "/healthz")).status, 200);
}
