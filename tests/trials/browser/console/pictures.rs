//! How the console looks, beside the picture that the README shows.

use super::desk::{Desk, says};
use crate::browser::DESK;
use crate::compare::compare;

#[test]
fn the_console_looks_as_the_readme_shows_it() {
    let Some(mut desk) = Desk::open_as("olga") else { return };
    let number = desk.lock(0);
    says(&desk.browser, "locked", &number.to_string());
    desk.find(&number);
    compare(&desk.browser, "docs/pictures", "console", DESK);
}
