//! HTTP/1.1 (RFC 9112), as much of it as a client needs that knows its server.

use std::fmt::Write as _;

/// An answer, where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Status code.
    pub status: u16,
    /// Body.
    pub body: &'a [u8],
}

/// The bytes are no answer that this client understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server's answer is not HTTP/1.1 with a content length")]
pub struct NotHttp;

/// The largest head that is read.
const MAX_HEAD: usize = 16_384;
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// The bytes of a request to a server of this machine. Headers go as they are: names and values must be fit for it.
#[must_use]
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    request_to("localhost", method, path, headers, body)
}

/// The bytes of a request to a server of this name, with its port if that is not the usual one.
#[must_use]
pub fn request_to(host: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n");
    for (name, value) in headers {
        // Writing to a string does not fail.
        let _ = write!(text, "{name}: {value}\r\n");
    }
    if !body.is_empty() {
        let _ = write!(text, "content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

/// The first answer in `bytes` and its whole length; none if more bytes are needed.
///
/// # Errors
/// [`NotHttp`].
pub fn answer(bytes: &[u8]) -> Result<Option<(Answer<'_>, usize)>, NotHttp> {
    let Some(head) = bytes.windows(END_OF_HEAD.len()).position(|window| window == END_OF_HEAD) else {
        return if bytes.len() > MAX_HEAD { Err(NotHttp) } else { Ok(None) };
    };
    let text = std::str::from_utf8(&bytes[..head]).map_err(|_| NotHttp)?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let status = status.ok_or(NotHttp)?;
    let mut headers = lines.filter_map(|line| line.split_once(':'));
    let length = headers.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = match length {
        Some((_, value)) => value.trim().parse().map_err(|_| NotHttp)?,
        // The only status without content that the service gives (RFC 9110 §15.3.5).
        None if status == 204 => 0,
        None => return Err(NotHttp),
    };
    let start = head + END_OF_HEAD.len();
    let end = start.checked_add(length).ok_or(NotHttp)?;
    Ok(bytes.get(start..end).map(|body| (Answer { status, body }, end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 4\r\n\r\nbodyHTTP";

    #[test]
    fn an_answer_is_found_when_it_is_whole() {
        let whole = OK.len() - 4;
        assert_eq!(answer(OK), Ok(Some((Answer { status: 200, body: b"body" }, whole))));
        for cut in 0..whole {
            assert_eq!(answer(&OK[..cut]), Ok(None), "{cut}");
        }
        assert_eq!(answer(b"SSH-2.0\r\n\r\n"), Err(NotHttp));
        assert_eq!(answer(b"HTTP/1.1 200 OK\r\n\r\n"), Err(NotHttp));
        assert_eq!(answer(&[b'x'; MAX_HEAD + 1]), Err(NotHttp));
    }

    #[test]
    fn a_request_has_its_headers_and_length() {
        let bytes = request("POST", "/v1", &[("idempotency-key", "7")], "{}");
        let text = String::from_utf8(bytes).unwrap_or_default();
        assert!(text.starts_with("POST /v1 HTTP/1.1\r\nhost: localhost\r\nidempotency-key: 7\r\n"));
        assert!(text.ends_with("content-length: 2\r\n\r\n{}"));
    }
}
