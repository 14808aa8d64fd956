//! Requests of HTTP/1.1, as far as a handler needs them.

/// What came is no request with a body of a given length.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// A whole request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request<'a> {
    pub(super) method: &'a [u8],
    pub(super) content_type: &'a [u8],
    /// `ce-type`.
    pub(super) event_type: &'a [u8],
    pub(super) body: &'a [u8],
    /// Bytes of head and body.
    pub(super) len: usize,
}

impl<'a> Request<'a> {
    /// Reads the first request, if it is there as a whole.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Option<Self>, Malformed> {
        let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(None);
        };
        let mut lines = bytes[..head].split(|byte| *byte == b'\n');
        let first = lines.next().ok_or(Malformed)?;
        let method = first
            .split(|byte| *byte == b' ')
            .next()
            .filter(|method| !method.is_empty())
            .ok_or(Malformed)?;
        let (mut content_type, mut event_type, mut body_len) = (&b""[..], &b""[..], 0);
        for line in lines {
            let colon = line.iter().position(|byte| *byte == b':');
            let (name, value) = line.split_at(colon.ok_or(Malformed)?);
            let value = value[1..].trim_ascii();
            if name.eq_ignore_ascii_case(b"content-length") {
                let digits = str::from_utf8(value).map_err(|_| Malformed)?;
                body_len = digits.parse::<usize>().map_err(|_| Malformed)?;
            } else if name.eq_ignore_ascii_case(b"content-type") {
                content_type = value;
            } else if name.eq_ignore_ascii_case(b"ce-type") {
                event_type = value;
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                return Err(Malformed);
            }
        }
        let begin = head + 4;
        let len = begin.checked_add(body_len).ok_or(Malformed)?;
        Ok(bytes.get(begin..len).map(|body| Self {
            method,
            content_type,
            event_type,
            body,
            len,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POST: &[u8] = b"POST / HTTP/1.1\r\nCE-Type: user\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nabc";

    #[test]
    fn a_request_is_whole_with_its_body() {
        let request = Request {
            method: b"POST",
            content_type: b"text/plain",
            event_type: b"user",
            body: b"abc",
            len: POST.len(),
        };
        let mut more = POST.to_vec();
        more.extend_from_slice(b"POST");
        assert_eq!(Request::parse(&more), Ok(Some(request)));
        for cut in 0..POST.len() {
            assert_eq!(Request::parse(&POST[..cut]), Ok(None), "cut at {cut}");
        }
    }

    #[test]
    fn a_body_of_unknown_length_is_malformed() {
        for head in [
            &b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"[..],
            b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
            b" HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(Request::parse(head), Err(Malformed));
        }
    }
}
