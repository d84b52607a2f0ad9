//! Who is let in.

use onetap_applet::front::panel::{PageError, Panel, PanelConfig};

use crate::bench::Bench;

const CLOSE: &str = "Connection: close\r\n\r\n";

fn with(bench: &Bench, host: &str, more: &str) -> crate::bench::Answer {
    let token = bench.panel.token();
    let request =
        format!("GET /v1/card HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n{more}{CLOSE}");
    bench.raw(request.as_bytes())
}

#[test]
fn without_the_token_there_is_nothing() {
    let bench = Bench::new();
    let (addr, token) = (bench.addr(), bench.panel.token());
    assert!(token.len() >= 32);
    let almost = format!("{}x", &token[..token.len() - 1]);
    for authorization in [
        String::new(),
        "Authorization: Bearer\r\n".to_owned(),
        "Authorization: Bearer \r\n".to_owned(),
        format!("Authorization: Bearer {almost}\r\n"),
        format!("Authorization: Bearer {token}{token}\r\n"),
        format!("Authorization: Basic {token}\r\n"),
        format!("Authorization: {token}\r\n"),
        format!("Cookie: token={token}\r\n"),
    ] {
        for path in ["/v1/screen", "/v1/screen.png", "/v1/events", "/v1/automation"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n{authorization}{CLOSE}");
            let answer = bench.raw(request.as_bytes());
            assert_eq!(answer.refusal(401), "no-token", "{authorization}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
    let request = format!("POST /v1/keys?token={token} HTTP/1.1\r\nHost: {addr}\r\n{CLOSE}");
    assert_eq!(bench.raw(request.as_bytes()).refusal(401), "no-token", "nor in the query");
    let request =
        format!("GET /v1/card HTTP/1.1\r\nHost: {addr}\r\nauthorization: bearer {token}\r\n{CLOSE}");
    assert_eq!(bench.raw(request.as_bytes()).status, 200, "the scheme has no case");
}

#[test]
fn other_names_and_other_sites_are_turned_away() {
    let bench = Bench::new();
    let port = bench.addr().port();
    for host in ["evil.example", "127.0.0.1", "127.0.0.1:1", &format!("evil.example:{port}"), ""] {
        assert_eq!(with(&bench, host, "").refusal(421), "wrong-host", "{host}");
    }
    let host = format!("localhost:{port}");
    assert_eq!(with(&bench, &host, "").status, 200);
    for origin in ["http://evil.example", "null", &format!("https://{host}"), "http://127.0.0.1:1", ""] {
        let answer = with(&bench, &host, &format!("Origin: {origin}\r\n"));
        assert_eq!(answer.refusal(403), "wrong-origin", "{origin}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    assert_eq!(with(&bench, &host, &format!("Origin: http://{host}\r\n")).status, 200);
    // The page itself is guarded against rebinding as well.
    let request = format!("GET / HTTP/1.1\r\nHost: evil.example:{port}\r\n{CLOSE}");
    assert_eq!(bench.raw(request.as_bytes()).refusal(421), "wrong-host");
}

#[test]
fn pages_run_only_what_the_panel_serves() {
    let bench = Bench::new();
    for path in
        ["/", "/api", "/panel.js", "/client.js", "/panel.css", "/icon.svg", "/api.js", "/openapi.json"]
    {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{CLOSE}", bench.addr());
        let answer = bench.raw(request.as_bytes());
        assert_eq!(answer.status, 200, "{path}");
        let csp = answer.header("content-security-policy").unwrap();
        assert!(csp.contains("default-src 'none'") && !csp.contains("unsafe"), "{csp}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let text = String::from_utf8(answer.body).unwrap();
        assert!(!text.contains(bench.panel.token()), "{path} holds no secret");
        for inline in ["<script>", "<style", "style=", "onclick", "javascript:", "https://"] {
            assert!(!text.contains(inline), "{path} has {inline}");
        }
    }
}

#[test]
fn only_this_machine_is_served_and_nothing_tells_the_token() {
    let config = PanelConfig { addr: ([0, 0, 0, 0], 0).into(), ..PanelConfig::default() };
    let bench = Bench::new();
    let refused = Panel::serve(bench.card.clone(), config);
    assert!(matches!(refused, Err(PageError::NotLoopback(_))));
    let taken = PanelConfig { addr: bench.addr(), ..PanelConfig::default() };
    assert!(matches!(Panel::serve(bench.card.clone(), taken), Err(PageError::Listen { .. })));
    assert!(!format!("{:?}", bench.panel).contains(bench.panel.token()));
    assert!(bench.panel.url().ends_with(&format!("/#token={}", bench.panel.token())));
}
