//! Hands at the panel of a virtual card, over its REST (docs/panel.md).

use std::thread::sleep;
use std::time::{Duration, Instant};

use onetap_pcsc_host::trace::StageError;
use serde::Deserialize;
use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::StatusCode;

use super::hands::{HandKey, Hands};

/// How long the panel may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at where the card is.
const PAUSE: Duration = Duration::from_millis(2);
/// How exactly this process and the card agree on a clock that nobody sets.
const REAL_GRAIN: Duration = Duration::from_millis(150);
/// A clock that is set is exact.
const VIRTUAL_GRAIN: Duration = Duration::from_millis(1);

/// An address that is not a panel's.
#[derive(Debug, thiserror::Error)]
pub enum BadAddress {
    /// Another form.
    #[error(
        "not the address of a panel: give it as `onetap card run --panel` prints it, http://127.0.0.1:PORT/#token=TOKEN"
    )]
    Form,
    /// Nobody answers there, or somebody else.
    #[error("the panel does not answer: {0}")]
    Silent(StageError),
}

/// The panel of a virtual card.
pub struct PanelHands {
    agent: Agent,
    base: String,
    bearer: String,
    virtual_clock: bool,
}

#[derive(Deserialize)]
struct Clock {
    r#virtual: bool,
}

#[derive(Deserialize)]
struct Glance {
    in_field: bool,
}

#[derive(Deserialize)]
struct Shown {
    lines: Vec<String>,
}

impl PanelHands {
    /// At the address that the panel printed.
    ///
    /// # Errors
    /// [`BadAddress`].
    pub fn at(address: &str) -> Result<Self, BadAddress> {
        let (base, token) = address.split_once("/#token=").ok_or(BadAddress::Form)?;
        if !base.starts_with("http://") || token.is_empty() {
            return Err(BadAddress::Form);
        }
        let config =
            Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false).proxy(None);
        let (agent, bearer) = (config.build().new_agent(), format!("Bearer {token}"));
        let mut hands = Self { agent, base: base.to_owned(), bearer, virtual_clock: false };
        let clock: Clock = hands.get("/v1/clock").map_err(BadAddress::Silent)?;
        hands.virtual_clock = clock.r#virtual;
        Ok(hands)
    }

    fn get<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<T, StageError> {
        let request = self.agent.get(format!("{}{path}", self.base)).header("Authorization", &self.bearer);
        let mut answer = request.call().map_err(other)?;
        if answer.status() != StatusCode::OK {
            return Err(StageError::Other(format!("the panel answers {} to {path}", answer.status())));
        }
        let body = answer.body_mut().read_to_vec().map_err(other)?;
        serde_json::from_slice(&body)
            .map_err(|why| StageError::Other(format!("the panel answers something else: {why}")))
    }

    fn post(&self, path: &str, body: &Value) -> Result<StatusCode, StageError> {
        let request = self.agent.post(format!("{}{path}", self.base)).header("Authorization", &self.bearer);
        let mut answer = request.content_type("application/json").send(body.to_string()).map_err(other)?;
        // Read, so that the connection can be used again.
        answer.body_mut().read_to_vec().map_err(other)?;
        match answer.status() {
            // A key that the card refuses.
            status @ (StatusCode::OK | StatusCode::CONFLICT) => Ok(status),
            status => Err(StageError::Other(format!("the panel answers {status} to {path}"))),
        }
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn other(why: ureq::Error) -> StageError {
    StageError::Other(format!("the panel does not answer: {why}"))
}

impl Hands for PanelHands {
    fn press(&mut self, key: HandKey) -> Result<(), StageError> {
        self.post("/v1/keys", &json!({ "keys": [key.to_string()] })).map(drop)
    }

    fn look(&mut self) -> Result<Vec<String>, StageError> {
        self.get("/v1/screen").map(|shown: Shown| shown.lines)
    }

    fn hold_in_field(&mut self, there: bool) -> Result<(), StageError> {
        self.post("/v1/field", &json!({ "on": there }))?;
        // A virtual reader follows a moment later.
        let deadline = Instant::now() + PATIENCE;
        while self.get::<Glance>("/v1/card")?.in_field != there {
            if Instant::now() > deadline {
                let what = if there { "into" } else { "out of" };
                return Err(StageError::Other(format!("the card does not come {what} the field")));
            }
            sleep(PAUSE);
        }
        Ok(())
    }

    /// On the card's own clock if it can be set, in real time otherwise.
    fn wait(&mut self, time: Duration) -> Result<(), StageError> {
        if self.virtual_clock {
            let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            self.post("/v1/clock", &json!({ "advance_ms": millis })).map(drop)
        } else {
            sleep(time);
            Ok(())
        }
    }

    fn grain(&self) -> Duration {
        if self.virtual_clock { VIRTUAL_GRAIN } else { REAL_GRAIN }
    }
}
