//! Protocol buffers by hand: tags, numbers and lengths of client-protocols 4.2.

use bytes::Bytes;
use hubwire_protocol::payload::DataType;

use super::{ClientFrame, Data, EVENT, Entries, Part, ServiceFrame, StateItem, States};

/// Writes the fields of a message.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    fn optional(self, field: u64, value: &Option<u64>) -> Self {
        match value {
            Some(value) => self.number(field, *value),
            None => self,
        }
    }

    fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    fn message(self, field: u64, message: Self) -> Self {
        self.bytes(field, &message.0)
    }

    fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }
}

pub(super) fn encode(frame: &ClientFrame) -> Vec<u8> {
    let new = Writer::default;
    let acked = |group: &str, ack_id: &Option<u64>| new().text(1, group).optional(2, ack_id);
    let upstream = match frame {
        ClientFrame::Join { group, ack_id } => new().message(6, acked(group, ack_id)),
        ClientFrame::Leave { group, ack_id } => new().message(7, acked(group, ack_id)),
        ClientFrame::Watch { group, ack_id } => new().message(16, acked(group, ack_id)),
        ClientFrame::Unwatch { group, ack_id } => new().message(17, acked(group, ack_id)),
        ClientFrame::Send {
            group,
            data_type,
            data,
            no_echo,
            ttl_seconds,
            ack_id,
        } => {
            let message = acked(group, ack_id)
                .message(3, message_data(*data_type, data))
                .number(4, u64::from(*no_echo))
                .number(5, u64::from(*ttl_seconds));
            new().message(1, message)
        }
        ClientFrame::StartStream {
            stream,
            group,
            no_echo,
            idle_timeout_ms,
        } => {
            let start = new().text(1, stream).number(2, u64::from(*idle_timeout_ms));
            let message = new()
                .text(1, group)
                .number(4, u64::from(*no_echo))
                .message(7, start);
            new().message(1, message)
        }
        ClientFrame::Fragment {
            stream,
            sequence_id,
            data,
        } => {
            let message = new()
                .text(1, stream)
                .number(2, *sequence_id)
                .message(3, message_data(DataType::Text, data));
            new().message(13, message)
        }
        ClientFrame::KeepStream { stream } => new().message(13, new().text(1, stream)),
        ClientFrame::EndStream {
            stream,
            is_failed: false,
        } => new().message(14, new().text(1, stream)),
        ClientFrame::EndStream {
            stream,
            is_failed: true,
        } => {
            let error = new().text(1, "given up").text(2, "7");
            new().message(14, new().text(1, stream).message(2, error))
        }
        ClientFrame::SetState {
            group,
            state,
            ack_id,
        } => {
            let mut message = acked(group, ack_id);
            if let Some(state) = state {
                let entries = state.iter().fold(new(), |entries, (key, value)| {
                    entries.message(1, new().text(1, key).text(2, value))
                });
                message = message.message(3, entries);
            }
            new().message(15, message)
        }
        ClientFrame::Event {
            data_type,
            data,
            ack_id,
        } => {
            let message = new()
                .text(1, EVENT)
                .message(2, message_data(*data_type, data))
                .optional(3, ack_id);
            new().message(5, message)
        }
        ClientFrame::Invoke {
            id,
            data_type,
            data,
        } => {
            let message = new()
                .text(1, EVENT)
                .text(2, id)
                .message(3, message_data(*data_type, data));
            new().message(10, message)
        }
        ClientFrame::Cancel { id } => new().message(11, new().text(1, id)),
        ClientFrame::SequenceAck(sequence_id) => new().message(8, new().number(1, *sequence_id)),
        ClientFrame::Ping => new().message(9, new()),
        ClientFrame::Bare { .. } | ClientFrame::Nonsense => new().number(6, 7),
    };
    upstream.0
}

fn message_data(data_type: DataType, data: &[u8]) -> Writer {
    let field = match data_type {
        DataType::Text => 1,
        DataType::Binary => 2,
        DataType::Protobuf => 3,
        DataType::Json => 4,
    };
    Writer::default().bytes(field, data)
}

/// A field's value.
#[derive(Clone, Copy)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message, in their order.
struct Fields<'a>(Vec<(u64, Value<'a>)>);

impl<'a> Fields<'a> {
    fn read(mut bytes: &'a [u8]) -> Option<Self> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let tag = varint(&mut bytes)?;
            let value = match tag & 7 {
                0 => Value::Number(varint(&mut bytes)?),
                2 => {
                    let len = varint(&mut bytes)?;
                    let (value, rest) = bytes.split_at_checked(usize::try_from(len).ok()?)?;
                    bytes = rest;
                    Value::Bytes(value)
                }
                _ => return None,
            };
            fields.push((tag >> 3, value));
        }
        Some(Self(fields))
    }

    fn number(&self, field: u64) -> Option<u64> {
        self.0.iter().rev().find_map(|(number, value)| match value {
            Value::Number(value) if *number == field => Some(*value),
            Value::Number(_) | Value::Bytes(_) => None,
        })
    }

    fn bytes(&self, field: u64) -> Option<&'a [u8]> {
        self.all(field).last()
    }

    fn all(&self, field: u64) -> impl Iterator<Item = &'a [u8]> {
        self.0
            .iter()
            .filter_map(move |(number, value)| match value {
                Value::Bytes(value) if *number == field => Some(*value),
                Value::Number(_) | Value::Bytes(_) => None,
            })
    }

    fn text(&self, field: u64) -> Option<String> {
        String::from_utf8(self.bytes(field)?.to_vec()).ok()
    }

    /// Returns a text that is left out when it is empty.
    fn text_or_empty(&self, field: u64) -> String {
        self.text(field).unwrap_or_default()
    }

    fn message(&self, field: u64) -> Option<Fields<'a>> {
        Fields::read(self.bytes(field)?)
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

pub(super) fn decode(payload: &[u8]) -> Result<ServiceFrame, String> {
    frame_of(payload).ok_or_else(|| format!("not a DownstreamMessage: {payload:02X?}"))
}

fn frame_of(payload: &[u8]) -> Option<ServiceFrame> {
    let outer = Fields::read(payload)?;
    let [(field, Value::Bytes(inner))] = outer.0[..] else {
        return None;
    };
    let message = Fields::read(inner)?;
    let error_name = |field| {
        let error = message.message(field)?;
        Some(error.text_or_empty(1))
    };
    Some(match field {
        1 => ServiceFrame::Ack {
            ack_id: message.number(1).unwrap_or(0),
            error: match message.number(2) {
                Some(1) if message.bytes(3).is_some() => return None,
                Some(1) => None,
                _ => Some(error_name(3)?),
            },
        },
        2 => ServiceFrame::Data(data_of(&message)?),
        3 => match (message.message(1), message.message(2)) {
            (Some(connected), None) => ServiceFrame::Connected {
                id: connected.text(1)?,
                user: Some(connected.text_or_empty(2)).filter(|user| !user.is_empty()),
                token: connected.text(3),
            },
            (None, Some(_)) => ServiceFrame::Disconnected,
            _ => return None,
        },
        4 => ServiceFrame::Pong,
        5 => ServiceFrame::InvokeResponse {
            id: message.text(1)?,
            outcome: match message.number(2) {
                Some(1) if message.bytes(4).is_some() => return None,
                Some(1) => Ok(match message.message(3) {
                    None => None,
                    Some(data) => Some(content_of(&data)?),
                }),
                _ => Err(error_name(4)?),
            },
        },
        6 => ServiceFrame::StreamAck {
            stream: message.text(1)?,
            expected: message.number(2)?,
        },
        7 => ServiceFrame::StreamNack {
            stream: message.text(1)?,
            name: message.text(2)?,
            expected: message.number(4)?,
        },
        8 => ServiceFrame::StreamClosed {
            stream: message.text(1)?,
            error: error_name(2),
        },
        9 | 10 => ServiceFrame::States(States {
            sequence_id: message.number(3),
            group: message.text(1)?,
            is_snapshot: field == 10,
            items: message.all(2).map(item_of).collect::<Option<_>>()?,
        }),
        _ => return None,
    })
}

fn data_of(message: &Fields<'_>) -> Option<Data> {
    let group = match message.bytes(1)? {
        b"group" => Some(message.text(2)?),
        b"server" if message.bytes(2).is_none() => None,
        _ => return None,
    };
    let (data_type, data) = content_of(&message.message(3)?)?;
    Some(Data {
        sequence_id: message.number(4),
        group,
        user: None,
        data_type,
        data,
        part: match message.message(6) {
            None => None,
            Some(part) => Some(Part {
                stream: part.text(1)?,
                sequence_id: part.number(2)?,
                end: (part.number(3) == Some(1))
                    .then(|| part.message(4).map(|error| error.text_or_empty(1))),
            }),
        },
    })
}

fn content_of(data: &Fields<'_>) -> Option<(DataType, Bytes)> {
    let [(kind, Value::Bytes(bytes))] = data.0[..] else {
        return None;
    };
    let data_type = match kind {
        1 => DataType::Text,
        2 => DataType::Binary,
        3 => DataType::Protobuf,
        4 => DataType::Json,
        _ => return None,
    };
    Some((data_type, Bytes::copy_from_slice(bytes)))
}

fn item_of(bytes: &[u8]) -> Option<StateItem> {
    let item = Fields::read(bytes)?;
    Some(StateItem {
        connection: item.text(1)?,
        user: item.text(2),
        state: match item.message(3) {
            None => None,
            Some(state) => {
                let mut entries: Entries = state
                    .all(1)
                    .map(|entry| {
                        let entry = Fields::read(entry)?;
                        Some((entry.text_or_empty(1), entry.text_or_empty(2)))
                    })
                    .collect::<Option<_>>()?;
                entries.sort();
                Some(entries)
            }
        },
        updated_at: item.number(4)?,
    })
}
