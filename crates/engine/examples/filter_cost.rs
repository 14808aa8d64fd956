//! What a filter costs for each receiver: `cargo run --release -p hubwire-engine --example filter_cost`.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "it measures and prints"
)]

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hubwire_engine::{
    Action, Command, HubSettings, Input, Limits, Message, Open, Outputs, Place, RawMode,
    ReplyToken, Selection, Shard, ShardSettings, Target, Time,
};
use hubwire_protocol::filter::Filter;
use hubwire_protocol::message::{Content, DataMessage, From};
use hubwire_protocol::metadata::Metadata;
use hubwire_protocol::names::{GroupName, Hub, NameError, UserId};
use hubwire_protocol::payload::{DataType, Payload};
use hubwire_protocol::subprotocol::Subprotocol;
use hubwire_protocol::token::ReconnectionKey;

const RECEIVERS: usize = 10_000;
const ROUNDS: usize = 50;
const FILTERS: [&str; 7] = [
    "",
    "userId eq 'user42'",
    "userId ne null",
    "'even' in groups",
    "not ('even' in groups) and startswith(userId,'user1')",
    "userId in ('user1','user2','user3','user4')",
    "length(tolower(userId)) gt 5",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut shard = Shard::new(ShardSettings {
        node: 0,
        number: 0,
        shards: 1,
        unix_origin_ms: 0,
        reconnection_key: ReconnectionKey::new(b"key"),
        limits: Limits::default(),
    });
    let mut outputs = Outputs::default();
    let hub = Hub::new("bench")?;
    for number in 0..RECEIVERS {
        let input = Input::Open {
            open: Box::new(open(&hub, number)?),
            reply: ReplyToken(0),
        };
        shard.handle(Time::default(), input, &mut outputs);
    }
    println!("{RECEIVERS} receivers, {ROUNDS} sends, nanoseconds for each receiver");
    let mut base = 0.0;
    for text in FILTERS {
        let filter = match text {
            "" => None,
            text => Some(Arc::new(Filter::parse(text)?)),
        };
        let command = Command {
            hub: hub.clone(),
            action: Action::Send {
                to: Selection {
                    filter,
                    ..Target::All.into()
                },
                message: Arc::new(Message::new(hello(), Time::default(), 0)),
            },
        };
        let mut best = f64::MAX;
        let mut matched = 0;
        for _ in 0..ROUNDS {
            outputs.list.clear();
            outputs.deliveries.clear();
            outputs.frames.clear();
            let started = Instant::now();
            let input = Input::Command {
                command: &command,
                reply: None,
            };
            shard.handle(Time::default(), input, &mut outputs);
            let took = started.elapsed().as_nanos() as f64 / RECEIVERS as f64;
            best = best.min(took);
            matched = outputs.deliveries.len();
        }
        if text.is_empty() {
            base = best;
        }
        let name = if text.is_empty() { "no filter" } else { text };
        println!(
            "{best:7.1} (+{:6.1})  {matched:6} match  {name}",
            best - base
        );
    }
    Ok(())
}

fn open(hub: &Hub, number: usize) -> Result<Open, NameError> {
    let group = if number.is_multiple_of(2) {
        "even"
    } else {
        "odd"
    };
    Ok(Open {
        hub: hub.clone(),
        settings: Arc::new(HubSettings::default()),
        subprotocol: Subprotocol::Json,
        spelling: None,
        user: Some(UserId::new(&format!("user{number}"))?),
        groups: vec![GroupName::new(group)?],
        roles: Vec::new(),
        raw_mode: RawMode::Event,
        place: Place::Random([0; 16]),
    })
}

fn hello() -> DataMessage {
    DataMessage {
        from: From::Server,
        content: Content {
            payload: Payload {
                data_type: DataType::Text,
                data: Bytes::from_static(b"hello"),
            },
            metadata: Metadata::default(),
        },
        stream: None,
    }
}
