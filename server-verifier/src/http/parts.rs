//! What the bodies of several resources share. Amounts are whole minor units; moments RFC 3339, UTC.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problem::{Kind, Problem};
use crate::domain::{MAX_PAGE, NotAPlace, TimePlace};

/// Some of many.
#[derive(Serialize, ToSchema)]
pub(crate) struct Page<T> {
    items: Vec<T>,
    /// To be given as `after` to get more; none at the end
    next: Option<String>,
}

impl<T> Page<T> {
    /// A page of at most `limit` items, the last of which is `last`.
    pub(crate) fn new(items: impl Iterator<Item = T>, last: Option<String>, limit: u32) -> Self {
        let items: Vec<T> = items.collect();
        let full = items.len() >= limit as usize;
        Self { items, next: last.filter(|_| full) }
    }
}

/// How many items a page has.
pub(crate) fn page_limit(asked: Option<u32>) -> Result<u32, Problem> {
    let limit = asked.unwrap_or(100);
    let possible = (1..=MAX_PAGE).contains(&limit);
    if possible { Ok(limit) } else { Err(Problem::malformed("a page has 1 to 1000 items")) }
}

/// After which place in the order of time a page begins.
pub(crate) fn time_place(after: Option<&str>) -> Result<TimePlace, Problem> {
    let place = after.map_or(Ok(TimePlace::default()), str::parse);
    place.map_err(|error: NotAPlace| Problem::malformed(error.to_string()))
}

/// Why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Reason, example = json!({"reason": "asked for by the holder, ticket 4711"}))]
pub(crate) struct ReasonBody {
    /// For the audit log
    #[schema(min_length = 1, max_length = 500, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    pub(super) reason: String,
}

/// Longest reason, in characters.
const MAX_REASON: usize = 500;

impl ReasonBody {
    pub(super) fn checked(self) -> Result<String, Problem> {
        let fits = self.reason.chars().count() <= MAX_REASON && !self.reason.chars().any(char::is_control);
        let detail = "the reason may have at most 500 characters, and none that controls a terminal";
        if fits { Ok(self.reason) } else { Err(Problem::new(Kind::Unprocessable, detail)) }
    }
}
