//! A server that does whatever a test wants, over plain sockets or TLS, and notes all that reaches it.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// A connection, encrypted or not.
pub(crate) trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

/// What reached the server.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Connections that were accepted.
    pub(crate) connections: usize,
    /// Connections that it has ended.
    pub(crate) ended: usize,
    /// All bytes after TLS.
    pub(crate) bytes: Vec<u8>,
    /// Whole requests.
    pub(crate) requests: Vec<String>,
}

/// A running one.
pub(crate) struct Fake {
    address: SocketAddr,
    scheme: &'static str,
    seen: Arc<Mutex<Seen>>,
}

/// One connection as a script sees it.
pub(crate) struct Peer<'a> {
    wire: &'a mut dyn Wire,
    seen: &'a Mutex<Seen>,
    early: Vec<u8>,
}

impl Peer<'_> {
    /// The next whole request; none if the client ends the connection.
    pub(crate) fn request(&mut self) -> Option<String> {
        let mut chunk = [0; 4096];
        loop {
            if let Some(whole) = whole(&self.early) {
                let request = String::from_utf8(self.early.drain(..whole).collect()).unwrap();
                self.seen.lock().unwrap().requests.push(request.clone());
                return Some(request);
            }
            match self.wire.read(&mut chunk) {
                Ok(more @ 1..) => {
                    self.seen.lock().unwrap().bytes.extend_from_slice(&chunk[..more]);
                    self.early.extend_from_slice(&chunk[..more]);
                }
                _ => return None,
            }
        }
    }

    /// Sends bytes. A client that has left is none of this server's concern.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.wire.write_all(bytes).and_then(|()| self.wire.flush()).is_ok()
    }

    /// Waits until the client has ended the connection.
    pub(crate) fn hang(&mut self) {
        let _ = io::copy(&mut self.wire, &mut io::sink());
    }
}

fn whole(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let length = text.split("\r\n").find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
    (bytes.len() >= head + length).then_some(head + length)
}

impl Fake {
    /// Plays `script` with each connection, one after the other.
    pub(crate) fn plain(script: impl FnMut(&mut Peer<'_>) + Send + 'static) -> Self {
        Self::start("http", script, |stream| Some(Box::new(stream) as Box<dyn Wire>))
    }

    /// The same over TLS. A handshake that fails is a connection without bytes.
    pub(crate) fn tls(config: ServerConfig, script: impl FnMut(&mut Peer<'_>) + Send + 'static) -> Self {
        let config = Arc::new(config);
        Self::start("https", script, move |mut stream| {
            let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            while connection.is_handshaking() {
                connection.complete_io(&mut stream).ok()?;
            }
            Some(Box::new(StreamOwned::new(connection, stream)) as Box<dyn Wire>)
        })
    }

    fn start(
        scheme: &'static str,
        mut script: impl FnMut(&mut Peer<'_>) + Send + 'static,
        mut wrap: impl FnMut(TcpStream) -> Option<Box<dyn Wire>> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::<Mutex<Seen>>::default());
        let noted = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                stream.set_nodelay(true).unwrap();
                noted.lock().unwrap().connections += 1;
                if let Some(mut wire) = wrap(stream) {
                    script(&mut Peer { wire: &mut *wire, seen: &noted, early: Vec::new() });
                }
                noted.lock().unwrap().ended += 1;
            }
        });
        Self { address, scheme, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://localhost:{}", self.scheme, self.address.port())
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// The same, for another thread.
    pub(crate) fn watch(&self) -> Arc<Mutex<Seen>> {
        Arc::clone(&self.seen)
    }

    /// Whether any byte of a request reached it.
    pub(crate) fn was_asked(&self) -> bool {
        !self.seen().bytes.is_empty()
    }
}

/// An answer of this status, with more header lines and a body.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} x\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// An answer in JSON.
pub(crate) fn json(status: u16, body: &str) -> Vec<u8> {
    answer(status, "content-type: application/json\r\n", body)
}

/// A problem of this service's, but for what the test changes.
pub(crate) fn problem(status: u16, kind: &str, told: u16, headers: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"type": "urn:onetap:problem:{kind}", "title": "t", "status": {told}, "detail": "d", "instance": "i"}}"#
    );
    answer(status, &format!("content-type: application/problem+json\r\n{headers}"), &body)
}

/// An authority, and what it has certified.
pub(crate) struct Pki {
    issuer: rcgen::CertifiedIssuer<'static, rcgen::KeyPair>,
}

/// A certificate chain and its key, each in PEM.
pub(crate) struct Pair {
    pub(crate) chain: String,
    pub(crate) key: String,
    private: Vec<u8>,
    certificate: rustls::pki_types::CertificateDer<'static>,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        Self { issuer: rcgen::CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub(crate) fn issue(&self, name: &str, change: impl FnOnce(&mut rcgen::CertificateParams)) -> Pair {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair {
            chain: certificate.pem(),
            key: key.serialize_pem(),
            private: key.serialize_der(),
            certificate: certificate.der().clone(),
        }
    }

    /// A server with `pair`, which demands a client's certificate of this authority if `demanding`.
    pub(crate) fn server(&self, pair: &Pair, demanding: bool) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let chain = vec![pair.certificate.clone()];
        let key = PrivateKeyDer::Pkcs8(pair.private.clone().into());
        if !demanding {
            return builder.with_no_client_auth().with_single_cert(chain, key).unwrap();
        }
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        builder.with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap()
    }
}
