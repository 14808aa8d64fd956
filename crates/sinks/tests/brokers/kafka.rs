//! Kafka: the mock cluster of librdkafka, and the consumer of confluent-kafka. Source: events-and-operations 8.2.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use hubwire_sinks::{KafkaSettings, SinkSettings, sink};
use hubwire_upstream::{ListenerEvent, Sink};
use serde_json::{Value, json};

use crate::process::Script;
use crate::support::{TEXT, full_event, user_event};

const TOPIC: &str = "hubwire";

/// A cluster of three brokers with a topic of six partitions.
async fn cluster() -> (Script, Vec<String>) {
    let mut script = Script::start("kafka_cluster.py", &[TOPIC, "6"]);
    let ready = script.next().await;
    assert_eq!(ready["kind"], "ready");
    let brokers = ready["brokers"].as_array().unwrap().iter();
    let brokers = brokers.map(|broker| broker.as_str().unwrap().to_owned());
    let brokers = brokers.collect();
    (script, brokers)
}

fn settings(brokers: Vec<String>) -> KafkaSettings {
    KafkaSettings::new(brokers, TOPIC)
}

fn sink_of(settings: KafkaSettings) -> Arc<dyn Sink> {
    sink(SinkSettings::Kafka(Box::new(settings))).unwrap()
}

/// Events of 20 connections.
fn events(ids: std::ops::Range<u64>) -> Vec<ListenerEvent> {
    ids.map(|id| user_event(&format!("connection-{}", id % 20), id, TEXT, b"hi"))
        .collect()
}

async fn messages(script: &mut Script, count: usize) -> Vec<Value> {
    let mut messages = Vec::new();
    while messages.len() < count {
        let value = script.next().await;
        if value["kind"] == "message" {
            messages.push(value);
        }
    }
    messages
}

/// The ids by key, in the order in which they are in the partition; each key is in one.
fn ids_by_key(messages: &[Value]) -> BTreeMap<String, Vec<u64>> {
    let mut ids: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut partitions: HashMap<String, Value> = HashMap::new();
    for message in messages {
        let key = message["key"].as_str().unwrap().to_owned();
        let partition = partitions
            .entry(key.clone())
            .or_insert(message["partition"].clone());
        assert_eq!(partition, &message["partition"], "{key}");
        let id = message["headers"]["ce_id"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        ids.entry(key).or_default().push(id);
    }
    ids
}

fn expect_order(messages: &[Value], ids: std::ops::Range<u64>) {
    let mut expected: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for id in ids {
        expected
            .entry(format!("connection-{}", id % 20))
            .or_default()
            .push(id);
    }
    assert_eq!(ids_by_key(messages), expected);
}

#[tokio::test]
#[ignore = "needs a Kafka cluster: cargo xtask conformance sinks"]
async fn a_consumer_sees_key_headers_and_data() {
    let (mut script, brokers) = cluster().await;
    sink_of(settings(brokers))
        .deliver(&[full_event("c1", 3)])
        .await
        .unwrap();
    let message = &messages(&mut script, 1).await[0];
    assert_eq!(message["key"], "c1");
    assert_eq!(message["body"], "{\"a\":\n1.50}");
    assert_eq!(message["timestamp"], 1_709_210_096_000_u64);
    let expected = json!({
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_id": "3",
        "ce_source": "/hubs/chat/client/c1",
        "ce_type": "azure.webpubsub.user.order.created",
        "ce_time": "2024-02-29T12:34:56Z",
        "ce_awpsversion": "1.0",
        "ce_hub": "chat",
        "ce_eventname": "order.created",
        "ce_connectionid": "c1",
        "ce_userid": "Zoë \"✓\" 50%",
        "ce_subprotocol": "json.webpubsub.azure.v1",
        "ce_connectionstate": "c3RhdGU=",
        "x-webpubsub-metadata-trace-id": "c d",
    });
    assert_eq!(message["headers"], expected);
}

/// The partitioner `murmur2_random` of librdkafka is that of the Java client.
#[tokio::test]
#[ignore = "needs a Kafka cluster: cargo xtask conformance sinks"]
async fn events_of_a_connection_are_in_the_partition_of_other_clients_in_their_order() {
    let (mut script, brokers) = cluster().await;
    let sink = sink_of(settings(brokers));
    for first in [0, 250] {
        sink.deliver(&events(first..first + 250)).await.unwrap();
    }
    let messages = messages(&mut script, 500).await;
    expect_order(&messages, 0..500);
    for connection in 0..20 {
        let key = format!("connection-{connection}");
        let ours = messages
            .iter()
            .find(|message| message["key"] == key)
            .unwrap();
        script.say(&format!("partition {key}")).await;
        let (_, theirs) = script.until("partition").await;
        assert_eq!(ours["partition"], theirs["partition"], "{key}");
    }
}

#[tokio::test]
#[ignore = "needs a Kafka cluster: cargo xtask conformance sinks"]
async fn a_leader_that_moves_is_followed() {
    let (mut script, brokers) = cluster().await;
    let sink = sink_of(settings(brokers));
    sink.deliver(&events(0..200)).await.unwrap();
    for partition in 0..6 {
        script
            .say(&format!("leader {partition} {}", partition % 3 + 1))
            .await;
        script.until("done").await;
    }
    sink.deliver(&events(200..400)).await.unwrap();
    // The consumer may have seen some of them already.
    script.say("replay").await;
    script.until("done").await;
    let all = messages(&mut script, 400).await;
    expect_order(&all, 0..400);
}

#[tokio::test]
#[ignore = "needs a Kafka cluster: cargo xtask conformance sinks"]
async fn brokers_that_are_down_for_a_while_get_everything_afterwards() {
    let (mut script, brokers) = cluster().await;
    let sink = sink_of(settings(brokers));
    sink.deliver(&events(0..200)).await.unwrap();
    messages(&mut script, 200).await;
    script.say("down").await;
    script.until("done").await;
    let batch = events(200..400);
    let (outcome, ()) = tokio::join!(sink.deliver(&batch), async {
        // An attempt to deliver must have failed; nothing tells of it.
        tokio::time::sleep(Duration::from_secs(1)).await;
        script.say("up").await;
    });
    outcome.unwrap();
    expect_order(&messages(&mut script, 200).await, 200..400);
}

#[tokio::test]
#[ignore = "needs a Kafka cluster: cargo xtask conformance sinks"]
async fn requests_stay_below_the_limit_of_brokers() {
    let (mut script, brokers) = cluster().await;
    let body = vec![b'x'; 300_000];
    let events: Vec<ListenerEvent> = (0..10)
        .map(|id| user_event("c1", id, TEXT, &body))
        .collect();
    sink_of(settings(brokers)).deliver(&events).await.unwrap();
    let seen = ids_by_key(&messages(&mut script, 10).await);
    assert_eq!(seen["c1"], (0..10).collect::<Vec<_>>());
}

#[tokio::test]
#[ignore = "needs a Kafka cluster: cargo xtask conformance sinks"]
async fn what_is_too_large_for_the_topic_is_halved_and_then_lost_alone() {
    let (mut script, brokers) = cluster().await;
    // One request of four, then two of two; the first event of the first of these does not even fit alone.
    script.say("too_large 3").await;
    script.until("done").await;
    let body = vec![b'x'; 200_000];
    let events: Vec<ListenerEvent> = (0..4).map(|id| user_event("c1", id, TEXT, &body)).collect();
    let error = sink_of(settings(brokers))
        .deliver(&events)
        .await
        .unwrap_err();
    assert_eq!(error.lost, [0]);
    assert_eq!(
        error.reason,
        "the event is larger than topic `hubwire` takes"
    );
    let seen = ids_by_key(&messages(&mut script, 3).await);
    assert_eq!(seen["c1"], [1, 2, 3]);
}

#[tokio::test]
#[ignore = "needs a Kafka cluster: cargo xtask conformance sinks"]
async fn a_topic_that_does_not_exist_loses_events_in_the_end() {
    let (_script, brokers) = cluster().await;
    let mut settings = settings(brokers);
    settings.topic = "other".to_owned();
    settings.retry_for = Duration::from_secs(1);
    let error = sink_of(settings).deliver(&events(0..2)).await.unwrap_err();
    assert_eq!(error.lost, [0, 1]);
    assert_eq!(
        error.reason,
        "topic `other` does not exist, or the service may not see it"
    );
}
