//! `onetap load`, as clap sees it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use onetap_apdu_spec::suite::Suite;

use super::Identity;

/// How many payments there are where nothing is said.
const PAYMENTS: u32 = 1_000;

#[derive(Debug, Args)]
pub(crate) struct Load {
    /// Pay at this running service, such as `https://bank.example:8443`, as an admin of it; without, at one of this command's own
    /// in a temporary folder. What is made there has names that begin with `load`
    #[arg(long, value_name = "URL", requires = "reason")]
    pub(crate) server: Option<String>,
    #[command(flatten)]
    pub(crate) identity: Identity,
    /// Why that server is put under load, for its audit log
    #[arg(long, value_name = "WHY", requires = "server")]
    pub(crate) reason: Option<String>,
    /// Accounts, each with a card, that pay one another
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub(crate) cards: u32,
    /// What the cards sign
    #[arg(long, value_name = "SUITE", default_value_t = Suite::default())]
    pub(crate) profile: Suite,
    /// Payments, all of which are signed beforehand [default: 1000, or --rate times --seconds]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    payments: Option<u32>,
    /// Begin no payment after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = positive)]
    seconds: Option<f64>,
    /// Payments a second, whether or not the service keeps up; as fast as it goes if left out
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) rate: Option<f64>,
    /// Connections, each with one request at a time; no more are used than there are cards, since a card pays one after another
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) connections: u16,
    /// Write a page with plots of latency and throughput, which loads nothing from elsewhere
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

impl Load {
    /// How many payments are signed.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a conversion that saturates")]
    pub(crate) fn payments(&self) -> u32 {
        let asked = self.rate.zip(self.seconds).map(|(rate, seconds)| (rate * seconds).ceil() as u32);
        self.payments.or(asked).unwrap_or(PAYMENTS)
    }

    /// How long it takes at least to send so many.
    pub(crate) fn sending(&self, payments: usize) -> Duration {
        let payments = f64::from(u32::try_from(payments).unwrap_or(u32::MAX));
        self.rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(payments / rate))
    }

    /// After which time no payment is begun.
    pub(crate) fn time(&self) -> Option<Duration> {
        self.seconds.map(Duration::from_secs_f64)
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (1e-3..=1e6).contains(number));
    number.ok_or_else(|| "give a number from 0.001 to 1000000".to_owned())
}
