//! The field's switch, with the panel as the reader and with a virtual reader of vsmartcard.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;

use onetap_applet::front::panel::Field;
use onetap_applet::front::vpcd::{Left, Meeting, Stop, VpcdConfig, serve};
use serde_json::json;

use crate::bench::{Bench, PATIENCE};

#[test]
fn the_card_is_in_the_panels_field_or_not() {
    let bench = Bench::new();
    let card = |key: &str| bench.get_json("/v1/card")[key].clone();
    assert_eq!(
        (card("in_field"), card("field_on"), card("reader")),
        (json!(false), json!(false), json!("panel"))
    );
    bench.post("/v1/field", &json!({ "on": true }));
    assert_eq!(
        (card("in_field"), card("field_on"), card("state")),
        (json!(true), json!(true), json!("idle"))
    );
    assert!(card("atr").as_str().unwrap().starts_with("3B"));
    bench.post("/v1/field", &json!({ "on": false }));
    assert_eq!(card("in_field"), false);
}

#[test]
fn with_the_switch_off_the_card_leaves_the_virtual_reader_and_stays_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stop = Stop::new();
    let bench = Bench::with(|config| config.field = Field::Vpcd(stop.clone()));
    let config = VpcdConfig { meeting: Meeting::At(listener.local_addr().unwrap()), ..VpcdConfig::default() };
    std::thread::scope(|scope| {
        let (card, held) = (Arc::clone(&bench.card), stop.clone());
        let served = scope.spawn(move || serve(&card, &config, &held));
        let mut reader = listener.accept().unwrap().0;
        reader.set_read_timeout(Some(PATIENCE)).unwrap();
        reader.write_all(&[0, 1, 4]).unwrap(); // the reader asks for the ATR
        let mut atr = [0; 2];
        reader.read_exact(&mut atr).unwrap();
        assert_eq!(bench.get_json("/v1/card")["reader"], "vpcd");
        assert_eq!(
            bench.ask("POST", "/v1/apdu", &json!({ "apdu": "00A40400" })).refusal(409),
            "other-reader"
        );

        let seq = bench.post("/v1/field", &json!({ "on": false }))["seq"].as_u64().unwrap();
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        // The contact may have ended before the answer came: then the number is that of its end.
        bench.get_json(&format!("/v1/events?after={}&timeout_ms=30000", seq - 1));
        while bench.get_json("/v1/card")["in_field"] == true {
            bench.get_json(&format!("/v1/events?after={seq}&timeout_ms=30000"));
        }
        assert_eq!(bench.get_json("/v1/card")["field_on"], false);
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "nobody comes back");

        listener.set_nonblocking(false).unwrap();
        bench.post("/v1/field", &json!({ "on": true }));
        let _reader = listener.accept().unwrap();
        assert_eq!(bench.get_json("/v1/card")["field_on"], true);
        // A card that is held out of the reader can still be told to end.
        bench.post("/v1/field", &json!({ "on": false }));
        stop.stop();
        assert_eq!(served.join().unwrap().unwrap(), Left::Stopped);
    });
}
