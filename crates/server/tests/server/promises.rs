//! The delivery promises under load, with cuts: client-protocols 9, items 92 to 94 and 152 to 154. What is done when comes from a
//! seed, and how it falls together from the machine.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use hubwire_server::config::HubConfig;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::metrics::with_metrics;
use crate::support::pubsub::{
    ALL, BUFFERED, DETACHED, PROTOBUF, PubSub, RELIABLE, RELIABLE_JSON, RELIABLE_PROTOBUF,
};
use crate::support::wire::close_payload;
use crate::support::{ALL_ROLES, JSON, PATIENCE, Service};

const SEEDS: u64 = 3;
const GROUPS: [&str; 3] = ["a", "b", "c"];
/// Messages of each publisher, over all groups.
const MESSAGES: u64 = 240;

/// Order for each publisher and group on every receiver; on a reliable one nothing is lost, and nothing is there twice for a client
/// that drops the numbers it has seen; a publication that is repeated after a cut counts once.
#[tokio::test]
async fn every_receiver_gets_what_each_publisher_sent_in_order_and_once() {
    for seed in 1..=SEEDS {
        let service = under_load().await;
        let claims = json!({ "role": ALL_ROLES, "webpubsub.group": GROUPS });
        let mut receivers = Vec::new();
        for subprotocol in [
            JSON,
            RELIABLE_JSON,
            RELIABLE_PROTOBUF,
            PROTOBUF,
            RELIABLE_JSON,
            RELIABLE_PROTOBUF,
        ] {
            receivers.push(service.pubsub(subprotocol, "chat", claims.clone()).await);
        }
        let mut publishers = Vec::new();
        for (index, subprotocol) in ALL.into_iter().enumerate() {
            let user = format!("{index}");
            publishers.push(service.pubsub_with_roles(subprotocol, &user).await);
        }
        let count = publishers.len();
        let publish = publishers.into_iter().enumerate().map(|(index, client)| {
            let dice = Dice(seed * 100 + index as u64);
            Publisher::new(&service, client, index, dice).run()
        });
        let receive = receivers.into_iter().enumerate().map(|(index, client)| {
            let dice = Dice(seed * 100 + 50 + index as u64);
            Receiver::new(&service, client, dice).run(count)
        });
        let all = async { tokio::join!(join_all(publish), join_all(receive)) };
        timeout(6 * PATIENCE, all).await.expect("nothing is lost");
        service.until_metric(BUFFERED, "", |kept| kept == 0.0).await;
        service
            .until_metric(DETACHED, "", |detached| detached == 0.0)
            .await;
    }
}

/// Item 154 under load: what is sent after a join was acked is received, over cuts on both sides, by clients and by REST.
#[tokio::test]
async fn what_is_sent_after_a_join_was_acked_is_received() {
    let service = under_load().await;
    let mut noisy = service.pubsub_with_roles(JSON, "noisy").await;
    let joiners = (0..4).map(|index| {
        let service = &service;
        async move {
            let subprotocol = RELIABLE[index % 2];
            let user = format!("joiner{index}");
            let mut joiner = service.pubsub_with_roles(subprotocol, &user).await;
            let publisher = if index < 2 { JSON } else { RELIABLE_PROTOBUF };
            let mut publisher = service.pubsub_with_roles(publisher, "publisher").await;
            let mut dice = Dice(index as u64 + 1);
            for round in 1..=60 {
                let group = format!("{index} {}", round % 7);
                joiner
                    .succeed(json!({ "type": "joinGroup", "group": group, "ackId": 2 * round }))
                    .await;
                if dice.is_one_in(3) {
                    let ticket = joiner.cut();
                    joiner = service.recover(&ticket).await;
                }
                let text = format!("{index} {round}");
                let publish = json!({ "type": "sendToGroup", "group": group, "dataType": "text", "data": text });
                match dice.below(3) {
                    0 => publisher.send(publish).await,
                    1 => {
                        let group = crate::support::rest::encode(&group);
                        let path = format!("/api/hubs/chat/groups/{group}/:send");
                        service.send(&path, "text/plain", text.as_bytes()).await;
                    }
                    _ => joiner.send(publish).await,
                }
                if dice.is_one_in(4) {
                    let ticket = joiner.cut_after_reading().await;
                    joiner = service.recover(&ticket).await;
                }
                joiner.expect_numbered(round, &text).await;
                joiner.acknowledge(round).await;
                joiner
                    .succeed(json!({ "type": "leaveGroup", "group": group, "ackId": 2 * round + 1 }))
                    .await;
            }
            joiner.close(&close_payload(1000, "")).await;
        }
    });
    let noise = async {
        loop {
            for group in ["0 1", "1 2", "2 3", "3 4", "nobody"] {
                let publish = json!({ "type": "sendToGroup", "group": format!("{group} noise"), "dataType": "text", "data": "x" });
                noisy.send(publish).await;
            }
            noisy.expect_nothing().await;
        }
    };
    let race = async {
        tokio::select! {
            () = noise => {}
            _ = join_all(joiners) => {}
        }
    };
    timeout(6 * PATIENCE, race).await.unwrap();
}

async fn under_load() -> Service {
    Service::start_with(|config| {
        with_metrics(config);
        config.shards = 2;
        // However slow a receiver of the test is, this is not about the buffer.
        let hub = HubConfig {
            reliable_buffer_messages: 100_000,
            ..HubConfig::default()
        };
        config.hubs.set("_default", hub);
        config.limits.outbound_queue_messages = 100_000;
    })
    .await
}

/// A client that publishes numbered messages, and repeats after a cut what it does not know to be done, as the official ones do.
struct Publisher<'s> {
    service: &'s Service,
    client: PubSub,
    index: usize,
    dice: Dice,
    /// The number of the next message of each group.
    next: BTreeMap<&'static str, u64>,
    /// By ack id.
    unacked: BTreeMap<u64, Value>,
}

impl<'s> Publisher<'s> {
    fn new(service: &'s Service, client: PubSub, index: usize, dice: Dice) -> Self {
        Self {
            service,
            client,
            index,
            dice,
            next: BTreeMap::new(),
            unacked: BTreeMap::new(),
        }
    }

    async fn run(mut self) {
        for ack_id in 1..=MESSAGES {
            let group = GROUPS[self.dice.below(3) as usize];
            let number = self.next.entry(group).or_default();
            let text = format!("{} {number}", self.index);
            *number += 1;
            let frame = json!({ "type": "sendToGroup", "group": group, "dataType": "text", "data": text, "ackId": ack_id });
            self.unacked.insert(ack_id, frame.clone());
            self.client.send(frame).await;
            if self.dice.is_one_in(8) {
                self.take_ack().await;
            }
            if self.dice.is_one_in(40) && !self.client.ticket.token.is_empty() {
                self.cut().await;
            }
        }
        while !self.unacked.is_empty() {
            self.take_ack().await;
        }
        // The last word to each group, which tells receivers what there was.
        for group in GROUPS {
            let number = self.next.get(group).copied().unwrap_or(0);
            let text = format!("{} {number} end", self.index);
            let frame = json!({ "type": "sendToGroup", "group": group, "dataType": "text", "data": text, "ackId": MESSAGES + number + 1000 * group.len() as u64 + u64::from(group.as_bytes()[0]) * 10_000 });
            self.client.succeed(frame).await;
        }
        self.client.close(&close_payload(1000, "")).await;
    }

    async fn take_ack(&mut self) {
        if self.unacked.is_empty() {
            return;
        }
        let ack = self.client.next().await;
        assert_eq!(ack["type"], "ack", "{ack}");
        let is_done = ack["success"] == true || ack["error"]["name"] == "Duplicate";
        assert!(is_done, "{ack}");
        let ack_id = ack["ackId"].as_u64().unwrap();
        assert!(self.unacked.remove(&ack_id).is_some(), "{ack}");
    }

    async fn cut(&mut self) {
        let ticket = self.client.ticket.clone();
        let new = match self.dice.is_one_in(2) {
            // The old socket is there until the service drops it.
            true => self.service.recover(&ticket).await,
            false => {
                self.client.wire.tcp.set_zero_linger().unwrap();
                self.service.recover(&ticket).await
            }
        };
        self.client = new;
        for frame in self.unacked.values() {
            self.client.send(frame.clone()).await;
        }
    }
}

/// A client that reads, acknowledges now and then, and loses its socket if it may.
struct Receiver<'s> {
    service: &'s Service,
    client: PubSub,
    dice: Dice,
    highest: u64,
    /// The number of the next message of each publisher and group.
    next: BTreeMap<(String, String), u64>,
}

impl<'s> Receiver<'s> {
    fn new(service: &'s Service, client: PubSub, dice: Dice) -> Self {
        Self {
            service,
            client,
            dice,
            highest: 0,
            next: BTreeMap::new(),
        }
    }

    async fn run(mut self, publishers: usize) {
        let is_reliable = !self.client.ticket.token.is_empty();
        let mut ends = 0;
        while ends < publishers * GROUPS.len() {
            let message = self.client.next().await;
            assert_eq!(message["type"], "message", "{message}");
            if is_reliable && !self.is_new(&message) {
                continue;
            }
            if self.take(&message) {
                ends += 1;
            }
            if !is_reliable {
                continue;
            }
            if self.dice.is_one_in(10) {
                let unseen = self.dice.below(5).min(self.highest);
                self.client.acknowledge(self.highest - unseen).await;
            }
            if self.dice.is_one_in(60) {
                if self.dice.is_one_in(2) {
                    self.client.wire.tcp.set_zero_linger().unwrap();
                }
                let ticket = self.client.ticket.clone();
                drop(self.client);
                self.client = self.service.recover(&ticket).await;
            }
        }
        if is_reliable {
            self.client.acknowledge(self.highest).await;
        }
        self.client.expect_nothing().await;
        self.client.close(&close_payload(1000, "")).await;
    }

    /// Tells whether a numbered message was not there before. What is new follows what was last.
    fn is_new(&mut self, message: &Value) -> bool {
        let sequence_id = message["sequenceId"].as_u64().unwrap();
        if sequence_id <= self.highest {
            return false;
        }
        assert_eq!(sequence_id, self.highest + 1, "{message}");
        self.highest = sequence_id;
        true
    }

    /// Checks the message's place among those of its publisher to its group. Tells whether it is the last.
    fn take(&mut self, message: &Value) -> bool {
        let group = message["group"].as_str().unwrap().to_owned();
        let mut words = message["data"].as_str().unwrap().split(' ');
        let publisher = words.next().unwrap().to_owned();
        let number: u64 = words.next().unwrap().parse().unwrap();
        let next = self.next.entry((publisher, group)).or_default();
        assert_eq!(number, *next, "{message}");
        *next += 1;
        words.next() == Some("end")
    }
}

impl PubSub {
    /// Waits until the service has handled what was sent, whatever else comes, and loses the connection.
    async fn cut_after_reading(mut self) -> crate::support::pubsub::Ticket {
        self.send(json!({ "type": "ping" })).await;
        while self.next().await["type"] != "pong" {}
        self.cut()
    }
}

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    /// Splitmix64.
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ mixed >> 31) % end
    }

    fn is_one_in(&mut self, odds: u64) -> bool {
        self.below(odds) == 0
    }
}
