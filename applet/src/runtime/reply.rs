//! The data field of a response, as an applet fills it.

/// Most bytes of response data: with the status word they fill a message of the virtual reader.
pub const MAX_REPLY: usize = u16::MAX as usize - 2;

/// Response data in the making.
#[derive(Debug, Default)]
pub struct Reply {
    bytes: Vec<u8>,
    overflow: bool,
}

impl Reply {
    /// Appends bytes. What does not fit into [`MAX_REPLY`] makes the whole response 6F00.
    #[inline]
    pub fn send(&mut self, bytes: &[u8]) {
        if self.bytes.len() + bytes.len() > MAX_REPLY {
            self.overflow = true;
        } else {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// What is there so far.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Drops what is there so far.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.overflow = false;
    }

    pub(super) fn overflowed(&self) -> bool {
        self.overflow
    }
}
