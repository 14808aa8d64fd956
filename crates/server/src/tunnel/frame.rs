//! Messages of a tunnel, without I/O. Source: events-and-operations 7.2.
//!
//! Each is one binary WebSocket message: a length and a MessagePack array of a type, a JSON text and the bytes of a body. The official
//! client reads the type from the JSON, so it is there too, as it is in what that client sends.

use std::collections::BTreeMap;

use bytes::{Buf, Bytes};
use hubwire_upstream::TunnelRequest;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

/// Longest message that is sent, without its length. Bytes. Source: events-and-operations 7.2: the official client declares it.
pub(super) const MESSAGE_MAX: usize = 1 << 20;

const LENGTH_LEN: usize = 4;

const HTTP_REQUEST: u8 = 1;
const HTTP_RESPONSE: u8 = 2;
const SERVICE_STATUS: u8 = 5;
const CONNECTION_CONNECTED: u8 = 10;

/// A message would be longer than [`MESSAGE_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message has {0} bytes, more than the {MESSAGE_MAX} that a tunnel carries")]
pub(super) struct TooLong(pub(super) usize);

/// A message that is not one of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(&'static str);

type Headers = BTreeMap<String, Vec<String>>;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Connected<'a> {
    r#type: u8,
    connection_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Status<'a> {
    r#type: u8,
    message: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RequestHead<'a> {
    r#type: u8,
    ack_id: u32,
    local_routing: bool,
    channel_name: &'a str,
    http_method: &'a str,
    url: &'a str,
    headers: Headers,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AnswerHead<'a> {
    r#type: u8,
    #[serde(flatten)]
    of: &'a ReverseRequest,
    status_code: u16,
    not_completed: bool,
    headers: Headers,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ResponseHead {
    ack_id: u64,
    status_code: u16,
    #[serde(default)]
    not_completed: bool,
    #[serde(default)]
    headers: Option<Headers>,
}

/// What a tunnel has sent.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Incoming {
    Response(ResponsePart),
    Request(ReverseRequest),
    /// A type that is not known or not expected, to be ignored.
    Other,
}

/// A response, or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ResponsePart {
    pub(super) ack_id: u64,
    /// Counts in the first part.
    pub(super) status: StatusCode,
    /// Count in the first part.
    pub(super) headers: HeaderMap,
    pub(super) content: Bytes,
    pub(super) is_last: bool,
}

/// What the answer to a tunnel's own request repeats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ReverseRequest {
    ack_id: u64,
    #[serde(default)]
    local_routing: bool,
    #[serde(default)]
    channel_name: Option<String>,
}

/// Makes the first message of the service.
pub(super) fn connected(connection_id: &str, user_id: Option<&str>) -> Result<Bytes, TooLong> {
    let head = Connected {
        r#type: CONNECTION_CONNECTED,
        connection_id,
        user_id,
    };
    encode(CONNECTION_CONNECTED, &head, None)
}

/// Makes a message that clients note and nothing more.
pub(super) fn status(message: &str) -> Result<Bytes, TooLong> {
    let head = Status {
        r#type: SERVICE_STATUS,
        message,
    };
    encode(SERVICE_STATUS, &head, None)
}

/// Makes a request to the handler behind the tunnel.
pub(super) fn request(ack_id: u32, request: &TunnelRequest) -> Result<Bytes, TooLong> {
    let TunnelRequest { url, request } = request;
    let head = RequestHead {
        r#type: HTTP_REQUEST,
        ack_id,
        local_routing: false,
        channel_name: "",
        http_method: request.method().as_str(),
        url,
        headers: headers_to_json(request.headers()),
    };
    encode(HTTP_REQUEST, &head, Some(request.body()))
}

/// Makes the answer to a tunnel's own request.
pub(super) fn answer(
    of: &ReverseRequest,
    status: StatusCode,
    text: &str,
) -> Result<Bytes, TooLong> {
    let content_type = vec!["text/plain; charset=utf-8".to_owned()];
    let head = AnswerHead {
        r#type: HTTP_RESPONSE,
        of,
        status_code: status.as_u16(),
        not_completed: false,
        headers: BTreeMap::from([("content-type".to_owned(), content_type)]),
    };
    encode(HTTP_RESPONSE, &head, Some(text.as_bytes()))
}

fn encode(kind: u8, head: &impl Serialize, content: Option<&[u8]>) -> Result<Bytes, TooLong> {
    let json = serde_json::to_vec(head).expect("a head is an object of texts, numbers and lists");
    let len = json.len() + content.map_or(0, <[u8]>::len);
    // The heads of the array and its elements.
    if len > MESSAGE_MAX - 12 {
        return Err(TooLong(len));
    }
    let mut message = Vec::with_capacity(LENGTH_LEN + len + 12);
    message.extend_from_slice(&[0; LENGTH_LEN]);
    message.extend_from_slice(&[0x93, kind]);
    push_head(&mut message, Some(0xA0), [0xD9, 0xDA, 0xDB], json.len());
    message.extend_from_slice(&json);
    match content {
        None => message.push(0xC0),
        Some(content) => {
            push_head(&mut message, None, [0xC4, 0xC5, 0xC6], content.len());
            message.extend_from_slice(content);
        }
    }
    let len = (message.len() - LENGTH_LEN) as u32;
    message[..LENGTH_LEN].copy_from_slice(&len.to_le_bytes());
    Ok(message.into())
}

/// Writes the head of a text or of bytes: below 32 in one byte if there is such a form, else the marker of 1, 2 or 4 bytes of length.
fn push_head(message: &mut Vec<u8>, short: Option<u8>, markers: [u8; 3], len: usize) {
    match (short, len) {
        (Some(short), 0..=31) => message.push(short | len as u8),
        (_, 0..=0xFF) => message.extend_from_slice(&[markers[0], len as u8]),
        (_, 0x100..=0xFFFF) => {
            message.push(markers[1]);
            message.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            message.push(markers[2]);
            message.extend_from_slice(&(len as u32).to_be_bytes());
        }
    }
}

/// Reads a message; a body stays where it is.
pub(super) fn decode(message: Bytes) -> Result<Incoming, Malformed> {
    let mut reader = Reader(message);
    let len = reader.take(LENGTH_LEN)?.get_u32_le();
    if usize::try_from(len) != Ok(reader.0.len()) {
        return Err(Malformed("the length is not that of the message"));
    }
    if reader.array_len()? != 3 {
        return Err(Malformed("the message is not an array of three elements"));
    }
    let kind = reader.int()?;
    let json = reader.text()?;
    let content = reader.content()?;
    if !reader.0.is_empty() {
        return Err(Malformed("there is something behind the message"));
    }
    let bad_json = |_| Malformed("the JSON of the message is malformed or lacks a key");
    if kind == u64::from(HTTP_RESPONSE) {
        let head: ResponseHead = serde_json::from_slice(&json).map_err(bad_json)?;
        return Ok(Incoming::Response(ResponsePart {
            ack_id: head.ack_id,
            // The official client says 0 when it has none.
            status: StatusCode::from_u16(head.status_code).unwrap_or(StatusCode::BAD_GATEWAY),
            headers: headers_from_json(head.headers.unwrap_or_default()),
            content: content.unwrap_or_default(),
            is_last: !head.not_completed,
        }));
    }
    if kind == u64::from(HTTP_REQUEST) {
        return serde_json::from_slice(&json)
            .map(Incoming::Request)
            .map_err(bad_json);
    }
    Ok(Incoming::Other)
}

/// The rest of a message in MessagePack.
struct Reader(Bytes);

impl Reader {
    fn take(&mut self, len: usize) -> Result<Bytes, Malformed> {
        match len <= self.0.len() {
            true => Ok(self.0.split_to(len)),
            false => Err(Malformed("the message ends too early")),
        }
    }

    fn marker(&mut self) -> Result<u8, Malformed> {
        self.take(1).map(|byte| byte[0])
    }

    /// Reads a number of 1, 2, 4 or 8 bytes, by the power of two.
    fn number(&mut self, power: u8) -> Result<u64, Malformed> {
        let width = 1 << power;
        self.take(width).map(|mut bytes| bytes.get_uint(width))
    }

    fn run(&mut self, len: u64) -> Result<Bytes, Malformed> {
        self.take(usize::try_from(len).unwrap_or(usize::MAX))
    }

    fn array_len(&mut self) -> Result<u64, Malformed> {
        match self.marker()? {
            marker @ 0x90..=0x9F => Ok(u64::from(marker & 0x0F)),
            marker @ 0xDC..=0xDD => self.number(marker - 0xDC + 1),
            _ => Err(Malformed("the message is not an array")),
        }
    }

    fn int(&mut self) -> Result<u64, Malformed> {
        match self.marker()? {
            marker @ 0x00..=0x7F => Ok(u64::from(marker)),
            marker @ 0xCC..=0xCF => self.number(marker - 0xCC),
            // A negative one is no type either, but its bit pattern is as unknown as any.
            marker @ 0xD0..=0xD3 => self.number(marker - 0xD0),
            _ => Err(Malformed("the type is not a number")),
        }
    }

    fn text(&mut self) -> Result<Bytes, Malformed> {
        let len = match self.marker()? {
            marker @ 0xA0..=0xBF => u64::from(marker & 0x1F),
            marker @ 0xD9..=0xDB => self.number(marker - 0xD9)?,
            _ => return Err(Malformed("the second element is not a text")),
        };
        self.run(len)
    }

    fn content(&mut self) -> Result<Option<Bytes>, Malformed> {
        let len = match self.marker()? {
            0xC0 => return Ok(None),
            marker @ 0xC4..=0xC6 => self.number(marker - 0xC4)?,
            _ => return Err(Malformed("the body is neither bytes nor nil")),
        };
        self.run(len).map(Some)
    }
}

/// Turns headers into what the JSON has: a list of values for each name. A byte of a value becomes the character of that number, as
/// Node has it, so that a handler behind the tunnel gets the bytes that one that is called directly gets.
fn headers_to_json(headers: &HeaderMap) -> Headers {
    let mut json = Headers::new();
    for (name, value) in headers {
        let value = value.as_bytes().iter().copied().map(char::from).collect();
        json.entry(name.as_str().to_owned())
            .or_default()
            .push(value);
    }
    json
}

/// The way back; a header that cannot be one is left out.
fn headers_from_json(json: Headers) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, values) in json {
        let Ok(name) = HeaderName::try_from(name) else {
            continue;
        };
        for value in values {
            let bytes: Result<Vec<u8>, _> = value.chars().map(u8::try_from).collect();
            let value = bytes.ok().map(HeaderValue::try_from);
            // A map has room for 32,768.
            if let Some(Ok(value)) = value
                && headers.try_append(name.clone(), value).is_err()
            {
                return headers;
            }
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn bytes(hex: &str) -> Bytes {
        let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
        digits
            .chunks(2)
            .map(|pair| (pair[0] * 16 + pair[1]) as u8)
            .collect()
    }

    /// A message with a type, a JSON text and what follows it.
    fn message(kind: &[u8], json: &str, rest: &[u8]) -> Bytes {
        let mut array = vec![0x93];
        array.extend_from_slice(kind);
        array.push(0xDA);
        array.extend_from_slice(&(json.len() as u16).to_be_bytes());
        array.extend_from_slice(json.as_bytes());
        array.extend_from_slice(rest);
        [&(array.len() as u32).to_le_bytes(), &*array]
            .concat()
            .into()
    }

    fn response(message: Bytes) -> ResponsePart {
        match decode(message) {
            Ok(Incoming::Response(part)) => part,
            other => panic!("{other:?}"),
        }
    }

    /// Section 7.2. Bytes of the official client, package web-pubsub-socket.io 1.2.1.
    #[test]
    fn a_response_of_the_official_client_is_read() {
        let part = response(bytes(
            "ae0000009302d9a67b2241636b4964223a372c224c6f63616c526f7574696e67223a747275652c22537461747573436f6465223a323030\
             2c224368616e6e656c4e616d65223a226368222c224e6f74436f6d706c65746564223a66616c73652c2248656164657273223a7b22636f\
             6e74656e742d74797065223a5b22746578742f706c61696e225d2c227365742d636f6f6b6965223a5b22613d31222c22623d32225d7d2c\
             2254797065223a327dc4026869",
        ));
        assert_eq!((part.ack_id, part.status), (7, StatusCode::OK));
        assert_eq!(part.headers["content-type"], "text/plain");
        let cookies: Vec<_> = part.headers.get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
        assert_eq!((&*part.content, part.is_last), (&b"hi"[..], true));
    }

    /// Section 7.2. Bytes of the official client: no body is nil, and a part says that more follows.
    #[test]
    fn a_response_without_body_and_a_part_of_one_are_read() {
        let part = response(bytes(
            "720000009302d96d7b2241636b4964223a312c224c6f63616c526f7574696e67223a66616c73652c22537461747573436f6465223a323034\
             2c224368616e6e656c4e616d65223a22222c224e6f74436f6d706c65746564223a66616c73652c2248656164657273223a7b7d2c225479\
             7065223a327dc0",
        ));
        assert_eq!(part.status, StatusCode::NO_CONTENT);
        assert_eq!((part.content.len(), part.is_last), (0, true));
        let part = response(bytes(
            "780000009302d96f7b2241636b4964223a37303030302c224c6f63616c526f7574696e67223a747275652c22537461747573436f6465223a\
             3230302c224368616e6e656c4e616d65223a22222c224e6f74436f6d706c65746564223a747275652c2248656164657273223a7b7d2c22\
             54797065223a327dc4030001ff",
        ));
        assert_eq!((part.ack_id, part.is_last), (70_000, false));
        assert_eq!(*part.content, [0, 1, 255]);
    }

    /// Section 7.3, the reverse path. Bytes of the official client.
    #[test]
    fn a_request_of_the_official_client_is_read() {
        let decoded = decode(bytes(
            "c00000009301d9b97b2241636b4964223a3330302c224c6f63616c526f7574696e67223a747275652c224368616e6e656c4e616d65223a\
             22222c22487474704d6574686f64223a22504f5354222c2255726c223a2268747470733a2f2f686f73742f6170692f687562732f636861\
             742f3a73656e643f6170692d76657273696f6e3d323032332d30372d3031222c2248656164657273223a7b22436f6e74656e742d547970\
             65223a5b22746578742f706c61696e225d7d2c2254797065223a317dc40178",
        ));
        let expected = ReverseRequest {
            ack_id: 300,
            local_routing: true,
            channel_name: Some(String::new()),
        };
        assert_eq!(decoded, Ok(Incoming::Request(expected.clone())));
        let answer = answer(&expected, StatusCode::NOT_IMPLEMENTED, "no").unwrap();
        let part = response(answer);
        assert_eq!((part.ack_id, part.status.as_u16()), (300, 501));
    }

    /// Section 7.2: texts and bodies of every length have the shortest form, as the official client has them.
    #[test]
    fn bodies_of_all_lengths_keep_their_bytes() {
        let of = ReverseRequest {
            ack_id: 1,
            local_routing: false,
            channel_name: None,
        };
        for len in [0, 1, 31, 32, 255, 256, 65_535, 65_536, 1_000_000] {
            let text = "x".repeat(len);
            let encoded = answer(&of, StatusCode::OK, &text).unwrap();
            let marker = match len {
                0..=255 => 0xC4,
                256..=65_535 => 0xC5,
                _ => 0xC6,
            };
            let width = 1 << (marker - 0xC4);
            assert_eq!(encoded[encoded.len() - len - width - 1], marker, "{len}");
            assert_eq!(&*response(encoded).content, text.as_bytes(), "{len}");
        }
    }

    /// Section 7.2: the type is in the array and, for the official client, in the JSON.
    #[test]
    fn the_first_message_names_the_connection_and_its_type_twice() {
        let json = br#"{"Type":10,"ConnectionId":"c","UserId":"u"}"#;
        let expected = [&[0x93, 10, 0xD9, json.len() as u8], &json[..], &[0xC0]].concat();
        let encoded = connected("c", Some("u")).unwrap();
        assert_eq!(encoded[..4], (expected.len() as u32).to_le_bytes());
        assert_eq!(encoded[4..], expected);
        let json = r#"{"Type":5,"Message":"m"}"#;
        assert_eq!(
            &status("m").unwrap()[4..7],
            [0x93, 5, 0xA0 | json.len() as u8]
        );
    }

    /// Section 7.3.
    #[test]
    fn a_request_has_its_url_its_headers_and_its_body() {
        let mut http = Request::new(Bytes::from_static(b"body"));
        *http.method_mut() = hyper::Method::POST;
        http.headers_mut()
            .append("ce-id", HeaderValue::from_static("1"));
        http.headers_mut().append(
            "ce-userid",
            HeaderValue::from_bytes("é".as_bytes()).unwrap(),
        );
        let url = "tunnel:///events?x=1".to_owned();
        let encoded = request(9, &TunnelRequest { url, request: http }).unwrap();
        let expected = "{\"Type\":1,\"AckId\":9,\"LocalRouting\":false,\"ChannelName\":\"\",\"HttpMethod\":\"POST\",\
                        \"Url\":\"tunnel:///events?x=1\",\"Headers\":{\"ce-id\":[\"1\"],\"ce-userid\":[\"\u{c3}\u{a9}\"]}}";
        let text = String::from_utf8_lossy(&encoded);
        assert!(text.contains(expected), "{text}");
        assert!(encoded.ends_with(b"\xC4\x04body"));
    }

    /// Section 7.2: the official client declares 1 MiB.
    #[test]
    fn a_request_beyond_a_mebibyte_is_not_made() {
        let of = |len| TunnelRequest {
            url: String::new(),
            request: Request::new(vec![0; len].into()),
        };
        assert!(request(1, &of(MESSAGE_MAX - 200)).is_ok());
        let TooLong(len) = request(1, &of(MESSAGE_MAX)).unwrap_err();
        assert!(len > MESSAGE_MAX);
    }

    #[test]
    fn headers_that_cannot_be_are_left_out() {
        let json = r#"{"AckId":1,"StatusCode":0,"Headers":{"a b":["1"],"x":["\n","ok","\u0142"]}}"#;
        let part = response(message(&[2], json, &[0xC0]));
        assert_eq!(part.status, StatusCode::BAD_GATEWAY);
        assert_eq!(
            (part.headers.len(), &part.headers["x"]),
            (1, &HeaderValue::from_static("ok"))
        );
    }

    #[test]
    fn other_types_are_ignored_and_other_messages_refused() {
        assert_eq!(decode(message(&[77], "{}", &[0xC0])), Ok(Incoming::Other));
        assert_eq!(
            decode(message(&[0xCD, 1, 0], "{}", &[0xC0])),
            Ok(Incoming::Other)
        );
        assert!(decode(message(&[0xFF], "{}", &[0xC0])).is_err());
        for bad in [
            Bytes::new(),
            message(&[2], "{}", &[0xC0]),
            message(&[2], "[", &[0xC0]),
            message(&[5], "{}", &[0xC4, 9, 1]),
            message(&[5], "{}", &[0xC0, 0xC0]),
            message(&[5], "{}", &[]),
            message(&[0xA1, b'x'], "{}", &[0xC0]),
            Bytes::from_static(&[3, 0, 0, 0, 0x92, 5, 0xA0]),
            Bytes::from_static(&[6, 0, 0, 0, 0x93, 5, 0xDB, 0xFF, 0xFF, 0xFF]),
        ] {
            assert!(decode(bad.clone()).is_err(), "{bad:?}");
        }
    }

    /// Bounded to 200,000 messages that differ from a good one in one to three places.
    #[test]
    fn no_message_makes_the_reader_panic() {
        let good = message(&[2], r#"{"AckId":1,"StatusCode":200}"#, &[0xC4, 2, 1, 2]);
        let mut state = 1_u64;
        let mut next = |bound: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize % bound
        };
        for _ in 0..200_000 {
            let mut changed = good.to_vec();
            for _ in 0..=next(3) {
                let index = next(changed.len());
                changed[index] = next(256) as u8;
            }
            changed.truncate(good.len() - next(3));
            decode(changed.into()).ok();
        }
    }
}
