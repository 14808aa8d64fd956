//! Recoveries that are refused: items 96 and 97.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hubwire_protocol::token::ReconnectionKey;
use hubwire_server::config::Secret;
use serde_json::json;

use crate::support::pubsub::{
    NOT_RECOVERED, PROTOBUF, RELIABLE, RELIABLE_JSON, Ticket, offer, subprotocol_of, watched,
};
use crate::support::wire::{CLOSE, close_payload};
use crate::support::{JSON, Service, unix_seconds};

const INTERNAL_KEY: &str = "an internal key of the tests, long enough";
const RECOVERIES: &str = "hubwire_recoveries_total";

/// Items 96 and 97: whatever is wrong, the answer is the same, and the connection does not notice.
#[tokio::test]
async fn a_bad_id_or_token_gets_the_101_and_the_close() {
    let service = Service::watched(2).await;
    for (round, subprotocol) in (1..).zip(RELIABLE) {
        let mut alice = service.member(subprotocol, "alice").await;
        let mut bob = service.member(subprotocol, "bob").await;
        let good = alice.ticket.clone();
        let changed = |change: &dyn Fn(&mut Ticket)| {
            let mut ticket = good.clone();
            change(&mut ticket);
            ticket.path()
        };
        let mut forged = good.token.clone().into_bytes();
        forged[40] = if forged[40] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        let paths = [
            format!("/client/hubs/chat?awps_connection_id={}", good.id),
            changed(&|ticket| ticket.token.clear()),
            changed(&|ticket| ticket.token = "garbage".to_owned()),
            changed(&|ticket| ticket.token = forged.clone()),
            changed(&|ticket| ticket.token.push('A')),
            changed(&|ticket| ticket.token = "A".repeat(5000)),
            changed(&|ticket| ticket.token = bob.ticket.token.clone()),
            changed(&|ticket| ticket.id = bob.ticket.id.clone()),
            changed(&|ticket| ticket.id = "nobody".to_owned()),
            changed(&|ticket| ticket.id = "%FF%00/".to_owned()),
            changed(&|ticket| ticket.id = ticket.id.to_lowercase()),
            changed(&|ticket| ticket.id = format!("{}A", ticket.id)),
            changed(&|ticket| ticket.hub = "other".to_owned()),
        ];
        for path in &paths {
            service.expect_refused(path, subprotocol).await;
        }
        for client in [&mut alice, &mut bob] {
            client.expect_nothing().await;
        }
        let ticket = alice.cut();
        service.until_detached(1).await;
        for path in &paths {
            service.expect_refused(path, subprotocol).await;
        }
        service.send_to_room("hi").await;
        let mut alice = service.recover(&ticket).await;
        alice.expect_numbered(1, "hi").await;
        let refused = service.metric(RECOVERIES, r#"outcome="refused""#).await;
        assert_eq!(refused as usize, round * 2 * paths.len());
        alice.close(&1000_u16.to_be_bytes()).await;
        bob.close(&1000_u16.to_be_bytes()).await;
    }
}

/// Item 96: the token is good, and yet there is nothing to come back to.
#[tokio::test]
async fn a_good_token_for_what_is_not_there_is_refused() {
    let service = Service::start_with(|config| {
        watched(2)(config);
        config.keys.internal = Some(Secret::new(INTERNAL_KEY));
    })
    .await;
    let key = ReconnectionKey::new(INTERNAL_KEY.as_bytes());
    let ticket_for = |id: &str, expires: u64| Ticket {
        hub: "chat".to_owned(),
        id: id.to_owned(),
        token: key.sign(id, expires, 1),
        user: json!("alice"),
        subprotocol: RELIABLE_JSON,
    };
    let in_an_hour = unix_seconds() + 3600;
    let mut alice = service.member(RELIABLE_JSON, "alice").await;
    let own = ticket_for(&alice.ticket.id, in_an_hour);
    let with_byte = |index: usize, byte: u8| {
        let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(&own.id).unwrap();
        bytes[index] ^= byte;
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    };
    let elsewhere = [
        ("another node", with_byte(1, 1)),
        ("a node far away", with_byte(0, 0xFF)),
        ("the other shard", with_byte(3, 1)),
        ("a shard that does not exist", with_byte(3, 0x40)),
        ("a shard far beyond", with_byte(2, 0xFF)),
        ("a place that does not exist", with_byte(4, 0xFF)),
        ("another place", with_byte(7, 1)),
        ("another connection in this place", with_byte(23, 1)),
    ];
    for (name, id) in elsewhere {
        println!("{name}");
        let path = ticket_for(&id, in_an_hour).path();
        service.expect_refused(&path, RELIABLE_JSON).await;
    }
    let expired = ticket_for(&own.id, unix_seconds() - 1).path();
    service.expect_refused(&expired, RELIABLE_JSON).await;
    let other_hub = Ticket {
        hub: "other".to_owned(),
        ..own.clone()
    };
    service
        .expect_refused(&other_hub.path(), RELIABLE_JSON)
        .await;

    let mut plain = Vec::new();
    for subprotocol in [JSON, PROTOBUF] {
        let mut client = service.pubsub(subprotocol, "chat", json!({})).await;
        let path = ticket_for(&client.ticket.id, in_an_hour).path();
        service.expect_refused(&path, subprotocol).await;
        client.expect_nothing().await;
        plain.push(client);
    }
    alice.expect_nothing().await;
    // The token of the test is one of the service's.
    let mut recovered = service.recover(&own).await;
    alice.wire.expect_end().await;
    recovered.expect_nothing().await;
}

/// Section 1.5, 5.4: strict clients need the subprotocol to see the close at all; others have offered none.
#[tokio::test]
async fn a_refusal_answers_with_what_would_have_been_chosen() {
    let service = Service::start().await;
    let table = [
        ("", None),
        ("unheard.of", None),
        (JSON, Some(JSON)),
        (
            "unheard.of, Json.Reliable.WebPubSub.Azure.V1, mqtt",
            Some("Json.Reliable.WebPubSub.Azure.V1"),
        ),
    ];
    for (offered, answered) in table {
        let head = match offered {
            "" => String::new(),
            offered => offer(offered),
        };
        let path = "/client/hubs/chat?awps_connection_id=nobody&awps_reconnection_token=x";
        let mut wire = service.wire(path, &head).await;
        assert_eq!(subprotocol_of(&wire), answered, "{offered}");
        wire.expect_close(1008, NOT_RECOVERED).await;
        wire.send(CLOSE, &close_payload(1008, "")).await;
        wire.expect_end().await;
    }
    // The library refuses a 101 without the subprotocol that it has offered.
    let path = "/client/hubs/chat?awps_connection_id=nobody&awps_reconnection_token=x";
    let mut client = service.connect_path(path, &[RELIABLE_JSON]).await;
    assert_eq!(client.subprotocol.as_deref(), Some(RELIABLE_JSON));
    client.expect_close(1008, NOT_RECOVERED).await;
}

/// Section 5.4: what a refused client sends, before or behind its request, does not keep the close from it.
#[tokio::test]
async fn a_refused_client_that_talks_still_sees_the_close() {
    let service = Service::start().await;
    let path = "/client/hubs/chat?awps_connection_id=nobody&awps_reconnection_token=x";
    let frame = json!({ "type": "sendToGroup", "group": "room", "dataType": "text", "data": "x".repeat(50_000) });
    let mut wire = service
        .wire_with_frame(path, &offer(RELIABLE_JSON), frame.to_string().as_bytes())
        .await;
    wire.expect_close(1008, NOT_RECOVERED).await;
    wire.send(CLOSE, &close_payload(1008, "")).await;
    wire.expect_end().await;
}
