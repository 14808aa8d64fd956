//! Messages of the JSON subprotocols, as far as the measurements need them.

use serde::Deserialize;

/// No subprotocol: frames are payloads.
pub(crate) const SIMPLE: &str = "";
pub(crate) const PLAIN: &str = "json.webpubsub.azure.v1";
pub(crate) const RELIABLE: &str = "json.reliable.webpubsub.azure.v1";

/// A message of the service.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceMessage<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: &'a str,
    pub(crate) event: Option<&'a str>,
    pub(crate) connection_id: Option<&'a str>,
    pub(crate) reconnection_token: Option<&'a str>,
    pub(crate) sequence_id: Option<u64>,
    pub(crate) ack_id: Option<u64>,
    pub(crate) success: Option<bool>,
    pub(crate) data: Option<&'a str>,
}

impl<'a> ServiceMessage<'a> {
    /// Reads a message; `None` if it has another form.
    pub(crate) fn parse(payload: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.kind == "system" && self.event == Some("connected")
    }
}

/// Returns the sequence id of a message without reading the rest of it.
pub(crate) fn sequence_id(payload: &[u8]) -> Option<u64> {
    const KEY: &[u8] = b"\"sequenceId\":";
    let at = payload
        .windows(KEY.len())
        .position(|window| window == KEY)?;
    let digits = payload[at + KEY.len()..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |id, digit| id * 10 + u64::from(digit - b'0')))
}

/// Tells whether a message was sent to a group, without reading the rest of it.
pub(crate) fn is_data(payload: &[u8]) -> bool {
    const KIND: &[u8] = b"\"type\":\"message\"";
    payload.windows(KIND.len()).any(|window| window == KIND)
}

/// Writes the text of a numbered payload: its number, then padding up to `size` bytes.
pub(crate) fn numbered(number: u64, size: usize) -> String {
    let mut text = format!("{number:016}");
    text.push_str(&"x".repeat(size.saturating_sub(text.len())));
    text
}

/// Returns the number of a numbered payload.
pub(crate) fn number(text: &str) -> Option<u64> {
    text.get(..16)?.parse().ok()
}

pub(crate) fn send_to_group(group: &str, text: &str, ack_id: Option<u64>) -> String {
    let ack_id = ack_id
        .map(|id| format!(r#","ackId":{id}"#))
        .unwrap_or_default();
    format!(
        r#"{{"type":"sendToGroup","group":"{group}","dataType":"text","data":"{text}"{ack_id}}}"#
    )
}

pub(crate) fn event(name: &str, text: &str, ack_id: u64) -> String {
    format!(
        r#"{{"type":"event","event":"{name}","ackId":{ack_id},"dataType":"text","data":"{text}"}}"#
    )
}

pub(crate) fn sequence_ack(sequence_id: u64) -> String {
    format!(r#"{{"type":"sequenceAck","sequenceId":{sequence_id}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] =
        br#"{"sequenceId":42,"type":"message","from":"group","group":"g","dataType":"text","data":"x"}"#;

    #[test]
    fn a_sequence_id_is_found_wherever_it_stands() {
        assert_eq!(sequence_id(MESSAGE), Some(42));
        assert_eq!(
            sequence_id(br#"{"type":"message","sequenceId":7}"#),
            Some(7)
        );
        assert_eq!(sequence_id(br#"{"type":"message"}"#), None);
    }

    #[test]
    fn data_is_told_from_control() {
        assert!(is_data(MESSAGE));
        assert!(!is_data(br#"{"type":"ack","ackId":1,"success":true}"#));
    }

    #[test]
    fn messages_are_read() {
        let message = ServiceMessage::parse(MESSAGE).expect("valid");
        assert_eq!((message.sequence_id, message.data), (Some(42), Some("x")));
        let connected = br#"{"type":"system","event":"connected","userId":null,"connectionId":"c","reconnectionToken":"t"}"#;
        let connected = ServiceMessage::parse(connected).expect("valid");
        assert!(connected.is_connected());
        assert_eq!(
            (connected.connection_id, connected.reconnection_token),
            (Some("c"), Some("t"))
        );
    }

    #[test]
    fn a_payload_carries_its_number() {
        let text = numbered(123, 128);
        assert_eq!((text.len(), number(&text)), (128, Some(123)));
        assert_eq!(number("short"), None);
    }

    #[test]
    fn what_is_sent_is_json() {
        for text in [
            send_to_group("g", "x", Some(1)),
            send_to_group("g", "x", None),
            event("e", "x", 1),
            sequence_ack(3),
        ] {
            assert!(
                serde_json::from_str::<serde_json::Value>(&text).is_ok(),
                "{text}"
            );
        }
    }
}
