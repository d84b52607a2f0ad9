//! Checkpoints of the audit log: making them, and which were made.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::{Administer, Caller, Read};
use super::hub::Hub;
use super::json::{Query, answer, answer_bytes};
use super::parts::Page;
use super::parts::page_limit;
use super::problem::Problem;
use crate::domain::Timestamp;
use crate::service::checkpoint::SignedCheckpoint;

/// A checkpoint that was signed.
#[derive(Serialize, ToSchema)]
#[schema(as = Checkpoint, example = json!({"entry": 9, "at": "2026-03-19T14:05:31Z", "chains": 3, "root": "9b5ae16d01c1cb9ac49e5b6a4ef0cde6fd4c9b3e8a4e26d1ea9e2d7a3c1f0b52"}))]
pub(crate) struct CheckpointBody {
    /// Place of its entry in the operator's own chain
    entry: i64,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// How many chains it covers
    chains: u64,
    /// Running digest of their ends, 64 hexadecimal digits
    root: String,
}

impl From<SignedCheckpoint> for CheckpointBody {
    fn from(signed: SignedCheckpoint) -> Self {
        let SignedCheckpoint { sequence, at, chains, root } = signed;
        Self { entry: sequence, at, chains, root: hex::encode(root) }
    }
}

/// Which checkpoints.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Checkpoints {
    /// Older than the one with this entry
    after: Option<i64>,
    /// So many at most, up to 1000; 100 if left out
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// The checkpoints that were signed, newest first.
#[utoipa::path(get, path = "/v1/checkpoints", operation_id = "list_checkpoints", tag = "audit", params(Checkpoints),
    responses((status = 200, body = Page<CheckpointBody>)))]
pub(crate) async fn list(
    _caller: Caller<Read>,
    State(hub): State<Arc<Hub>>,
    Query(query): Query<Checkpoints>,
) -> Result<Response, Problem> {
    let limit = page_limit(query.limit)?;
    let found = hub.verifier.run(move |verifier| verifier.checkpoints(query.after, limit)).await?;
    let last = found.last().map(|signed| signed.sequence.to_string());
    Ok(answer(StatusCode::OK, &Page::new(found.into_iter().map(CheckpointBody::from), last, limit)))
}

/// Signs a checkpoint of every chain, and answers with its file. Keep it where nobody can change both it and the
/// database; `onetap verifier audit verify --checkpoint` reads it.
#[utoipa::path(post, path = "/v1/checkpoints", operation_id = "make_checkpoint", tag = "audit",
    responses((status = 201, body = String, content_type = "application/jsonl")))]
pub(crate) async fn make(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
) -> Result<Response, Problem> {
    let act = caller.act("");
    let made = hub.verifier.run(move |verifier| {
        let mut file = Vec::new();
        let checkpoint = verifier.desk(act).checkpoint(&mut file)?;
        Ok((checkpoint, file))
    });
    let (checkpoint, file) = made.await?;
    tracing::info!(
        request = caller.request(),
        client = caller.name(),
        chains = checkpoint.chains,
        "a checkpoint was made"
    );
    let mut response = answer_bytes(StatusCode::CREATED, file.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/jsonl"));
    Ok(response)
}
