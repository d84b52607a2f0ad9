//! What the terminal's client costs on a kept connection over TLS, beside a bare request of the same bytes over the same
//! library: JSON written and read, deadline, and, where the app may cancel, a thread.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use onetap_apdu_spec::service::{
    AUTHORISATIONS, AuthorisationRequest, IDEMPOTENCY_KEY, IdempotencyKey, JSON,
};
use onetap_pcsc_host::http::{Credentials, HttpConfig, HttpService, Roots};
use onetap_pcsc_host::{Cancel, Deadline, Service as _};
use onetap_trials::fire::Fallible;
use onetap_trials::fire::scene::SYMMETRIC;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::row::{Row, median};
use crate::{Place, scene};

const TOKEN: &str = "TERM0000.0123456789abcdef0123456789abcdef";
const KEY: &str = "0123456789abcdef0123456789abcdef";
const WARM: usize = 200;
const ROUNDS: usize = 3_000;
/// Microseconds.
const BAR: f64 = 50.0;
const ANSWER: &str = r#"{"outcome":"executed","receipt":{"transaction":"0123456789abcdef00000001","kind":"payment",
"amount":1,"currency":"EUR","payee":"DE89370400440532013000","payee_name":"Holder 1","reference":"order 7",
"executed_at":"2026-07-01T12:00:00Z"}}"#;

/// A server of TLS that answers every request at once with [`ANSWER`], and its certificate in PEM.
struct StandIn {
    url: String,
    certificate: String,
}

impl StandIn {
    fn start() -> Fallible<Self> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key)?;
        let (config, listener) = (Arc::new(config), TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
        let url = format!("https://localhost:{}", listener.local_addr()?.port());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let config = Arc::clone(&config);
                // Ends when the client does.
                thread::spawn(move || serve(stream, config).ok());
            }
        });
        Ok(Self { url, certificate: made.cert.pem() })
    }
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>) -> Fallible<()> {
    stream.set_nodelay(true)?;
    let mut stream = StreamOwned::new(ServerConnection::new(config)?, stream);
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{ANSWER}",
        ANSWER.len()
    );
    let (mut bytes, mut chunk) = (Vec::new(), [0; 8192]);
    loop {
        let more = stream.read(&mut chunk)?;
        if more == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&chunk[..more]);
        // A request's body is one JSON object.
        if bytes.windows(4).any(|window| window == b"\r\n\r\n") && bytes.ends_with(b"}") {
            bytes.clear();
            stream.write_all(answer.as_bytes())?;
        }
    }
}

/// The library itself, with no more than the bytes.
struct Bare {
    agent: ureq::Agent,
    url: String,
    body: Vec<u8>,
}

impl Bare {
    fn new(server: &StandIn, request: &AuthorisationRequest) -> Fallible<Self> {
        let roots = RootCerts::new_with_certs(&[Certificate::from_pem(server.certificate.as_bytes())?]);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder().root_certs(roots).unversioned_rustls_crypto_provider(provider).build();
        let agent = ureq::Agent::config_builder().tls_config(tls).proxy(None).build().new_agent();
        Ok(Self { agent, url: format!("{}{AUTHORISATIONS}", server.url), body: serde_json::to_vec(request)? })
    }

    fn ask(&self) -> Fallible<()> {
        let request = self.agent.post(&self.url).header("content-type", JSON).header(IDEMPOTENCY_KEY, KEY);
        let mut answer = request.header("authorization", format!("Bearer {TOKEN}")).send(&self.body)?;
        answer.body_mut().read_to_vec()?;
        Ok(())
    }
}

fn micros(ask: &mut dyn FnMut() -> Fallible<()>) -> Fallible<f64> {
    let start = Instant::now();
    ask()?;
    Ok(start.elapsed().as_secs_f64() * 1e6)
}

pub(crate) fn own_cost(place: &Place) -> Fallible<Vec<Row>> {
    let request = scene(place.sqlite("client"), SYMMETRIC, 2)?.town.payment(0, |_| ())?.request;
    let server = StandIn::start()?;
    let mut config = HttpConfig::new(&server.url, Credentials::token(TOKEN)?);
    config.roots = Roots::from_pem(server.certificate.as_bytes())?;
    config.proxy_from_environment = false;
    let (service, bare) = (HttpService::new(config)?, Bare::new(&server, &request)?);
    let (key, cancel) = (KEY.parse::<IdempotencyKey>()?, Cancel::new());
    let long = Duration::from_secs(60);
    let ask = |deadline: &Deadline| -> Fallible<()> {
        service.authorise(&key, &request, deadline)?;
        Ok(())
    };
    let (mut bares, mut plains, mut cancellables) = (vec![], vec![], vec![]);
    for round in 0..WARM + ROUNDS {
        let times = [
            micros(&mut || bare.ask())?,
            micros(&mut || ask(&Deadline::after(long)))?,
            micros(&mut || ask(&Deadline::after(long).cancelled_by(&cancel)))?,
        ];
        if round >= WARM {
            bares.push(times[0]);
            plains.push(times[1]);
            cancellables.push(times[2]);
        }
    }
    let [bare, plain, cancellable] = [bares, plains, cancellables].map(median);
    println!(
        "  p50: bare {bare:.1} µs, with a deadline {plain:.1} µs, one that can be cancelled {cancellable:.1} µs"
    );
    let name = "the client's own cost on a kept connection, p50";
    Ok(vec![
        Row::within(name, "µs", plain - bare, BAR).of_issue(9),
        Row::within("… where the app may cancel", "µs", cancellable - bare, BAR).of_issue(9),
        Row::of_service("… a bare request of the same bytes", "µs", bare, "with the client", plain)
            .of_issue(9),
    ])
}
