//! The card itself: what it is, its keys, its field, its APDUs.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use onetap_apdu_spec::command::CardState;
use serde::{Deserialize, Serialize};

use super::screen::MAX_WAIT;
use crate::front::panel::hub::Hub;
use crate::front::panel::keys::Press;
use onetap_page::Problem;
use onetap_page::body::Json;

/// Most keys in one request.
const MAX_PRESSES: usize = 64;

/// Number of the latest event.
#[derive(Serialize)]
pub(crate) struct Done {
    seq: u64,
}

/// The card at a glance.
#[derive(Serialize)]
pub(crate) struct Glance {
    seq: u64,
    /// Null on a card that has no signing application in its ROM.
    state: Option<CardState>,
    #[serde(serialize_with = "hex::serialize_upper")]
    atr: Vec<u8>,
    /// Whether it has a display and keys.
    face: bool,
    in_field: bool,
    /// Where the field's switch stands.
    field_on: bool,
    reader: &'static str,
}

/// `GET /v1/card`.
pub(crate) async fn card(State(hub): State<Arc<Hub>>) -> axum::Json<Glance> {
    let field_on = hub.field.is_on(&hub.card);
    let card = hub.card();
    axum::Json(Glance {
        seq: hub.history.marks().latest,
        state: card.can_sign().then(|| card.state()),
        atr: card.atr().to_vec(),
        face: card.has_face(),
        in_field: card.in_field(),
        field_on,
        reader: hub.field.reader(),
    })
}

/// Keys to press.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keys {
    keys: Vec<Press>,
    /// How long the card may take until it is ready for them.
    #[serde(default)]
    patience_ms: u64,
}

/// `POST /v1/keys`: presses them in order, up to the first that is refused.
pub(crate) async fn keys(
    State(hub): State<Arc<Hub>>,
    Json(request): Json<Keys>,
) -> Result<axum::Json<Done>, Problem> {
    if request.keys.is_empty() || request.keys.len() > MAX_PRESSES {
        return Err(Problem::bad_request(format!("give 1 to {MAX_PRESSES} keys")));
    }
    let patience = Duration::from_millis(request.patience_ms).min(MAX_WAIT);
    let pressed = hub.press(&request.keys, patience).await;
    let seq = hub.history.marks().latest;
    match pressed {
        Ok(()) => Ok(axum::Json(Done { seq })),
        Err(refused) => {
            let problem = Problem::conflict("key-refused", refused.why.to_string());
            Err(problem.with("seq", seq).with("pressed", refused.pressed))
        }
    }
}

/// The field's switch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FieldSwitch {
    on: bool,
}

/// `POST /v1/field`.
pub(crate) async fn field(State(hub): State<Arc<Hub>>, Json(request): Json<FieldSwitch>) -> axum::Json<Done> {
    hub.field.switch(&hub.card, request.on);
    axum::Json(Done { seq: hub.history.marks().latest })
}

/// A command APDU in hexadecimal.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommandHex {
    #[serde(with = "hex::serde")]
    apdu: Vec<u8>,
}

/// A response APDU in hexadecimal.
#[derive(Serialize)]
pub(crate) struct ResponseHex {
    seq: u64,
    #[serde(serialize_with = "hex::serialize_upper")]
    apdu: Vec<u8>,
}

/// `POST /v1/apdu`.
pub(crate) async fn apdu(
    State(hub): State<Arc<Hub>>,
    Json(command): Json<CommandHex>,
) -> Result<axum::Json<ResponseHex>, Problem> {
    let apdu = hub.transmit(&command.apdu)?;
    Ok(axum::Json(ResponseHex { seq: hub.history.marks().latest, apdu }))
}
