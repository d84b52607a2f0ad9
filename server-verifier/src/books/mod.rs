//! What decisions and acts do to rows: functions over [`sql::Sql`], each inside its caller's transaction.

pub(crate) mod accounts;
pub(crate) mod bulk;
mod cancellation;
pub(crate) mod chain;
pub(crate) mod check;
pub(crate) mod clients;
pub(crate) mod decision;
pub(crate) mod holds;
pub(crate) mod ledger;
pub(crate) mod lines;
pub(crate) mod log;
pub(crate) mod model;
pub(crate) mod moving;
pub(crate) mod notice;
pub(crate) mod outbox;
pub(crate) mod policy;
pub(crate) mod project;
pub(crate) mod replay;
pub(crate) mod search;
pub(crate) mod sql;
pub(crate) mod tables;
pub(crate) mod takeover;
pub(crate) mod whereabouts;
pub(crate) mod write;

pub(crate) use accounts::*;
