//! Acks: items 44 to 53, 59, 65 and 66.

use serde_json::json;

use super::{expect_invalid, send_by_rest, success};
use crate::support::Service;

/// Item 44, section 3.2: joining again is a success.
#[tokio::test]
async fn join_is_acked_however_often_it_comes() {
    let service = Service::start().await;
    let mut client = service.json_with_roles("chat", "alice").await;
    for ack_id in [1, 2] {
        let ack = client
            .request(json!({ "type": "joinGroup", "group": "room", "ackId": ack_id }))
            .await;
        assert_eq!(ack, success(ack_id));
    }
    send_by_rest(&service, "room", "hi").await;
    assert_eq!(client.json().await["data"], "hi");
    client.expect_nothing().await;
}

/// Item 45.
#[tokio::test]
async fn requests_without_a_role_are_forbidden() {
    let service = Service::start().await;
    let mut client = service.json("chat", json!({})).await;
    let table = [
        ("joinGroup", "join"),
        ("leaveGroup", "leave"),
        ("sendToGroup", "send to"),
    ];
    for (request, verb) in table {
        let ack = client
            .request(json!({ "type": request, "group": "room", "data": 1, "ackId": 1 }))
            .await;
        let message = format!("The client does not have permission to {verb} group 'room'.");
        assert_eq!(
            ack,
            json!({ "type": "ack", "ackId": 1, "success": false, "error": { "name": "Forbidden", "message": message } })
        );
    }
}

/// Item 46.
#[tokio::test]
async fn without_an_ack_id_a_forbidden_request_is_passed_over() {
    let service = Service::start().await;
    let mut client = service.json("chat", json!({})).await;
    for request in ["joinGroup", "leaveGroup", "sendToGroup"] {
        client
            .send_json(json!({ "type": request, "group": "room", "data": 1 }))
            .await;
    }
    send_by_rest(&service, "room", "hi").await;
    client.expect_nothing().await;
}

/// Item 47: the second request differs, and still counts as done.
#[tokio::test]
async fn an_ack_id_that_succeeded_is_a_duplicate() {
    let service = Service::start().await;
    let mut client = service.json_with_roles("chat", "alice").await;
    client.join("room").await;
    client
        .send_json(json!({ "type": "sendToGroup", "group": "room", "data": 1, "ackId": 7 }))
        .await;
    assert_eq!(client.json().await["data"], 1);
    assert_eq!(client.json().await, success(7));
    let again = [
        json!({ "type": "sendToGroup", "group": "room", "data": 1, "ackId": 7 }),
        json!({ "type": "leaveGroup", "group": "room", "ackId": 7 }),
        json!({ "type": "event", "event": "e", "data": 1, "ackId": 7 }),
    ];
    for frame in again {
        let ack = client.request(frame).await;
        assert_eq!(
            ack,
            json!({ "type": "ack", "ackId": 7, "success": false, "error": { "name": "Duplicate", "message": "Message with ack-id: 7 has been processed" } })
        );
    }
    send_by_rest(&service, "room", "still a member").await;
    assert_eq!(client.json().await["data"], "still a member");
}

/// Item 47: what a connection has asked for is nobody else's concern.
#[tokio::test]
async fn ack_ids_are_remembered_for_each_connection() {
    let service = Service::start().await;
    for _ in 0..2 {
        let mut client = service.json_with_roles("chat", "alice").await;
        let ack = client
            .request(json!({ "type": "joinGroup", "group": "room", "ackId": 1 }))
            .await;
        assert_eq!(ack, success(1));
    }
}

/// Item 48.
#[tokio::test]
async fn an_ack_id_that_failed_may_be_used_again() {
    let service = Service::start().await;
    let mut client = service.json("chat", json!({})).await;
    let join = json!({ "type": "joinGroup", "group": "room", "ackId": 1 });
    for _ in 0..2 {
        let ack = client.request(join.clone()).await;
        assert_eq!(ack["error"]["name"], "Forbidden");
    }
    let id = &client.connection_id;
    let path =
        format!("/api/hubs/chat/permissions/joinLeaveGroup/connections/{id}?targetName=room");
    assert_eq!(service.rest("PUT", &path, "", b"").await.status, 200);
    assert_eq!(client.request(join).await, success(1));
    send_by_rest(&service, "room", "hi").await;
    assert_eq!(client.json().await["data"], "hi");
}

/// Section 3.6: the steps come in this order.
#[tokio::test]
async fn a_duplicate_is_looked_for_before_the_permission() {
    let service = Service::start().await;
    let mut client = service
        .json("chat", json!({ "role": "webpubsub.joinLeaveGroup" }))
        .await;
    let ack = client
        .request(json!({ "type": "joinGroup", "group": "room", "ackId": 1 }))
        .await;
    assert_eq!(ack, success(1));
    let ack = client
        .request(json!({ "type": "sendToGroup", "group": "room", "data": 1, "ackId": 1 }))
        .await;
    assert_eq!(ack["error"]["name"], "Duplicate");
}

/// Item 49.
#[tokio::test]
async fn every_64_bit_number_is_an_ack_id() {
    let service = Service::start().await;
    let mut client = service.json_with_roles("chat", "alice").await;
    for ack_id in [0, 1 << 31, 1 << 53, u64::MAX - 1, u64::MAX] {
        let ack = client
            .request(json!({ "type": "joinGroup", "group": "room", "ackId": ack_id }))
            .await;
        assert_eq!(ack, success(ack_id));
    }
}

/// Item 50.
#[tokio::test]
async fn an_ack_id_is_forgotten_after_a_thousand_newer_ones() {
    let service = Service::start().await;
    let mut client = service.json_with_roles("chat", "alice").await;
    let join = |ack_id: u64| json!({ "type": "joinGroup", "group": "room", "ackId": ack_id });
    for ack_id in 0..1000 {
        assert_eq!(client.request(join(ack_id)).await, success(ack_id));
    }
    assert_eq!(client.request(join(0)).await["error"]["name"], "Duplicate");
    assert_eq!(client.request(join(1000)).await, success(1000));
    assert_eq!(client.request(join(0)).await, success(0));
    assert_eq!(client.request(join(2)).await["error"]["name"], "Duplicate");
}

/// Item 51.
#[tokio::test]
async fn an_ack_id_that_is_no_unsigned_integer_is_invalid() {
    let service = Service::start().await;
    for ack_id in [
        r#""1""#,
        "-1",
        "-0",
        "1.5",
        "1.0",
        "1e2",
        "18446744073709551616",
        "true",
        "[1]",
    ] {
        let frame = format!(r#"{{"type":"joinGroup","group":"room","ackId":{ack_id}}}"#);
        expect_invalid(&service, &frame).await;
    }
}

/// Item 52.
#[tokio::test]
async fn an_ack_id_of_null_asks_for_no_ack() {
    let service = Service::start().await;
    let mut client = service.json_with_roles("chat", "alice").await;
    client
        .send_json(json!({ "type": "joinGroup", "group": "room", "ackId": null }))
        .await;
    client.expect_nothing().await;
    send_by_rest(&service, "room", "hi").await;
    assert_eq!(client.json().await["data"], "hi");
}

/// Item 53.
#[tokio::test]
async fn leaving_succeeds_for_members_and_others() {
    let service = Service::start().await;
    let mut client = service.json_with_roles("chat", "alice").await;
    let leave = |ack_id: u64| json!({ "type": "leaveGroup", "group": "room", "ackId": ack_id });
    assert_eq!(client.request(leave(1)).await, success(1));
    client.join("room").await;
    assert_eq!(client.request(leave(2)).await, success(2));
    send_by_rest(&service, "room", "hi").await;
    client.expect_nothing().await;
}

/// Item 59.
#[tokio::test]
async fn a_send_to_an_empty_group_is_acked() {
    let service = Service::start().await;
    let mut sender = service.json_with_roles("chat", "alice").await;
    let ack = sender
        .request(json!({ "type": "sendToGroup", "group": "empty", "data": 1, "ackId": 1 }))
        .await;
    assert_eq!(ack, success(1));
    sender.expect_nothing().await;
}

/// Item 65.
#[tokio::test]
async fn an_event_that_nothing_handles_fails_and_may_be_repeated() {
    let service = Service::start().await;
    let mut client = service.json_with_roles("chat", "alice").await;
    for _ in 0..2 {
        let ack = client
            .request(json!({ "type": "event", "event": "e", "data": 1, "ackId": 1 }))
            .await;
        assert_eq!(
            ack,
            json!({ "type": "ack", "ackId": 1, "success": false, "error": { "name": "InternalServerError", "message": "Internal server error" } })
        );
    }
    let ack = client
        .request(json!({ "type": "joinGroup", "group": "room", "ackId": 1 }))
        .await;
    assert_eq!(ack, success(1));
}

/// Item 66.
#[tokio::test]
async fn without_an_ack_id_a_failed_event_is_passed_over() {
    let service = Service::start().await;
    let mut client = service.json("chat", json!({})).await;
    client
        .send_json(json!({ "type": "event", "event": "e", "data": 1 }))
        .await;
    client.expect_nothing().await;
}

/// Item 71: the ack id of an invalid frame is answered by the close alone.
#[tokio::test]
async fn an_invalid_frame_gets_no_ack() {
    let service = Service::start().await;
    expect_invalid(
        &service,
        r#"{"type":"sendToGroup","group":" ","data":1,"ackId":1}"#,
    )
    .await;
}
