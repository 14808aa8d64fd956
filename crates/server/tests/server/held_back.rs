//! Publishers that have sent as much as they may for now, and are gone or taken away while something of theirs waits. What waits
//! keeps its place. Source: client-protocols 9, order; 3.8, 3.10.

use std::collections::BTreeMap;

use hubwire_server::config::HubConfig;
use serde_json::{Value, json};

use crate::support::pubsub::{DETACHED, PubSub, RELIABLE_JSON, watched};
use crate::support::wire::close_payload;
use crate::support::{JSON, Service};

/// An owner of a state is taken out of the group or closed: what waited must not bring its state back to life. The message of
/// another client waits behind it, on the same shard.
#[tokio::test]
async fn a_state_that_waited_does_not_outlive_its_owner() {
    let service = with_rate(2).await;
    let mut watcher = service.member(JSON, "watcher").await;
    for (shard, path) in [
        (0, "groups/room/connections"),
        (1, "groups/room/connections"),
        (0, "connections"),
        (1, "connections"),
    ] {
        expect_no_states(&mut watcher).await;
        let mut owner = on_shard(&service, shard, JSON, "owner").await;
        let mut other = on_shard(&service, shard, JSON, "other").await;
        // The third has its ack, and waits.
        for number in 0..3 {
            owner
                .succeed(json!({ "type": "setGroupState", "group": "room", "state": { "n": number.to_string() }, "ackId": number }))
                .await;
        }
        let path = format!("/api/hubs/chat/{path}/{}", owner.ticket.id);
        assert_eq!(service.status("DELETE", &path).await, 204);
        other.publish("last").await;
        let mut shown = BTreeMap::new();
        loop {
            let frame = watcher.next().await;
            if frame["type"] == "message" {
                break;
            }
            for item in frame["items"].as_array().unwrap() {
                let id = item["connectionId"].to_string();
                match item.get("state") {
                    Some(state) => shown.insert(id, state.clone()),
                    None => shown.remove(&id),
                };
            }
        }
        assert_eq!(shown, BTreeMap::new(), "{path}");
        expect_no_states(&mut watcher).await;
        owner.cut();
        other.close(&close_payload(1000, "")).await;
    }
}

/// Somebody starts to watch while a change of a state waits: the states it gets have that change, which must not come again.
#[tokio::test]
async fn a_change_that_waited_does_not_come_behind_the_states_that_have_it() {
    let service = with_rate(1).await;
    for shard in [0, 1] {
        // The change waits in the shard of its owner, where the group's states may or may not be.
        let mut owner = on_shard(&service, shard, JSON, "owner").await;
        let mut watcher = on_shard(&service, 1 - shard, JSON, "watcher").await;
        for number in 0..2 {
            owner
                .succeed(json!({ "type": "setGroupState", "group": "room", "state": { "n": number.to_string() }, "ackId": number }))
                .await;
        }
        watcher
            .send(json!({ "type": "subscribeGroupState", "group": "room" }))
            .await;
        let snapshot = watcher.next().await;
        assert_eq!(snapshot["type"], "groupStateSnapshot", "{snapshot}");
        let mut last = latest(&snapshot);
        owner.publish("last").await;
        loop {
            let frame = watcher.next().await;
            if frame["type"] == "message" {
                break;
            }
            assert!(latest(&frame) > last, "{frame} came after {last}");
            last = latest(&frame);
        }
        owner.close(&close_payload(1000, "")).await;
        watcher.close(&close_payload(1000, "")).await;
    }
}

/// The publisher of a stream is closed: the end comes behind the fragment that waited.
#[tokio::test]
async fn a_fragment_that_waited_comes_before_the_end_of_its_stream() {
    let service = with_rate(2).await;
    for shard in [0, 1] {
        let mut readers = [
            on_shard(&service, 0, JSON, "reader").await,
            on_shard(&service, 1, JSON, "reader").await,
        ];
        let mut publisher = on_shard(&service, shard, JSON, "publisher").await;
        start(&mut publisher, 300_000).await;
        for number in 1..=3 {
            fragment(&mut publisher, number).await;
        }
        // The third has its ack, and waits.
        while publisher.next().await["expectedSequenceId"] != 4 {}
        let path = format!("/api/hubs/chat/connections/{}", publisher.ticket.id);
        assert_eq!(service.status("DELETE", &path).await, 204);
        for reader in &mut readers {
            for number in 1..=3 {
                let message = reader.next().await;
                let stream = json!({ "streamId": "s", "streamSequenceId": number });
                assert_eq!(message["stream"], stream, "{message}");
            }
            let end = reader.next().await;
            assert_eq!(end["stream"]["error"]["name"], "Cancelled", "{end}");
        }
        publisher.cut();
        for reader in readers {
            reader.close(&close_payload(1000, "")).await;
        }
    }
}

/// A stream ends by idleness while its publisher is away and its hub has sent as much as it may.
#[tokio::test]
async fn the_end_of_a_stream_reaches_all_shards_also_when_it_has_to_wait() {
    let service = with_rate(1).await;
    let mut readers = [
        on_shard(&service, 0, JSON, "reader").await,
        on_shard(&service, 1, JSON, "reader").await,
    ];
    let mut publisher = on_shard(&service, 0, RELIABLE_JSON, "publisher").await;
    start(&mut publisher, 300).await;
    fragment(&mut publisher, 1).await;
    while publisher.next().await["expectedSequenceId"] != 2 {}
    publisher.cut();
    service
        .until_metric(DETACHED, "", |detached| detached == 1.0)
        .await;
    for reader in &mut readers {
        assert_eq!(reader.next().await["data"], "1");
        let end = reader.next().await;
        assert_eq!(end["stream"]["error"]["name"], "IdleTimeout", "{end}");
    }
}

/// A reliable publisher comes back and goes on while what it has sent before its cut waits.
#[tokio::test]
async fn what_waited_before_a_cut_comes_before_what_is_sent_after_it() {
    let service = with_rate(4).await;
    let mut readers = [
        on_shard(&service, 0, JSON, "reader").await,
        on_shard(&service, 1, JSON, "reader").await,
    ];
    let mut publisher = on_shard(&service, 0, RELIABLE_JSON, "publisher").await;
    for number in 1..=12 {
        publisher.publish(&number.to_string()).await;
        // As far as the service reads.
        readers[0].expect_data(&number.to_string()).await;
        if number % 2 == 0 {
            publisher = service.recover(&publisher.ticket).await;
        }
    }
    for number in 1..=12 {
        readers[1].expect_data(&number.to_string()).await;
    }
}

impl PubSub {
    async fn expect_data(&mut self, text: &str) {
        let message = self.next().await;
        assert_eq!(message["data"], text, "{message}");
    }
}

/// Starts a service of two shards whose hubs may each send this many messages a second.
async fn with_rate(messages_per_second: usize) -> Service {
    Service::start_with(|config| {
        watched(2)(config);
        let hub = HubConfig {
            messages_per_second,
            ..HubConfig::default()
        };
        config.hubs.set("_default", hub);
    })
    .await
}

/// Connects a member of `room` whose connection is on this shard.
async fn on_shard(service: &Service, shard: u16, subprotocol: &'static str, user: &str) -> PubSub {
    loop {
        let client = service.member(subprotocol, user).await;
        if client.ticket.shard() == shard {
            return client;
        }
        client.close(&close_payload(1000, "")).await;
    }
}

/// Returns when the last of some states was changed; 0 if there is none.
fn latest(states: &Value) -> u64 {
    let items = states["items"].as_array().unwrap();
    let changes = items.iter().map(|item| item["updatedAt"].as_u64().unwrap());
    changes.max().unwrap_or(0)
}

/// Watches the states of `room`, or asks for them again: there are none.
async fn expect_no_states(watcher: &mut PubSub) {
    watcher
        .send(json!({ "type": "subscribeGroupState", "group": "room" }))
        .await;
    let snapshot: Value = watcher.next().await;
    assert_eq!(snapshot["type"], "groupStateSnapshot", "{snapshot}");
    assert_eq!(snapshot["items"], json!([]), "{snapshot}");
}

async fn start(publisher: &mut PubSub, idle_timeout_ms: u64) {
    publisher
        .send(json!({ "type": "sendToGroup", "group": "room", "noEcho": true, "stream": { "streamId": "s", "idleTimeoutMs": idle_timeout_ms } }))
        .await;
    assert_eq!(publisher.next().await["expectedSequenceId"], 1);
}

async fn fragment(publisher: &mut PubSub, number: u64) {
    publisher
        .send(json!({ "type": "streamData", "streamId": "s", "streamSequenceId": number, "dataType": "text", "data": number.to_string() }))
        .await;
}
