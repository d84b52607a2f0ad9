//! Over a network the server must show a certificate that the operator has named; there is no falling back.

use std::net::Ipv4Addr;
use std::process::Command;

use onetap_postgres_rig::cluster::scratch;
use onetap_postgres_rig::{Cluster, Settings};
use onetap_server_verifier::*;

use crate::support::*;

const TEST: &str = "tls::a_server_on_the_network_must_show_its_certificate";
/// With it set, the test is the process that connects there: the certificate is named in its environment.
const CHILD: &str = "ONETAP_TLS_CHILD";
const ROOTS: &str = "PGSSLROOTCERT";

#[test]
fn a_server_on_the_network_must_show_its_certificate() {
    if let Ok(url) = std::env::var(CHILD) {
        let directory = tempfile::tempdir().unwrap();
        let clock = environment(&TestClock::new());
        match Verifier::init_postgres(directory.path(), &url, options(|_| ()), clock) {
            Ok(_) => println!("opened"),
            Err(error) => println!("{error}"),
        }
        return;
    }
    let address = loopback();
    let (genuine, other) = (certificate(address), certificate(address));
    let mut settings = Settings::quick();
    settings.others.push(("listen_addresses".to_owned(), address.to_string()));
    settings.others.push(("log_connections".to_owned(), "on".to_owned()));
    settings.others.push(("log_min_messages".to_owned(), "log".to_owned()));
    let cluster = Cluster::start(&scratch().unwrap(), settings).unwrap();
    let write = |file: &str, text: &str| {
        let sql = format!(
            "COPY (SELECT unnest(string_to_array('{text}', E'\\n'))) TO PROGRAM 'umask 077; cat >> {file}'"
        );
        cluster.sql("postgres", &sql).unwrap();
    };
    write("server.crt", &genuine.cert.pem());
    write("server.key", &genuine.signing_key.serialize_pem());
    write("pg_hba.conf", "host all all 127.0.0.0/8 trust");
    cluster.sql("postgres", "ALTER SYSTEM SET ssl = on").unwrap();
    cluster.sql("postgres", "SELECT pg_reload_conf()").unwrap();

    let directory = tempfile::tempdir().unwrap();
    let connect = |roots: Option<&rcgen::CertifiedKey<rcgen::KeyPair>>, parameters: &str| {
        let database = cluster.database(None).unwrap();
        let url = format!("postgresql://postgres@{address}/{database}?{parameters}");
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", TEST, "--nocapture"]).env(CHILD, url).env_remove(ROOTS);
        if let Some(roots) = roots {
            let path = directory.path().join("roots.pem");
            std::fs::write(&path, roots.cert.pem()).unwrap();
            child.env(ROOTS, path);
        }
        String::from_utf8(child.output().unwrap().stdout).unwrap()
    };
    let opened = connect(Some(&genuine), "");
    assert!(opened.contains("opened"), "{opened}");
    let log = std::fs::read_to_string(cluster.log()).unwrap();
    assert!(log.contains("SSL enabled (protocol=TLSv1.3"), "{log}");
    let forged = connect(Some(&other), "sslmode=prefer");
    assert!(forged.contains("does not answer"), "{forged}");
    let unnamed = connect(None, "");
    assert!(unnamed.contains("name a file in PGSSLROOTCERT"), "{unnamed}");
    // Somebody in between says that the server knows no TLS.
    cluster.sql("postgres", "ALTER SYSTEM SET ssl = off").unwrap();
    cluster.sql("postgres", "SELECT pg_reload_conf()").unwrap();
    assert!((0..1_000).any(|_| cluster.sql("postgres", "SHOW ssl").unwrap() == "off"));
    for parameters in ["", "sslmode=prefer"] {
        let stripped = connect(Some(&genuine), parameters);
        assert!(stripped.contains("does not answer"), "{parameters}: {stripped}");
    }
    let plain = connect(None, "sslmode=disable");
    assert!(plain.contains("opened"), "{plain}");
}

/// An address of this process's own.
fn loopback() -> Ipv4Addr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 77, high, low.max(1))
}

fn certificate(address: Ipv4Addr) -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(vec![address.to_string()]).unwrap()
}
