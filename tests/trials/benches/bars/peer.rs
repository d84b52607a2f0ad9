//! OpenSSL, as the machine has it.

use std::process::Command;

use crate::support::Fallible;

/// Seconds for one RSA-2048 signature, averaged over one second of `openssl speed`.
pub(crate) fn openssl_rsa_2048() -> Fallible<f64> {
    signature("rsa2048", "+F2:")
}

/// The same for ECDSA on P-256.
pub(crate) fn openssl_p256() -> Fallible<f64> {
    signature("ecdsap256", "+F4:")
}

fn signature(algorithm: &str, mark: &str) -> Fallible<f64> {
    let output = Command::new("openssl").args(["speed", "-mr", "-seconds", "1", algorithm]).output()?;
    let text = String::from_utf8(output.stdout)?;
    // mark, <index>:<bits>:<signatures a second>:<verifications a second>
    let line = text.lines().find(|line| line.starts_with(mark));
    let rate = line.and_then(|line| line.split(':').nth(3)).ok_or("openssl speed printed no result")?;
    Ok(1.0 / rate.parse::<f64>()?)
}
