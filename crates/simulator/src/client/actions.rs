//! What a client may do next.

use bytes::Bytes;
use hubwire_protocol::payload::DataType;
use hubwire_protocol::subprotocol::Subprotocol;

use super::{Client, Outbound};
use crate::random::Random;
use crate::settings::GROUPS;
use crate::wire::ClientFrame;

/// Seconds that a message may wait.
const TTLS: [u16; 6] = [0, 0, 0, 1, 3, 300];
/// Milliseconds that a stream may be idle.
const IDLE_TIMEOUTS: [u32; 3] = [150, 5_000, 300_000];

/// Types of data.
pub(crate) const DATA_TYPES: [DataType; 4] = [
    DataType::Json,
    DataType::Text,
    DataType::Binary,
    DataType::Protobuf,
];

impl Client {
    /// Makes up many fragments of a stream that is open, as far as the client knows.
    pub(crate) fn act_much(&mut self, random: &mut Random) -> Vec<ClientFrame> {
        let ids: Vec<&String> = self.streams.keys().collect();
        match random.choose(&ids).cloned() {
            Some(id) => (0..40).map(|_| self.fragment(id.clone(), 0)).collect(),
            None => Vec::new(),
        }
    }

    /// Makes up so much behind an event that the service does not read all of it.
    pub(crate) fn act_behind_event(&mut self, random: &mut Random) -> Vec<ClientFrame> {
        if self.subprotocol == Subprotocol::Simple {
            return Vec::new();
        }
        if random.percent(10) {
            let padding = 150 * 1024;
            return (0..6).map(|_| self.event(random, padding)).collect();
        }
        let mut frames = vec![self.event(random, 1)];
        for _ in 0..random.between(50, 90) {
            frames.push(match random.below(10) {
                0 => ClientFrame::Ping,
                1 => self.event(random, 1),
                2 => self.publication(random, 1),
                _ => self.membership(random),
            });
        }
        frames
    }

    /// Makes up a frame.
    pub(crate) fn act(
        &mut self,
        random: &mut Random,
        weights: &[u32; 10],
        len_max: usize,
    ) -> ClientFrame {
        if self.subprotocol == Subprotocol::Simple {
            let is_text = random.percent(50);
            return ClientFrame::Bare {
                is_text,
                data: self.payload(random, DataType::Text, len_max),
            };
        }
        match random.weighted(weights) {
            0 => self.membership(random),
            1 => self.publication(random, len_max),
            2 => self.stream(random),
            3 => self.state(random),
            4 if self.subprotocol.is_reliable() => self.sequence_ack(random),
            5 => self.again(random).unwrap_or(ClientFrame::Ping),
            6 if random.percent(10) => ClientFrame::Nonsense,
            8 => self.event(random, len_max),
            9 => self.invocation(random, len_max),
            _ => ClientFrame::Ping,
        }
    }

    fn membership(&mut self, random: &mut Random) -> ClientFrame {
        let (group, ack_id) = (random.pick(&GROUPS), self.ack_id(random));
        let frame = match random.percent(75) {
            true => ClientFrame::Join { group, ack_id },
            false => ClientFrame::Leave { group, ack_id },
        };
        self.asked(frame)
    }

    fn publication(&mut self, random: &mut Random, len_max: usize) -> ClientFrame {
        let data_type = random.pick(&DATA_TYPES);
        let frame = ClientFrame::Send {
            group: random.pick(&GROUPS),
            data_type,
            data: self.payload(random, data_type, len_max),
            no_echo: random.percent(30),
            ttl_seconds: random.pick(&TTLS),
            ack_id: self.ack_id(random),
        };
        self.asked(frame)
    }

    fn event(&mut self, random: &mut Random, len_max: usize) -> ClientFrame {
        let data_type = random.pick(&DATA_TYPES);
        let frame = ClientFrame::Event {
            data_type,
            data: self.payload(random, data_type, len_max),
            ack_id: self.ack_id(random),
        };
        self.asked(frame)
    }

    /// Invokes something, or gives an invocation up.
    fn invocation(&mut self, random: &mut Random, len_max: usize) -> ClientFrame {
        let open: Vec<&String> = self.invocations.iter().collect();
        let open = random.choose(&open).cloned();
        if let Some(id) = open.clone()
            && random.percent(20)
        {
            self.invocations.remove(&id);
            return ClientFrame::Cancel { id };
        }
        let id = match open {
            // Either it is still open, or its client has no way to know.
            Some(id) if random.percent(10) => id,
            _ => {
                self.next_invocation += 1;
                format!("i{}.{}", self.number, self.next_invocation)
            }
        };
        self.invocations.insert(id.clone());
        let data_type = random.pick(&DATA_TYPES);
        ClientFrame::Invoke {
            id,
            data_type,
            data: self.payload(random, data_type, len_max),
        }
    }

    /// Makes a payload that there is only one of.
    fn payload(&mut self, random: &mut Random, data_type: DataType, len_max: usize) -> Bytes {
        self.next_ack_id += 1;
        let name = format!("c{}.{}", self.number, self.next_ack_id);
        payload(&name, data_type, random.below(len_max + 1))
    }

    fn stream(&mut self, random: &mut Random) -> ClientFrame {
        let ids: Vec<&String> = self.streams.keys().collect();
        let id = match random.choose(&ids) {
            Some(id) if random.percent(85) => id.clone(),
            _ => return self.start_stream(random),
        };
        let Some(stream) = self.streams.get_mut(&id) else {
            return ClientFrame::Ping;
        };
        match random.below(20) {
            0 => ClientFrame::EndStream {
                stream: id,
                is_failed: random.percent(50),
            },
            1 => ClientFrame::KeepStream { stream: id },
            2 => {
                stream.is_doubtful = true;
                let idle_timeout_ms = random.pick(&IDLE_TIMEOUTS);
                let group = random.pick(&GROUPS);
                ClientFrame::StartStream {
                    stream: id,
                    group,
                    no_echo: false,
                    idle_timeout_ms,
                }
            }
            // Too early: fragments are missing before it.
            3 => self.fragment(id, 2),
            // Again: what the service has not confirmed, such as after a recovery.
            4..8 => {
                stream.next = stream.expected.max(1);
                self.fragment(id, 0)
            }
            _ => self.fragment(id, 0),
        }
    }

    fn start_stream(&mut self, random: &mut Random) -> ClientFrame {
        self.next_stream += 1;
        let id = format!("s{}.{}", self.number, self.next_stream);
        self.streams.insert(
            id.clone(),
            Outbound {
                next: 1,
                ..Outbound::default()
            },
        );
        ClientFrame::StartStream {
            stream: id,
            group: random.pick(&GROUPS),
            no_echo: random.percent(30),
            idle_timeout_ms: random.pick(&IDLE_TIMEOUTS),
        }
    }

    fn fragment(&mut self, id: String, ahead: u64) -> ClientFrame {
        let mut sequence_id = 1;
        if let Some(stream) = self.streams.get_mut(&id) {
            sequence_id = stream.next + ahead;
            stream.highest = stream.highest.max(sequence_id);
            if ahead == 0 {
                stream.next += 1;
            }
        }
        let data = format!("{id}.{sequence_id}").into_bytes().into();
        ClientFrame::Fragment {
            stream: id,
            sequence_id,
            data,
        }
    }

    fn state(&mut self, random: &mut Random) -> ClientFrame {
        let (group, ack_id) = (random.pick(&GROUPS), self.ack_id(random));
        let frame = match random.below(8) {
            0..3 => ClientFrame::Watch { group, ack_id },
            3 => ClientFrame::Unwatch { group, ack_id },
            4 => ClientFrame::SetState {
                group,
                state: None,
                ack_id,
            },
            _ => {
                let entries = ["mood", "place"].iter().take(random.below(3));
                let state = entries
                    .map(|key| ((*key).to_owned(), format!("\"{}\n", random.below(1000))))
                    .collect();
                ClientFrame::SetState {
                    group,
                    state: Some(state),
                    ack_id,
                }
            }
        };
        self.asked(frame)
    }

    /// Acknowledges what has come, or again some of it, or even what has not come yet and is given up by that.
    fn sequence_ack(&mut self, random: &mut Random) -> ClientFrame {
        let sequence_id = match random.below(40) {
            0 => self.highest + random.between(1, 3),
            1..10 => random.between(0, self.highest),
            _ => self.highest,
        };
        if sequence_id > self.highest {
            self.given_up = self.given_up.max(sequence_id);
        }
        ClientFrame::SequenceAck(sequence_id)
    }

    /// Repeats a request that was not answered, or one that was.
    fn again(&mut self, random: &mut Random) -> Option<ClientFrame> {
        let outstanding: Vec<&ClientFrame> = self.outstanding.values().collect();
        match random.choose(&outstanding) {
            Some(frame) if random.percent(80) => Some(frame.clone()),
            _ => self.answered.clone(),
        }
    }

    fn ack_id(&mut self, random: &mut Random) -> Option<u64> {
        self.next_ack_id += 1;
        random.percent(75).then_some(self.next_ack_id)
    }

    fn asked(&mut self, frame: ClientFrame) -> ClientFrame {
        if let Some(ack_id) = frame.ack_id() {
            self.outstanding.insert(ack_id, frame.clone());
        }
        frame
    }
}

/// Makes a payload of a type out of a name, and of padding.
pub(crate) fn payload(name: &str, data_type: DataType, padding: usize) -> Bytes {
    let padding = "\"é<".chars().cycle().take(padding);
    let bytes = match data_type {
        // A number that floating point cannot hold, and spaces, must survive.
        DataType::Json => {
            let padding = "x".repeat(padding.count());
            format!(r#"{{"{name}": [12345678901234567890123, 1.50e3], "p":"{padding}"}}"#)
                .into_bytes()
        }
        DataType::Text => {
            let mut text = format!("{name}\u{1}");
            text.extend(padding);
            text.into_bytes()
        }
        DataType::Binary => {
            let mut bytes = name.as_bytes().to_vec();
            bytes.extend([0xFF, 0x00]);
            bytes.extend(std::iter::repeat_n(0x80, padding.count()));
            bytes
        }
        // google.protobuf.Any: type_url, value.
        DataType::Protobuf => {
            let mut any = vec![0x0A, name.len() as u8];
            any.extend_from_slice(name.as_bytes());
            any.extend([0x12, 1, 0xFF]);
            any
        }
    };
    bytes.into()
}
