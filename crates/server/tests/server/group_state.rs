//! What clients show of themselves in a group, across shards: client-protocols 3.10, item 120.

use std::collections::BTreeMap;
use std::slice;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::pubsub::{
    ALL, PROTOBUF, PubSub, RELIABLE, RELIABLE_JSON, RELIABLE_PROTOBUF, watched,
};
use crate::support::wire::{CLOSE, close_payload};
use crate::support::{ALL_ROLES, JSON, Service};

/// Enough for their homes to be on every one of three shards.
const GROUPS: usize = 12;

/// Item 120: owner, watchers and the group's home on any shards.
#[tokio::test]
async fn watchers_on_every_shard_see_the_states_and_each_change_of_them() {
    let service = Service::watched(3).await;
    let groups: Vec<String> = (0..GROUPS).map(|number| format!("g{number}")).collect();
    let claims = |user: &str| json!({ "sub": user, "webpubsub.group": groups });
    let mut watchers = Vec::new();
    for subprotocol in ALL.into_iter().cycle().take(6) {
        watchers.push(service.pubsub(subprotocol, "chat", claims("watcher")).await);
    }
    for subprotocol in ALL {
        let mut owner = service.pubsub(subprotocol, "chat", claims("owner")).await;
        let (id, user) = (owner.ticket.id.clone(), "owner");
        for (ack_id, group) in (1..).zip(&groups) {
            set(&mut owner, group, json!({ "n": "1", "ü": "" }), ack_id).await;
            for watcher in &mut watchers {
                watcher
                    .send(json!({ "type": "subscribeGroupState", "group": group }))
                    .await;
                let item =
                    json!({ "connectionId": id, "userId": user, "state": { "n": "1", "ü": "" } });
                expect_states(watcher, "groupStateSnapshot", group, &[item]).await;
            }
            let changes = [
                json!({ "n": "2" }),
                json!({}),
                Value::Null,
                json!({ "n": "3" }),
            ];
            for (number, state) in (0..).zip(changes) {
                let ack_id = 1000 * ack_id + number;
                set(&mut owner, group, state.clone(), ack_id).await;
                let mut item = json!({ "connectionId": id, "userId": user });
                if !state.is_null() {
                    item["state"] = state;
                }
                for watcher in &mut watchers {
                    expect_states(watcher, "groupStateUpdate", group, slice::from_ref(&item)).await;
                }
            }
        }
        owner.close(&close_payload(1000, "")).await;
        for watcher in &mut watchers {
            let mut cleared = Vec::new();
            for _ in &groups {
                let update = watcher.next().await;
                assert_eq!(update["type"], "groupStateUpdate", "{update}");
                let items = update["items"].as_array().unwrap();
                assert_eq!(items.len(), 1, "{update}");
                assert_eq!(items[0]["connectionId"], id, "{update}");
                assert_eq!(items[0].get("state"), None, "{update}");
                cleared.push(update["group"].as_str().unwrap().to_owned());
            }
            cleared.sort_unstable();
            let mut expected = groups.clone();
            expected.sort_unstable();
            assert_eq!(cleared, expected);
            for group in &groups {
                watcher
                    .send(json!({ "type": "unsubscribeGroupState", "group": group }))
                    .await;
            }
            watcher.expect_nothing().await;
        }
    }
}

/// Item 120: whenever one begins to watch, snapshot and updates come to what is there in the end.
#[tokio::test]
async fn snapshot_and_updates_come_to_the_same_for_everybody() {
    let service = Service::watched(3).await;
    for round in 0..4 {
        let group = format!("group{round}");
        let claims = json!({ "webpubsub.group": [group] });
        let mut owners = Vec::new();
        let mut watchers = Vec::new();
        for subprotocol in ALL {
            owners.push(service.pubsub(subprotocol, "chat", claims.clone()).await);
            watchers.push(service.pubsub(subprotocol, "chat", claims.clone()).await);
        }
        let set_all = owners.iter_mut().enumerate().map(|(index, owner)| {
            let group = &group;
            async move {
                for number in 0..=40 {
                    let state = match (number + index) % 4 {
                        0 => Value::Null,
                        _ => json!({ "n": number.to_string() }),
                    };
                    set(owner, group, state, number as u64).await;
                }
            }
        });
        let watch_all = watchers.iter_mut().enumerate().map(|(index, watcher)| {
            let group = &group;
            async move {
                // Each begins at another moment: after as many answers of the service.
                for _ in 0..index * 10 {
                    watcher.expect_nothing().await;
                }
                watcher
                    .send(json!({ "type": "subscribeGroupState", "group": group }))
                    .await;
                View::default().follow(watcher, 1).await
            }
        });
        let (_, views) = tokio::join!(join_all(set_all), join_all(watch_all));
        let expected: BTreeMap<String, Value> = owners
            .iter()
            .enumerate()
            .filter(|(index, _)| (40 + index) % 4 != 0)
            .map(|(_, owner)| (owner.ticket.id.clone(), json!({ "n": "40" })))
            .collect();
        for (watcher, view) in watchers.iter_mut().zip(views) {
            // The second snapshot stands behind all updates before it.
            watcher
                .send(json!({ "type": "subscribeGroupState", "group": group }))
                .await;
            let seen = view.follow(watcher, 2).await;
            assert_eq!(seen.states, expected);
            assert_eq!(seen.before_snapshot, expected);
        }
    }
}

/// Section 3.10: times only grow, for every owner.
#[tokio::test]
async fn later_changes_have_later_times() {
    let service = Service::watched(2).await;
    let mut owner = service.member(JSON, "owner").await;
    let mut watcher = service.member(RELIABLE_PROTOBUF, "watcher").await;
    subscribe(&mut watcher).await;
    let mut last = 0;
    for number in 0..100 {
        set(
            &mut owner,
            "room",
            json!({ "n": number.to_string() }),
            number,
        )
        .await;
        let update = watcher.next().await;
        let updated_at = update["items"][0]["updatedAt"].as_u64().unwrap();
        assert!(updated_at > last, "{updated_at} after {last}");
        last = updated_at;
    }
}

/// Section 3.10: a lost socket changes nothing, the end of the connection does.
#[tokio::test]
async fn the_states_of_a_reliable_owner_outlive_its_socket_and_not_its_connection() {
    let service = Service::watched(3).await;
    let mut watchers = Vec::new();
    for _ in 0..3 {
        watchers.push(service.member(JSON, "watcher").await);
    }
    for subprotocol in RELIABLE {
        for way in ["1000", "REST", "group"] {
            let mut owner = service.member(subprotocol, "owner").await;
            set(&mut owner, "room", json!({ "n": "1" }), 1).await;
            let ticket = owner.cut();
            service.until_detached(1).await;
            let item =
                json!({ "connectionId": ticket.id, "userId": "owner", "state": { "n": "1" } });
            for watcher in &mut watchers {
                watcher
                    .send(json!({ "type": "subscribeGroupState", "group": "room" }))
                    .await;
                expect_states(
                    watcher,
                    "groupStateSnapshot",
                    "room",
                    slice::from_ref(&item),
                )
                .await;
            }
            match way {
                "1000" => {
                    let owner = service.recover(&ticket).await;
                    owner.close(&close_payload(1000, "")).await;
                }
                "REST" => {
                    let path = format!("/api/hubs/chat/connections/{}", ticket.id);
                    assert_eq!(service.status("DELETE", &path).await, 204);
                }
                _ => {
                    let path = format!("/api/hubs/chat/groups/room/connections/{}", ticket.id);
                    assert_eq!(service.status("DELETE", &path).await, 204);
                }
            }
            let item = json!({ "connectionId": ticket.id, "userId": "owner" });
            for watcher in &mut watchers {
                expect_states(watcher, "groupStateUpdate", "room", slice::from_ref(&item)).await;
            }
            if way == "group" {
                let owner = service.recover(&ticket).await;
                owner.close(&close_payload(1000, "")).await;
            }
            for watcher in &mut watchers {
                watcher
                    .send(json!({ "type": "unsubscribeGroupState", "group": "room" }))
                    .await;
                watcher.expect_nothing().await;
            }
        }
    }
}

/// Item 101 with 120.
#[tokio::test]
async fn the_states_of_an_owner_that_does_not_come_back_are_cleared() {
    let service = Service::start_with(|config| {
        watched(3)(config);
        config.limits.recovery_window = Duration::from_millis(50);
    })
    .await;
    let mut watchers = Vec::new();
    for _ in 0..3 {
        let mut watcher = service.member(PROTOBUF, "watcher").await;
        subscribe(&mut watcher).await;
        watchers.push(watcher);
    }
    for subprotocol in ALL {
        let mut owner = service.member(subprotocol, "owner").await;
        set(&mut owner, "room", json!({ "n": "1" }), 1).await;
        let id = owner.cut().id;
        for watcher in &mut watchers {
            let item = json!({ "connectionId": id, "userId": "owner", "state": { "n": "1" } });
            expect_states(watcher, "groupStateUpdate", "room", &[item]).await;
            let item = json!({ "connectionId": id, "userId": "owner" });
            expect_states(watcher, "groupStateUpdate", "room", &[item]).await;
        }
    }
}

/// Section 3.10: numbered and replayed like data, byte for byte.
#[tokio::test]
async fn a_reliable_watcher_misses_no_change() {
    let service = Service::watched(2).await;
    for subprotocol in RELIABLE {
        let mut watcher = service.member(subprotocol, "watcher").await;
        let mut owner = service.member(JSON, "owner").await;
        assert_ne!(watcher.ticket.shard(), owner.ticket.shard());
        watcher
            .send(json!({ "type": "subscribeGroupState", "group": "room" }))
            .await;
        let mut seen = vec![watcher.next_raw().await];
        set(&mut owner, "room", json!({ "n": "0" }), 0).await;
        seen.push(watcher.next_raw().await);
        service.send_to_room("between").await;
        seen.push(watcher.next_raw().await);
        assert_eq!(owner.next().await["data"], "between");
        let ticket = watcher.cut();
        service.until_detached(1).await;
        for number in 1..=5 {
            set(
                &mut owner,
                "room",
                json!({ "n": number.to_string() }),
                number,
            )
            .await;
        }
        let mut watcher = service.recover(&ticket).await;
        for (sequence_id, frame) in (1..).zip(&seen) {
            let again = watcher.next_raw().await;
            assert_eq!(&again, frame);
            let frame = watcher.decode(again.0, &again.1);
            assert_eq!(frame["sequenceId"], sequence_id);
        }
        for number in 1..=5 {
            let update = watcher.next().await;
            assert_eq!(update["sequenceId"], 3 + number, "{update}");
            assert_eq!(
                update["items"][0]["state"],
                json!({ "n": number.to_string() })
            );
        }
        watcher.close(&close_payload(1000, "")).await;
        owner.close(&close_payload(1000, "")).await;
    }
}

/// Section 3.10: members that do not watch, and simple ones, hear nothing of it.
#[tokio::test]
async fn only_those_who_watch_hear_of_states() {
    let service = Service::watched(2).await;
    let claims = json!({ "role": ALL_ROLES, "webpubsub.group": ["room"] });
    let mut simple = service.simple("chat", claims.clone()).await;
    let mut member = service.member(RELIABLE_JSON, "member").await;
    let mut elsewhere = service.pubsub(JSON, "other", claims).await;
    subscribe(&mut elsewhere).await;
    let mut watcher = service.member(JSON, "watcher").await;
    subscribe(&mut watcher).await;
    let mut owner = service.member(JSON, "owner").await;
    set(&mut owner, "room", json!({ "n": "1" }), 1).await;
    assert_eq!(watcher.next().await["type"], "groupStateUpdate");
    service.send_to_room("next").await;
    assert_eq!(simple.text().await, "next");
    member.expect_numbered(1, "next").await;
    elsewhere.expect_nothing().await;
}

/// Item 120.
#[tokio::test]
async fn without_the_switch_group_state_is_closed_with_1007() {
    let service = Service::start_with_hub(|hub| hub.group_state = false).await;
    for subprotocol in ALL {
        for kind in [
            "setGroupState",
            "subscribeGroupState",
            "unsubscribeGroupState",
        ] {
            let mut client = service.member(subprotocol, "alice").await;
            client.send(json!({ "type": kind, "group": "room" })).await;
            let (first, close) = client.next_raw().await;
            assert_eq!(
                (first, &close[..2]),
                (CLOSE, 1007_u16.to_be_bytes().as_slice())
            );
        }
    }
}

/// What one who watches a group believes to be there.
#[derive(Default)]
struct View {
    states: BTreeMap<String, Value>,
    /// What it believed when the last snapshot came.
    before_snapshot: BTreeMap<String, Value>,
    snapshots: usize,
}

impl View {
    /// Reads until this many snapshots have come.
    async fn follow(mut self, watcher: &mut PubSub, snapshots: usize) -> Self {
        while self.snapshots < snapshots {
            let frame = watcher.next().await;
            if frame["type"] == "groupStateSnapshot" {
                self.snapshots += 1;
                self.before_snapshot = std::mem::take(&mut self.states);
            } else {
                assert_eq!(frame["type"], "groupStateUpdate", "{frame}");
                assert!(self.snapshots > 0, "an update before the snapshot: {frame}");
            }
            note(&mut self.states, &frame);
        }
        self
    }
}

/// Applies what a frame says of connections.
fn note(states: &mut BTreeMap<String, Value>, frame: &Value) {
    for item in frame["items"].as_array().unwrap() {
        let id = item["connectionId"].as_str().unwrap().to_owned();
        match item.get("state") {
            Some(state) => states.insert(id, state.clone()),
            None => states.remove(&id),
        };
    }
}

/// Begins to watch the group `room`, where nothing is shown.
async fn subscribe(watcher: &mut PubSub) {
    watcher
        .send(json!({ "type": "subscribeGroupState", "group": "room" }))
        .await;
    expect_states(watcher, "groupStateSnapshot", "room", &[]).await;
}

/// Sets a state, or clears it; the ack must be a success.
async fn set(owner: &mut PubSub, group: &str, state: Value, ack_id: u64) {
    let frame = json!({ "type": "setGroupState", "group": group, "state": state, "ackId": ack_id });
    owner.succeed(frame).await;
}

/// Asserts that the next frame has these items, whenever they changed.
async fn expect_states(client: &mut PubSub, kind: &str, group: &str, items: &[Value]) {
    let mut frame = client.next().await;
    assert_eq!(frame["type"], kind, "{frame}");
    assert_eq!(frame["group"], group, "{frame}");
    for item in frame["items"].as_array_mut().unwrap() {
        let updated_at = item.as_object_mut().unwrap().remove("updatedAt");
        assert!(updated_at.is_some_and(|time| time.is_u64()), "{item}");
    }
    assert_eq!(frame["items"], json!(items), "{frame}");
}
