//! `json.webpubsub.azure.v1`: client-protocols 12, items 43 to 79.

use serde_json::json;

use crate::support::Service;

/// Item 43.
#[tokio::test]
async fn connected_has_the_connection_id_and_the_user_and_no_reconnection_token() {
    let service = Service::start().await;
    let path = service.client_path("chat", json!({ "sub": "alice" }));
    let mut client = service.connect_path(&path, &[crate::support::JSON]).await;
    let connected = client.json().await;
    let id = connected["connectionId"].as_str().unwrap();
    assert_eq!(
        connected,
        json!({ "type": "system", "event": "connected", "userId": "alice", "connectionId": id })
    );
}

/// Items 44, 58, 59, 75, 76: join, publish and REST in one go.
#[tokio::test]
async fn members_receive_what_clients_and_rest_callers_send_to_their_group() {
    let service = Service::start().await;
    let mut alice = service.json_with_roles("chat", "alice").await;
    let mut bob = service.json_with_roles("chat", "bob").await;
    alice.join("room").await;
    let ack = bob
        .request(json!({ "type": "sendToGroup", "group": "room", "data": { "n": 1 }, "ackId": 1 }))
        .await;
    assert_eq!(ack, json!({ "type": "ack", "ackId": 1, "success": true }));
    assert_eq!(
        alice.json().await,
        json!({ "type": "message", "from": "group", "group": "room", "fromUserId": "bob", "dataType": "json", "data": { "n": 1 } })
    );
    service
        .send(
            "/api/hubs/chat/groups/room/:send?api-version=2024-12-01",
            "text/plain",
            b"hi",
        )
        .await;
    assert_eq!(
        alice.json().await,
        json!({ "type": "message", "from": "group", "group": "room", "fromUserId": null, "dataType": "text", "data": "hi" })
    );
    bob.expect_nothing().await;
}
