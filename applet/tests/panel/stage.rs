//! A page of the caller's own around the panel.

use onetap_applet::front::panel::{File, Stage};
use serde_json::{Value, json};

use crate::bench::Bench;

struct Echo;

impl Stage for Echo {
    fn files(&self) -> Vec<File> {
        vec![File { path: "/echo", media_type: "text/plain", content: "hear yourself" }]
    }

    fn act(&self, action: &str, body: &Value) -> Result<Value, String> {
        match action {
            "say" => Ok(body.clone()),
            "fail" => panic!("on purpose"),
            _ => Err("say something".to_owned()),
        }
    }
}

#[test]
fn a_stage_has_its_own_page_and_acts_for_those_with_the_token() {
    let bench = Bench::with(|config| config.stage = Some(Box::new(Echo)));
    assert_eq!(bench.get("/echo").body, b"hear yourself");
    assert_eq!(bench.post("/stage/say", &json!({ "a": 1 })), json!({ "a": 1 }));
    assert_eq!(bench.ask("POST", "/stage/sing", &json!({})).refusal(409), "not-done");
    assert_eq!(bench.ask("POST", "/stage/fail", &json!({})).refusal(500), "internal");
    assert_eq!(bench.post("/stage/say", &json!(2)), json!(2), "one failure is not the end");
    let stranger = format!("POST /stage/say HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", bench.addr());
    assert_eq!(bench.raw(stranger.as_bytes()).refusal(401), "no-token");
    assert_eq!(Bench::new().ask("POST", "/stage/say", &json!({})).refusal(404), "no-such-path");
}
