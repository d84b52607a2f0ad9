//! Over a network the server must show a certificate that the operator has named; there is no falling back.

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
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
    if is_child() {
        return;
    }
    let address = loopback(77);
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
    assert!(unnamed.contains("name a file in `sslrootcert` or PGSSLROOTCERT"), "{unnamed}");
    let path = directory.path().join("roots.pem");
    std::fs::write(&path, genuine.cert.pem()).unwrap();
    let in_the_url = connect(None, &format!("sslmode=verify-full&sslrootcert={}", path.display()));
    assert!(in_the_url.contains("opened"), "{in_the_url}");
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

const WAYS: &str = "tls::a_password_and_a_service_are_found_where_libpq_looks_for_them";

#[test]
fn a_password_and_a_service_are_found_where_libpq_looks_for_them() {
    if is_child() {
        return;
    }
    let address = loopback(78);
    let mut settings = Settings::quick();
    settings.others.push(("listen_addresses".to_owned(), address.to_string()));
    let cluster = Cluster::start(&scratch().unwrap(), settings).unwrap();
    cluster.sql("postgres", "CREATE ROLE shop LOGIN SUPERUSER PASSWORD 'a:b'").unwrap();
    let hba = "COPY (SELECT 'host all shop 127.0.0.0/8 scram-sha-256') TO PROGRAM 'cat >> pg_hba.conf'";
    cluster.sql("postgres", hba).unwrap();
    cluster.sql("postgres", "SELECT pg_reload_conf()").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.into_os_string()
    };
    let connect = |name: &str, value: &OsStr, by: &dyn Fn(&str) -> String| {
        let database = cluster.database(None).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", WAYS, "--nocapture"]).env(CHILD, by(&database)).env(name, value);
        child.env("HOME", directory.path());
        String::from_utf8(child.output().unwrap().stdout).unwrap()
    };
    let pairs = |database: &str| format!("host={address} user=shop dbname={database} sslmode=disable");
    let opened = connect("PGPASSWORD", OsStr::new("a:b"), &pairs);
    assert!(opened.contains("opened"), "{opened}");
    let opened = connect(
        "PGPASSFILE",
        &file("pgpass", &format!("other:*:*:*:no\n{address}:5432:*:shop:a\\:b\n")),
        &pairs,
    );
    assert!(opened.contains("opened"), "{opened}");
    let services = format!(
        "[other]\nhost=nowhere\n[shop]\nhost={address}\nuser=shop\npassword=a:b\nsslmode=disable\n[last]\n"
    );
    let by_service = |database: &str| format!("service=shop dbname={database}");
    let opened = connect("PGSERVICEFILE", &file("services", &services), &by_service);
    assert!(opened.contains("opened"), "{opened}");
    let unknown = connect("PGSERVICEFILE", &file("none", "[other]\n"), &by_service);
    assert!(unknown.contains("no service [shop]"), "{unknown}");
    let wrong = connect("PGPASSWORD", OsStr::new("wrong"), &pairs);
    assert!(wrong.contains("password"), "{wrong}");
}

/// Whether this process is one that a test has started to connect in it: it does, and says what came of it.
fn is_child() -> bool {
    let Ok(url) = std::env::var(CHILD) else { return false };
    let directory = tempfile::tempdir().unwrap();
    let clock = environment(&TestClock::new());
    match Verifier::init_postgres(directory.path(), &url, options(|_| ()), clock) {
        Ok(_) => println!("opened"),
        Err(error) => println!("{error}"),
    }
    true
}

/// An address of this process's own, another one for each `network`.
fn loopback(network: u8) -> Ipv4Addr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, network, high, low.max(1))
}

fn certificate(address: Ipv4Addr) -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(vec![address.to_string()]).unwrap()
}
