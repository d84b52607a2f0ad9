//! The panel's page in headless Chromium: whole transactions by mouse and by keyboard, what a screen reader is
//! told, and how it looks; and the operator's console, before a real service. `UPDATE_SCREENSHOTS=1` writes the reference pictures anew, for people to review.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod accessibility;
mod browser;
mod checks;
mod compare;
mod console;
mod pay;
mod pictures;
mod scene;
