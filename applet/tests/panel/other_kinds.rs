//! The panel of a card of another kind: its APDUs, its power and its field; a display and keys only if it has them.

use std::sync::{Arc, Mutex};

use onetap_applet::Environment;
use onetap_applet::applets::Echo;
use onetap_applet::card::Product;
use onetap_applet::front::panel::{Panel, PanelConfig};
use onetap_applet::nvm::MemoryImage;
use onetap_applet::runtime::DEFAULT_SELECTED;
use serde_json::json;

use crate::bench::Bench;

/// The panel of a card that echoes, without a face.
fn bench() -> Bench {
    let echo =
        Product::new(&[Echo::module()]).instance(Echo::name(), Echo::name(), [DEFAULT_SELECTED, 0, 0], &[]);
    let card = echo.make(Box::new(MemoryImage::default()), Environment::default()).unwrap();
    let card = Arc::new(Mutex::new(card));
    let panel = Panel::serve(Arc::clone(&card), PanelConfig::default()).unwrap();
    Bench { panel, card }
}

#[test]
fn a_card_without_a_face_has_a_panel_of_apdus_and_field() {
    let bench = bench();
    let glance = bench.get_json("/v1/card");
    assert_eq!((&glance["face"], &glance["state"]), (&json!(false), &json!(null)));
    bench.post("/v1/field", &json!({ "on": true }));
    let answer = bench.post("/v1/apdu", &json!({ "apdu": "8010000002686900" }));
    assert_eq!(answer["apdu"], "68699000");
    bench.post("/v1/field", &json!({ "on": false }));
    let events = bench.get_json("/v1/events");
    let kinds: Vec<_> = events["events"].as_array().unwrap().iter().map(|event| &event["kind"]).collect();
    assert_eq!(kinds, ["field", "power-on", "command", "response", "power-off", "field"]);
    assert_eq!(bench.get_json("/v1/log")[0]["response"]["apdu"], "68699000");
}

#[test]
fn what_it_does_not_have_is_said_to_be_missing() {
    let bench = bench();
    for path in ["/v1/screen", "/v1/screen.png", "/v1/screen.svg"] {
        assert_eq!(bench.get(path).refusal(404), "not-here", "{path}");
    }
    assert_eq!(
        bench.ask("POST", "/v1/keys", &json!({ "keys": ["confirm"] })).refusal(409),
        "key-refused",
        "no keys"
    );
}
