//! A reader of the app's own, as functions in C.

use std::ffi::{c_int, c_void};
use std::time::Duration;

use onetap_face::Error;
use onetap_face::error::Result;
use onetap_face::port::{CardPort, PortError};

use crate::input::value;
use crate::types::{ONETAP_PORT_ATR_ROOM, ONETAP_PORT_CARD_LEFT, ONETAP_PORT_RESPONSE_ROOM, Port, millis};

/// The functions of a port that is whole.
struct CPort {
    context: Context,
    present: extern "C" fn(*mut c_void, u32) -> c_int,
    connect: extern "C" fn(*mut c_void, *mut u8) -> c_int,
    transmit: extern "C" fn(*mut c_void, *const u8, usize, *mut u8) -> c_int,
    disconnect: extern "C" fn(*mut c_void, bool) -> c_int,
    response: Vec<u8>,
}

/// The app's own, and what it wants to hear at the end.
struct Context {
    pointer: *mut c_void,
    release: Option<extern "C" fn(*mut c_void)>,
}

// SAFETY: the header tells that functions of a port are called on any thread, one at a time.
unsafe impl Send for Context {}

impl Drop for Context {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            release(self.pointer);
        }
    }
}

/// A port for the face; none for NULL.
pub(crate) fn made(port: *const Port) -> Result<Option<Box<dyn CardPort>>> {
    if port.is_null() {
        return Ok(None);
    }
    let port = value(port, "port")?;
    if port.size != size_of::<Port>() {
        return Err(Error::argument("`port.size` is wrong", "set it to sizeof(onetap_port)"));
    }
    let (Some(present), Some(connect), Some(transmit), Some(disconnect)) =
        (port.present, port.connect, port.transmit, port.disconnect)
    else {
        return Err(Error::argument("a function of the port is NULL", "give all but `release`"));
    };
    let context = Context { pointer: port.context, release: port.release };
    let response = vec![0; ONETAP_PORT_RESPONSE_ROOM];
    Ok(Some(Box::new(CPort { context, present, connect, transmit, disconnect, response })))
}

/// What a function of the port returned, if it says how it went.
fn returned(name: &str, code: c_int, most: usize) -> std::result::Result<usize, PortError> {
    match usize::try_from(code) {
        Ok(count) if count <= most => Ok(count),
        Err(_) if code == ONETAP_PORT_CARD_LEFT => Err(PortError::CardLeft),
        _ => Err(PortError::Failed(format!("its function `{name}` returned {code}"))),
    }
}

impl CardPort for CPort {
    fn present(&mut self, wait: Duration) -> std::result::Result<bool, PortError> {
        let code = (self.present)(self.context.pointer, millis(wait));
        match returned("present", code, 1) {
            Ok(count) => Ok(count == 1),
            Err(PortError::CardLeft) => Ok(false),
            Err(failed) => Err(failed),
        }
    }

    fn connect(&mut self) -> std::result::Result<Vec<u8>, PortError> {
        let mut atr = vec![0; ONETAP_PORT_ATR_ROOM];
        let code = (self.connect)(self.context.pointer, atr.as_mut_ptr());
        atr.truncate(returned("connect", code, atr.len())?);
        Ok(atr)
    }

    fn transmit(&mut self, command: &[u8]) -> std::result::Result<Vec<u8>, PortError> {
        let to = self.response.as_mut_ptr();
        let code = (self.transmit)(self.context.pointer, command.as_ptr(), command.len(), to);
        let len = returned("transmit", code, self.response.len())?;
        Ok(self.response.get(..len).unwrap_or_default().to_vec())
    }

    fn disconnect(&mut self, power_off: bool) -> std::result::Result<(), PortError> {
        let code = (self.disconnect)(self.context.pointer, power_off);
        returned("disconnect", code, 0).map(drop)
    }
}
