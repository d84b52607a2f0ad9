//! Everything that handlers share.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use onetap_apdu_spec::crypto::Crypto;

use super::config::Config;
use super::doors::Doors;
use super::identity::Authenticator;
use super::inspection::Inspection;
use super::limits::Limits;
use super::metrics::Metrics;
use super::readiness::Readiness;
use super::record::Diary;
use super::tls::Tls;
use super::work::{OffThread, PrivateKeyWork};
use crate::service::Verifier;

/// Everything that handlers share.
pub(crate) struct Hub {
    pub(crate) verifier: Arc<OffThread>,
    pub(crate) crypto: &'static dyn Crypto,
    pub(crate) doors: Arc<Doors>,
    pub(crate) identity: Authenticator,
    pub(crate) limits: Limits,
    pub(crate) private_key: PrivateKeyWork,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) diary: Diary,
    pub(crate) tls: Option<Tls>,
    pub(crate) inspection: Arc<Inspection>,
    pub(crate) readiness: Readiness,
    pub(crate) started: Instant,
    pub(crate) config: Config,
}

impl Hub {
    /// # Errors
    /// No threads are left.
    pub(crate) fn start(verifier: Arc<Verifier>, tls: Option<Tls>, config: Config) -> io::Result<Self> {
        let metrics = Arc::new(Metrics::new(Arc::clone(&config.lost_log_lines)));
        let gauge = metrics.private_key_queue.clone();
        let (parallel, queue) = (config.private_key_parallel, config.private_key_queue);
        let crypto = verifier.env.crypto;
        let verifier = Arc::new(OffThread::new(verifier));
        Ok(Self {
            identity: Authenticator::new(Arc::clone(&verifier)),
            crypto,
            doors: Doors::new(config.room(), Arc::clone(&metrics)),
            limits: Limits::new(config.rates()),
            private_key: PrivateKeyWork::start(parallel, queue, gauge)?,
            verifier,
            metrics,
            diary: Diary::new(),
            tls,
            inspection: Arc::default(),
            readiness: Readiness::default(),
            started: Instant::now(),
            config,
        })
    }
}
