//! What a client's publish costs on its way through a shard, from the payload of its frame to the frame of the one receiver.
//! Made for a profiler that counts instructions: the difference of two runs is that of their rounds.
//!
//! `cargo run --release -p hubwire-engine --example publish_cost -- [json|raw|ack] [ROUNDS]`

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "it measures and prints"
)]

use std::sync::Arc;
use std::time::Instant;

use hubwire_engine::{
    ConnectionKey, HubSettings, Input, Limits, Open, Output, Outputs, Place, RawMode, Reply,
    ReplyToken, Shard, ShardSettings, Time,
};
use hubwire_protocol::names::{GroupName, Hub, NameError};
use hubwire_protocol::subprotocol::{Subprotocol, WireKind};
use hubwire_protocol::token::ReconnectionKey;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let how = arguments.next().unwrap_or_else(|| "json".to_owned());
    let rounds: u64 = arguments
        .next()
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let mut shard = Shard::new(ShardSettings {
        node: 0,
        number: 0,
        shards: 1,
        unix_origin_ms: 0,
        reconnection_key: ReconnectionKey::new(b"key"),
        limits: Limits::default(),
    });
    let mut outputs = Outputs::default();
    let subprotocol = match how.as_str() {
        "raw" => Subprotocol::Simple,
        _ => Subprotocol::Json,
    };
    open(&mut shard, &mut outputs, Subprotocol::Json, &["g"])?;
    let Some(key) = open(&mut shard, &mut outputs, subprotocol, &[])? else {
        return Err("the publisher was not let in".into());
    };
    let mut sent = 0;
    let started = Instant::now();
    for round in 0..rounds {
        outputs.list.clear();
        outputs.frames.clear();
        outputs.deliveries.clear();
        let frame = match how.as_str() {
            "raw" => "hello".to_owned(),
            "ack" => format!(
                r#"{{"type":"sendToGroup","group":"g","dataType":"text","data":"hello","ackId":{round}}}"#
            ),
            _ => {
                r#"{"type":"sendToGroup","group":"g","dataType":"text","data":"hello"}"#.to_owned()
            }
        };
        let input = Input::Message {
            key,
            kind: WireKind::Text,
            payload: frame.as_bytes(),
        };
        shard.handle(Time::default(), input, &mut outputs);
        sent += outputs.deliveries.len();
    }
    let nanoseconds = started.elapsed().as_nanos() as f64 / rounds as f64;
    println!("{how}: {nanoseconds:.0} ns a publish, {sent} frames sent");
    Ok(())
}

fn open(
    shard: &mut Shard,
    outputs: &mut Outputs,
    subprotocol: Subprotocol,
    groups: &[&str],
) -> Result<Option<ConnectionKey>, NameError> {
    let open = Open {
        hub: Hub::new("bench")?,
        settings: Arc::new(HubSettings::default()),
        subprotocol,
        spelling: None,
        user: None,
        groups: groups
            .iter()
            .map(|group| GroupName::new(group))
            .collect::<Result<_, _>>()?,
        roles: vec!["webpubsub.sendToGroup".to_owned()],
        raw_mode: match subprotocol {
            Subprotocol::Simple => RawMode::Publish {
                group: GroupName::new("g")?,
                no_echo: false,
            },
            _ => RawMode::Event,
        },
        place: Place::Random([groups.len() as u8; 16]),
    };
    let input = Input::Open {
        open: Box::new(open),
        reply: ReplyToken(0),
    };
    shard.handle(Time::default(), input, outputs);
    Ok(outputs.list.iter().rev().find_map(|output| match output {
        Output::Reply {
            reply: Reply::Opened { key, .. },
            ..
        } => Some(*key),
        _ => None,
    }))
}
