//! Every event of a connection, and what the answers do to it.

use std::sync::Mutex;

use http::StatusCode;
use hubwire_event_handler::{
    ConnectEvent, ConnectResponse, ConnectedEvent, ConnectionState, Context, DataType,
    DisconnectedEvent, EventHandler, GroupEvent, Rejection, UserEvent, UserEventResponse,
};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::application::{Application, EVERYTHING};
use crate::support::PATIENCE;
use crate::support::events::{event, with_ack};
use crate::support::pubsub::{ALL, PubSub};
use crate::support::wire::close_payload;

/// Decides by the query, answers by the event's name, and keeps what it was told.
#[derive(Default)]
struct Chat {
    told: Mutex<Vec<(Context, String)>>,
    more: Notify,
}

impl Chat {
    fn tell(&self, context: Context, what: String) {
        self.told.lock().unwrap().push((context, what));
        self.more.notify_waiters();
    }

    /// Waits until an event of a connection has come, and returns it.
    async fn until(&self, connection_id: &str, event_name: &str) -> (Context, String) {
        let found = async {
            loop {
                let more = self.more.notified();
                let mut more = std::pin::pin!(more);
                more.as_mut().enable();
                let found = self.told.lock().unwrap().iter().find_map(|told| {
                    let is_it =
                        told.0.connection_id == connection_id && told.0.event_name == event_name;
                    is_it.then(|| told.clone())
                });
                if let Some(found) = found {
                    return found;
                }
                more.await;
            }
        };
        timeout(PATIENCE, found).await.expect("the event came")
    }
}

impl EventHandler for Chat {
    async fn on_connect(&self, event: ConnectEvent) -> Result<ConnectResponse, Rejection> {
        let answer = match event.query("as") {
            Some("nobody") => {
                return Err(Rejection::new(StatusCode::FORBIDDEN).with_text("members only"));
            }
            Some("faulty") => return Err("x".parse::<u32>().expect_err("no number").into()),
            Some("too-long") => ConnectResponse::new().groups(["x".repeat(1025)]),
            Some("anonymous") => ConnectResponse::new().user_id(""),
            Some("member") => ConnectResponse::new()
                .user_id("Zoë")
                .groups(["lobby"])
                .roles(["webpubsub.sendToGroup.lobby"])
                .state(ConnectionState::new(&json!({ "count": 0 }))?),
            Some("raw") => ConnectResponse::new().subprotocol("my.own"),
            Some(_) | None => ConnectResponse::new(),
        };
        let what = json!({
            "sub": event.claim("sub"),
            "host": event.header("HOST").is_some(),
            "subprotocols": event.request.subprotocols,
        });
        self.tell(event.context, what.to_string());
        Ok(answer)
    }

    async fn on_user_event(&self, event: UserEvent) -> Result<UserEventResponse, Rejection> {
        #[derive(serde::Serialize, serde::Deserialize, Default)]
        struct Count {
            count: u32,
        }
        match &*event.context.event_name {
            "count" => {
                let count: Count = event.context.state.value()?.unwrap_or_default();
                let next = ConnectionState::new(&Count {
                    count: count.count + 1,
                })?;
                Ok(UserEventResponse::json(&count)?.state(next))
            }
            "clear" => Ok(UserEventResponse::empty().state(ConnectionState::empty())),
            "order" => {
                let _: Vec<u32> = event.json()?;
                Err(Rejection::new(StatusCode::CONFLICT).with_error("OutOfStock", "no tea left"))
            }
            "echo" => {
                let response = match event.payload.data_type {
                    DataType::Text => UserEventResponse::text(event.text()?),
                    DataType::Json => UserEventResponse::json(&event.json::<Value>()?)?,
                    DataType::Binary => UserEventResponse::binary(event.payload.data),
                    DataType::Protobuf => UserEventResponse::protobuf(event.payload.data),
                };
                let metadata = event.metadata.iter();
                Ok(metadata.fold(response, |response, (key, value)| {
                    response.metadata(key, value)
                }))
            }
            _ => {
                self.tell(event.context, String::new());
                Ok(UserEventResponse::empty())
            }
        }
    }

    async fn on_connected(&self, event: ConnectedEvent) -> Result<(), Rejection> {
        self.tell(event.context, String::new());
        Ok(())
    }

    async fn on_disconnected(&self, event: DisconnectedEvent) -> Result<(), Rejection> {
        self.tell(event.context, event.reason.unwrap_or_default());
        Ok(())
    }

    async fn on_joined(&self, event: GroupEvent) -> Result<(), Rejection> {
        self.tell(event.context, event.group);
        Ok(())
    }

    async fn on_left(&self, event: GroupEvent) -> Result<(), Rejection> {
        self.tell(event.context, event.group);
        Ok(())
    }
}

async fn chat() -> (crate::support::Service, Application<Chat>) {
    let application = Application::start(Chat::default()).await;
    let settings = format!("{EVERYTHING}\nforward_reject_body = true");
    (application.asked_by(&settings).await, application)
}

fn offer(subprotocol: &str) -> String {
    crate::support::pubsub::offer(subprotocol)
}

#[tokio::test]
async fn a_client_that_is_refused_gets_the_status_and_the_text() {
    let (service, _application) = chat().await;
    let path = service.client_path("chat", json!({ "sub": "alice" }));
    for (who, status, text) in [
        ("nobody", 403, "members only"),
        // Errors and answers that cannot be sent show nothing.
        ("faulty", 500, ""),
        ("too-long", 500, ""),
    ] {
        let answer = service.handshake(&format!("{path}&as={who}"), "").await;
        assert_eq!((answer.status, &*answer.body), (status, text), "{who}");
    }
}

#[tokio::test]
async fn a_client_is_let_in_as_the_handler_says() {
    let (service, application) = chat().await;
    let claims = json!({ "sub": "alice", "webpubsub.group": ["old"], "role": ["webpubsub.sendToGroup.old"] });
    let path = service.client_path("chat", claims);
    for subprotocol in ALL {
        let path = format!("{path}&as=member");
        let wire = service.wire(&path, &offer(subprotocol)).await;
        let mut client = PubSub::start(wire, subprotocol, "chat").await;
        assert_eq!(client.ticket.user, "Zoë");
        let chat = application.service.handler();
        let (context, what) = chat.until(&client.ticket.id, "connect").await;
        let what: Value = serde_json::from_str(&what).unwrap();
        assert_eq!(
            what,
            json!({ "sub": "alice", "host": true, "subprotocols": [subprotocol] })
        );
        assert_eq!(context.user_id.as_deref(), Some("alice"));
        assert_eq!((context.subprotocol, &*context.id), (None, "0"));

        for (ack_id, group, is_allowed) in [(1, "lobby", true), (2, "old", false)] {
            let ack = client
                .request(json!({ "type": "sendToGroup", "group": group, "dataType": "text", "data": "x", "noEcho": true,
                    "ackId": ack_id }))
                .await;
            assert_eq!(ack["success"], is_allowed, "{ack}");
        }
        service
            .send("/api/hubs/chat/groups/lobby/:send", "text/plain", b"hi")
            .await;
        assert_eq!(client.next().await["data"], "hi");
        client.cut();
    }
}

#[tokio::test]
async fn a_handler_takes_the_user_away_and_chooses_the_subprotocol() {
    let (service, application) = chat().await;
    let path = service.client_path("chat", json!({ "sub": "alice" }));
    let wire = service
        .wire(&format!("{path}&as=anonymous"), &offer(ALL[0]))
        .await;
    let client = PubSub::start(wire, ALL[0], "chat").await;
    let chat = application.service.handler();
    let (context, _) = chat.until(&client.ticket.id, "connected").await;
    assert_eq!(context.user_id, None);

    let offered = [ALL[0], "my.own"];
    let client = service
        .connect_path(&format!("{path}&as=raw"), &offered)
        .await;
    assert_eq!(client.subprotocol.as_deref(), Some("my.own"));
}

#[tokio::test]
async fn a_state_is_carried_from_event_to_event_changed_and_cleared() {
    let (service, application) = chat().await;
    let path = service.client_path("chat", json!({ "sub": "alice" }));
    for subprotocol in ALL {
        let wire = service
            .wire(&format!("{path}&as=member"), &offer(subprotocol))
            .await;
        let mut client = PubSub::start(wire, subprotocol, "chat").await;
        for count in 0..3 {
            client.send(event("count", "text", json!("x"))).await;
            assert_eq!(client.next().await["data"], json!({ "count": count }));
        }
        let chat = application.service.handler();
        client
            .succeed(with_ack(event("look", "text", json!("x")), 1))
            .await;
        let (context, _) = chat.until(&client.ticket.id, "look").await;
        assert_eq!(
            context.state.value::<Value>().unwrap(),
            Some(json!({ "count": 3 }))
        );

        client
            .succeed(with_ack(event("clear", "text", json!("x")), 2))
            .await;
        let id = client.ticket.id.clone();
        client.close(&close_payload(1000, "")).await;
        let (context, _) = chat.until(&id, "disconnected").await;
        assert!(context.state.is_empty());
    }
}

#[tokio::test]
async fn data_comes_and_goes_in_its_type_with_its_metadata() {
    let (service, _application) = chat().await;
    let mut client = service.pubsub(ALL[0], "chat", json!({})).await;
    for (data_type, data) in [
        ("text", json!("é\n")),
        ("json", json!({ "a": [1, null] })),
        ("binary", json!("AP8=")),
        ("protobuf", json!("CgF4")),
    ] {
        let mut frame = event("echo", data_type, data.clone());
        frame["metadata"] = json!({ "mood": "good" });
        client.send(frame).await;
        let message = client.next().await;
        assert_eq!(message["dataType"], data_type, "{message}");
        assert_eq!(message["data"], data);
        assert_eq!(message["metadata"], json!({ "mood": "good" }));
    }
}

#[tokio::test]
async fn an_invocation_gets_data_or_the_handlers_own_error() {
    let (service, _application) = chat().await;
    let mut client = service.pubsub(ALL[0], "chat", json!({})).await;
    let invoke = |id: &str, name: &str, data: Value| json!({ "type": "invoke", "invocationId": id, "target": "event", "event": name, "dataType": "json", "data": data });
    client.send(invoke("1", "echo", json!([1]))).await;
    let response = client.next().await;
    assert_eq!(response["success"], true, "{response}");
    assert_eq!(response["data"], json!([1]));
    client.send(invoke("2", "order", json!([1]))).await;
    let response = client.next().await;
    assert_eq!(
        response["error"],
        json!({ "name": "OutOfStock", "message": "no tea left" })
    );
    client.send(invoke("3", "order", json!("tea"))).await;
    assert_eq!(client.next().await["error"]["name"], "BadRequest");
}

#[tokio::test]
async fn what_is_only_told_is_told() {
    let (service, application) = chat().await;
    let claims = json!({ "sub": "alice", "role": ["webpubsub.joinLeaveGroup"] });
    let mut client = service.pubsub(ALL[0], "chat", claims).await;
    let chat = application.service.handler();
    let id = client.ticket.id.clone();
    let (context, _) = chat.until(&id, "connected").await;
    assert_eq!(context.hub, "chat");
    assert_eq!(context.user_id.as_deref(), Some("alice"));
    assert_eq!(context.subprotocol.as_deref(), Some(ALL[0]));
    assert_eq!(context.time.len(), "2026-01-31T12:00:00Z".len());

    client
        .succeed(json!({ "type": "joinGroup", "group": "Ünï", "ackId": 1 }))
        .await;
    assert_eq!(chat.until(&id, "joined").await.1, "Ünï");
    client
        .succeed(json!({ "type": "leaveGroup", "group": "Ünï", "ackId": 2 }))
        .await;
    assert_eq!(chat.until(&id, "left").await.1, "Ünï");

    let path = format!("/api/hubs/chat/connections/{id}?reason=enough");
    let answer = service.rest("DELETE", &path, "", b"").await;
    assert_eq!(answer.status, 204);
    let (_, reason) = chat.until(&id, "disconnected").await;
    assert!(reason.contains("enough"), "{reason}");
}

#[tokio::test]
async fn functions_that_are_left_out_accept() {
    struct Nothing;
    impl EventHandler for Nothing {}

    let application = Application::start(Nothing).await;
    let service = application.asked_by(EVERYTHING).await;
    let mut client = service
        .pubsub(ALL[0], "chat", json!({ "sub": "alice" }))
        .await;
    assert_eq!(client.ticket.user, "alice");
    client
        .succeed(with_ack(event("any", "text", json!("x")), 1))
        .await;
    client.expect_nothing().await;
}
