//! What a page is made of.

use axum::Router;

use crate::files::File;

/// What a page serves.
pub struct Site {
    /// What takes the token.
    pub guarded: Router,
    /// Its files, which anybody on this machine may read.
    pub files: Vec<File>,
    /// Where a lost client finds what there is, such as `see /openapi.json`.
    pub hint: &'static str,
}
