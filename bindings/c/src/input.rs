//! What C hands over, checked as far as it can be: no NULL where something is needed, UTF-8, a known size.

use std::ffi::{CStr, c_char};

use onetap_face::Error;
use onetap_face::error::Result;

use crate::types::Config;

fn null(name: &str) -> Error {
    Error::argument(format!("`{name}` is NULL"), "give it")
}

/// Refuses NULL.
pub(crate) fn not_null<T>(pointer: *const T, name: &str) -> Result<()> {
    if pointer.is_null() { Err(null(name)) } else { Ok(()) }
}

/// A value of the caller's.
pub(crate) fn value<'a, T>(pointer: *const T, name: &str) -> Result<&'a T> {
    // SAFETY: the header asks for NULL or a pointer to such a value that is not changed during the call.
    unsafe { pointer.as_ref() }.ok_or_else(|| null(name))
}

/// A text of the caller's.
pub(crate) fn text<'a>(pointer: *const c_char, name: &str) -> Result<&'a str> {
    optional_text(pointer, name)?.ok_or_else(|| null(name))
}

/// A text of the caller's, or none.
pub(crate) fn optional_text<'a>(pointer: *const c_char, name: &str) -> Result<Option<&'a str>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: the header asks for NULL or a text with a zero at its end that is not changed during the call.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().map(Some).map_err(|_| Error::argument(format!("`{name}` is not UTF-8"), "give it in UTF-8"))
}

/// Bytes of the caller's.
pub(crate) fn bytes<'a>(pointer: *const u8, len: usize, name: &str) -> Result<&'a [u8]> {
    if len == 0 {
        return Ok(&[]);
    }
    not_null(pointer, name)?;
    // SAFETY: the header asks for so many bytes that are not changed during the call.
    Ok(unsafe { std::slice::from_raw_parts(pointer, len) })
}

/// Gives a value to the caller.
pub(crate) fn output<T>(to: *mut T, name: &str, value: T) -> Result<()> {
    not_null(to, name)?;
    // SAFETY: the header asks for NULL or a place for such a value. What stands there is no value yet, so it is not dropped.
    unsafe { to.write(value) };
    Ok(())
}

/// A configuration of a caller whose header may have had fewer fields, or more: those that he does not know are zero.
pub(crate) fn config(pointer: *const Config) -> Result<Config> {
    not_null(pointer, "config")?;
    // SAFETY: `size` is the first field of every version of it.
    let size = unsafe { pointer.cast::<usize>().read() };
    let ours = size_of::<Config>();
    if !(size_of::<usize>()..=4 * ours).contains(&size) {
        return Err(Error::argument("`config.size` is wrong", "set it to sizeof(onetap_config)"));
    }
    let mut config = std::mem::MaybeUninit::<Config>::zeroed();
    let (from, to) = (pointer.cast::<u8>(), config.as_mut_ptr().cast::<u8>());
    // SAFETY: so many bytes are the caller's, and there is room for them here.
    unsafe { std::ptr::copy_nonoverlapping(from, to, size.min(ours)) };
    // SAFETY: NULL pointers and zero are values of every field.
    Ok(unsafe { config.assume_init() })
}
