//! Coming back: items 92, 94, 95, 98, 99, 107 and 151.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::limits::{a_second_passes, keep_alive};
use crate::support::pubsub::{
    BUFFERED, PubSub, RELIABLE, RELIABLE_JSON, RELIABLE_PROTOBUF, offer, shard_of, subprotocol_of,
    watched,
};
use crate::support::{ALL_ROLES, JSON, Service, sign, unix_seconds};

const RECOVERIES: &str = "hubwire_recoveries_total";
const RECOVERED: &str = r#"outcome="recovered""#;

/// Item 92, for all kinds of data and for frames short, above 16 KiB and above 64 KiB.
#[tokio::test]
async fn unacknowledged_frames_come_again_byte_for_byte_after_each_cut() {
    let service = Service::watched(2).await;
    for subprotocol in RELIABLE {
        let mut alice = service.member(subprotocol, "alice").await;
        let mut bob = service.json_with_roles("chat", "bob").await;
        assert_ne!(alice.ticket.shard(), shard_of(&bob.connection_id));
        let publications = [
            json!({ "dataType": "text", "data": "hi ü" }),
            json!({ "data": { "big": 18_446_744_073_709_551_615_u64 } }),
            json!({ "dataType": "binary", "data": "AAEC/w==" }),
            json!({ "dataType": "protobuf", "data": "CgF4EgF5" }),
            json!({ "dataType": "text", "data": "", "metadata": { "Key": "value" } }),
            json!({ "dataType": "text", "data": "x".repeat(20_000) }),
            json!({ "dataType": "text", "data": "y".repeat(70_000) }),
        ];
        let mut first_time = Vec::new();
        for mut publication in publications.clone() {
            publication["type"] = json!("sendToGroup");
            publication["group"] = json!("room");
            bob.send_json(publication).await;
            first_time.push(alice.next_raw().await);
        }
        service.send_to_room("by REST").await;
        first_time.push(alice.next_raw().await);
        for round in 0..3 {
            let ticket = alice.cut();
            alice = service.recover(&ticket).await;
            for (index, frame) in first_time.iter().enumerate() {
                assert_eq!(&alice.next_raw().await, frame, "{round} {index}");
            }
            alice.expect_nothing().await;
        }
        alice.close(&1000_u16.to_be_bytes()).await;
    }
    let labels = RECOVERED;
    service
        .until_metric(RECOVERIES, labels, |count| count == 6.0)
        .await;
}

/// Item 94.
#[tokio::test]
async fn what_was_sent_without_a_socket_comes_after_what_was_sent_before() {
    let service = Service::watched(2).await;
    for subprotocol in RELIABLE {
        let mut alice = service.member(subprotocol, "alice").await;
        let mut bob = service.json_with_roles("chat", "bob").await;
        service.send_to_room("seen").await;
        alice.expect_numbered(1, "seen").await;
        alice.acknowledge(1).await;
        service.send_to_room("before").await;
        alice.expect_numbered(2, "before").await;
        let ticket = alice.cut();
        service.until_detached(1).await;
        service.send_to_room("by REST").await;
        for target in ["users/alice", &format!("connections/{}", ticket.id)] {
            let path = format!("/api/hubs/chat/{target}/:send");
            service.send(&path, "text/plain", target.as_bytes()).await;
        }
        let publish = json!({ "type": "sendToGroup", "group": "room", "dataType": "text", "data": "by a client", "ackId": 1 });
        let ack = bob.request(publish).await;
        assert_eq!(ack["success"], true, "{ack}");
        service.until_metric(BUFFERED, "", |kept| kept == 5.0).await;

        let mut alice = service.recover(&ticket).await;
        alice.expect_numbered(2, "before").await;
        alice.expect_numbered(3, "by REST").await;
        alice.expect_numbered(4, "users/alice").await;
        let (number, _) = alice.numbered().await;
        assert_eq!(number, 5);
        alice.expect_numbered(6, "by a client").await;
        service.send_to_room("after").await;
        alice.expect_numbered(7, "after").await;
        alice.acknowledge(7).await;
        alice.expect_nothing().await;
        service.until_metric(BUFFERED, "", |kept| kept == 0.0).await;
        service.until_detached(0).await;
        alice.close(&1000_u16.to_be_bytes()).await;
    }
}

/// Items 95 and 133.
#[tokio::test]
async fn groups_user_permissions_and_ack_ids_survive() {
    let service = Service::watched(2).await;
    for subprotocol in RELIABLE {
        let claims = json!({ "sub": "alice", "role": ["webpubsub.joinLeaveGroup"] });
        let mut alice = service.pubsub(subprotocol, "chat", claims).await;
        alice
            .succeed(json!({ "type": "joinGroup", "group": "room", "ackId": 1 }))
            .await;
        let publish = |ack_id: u64| json!({ "type": "sendToGroup", "group": "room", "dataType": "text", "data": "hi", "ackId": ack_id, "noEcho": true });
        let ack = alice.request(publish(2)).await;
        assert_eq!(ack["error"]["name"], "Forbidden", "{ack}");
        let grant = format!(
            "/api/hubs/chat/permissions/sendToGroup/connections/{}?targetName=room",
            alice.ticket.id
        );
        assert_eq!(service.status("PUT", &grant).await, 200);
        let ticket = alice.cut();
        let mut alice = service.recover(&ticket).await;
        let ack = alice
            .request(json!({ "type": "joinGroup", "group": "room", "ackId": 1 }))
            .await;
        assert_eq!(ack["error"]["name"], "Duplicate", "{ack}");
        alice.succeed(publish(2)).await;
        for target in ["users/alice", "groups/room"] {
            let path = format!("/api/hubs/chat/{target}/:send");
            service.send(&path, "text/plain", target.as_bytes()).await;
            assert_eq!(alice.numbered().await.1, target);
        }
        alice
            .succeed(json!({ "type": "leaveGroup", "group": "room", "ackId": 3 }))
            .await;
        service.send_to_room("nobody").await;
        alice.expect_nothing().await;
        alice.close(&1000_u16.to_be_bytes()).await;
    }
}

/// Item 92, section 5.4: a token stays good, and each recovery hands out another.
#[tokio::test]
async fn every_token_that_was_handed_out_is_good() {
    let service = Service::start().await;
    for subprotocol in RELIABLE {
        let mut alice = service.member(subprotocol, "alice").await;
        let mut tickets = vec![alice.ticket.clone()];
        for _ in 0..3 {
            let last = tickets.last().unwrap().clone();
            drop(alice);
            alice = service.recover(&last).await;
            tickets.push(alice.ticket.clone());
        }
        for ticket in &tickets {
            drop(alice);
            alice = service.recover(ticket).await;
            alice.expect_nothing().await;
        }
    }
}

/// Item 98.
#[tokio::test]
async fn the_access_token_does_not_matter_on_recovery() {
    let service = Service::start().await;
    let audience = format!("http://{}/client/hubs/chat", service.addr);
    let expired = json!({ "aud": audience, "exp": unix_seconds() - 3600, "sub": "mallory" });
    let others = service.token("other", json!({ "sub": "mallory" }));
    let tokens = [
        sign(&expired, "a key that nobody knows, of 32 bytes"),
        sign(&expired, hubwire_server::config::DEVELOPMENT_KEY),
        others,
        "garbage".to_owned(),
    ];
    let mut alice = service.member(RELIABLE_JSON, "alice").await;
    for token in tokens {
        let ticket = alice.cut();
        let path = format!("{}&access_token={token}", ticket.path());
        let wire = service.wire(&path, &offer(RELIABLE_JSON)).await;
        alice = PubSub::resume(wire, &ticket).await;
        let path = ticket
            .path()
            .replace('?', &format!("?access_token={token}&"));
        let head = format!("Authorization: Bearer {token}\r\n{}", offer(RELIABLE_JSON));
        let wire = service.wire(&path, &head).await;
        alice.wire.expect_end().await;
        alice = PubSub::resume(wire, &ticket).await;
    }
}

/// Item 99, section 1.5: also in the spelling that the client chose first.
#[tokio::test]
async fn the_subprotocol_stays_what_it_was_whatever_is_offered() {
    let service = Service::start().await;
    let spelled = "JSON.Reliable.WebPubSub.azure.v1";
    let spellings = [
        (RELIABLE_JSON, RELIABLE_JSON),
        (RELIABLE_JSON, spelled),
        (RELIABLE_PROTOBUF, "PROTOBUF.reliable.webpubsub.azure.v1"),
    ];
    for (subprotocol, spelling) in spellings {
        let path = service.client_path("chat", json!({ "webpubsub.group": ["room"] }));
        let wire = service.wire(&path, &offer(spelling)).await;
        assert_eq!(subprotocol_of(&wire), Some(spelling));
        let mut client = PubSub::start(wire, subprotocol, "chat").await;
        let offers = [
            String::new(),
            offer(spelled),
            offer(RELIABLE_PROTOBUF),
            offer(JSON),
            offer("unheard.of, mqtt"),
        ];
        for head in offers {
            let ticket = client.cut();
            let wire = service.wire(&ticket.path(), &head).await;
            assert_eq!(subprotocol_of(&wire), Some(spelling), "{head}");
            client = PubSub::resume(wire, &ticket).await;
            client.expect_nothing().await;
        }
        service.send_to_room("hi").await;
        client.expect_numbered(1, "hi").await;
    }
}

/// Section 1.2: parameter names in any letter case, and every way to name the hub.
#[tokio::test]
async fn the_request_may_be_spelled_in_many_ways() {
    let service = Service::start().await;
    let mut alice = service.member(RELIABLE_JSON, "alice").await;
    let (id, token) = (alice.ticket.id.clone(), alice.ticket.token.clone());
    let paths = [
        format!("/client/hubs/chat?AWPS_CONNECTION_ID={id}&AWPS_RECONNECTION_TOKEN={token}"),
        format!("/client/hubs/chat?Awps_Reconnection_Token={token}&awps_Connection_id={id}"),
        format!("/client/hubs/CHAT/?awps_connection_id={id}&awps_reconnection_token={token}"),
        format!("/client?hub=Chat&awps_connection_id={id}&awps_reconnection_token={token}"),
        format!("/client/?awps_connection_id={id}&hub=chat&awps_reconnection_token={token}&x=y"),
        format!(
            "/client/hubs/chat?awps_connection_id={id}&awps_reconnection_token={token}&webpubsub_mode=nonsense"
        ),
    ];
    for path in paths {
        let ticket = alice.cut();
        let wire = service.wire(&path, &offer(RELIABLE_JSON)).await;
        alice = PubSub::resume(wire, &ticket).await;
    }
    alice.expect_nothing().await;
}

/// Section 1.2: an empty id, or a token alone, is no recovery.
#[tokio::test]
async fn without_an_id_a_request_is_for_a_new_connection() {
    let service = Service::start().await;
    let mut alice = service.member(RELIABLE_JSON, "alice").await;
    let token = alice.ticket.token.clone();
    for query in [
        "awps_connection_id=",
        "awps_connection_id",
        &format!("awps_connection_id=&awps_reconnection_token={token}"),
        &format!("awps_reconnection_token={token}"),
        "awps_reconnection_token=garbage",
    ] {
        let path = format!(
            "{}&{query}",
            service.client_path("chat", json!({ "sub": "bob" }))
        );
        let wire = service.wire(&path, &offer(RELIABLE_JSON)).await;
        let bob = PubSub::start(wire, RELIABLE_JSON, "chat").await;
        assert_ne!(bob.ticket.id, alice.ticket.id, "{query}");
        assert_eq!(bob.ticket.user, "bob");
        let answer = service
            .handshake(&format!("/client/hubs/chat?{query}"), "")
            .await;
        assert_eq!(answer.status, 401, "{query}");
    }
    alice.expect_nothing().await;
}

/// Item 107, section 5.6: the publication was carried out, its ack was lost.
#[tokio::test]
async fn a_publication_repeated_after_a_cut_is_a_duplicate_and_there_once() {
    let service = Service::watched(2).await;
    for subprotocol in RELIABLE {
        let mut alice = service.pubsub_with_roles(subprotocol, "alice").await;
        let mut bob = service.member(RELIABLE_JSON, "bob").await;
        assert_ne!(alice.ticket.shard(), bob.ticket.shard());
        for round in 1..=10 {
            let text = format!("{subprotocol} {round}");
            let publish = json!({ "type": "sendToGroup", "group": "room", "dataType": "text", "data": text, "ackId": round });
            alice.send(publish.clone()).await;
            bob.expect_numbered(round, &text).await;
            let ticket = alice.cut();
            alice = service.recover(&ticket).await;
            let ack = alice.request(publish).await;
            assert_eq!(ack["success"], false, "{ack}");
            assert_eq!(ack["error"]["name"], "Duplicate", "{ack}");
            bob.expect_nothing().await;
        }
        bob.close(&1000_u16.to_be_bytes()).await;
    }
}

/// What a client sends together with the request is handled after the recovery.
#[tokio::test]
async fn frames_sent_together_with_the_request_are_handled() {
    let service = Service::start().await;
    let mut alice = service.member(RELIABLE_JSON, "alice").await;
    let mut bob = service.member(RELIABLE_JSON, "bob").await;
    for round in 1..=20 {
        let ticket = alice.cut();
        let publish = json!({ "type": "sendToGroup", "group": "room", "dataType": "text", "data": "hi", "noEcho": true });
        let wire = service
            .wire_with_frame(
                &ticket.path(),
                &offer(RELIABLE_JSON),
                publish.to_string().as_bytes(),
            )
            .await;
        alice = PubSub::resume(wire, &ticket).await;
        bob.expect_numbered(round, "hi").await;
    }
}

/// Requests go to the shard that has the connection, wherever new ones go.
#[tokio::test]
async fn connections_of_all_shards_recover() {
    let service = Service::watched(3).await;
    let mut tickets = Vec::new();
    for number in 0..9 {
        let subprotocol = RELIABLE[number % 2];
        let client = service.member(subprotocol, &format!("user{number}")).await;
        tickets.push(client.cut());
    }
    for shard in 0..3 {
        let on_shard = tickets.iter().filter(|ticket| ticket.shard() == shard);
        assert_eq!(on_shard.count(), 3);
    }
    service.until_detached(9).await;
    service.send_to_room("away").await;
    let recover = tickets.iter().map(|ticket| service.recover(ticket));
    let mut clients = join_all(recover).await;
    service.until_detached(0).await;
    for client in &mut clients {
        client.expect_numbered(1, "away").await;
    }
    // Everybody hears everybody else.
    for (next, publisher) in (2..).zip(0..clients.len()) {
        let text = format!("from {publisher}");
        let publish =
            json!({ "type": "sendToGroup", "group": "room", "dataType": "text", "data": text });
        clients[publisher].send(publish).await;
        for client in &mut clients {
            client.expect_numbered(next, &text).await;
        }
    }
}

/// Item 151.
#[tokio::test]
async fn what_has_expired_is_not_sent_again_and_its_number_is_skipped() {
    let service = Service::start_with(|config| {
        watched(1)(config);
        config.hubs.set("_default", keep_alive(1));
    })
    .await;
    for subprotocol in RELIABLE {
        let mut alice = service.member(subprotocol, "alice").await;
        let mut bob = service.json_with_roles("chat", "bob").await;
        let path = "/api/hubs/chat/groups/room/:send";
        let send = async |text: &str, ttl: u32| {
            let path = format!("{path}?api-version=2024-12-01&messageTtlSeconds={ttl}");
            service.send(&path, "text/plain", text.as_bytes()).await;
        };
        send("seen", 1).await;
        alice.expect_numbered(1, "seen").await;
        let ticket = alice.cut();
        service.until_detached(1).await;
        send("short", 1).await;
        send("long", 300).await;
        let publish = json!({ "type": "sendToGroup", "group": "room", "dataType": "text", "data": "bob's", "ttlSeconds": 1, "ackId": 1 });
        assert_eq!(bob.request(publish).await["success"], true);
        send("for ever", 0).await;
        a_second_passes(&service).await;
        let mut alice = service.recover(&ticket).await;
        alice.expect_numbered(3, "long").await;
        alice.expect_numbered(5, "for ever").await;
        send("next", 300).await;
        alice.expect_numbered(6, "next").await;
        alice.expect_nothing().await;
        alice.close(&1000_u16.to_be_bytes()).await;
    }
}

/// A client of one subprotocol comes back among clients of the others, to a message that was encoded for them meanwhile.
#[tokio::test]
async fn a_message_for_clients_of_all_kinds_is_the_same_after_a_recovery() {
    let service = Service::watched(2).await;
    let claims = json!({ "role": ALL_ROLES, "webpubsub.group": ["room"] });
    let mut simple = service.simple("chat", claims).await;
    let mut plain = service.member(JSON, "plain").await;
    for subprotocol in RELIABLE {
        let mut away = service.member(subprotocol, "away").await;
        let mut there = service.member(subprotocol, "there").await;
        let ticket = away.cut();
        service.until_detached(1).await;
        let publish = json!({ "type": "sendToGroup", "group": "room", "data": [1, { "a": null }], "noEcho": true });
        plain.send(publish).await;
        assert_eq!(simple.text().await, r#"[1,{"a":null}]"#);
        let seen = there.next().await;
        let expected: Value = json!([1, { "a": null }]);
        assert_eq!(seen["data"], expected);
        away = service.recover(&ticket).await;
        assert_eq!(away.next().await, seen);
        away.close(&1000_u16.to_be_bytes()).await;
        there.close(&1000_u16.to_be_bytes()).await;
    }
}

/// Who is away keeps a place among the connections that there may be, and needs no other to come back.
#[tokio::test]
async fn a_connection_has_one_place_however_often_it_recovers() {
    let service = Service::start_with(|config| {
        watched(2)(config);
        config.limits.connections_max = 1;
    })
    .await;
    let mut alice = service.member(RELIABLE_JSON, "alice").await;
    let path = service.client_path("chat", json!({}));
    for _ in 0..5 {
        let ticket = alice.cut();
        service.until_detached(1).await;
        assert_eq!(service.handshake(&path, "").await.status, 429);
        alice = service.recover(&ticket).await;
        assert_eq!(service.handshake(&path, "").await.status, 429);
        alice = service.recover(&alice.ticket).await;
    }
    alice.close(&1000_u16.to_be_bytes()).await;
    assert_eq!(service.handshake(&path, "").await.status, 101);
}
