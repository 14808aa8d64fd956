//! Who receives what, and in which order: client-protocols 9, items 152 to 154; rest-api 1.6.

use std::time::Duration;

use futures_util::future::join_all;
use hubwire_server::config::HubConfig;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::metrics::with_metrics;
use crate::support::wire::JSON_HEAD;
use crate::support::{ALL_ROLES, Client, PATIENCE, Service, allow_many_sockets};

const MEMBERS: usize = 1000;
/// Bound of what a thousand clients do.
const CROWD_PATIENCE: Duration = Duration::from_secs(60);

/// Item 152.
#[tokio::test]
async fn the_order_of_a_sender_is_kept_across_data_types_and_its_own_joins_and_leaves() {
    let service = two_shards().await;
    let mut sender = service.json_with_roles("chat", "sender").await;
    let mut members = members(&service, 4).await;
    let count = 300;
    for number in 0..count {
        let (data_type, data) = match number % 3 {
            0 => ("json", json!({ "n": number })),
            1 => ("text", json!(number.to_string())),
            _ => ("binary", json!(base64_of(&number.to_string()))),
        };
        let kind = match number % 20 {
            0 => Some("joinGroup"),
            10 => Some("leaveGroup"),
            _ => None,
        };
        if let Some(kind) = kind {
            sender
                .send_json(json!({ "type": kind, "group": "room" }))
                .await;
        }
        sender
            .send_json(json!({ "type": "sendToGroup", "group": "room", "dataType": data_type, "data": data }))
            .await;
    }
    for member in &mut members {
        for number in 0..count {
            assert_eq!(number_in(&member.json().await), number);
        }
    }
    for number in (0..count).filter(|number| number % 20 < 10) {
        assert_eq!(number_in(&sender.json().await), number);
    }
    sender.expect_nothing().await;
}

/// Item 152: nothing is promised between publishers, but each keeps its own order on every shard.
#[tokio::test]
async fn the_order_of_each_of_several_publishers_is_kept_on_both_shards() {
    let service = two_shards().await;
    let mut members = members(&service, 4).await;
    let mut publishers = Vec::new();
    for number in 0..3 {
        let user = format!("publisher{number}");
        publishers.push(service.json_with_roles("chat", &user).await);
    }
    let count = 400;
    let publish = publishers.iter_mut().map(|publisher| async move {
        for number in 0..count {
            publisher
                .send_json(
                    json!({ "type": "sendToGroup", "group": "room", "data": { "n": number } }),
                )
                .await;
        }
        publisher.expect_nothing().await;
    });
    let receive = members.iter_mut().map(|member| async move {
        let mut next = [0; 3];
        for _ in 0..3 * count {
            let message = member.json().await;
            let user = message["fromUserId"].as_str().unwrap();
            let publisher: usize = user.strip_prefix("publisher").unwrap().parse().unwrap();
            assert_eq!(number_in(&message), next[publisher], "{user}");
            next[publisher] += 1;
        }
        member.expect_nothing().await;
    });
    tokio::join!(join_all(publish), join_all(receive));
}

/// rest-api 1.6: sends that are awaited one after the other.
#[tokio::test]
async fn rest_sends_in_sequence_arrive_in_order_on_both_shards() {
    let service = two_shards().await;
    let mut members = members(&service, 4).await;
    let count = 100;
    for number in 0..count {
        let path = match number % 2 {
            0 => "/api/hubs/chat/:send",
            _ => "/api/hubs/chat/groups/room/:send",
        };
        let body = json!({ "n": number }).to_string();
        service
            .send(path, "application/json", body.as_bytes())
            .await;
    }
    for member in &mut members {
        for number in 0..count {
            assert_eq!(number_in(&member.json().await), number);
        }
    }
}

/// Item 153.
#[tokio::test]
async fn a_stalled_member_holds_up_neither_the_publisher_nor_a_thousand_others() {
    allow_many_sockets();
    let service = Service::start_with(|config| {
        config.shards = 2;
        with_metrics(config);
        // The stalled member answers no pings, and on a busy machine a thousand others take their time.
        let patient = HubConfig {
            web_socket_keep_alive_interval: Duration::from_secs(120),
            ..HubConfig::default()
        };
        config.hubs.set("_default", patient);
    })
    .await;
    let claims = json!({ "sub": "stalled", "webpubsub.group": ["room"] });
    let path = service.client_path("chat", claims);
    let stalled = service.narrow_wire(&path, JSON_HEAD).await;
    let fill = async {
        while service.metric("hubwire_send_queue_bytes", "").await == 0.0 {
            let path = "/api/hubs/chat/users/stalled/:send";
            service.send(path, "text/plain", &[b'x'; 65_536]).await;
        }
    };
    timeout(PATIENCE, fill).await.unwrap();
    let mut members = members(&service, MEMBERS).await;
    let mut publisher = service.json_with_roles("chat", "publisher").await;
    for number in 0..5 {
        let ack = publisher
            .request(json!({ "type": "sendToGroup", "group": "room", "data": { "n": number }, "ackId": number }))
            .await;
        assert_eq!(ack["success"], true, "{ack}");
    }
    let receive = members.iter_mut().map(|member| async move {
        for number in 0..5 {
            assert_eq!(number_in(&member.json().await), number);
        }
    });
    timeout(CROWD_PATIENCE, join_all(receive)).await.unwrap();
    let exists = service
        .rest("HEAD", "/api/hubs/chat/users/stalled", "", b"")
        .await;
    assert_eq!(exists.status, 200, "the stalled member is still one");
    stalled.abort();
}

/// Item 154.
#[tokio::test]
async fn a_rest_send_after_a_join_was_acked_is_delivered() {
    let service = two_shards().await;
    let mut clients = [
        service.json_with_roles("chat", "alice").await,
        service.json_with_roles("chat", "bob").await,
    ];
    for round in 0..150 {
        let group = format!("group{round}");
        let send = format!("/api/hubs/chat/groups/{group}/:send");
        for client in &mut clients {
            let ack = client
                .request(json!({ "type": "joinGroup", "group": group, "ackId": 2 * round }))
                .await;
            assert_eq!(ack["success"], true, "{ack}");
            service.send(&send, "text/plain", b"hi").await;
            assert_eq!(client.json().await["data"], "hi", "round {round}");
            let ack = client
                .request(json!({ "type": "leaveGroup", "group": group, "ackId": 2 * round + 1 }))
                .await;
            assert_eq!(ack["success"], true, "{ack}");
            service.send(&send, "text/plain", b"nobody").await;
        }
    }
    for client in &mut clients {
        client.expect_nothing().await;
    }
}

/// Item 154: the same between two clients, on the same shard and on different ones.
#[tokio::test]
async fn a_publish_after_a_join_was_acked_is_delivered() {
    let service = two_shards().await;
    let mut publisher = service.json_with_roles("chat", "publisher").await;
    let mut members = [
        service.json_with_roles("chat", "alice").await,
        service.json_with_roles("chat", "bob").await,
    ];
    for round in 0..150 {
        let group = format!("group{round}");
        for member in &mut members {
            let ack = member
                .request(json!({ "type": "joinGroup", "group": group, "ackId": round }))
                .await;
            assert_eq!(ack["success"], true, "{ack}");
        }
        publisher
            .send_json(json!({ "type": "sendToGroup", "group": group, "data": { "n": round } }))
            .await;
        for member in &mut members {
            assert_eq!(number_in(&member.json().await), round);
        }
    }
}

/// Item 58, across shards.
#[tokio::test]
async fn no_echo_spares_the_publisher_and_nobody_else() {
    let service = two_shards().await;
    let mut clients = Vec::new();
    for user in ["a", "b", "c", "d"] {
        let mut client = service.json_with_roles("chat", user).await;
        client.join("room").await;
        clients.push(client);
    }
    for publisher in 0..clients.len() {
        for no_echo in [true, false] {
            clients[publisher]
                .send_json(json!({ "type": "sendToGroup", "group": "room", "data": { "n": 1 }, "noEcho": no_echo }))
                .await;
            for (number, client) in clients.iter_mut().enumerate() {
                if number != publisher || !no_echo {
                    assert_eq!(number_in(&client.json().await), 1);
                }
                client.expect_nothing().await;
            }
        }
    }
}

/// 1.4: whoever has seen the 101 is a receiver. The send is all but complete before the client connects, so that no time passes.
#[tokio::test]
async fn a_send_to_all_right_after_the_101_reaches_the_new_client() {
    let service = two_shards().await;
    for round in 0..100 {
        let body = format!("round {round}");
        let is_json = round % 4 < 2;
        let mut send = PreparedSend::new(&service, "/api/hubs/chat/:send", &body).await;
        let path = service.client_path("chat", json!({}));
        let head = if is_json { JSON_HEAD } else { "" };
        let mut wire = service.wire(&path, head).await;
        send.finish().await;
        if is_json {
            let (_, connected) = wire.next().await.unwrap();
            assert!(connected.starts_with(br#"{"type":"system","event":"connected""#));
        }
        let (_, payload) = wire.next().await.unwrap();
        let text = String::from_utf8(payload).unwrap();
        match is_json {
            true => assert_eq!(
                serde_json::from_str::<Value>(&text).unwrap(),
                json!({ "type": "message", "from": "server", "dataType": "text", "data": body })
            ),
            false => assert_eq!(text, body),
        }
    }
}

/// 1.4: groups of the token, and the user, count from the 101 on too.
#[tokio::test]
async fn a_send_to_group_or_user_right_after_the_101_reaches_the_new_client() {
    let service = two_shards().await;
    for round in 0..40 {
        let (user, group) = (format!("user{round}"), format!("group{round}"));
        let target = match round % 2 {
            0 => format!("users/{user}"),
            _ => format!("groups/{group}"),
        };
        let send_path = format!("/api/hubs/chat/{target}/:send");
        let mut send = PreparedSend::new(&service, &send_path, "hi").await;
        let claims = json!({ "sub": user, "webpubsub.group": [group] });
        let path = service.client_path("chat", claims);
        let mut wire = service.wire(&path, "").await;
        send.finish().await;
        assert_eq!(wire.next().await.unwrap().1, b"hi", "{target}");
    }
}

/// 8: what a client sends together with its handshake is not lost.
#[tokio::test]
async fn frames_sent_together_with_the_handshake_are_handled() {
    let service = two_shards().await;
    let mut bob = service
        .json("chat", json!({ "webpubsub.group": ["room"] }))
        .await;
    for round in 0..20 {
        let path = service.client_path("chat", json!({ "role": ALL_ROLES }));
        let frame = json!({ "type": "sendToGroup", "group": "room", "data": { "n": round } });
        let mut wire = service
            .wire_with_frame(&path, JSON_HEAD, frame.to_string().as_bytes())
            .await;
        assert_eq!(number_in(&bob.json().await), round);
        assert!(wire.next().await.is_some());
    }
}

/// A REST send that has arrived except for its last byte.
struct PreparedSend {
    tcp: TcpStream,
    last: [u8; 1],
}

impl PreparedSend {
    async fn new(service: &Service, path: &str, body: &str) -> Self {
        let request = service.rest_request("POST", path, "text/plain", body.as_bytes());
        let (last, rest) = request.split_last().unwrap();
        let mut tcp = TcpStream::connect(service.addr).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        tcp.write_all(rest).await.unwrap();
        Self { tcp, last: [*last] }
    }

    async fn finish(&mut self) {
        self.tcp.write_all(&self.last).await.unwrap();
    }
}

async fn two_shards() -> Service {
    Service::start_with(|config| config.shards = 2).await
}

/// Connects members of the group `room`, evenly spread over the shards.
async fn members(service: &Service, count: usize) -> Vec<Client> {
    let mut members = Vec::with_capacity(count);
    while members.len() < count {
        let batch = (count - members.len()).min(50);
        let claims = json!({ "sub": "member", "webpubsub.group": ["room"] });
        let connect = (0..batch).map(|_| service.json("chat", claims.clone()));
        members.extend(join_all(connect).await);
    }
    members
}

/// Returns the number that a message carries in any of its forms.
fn number_in(message: &Value) -> usize {
    let data = &message["data"];
    match message["dataType"].as_str() {
        Some("json") => data["n"].as_u64().unwrap() as usize,
        Some("text") => data.as_str().unwrap().parse().unwrap(),
        Some("binary") => {
            use base64::Engine;
            let bytes = base64::prelude::BASE64_STANDARD
                .decode(data.as_str().unwrap())
                .unwrap();
            String::from_utf8(bytes).unwrap().parse().unwrap()
        }
        _ => panic!("not a message: {message}"),
    }
}

fn base64_of(text: &str) -> String {
    use base64::Engine;
    base64::prelude::BASE64_STANDARD.encode(text)
}
