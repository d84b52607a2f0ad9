//! What we are measured against, on the same machine in the same run.

use std::process::Command;

use onetap_postgres_rig::Cluster;

use super::Fallible;

/// RSA-2048 operations a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Openssl {
    /// With the private key.
    pub sign: f64,
    /// With the public key.
    pub verify: f64,
}

/// `openssl speed` on so many cores, for so many seconds for each of the two.
///
/// # Errors
/// OpenSSL is not there, or prints something else.
pub fn openssl_rsa_2048(cores: usize, seconds: u32) -> Fallible<Openssl> {
    let mut command = Command::new("openssl");
    command.args(["speed", "-mr", "-seconds", &seconds.to_string()]);
    if cores > 1 {
        command.args(["-multi", &cores.to_string()]);
    }
    let output = command.arg("rsa2048").output()?;
    openssl_rates(&String::from_utf8(output.stdout)?)
}

/// `+F2:<index>:2048:<signatures>:<verifications>`: on one core a second's count, on several the total of seconds
/// for one.
fn openssl_rates(text: &str) -> Fallible<Openssl> {
    let line =
        text.lines().rfind(|line| line.starts_with("+F2:")).ok_or("openssl speed printed no result")?;
    let mut fields = line.split(':').skip(3);
    let mut next =
        || -> Fallible<f64> { Ok(fields.next().ok_or("openssl speed printed half a result")?.parse()?) };
    Ok(Openssl { sign: next()?, verify: next()? })
}

/// How pgbench speaks to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Its default: a statement's text each time.
    Simple,
    /// Prepared statements, as our own client uses.
    Prepared,
}

/// A TPC-B-like database of pgbench's own.
#[derive(Debug)]
pub struct Pgbench<'a> {
    cluster: &'a Cluster,
    database: String,
}

impl<'a> Pgbench<'a> {
    /// Fills one of this scale: so many branches, ten tellers and a hundred thousand accounts for each.
    ///
    /// # Errors
    /// Whatever pgbench says.
    pub fn fill(cluster: &'a Cluster, scale: u32) -> Fallible<Self> {
        let database = cluster.database(None)?;
        let mut command = cluster.program("pgbench")?;
        command.args(["--initialize", "--quiet", "--scale", &scale.to_string(), &database]);
        let output = command.output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        Ok(Self { cluster, database })
    }

    /// Transactions a second, without the time to connect.
    ///
    /// # Errors
    /// Whatever pgbench says.
    pub fn rate(&self, clients: u32, seconds: u32, protocol: Protocol) -> Fallible<f64> {
        let protocol = match protocol {
            Protocol::Simple => "simple",
            Protocol::Prepared => "prepared",
        };
        let mut command = self.cluster.program("pgbench")?;
        command.args(["--no-vacuum", "--jobs", "2", "--protocol", protocol]);
        command.args(["--client", &clients.to_string(), "--time", &seconds.to_string(), &self.database]);
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        rate.ok_or_else(|| String::from_utf8_lossy(&output.stderr).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_result_of_openssl_speed_is_read() {
        let text = "+R1:1:2048:1.00\n+F2:3:2048:1412.0:48211.5\n";
        assert_eq!(openssl_rates(text).ok(), Some(Openssl { sign: 1412.0, verify: 48211.5 }));
        assert!(openssl_rates("").is_err());
        assert!(openssl_rates("+F2:3:2048").is_err());
    }
}
