//! What a call gives belongs to the library: it is kept for the thread that made the call, until its next call that gives
//! something. So a C program has nothing to free but handles, and no other thread can pull a text away.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use onetap_face::error::Result;
use onetap_face::{Error, Kind};

use crate::types::{ONETAP_OK, Status};

/// What the last call of a thread gave.
#[derive(Default)]
pub(crate) struct Arena {
    texts: Vec<CString>,
    kept: Vec<Box<dyn Any>>,
}

impl Arena {
    /// A text that stays where it is. A zero byte, which C takes for the end, is shown as U+2400.
    pub(crate) fn text(&mut self, text: &str) -> *const c_char {
        let text = c_string(text);
        let at = text.as_ptr();
        // The bytes stay where they are when the string is moved.
        self.texts.push(text);
        at
    }

    /// A value that stays where it is.
    pub(crate) fn keep<T: 'static>(&mut self, value: T) -> *const T {
        let value = Box::new(value);
        let at: *const T = &raw const *value;
        self.kept.push(value);
        at
    }

    /// Values in a row, and how many.
    pub(crate) fn list<T: 'static>(&mut self, values: Vec<T>) -> (*const T, usize) {
        let (at, len) = (values.as_ptr(), values.len());
        self.kept.push(Box::new(values));
        (at, len)
    }
}

fn c_string(text: &str) -> CString {
    CString::new(text).unwrap_or_else(|_| CString::new(text.replace('\0', "\u{2400}")).unwrap_or_default())
}

/// The last error of a thread.
pub(crate) struct Last {
    pub(crate) cause: CString,
    pub(crate) cure: CString,
    pub(crate) transaction: CString,
}

thread_local! {
    static GIVEN: RefCell<Arena> = RefCell::default();
    static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
}

/// Gives the caller what `make` puts into the arena, and drops what the call before gave.
pub(crate) fn give(make: impl FnOnce(&mut Arena) -> Result<()>) -> Result<()> {
    let mut arena = Arena::default();
    make(&mut arena)?;
    // On a thread that ends there is nobody to read it.
    let _ = GIVEN.try_with(|given| given.replace(arena));
    Ok(())
}

/// Does the work of one call. No panic leaves it.
pub(crate) fn call(work: impl FnOnce() -> Result<()>) -> Status {
    let done = catch_unwind(AssertUnwindSafe(work));
    let panicked = |_| Err(Error::new(Kind::Internal, "the library made a mistake", "tell its makers"));
    match done.unwrap_or_else(panicked) {
        Ok(()) => ONETAP_OK,
        Err(error) => {
            let kind = error.kind as Status;
            let [cause, cure, transaction] =
                [error.cause, error.cure, error.transaction].map(|text| c_string(&text));
            let _ = LAST.try_with(|last| last.replace(Some(Last { cause, cure, transaction })));
            kind
        }
    }
}

/// A text of the thread's last error; empty if there was none.
pub(crate) fn last_error(read: impl FnOnce(&Last) -> *const c_char) -> *const c_char {
    let text = LAST.try_with(|last| last.borrow().as_ref().map(read));
    text.ok().flatten().unwrap_or(c"".as_ptr())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::panic, reason = "what is tested")]
    fn a_panic_is_an_error_of_the_kind_internal() {
        assert_eq!(call(|| panic!("at home")), Kind::Internal as Status);
        assert_eq!(call(|| Ok(())), ONETAP_OK);
    }

    #[test]
    fn a_text_ends_where_it_ends() {
        assert_eq!(c_string("a\0b").as_bytes(), "a\u{2400}b".as_bytes());
    }
}
