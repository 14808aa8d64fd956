//! Tunnels over a pipe, with a WebSocket client that speaks their protocol. Source: events-and-operations 7.2, 7.3 and 15.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hubwire_protocol::names::Hub;
use hubwire_upstream::{Tunnel, TunnelError, TunnelRequest};
use hyper::header::HeaderValue;
use hyper::{Method, Request, Response};
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_websockets::{ClientBuilder, Limits, Message, WebSocketStream};

use super::Tunnels;
use super::frame::MESSAGE_MAX;
use super::link::RESPONSE_MAX;
use crate::metrics::Metrics;

/// Bound of every wait. A test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(600);
const HTTP_REQUEST: u8 = 1;
const HTTP_RESPONSE: u8 = 2;

type Answer = JoinHandle<Result<Response<Bytes>, TunnelError>>;

struct Service {
    tunnels: Arc<Tunnels>,
    metrics: Arc<Metrics>,
    hub: Hub,
}

impl Service {
    fn start() -> Self {
        let metrics = Arc::new(Metrics::new(false));
        Self {
            tunnels: Arc::new(Tunnels::new(metrics.clone())),
            metrics,
            hub: Hub::new("chat").unwrap(),
        }
    }

    /// Connects a tunnel and takes its first message.
    async fn tunnel(&self) -> Client {
        let session = self
            .tunnels
            .connect(self.hub.clone(), Some("guid".to_owned()));
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn(session.unwrap().run(theirs));
        let limits = Limits::unlimited();
        let mut client = Client(ClientBuilder::new().limits(limits).take_over(ours));
        let (kind, head, _) = client.message().await;
        assert_eq!((kind, &head["Type"]), (10, &json!(10)));
        assert_eq!(head["UserId"], "guid");
        assert!(
            head["ConnectionId"]
                .as_str()
                .is_some_and(|id| !id.is_empty())
        );
        client
    }

    /// Sends a request for a connection.
    fn send(&self, connection_id: &str, body: impl Into<Bytes>) -> Answer {
        let mut request = Request::new(body.into());
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        headers.insert("ce-id", HeaderValue::from_static("1"));
        let url = "tunnel:///events?x=1".to_owned();
        let (tunnels, hub) = (self.tunnels.clone(), self.hub.clone());
        let connection_id = connection_id.to_owned();
        tokio::spawn(async move {
            let request = TunnelRequest { url, request };
            tunnels.request(&hub, &connection_id, request).await
        })
    }

    fn assert_metric(&self, line: &str) {
        let text = self.metrics.render(0.0);
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

struct Client(WebSocketStream<DuplexStream>);

impl Client {
    async fn next(&mut self) -> Option<Message> {
        timeout(PATIENCE, self.0.next()).await.unwrap()?.ok()
    }

    /// The next message of the protocol: type, JSON and body.
    async fn message(&mut self) -> (u8, Value, Vec<u8>) {
        loop {
            let message = self.next().await.unwrap();
            if message.is_binary() {
                return cut(message.as_payload());
            }
        }
    }

    /// The ack id and the body of the next request.
    async fn request(&mut self) -> (Value, Vec<u8>) {
        loop {
            let (kind, head, body) = self.message().await;
            if kind == HTTP_REQUEST {
                return (head["AckId"].clone(), body);
            }
        }
    }

    async fn send(&mut self, kind: u8, json: &Value, body: &[u8]) {
        let json = json.to_string();
        let mut array = vec![0x93, kind, 0xDB];
        array.extend_from_slice(&(json.len() as u32).to_be_bytes());
        array.extend_from_slice(json.as_bytes());
        array.push(0xC6);
        array.extend_from_slice(&(body.len() as u32).to_be_bytes());
        array.extend_from_slice(body);
        let message = [&(array.len() as u32).to_le_bytes(), &*array].concat();
        self.0.send(Message::binary(message)).await.unwrap();
    }

    async fn answer(&mut self, ack_id: &Value, body: &[u8], is_last: bool) {
        let head = json!({
            "Type": 2, "AckId": ack_id, "LocalRouting": false, "ChannelName": "", "StatusCode": 200,
            "NotCompleted": !is_last, "Headers": { "x": ["1", "2"] },
        });
        self.send(HTTP_RESPONSE, &head, body).await;
    }

    /// The code of the close frame that comes next but for messages.
    async fn close_code(&mut self) -> u16 {
        loop {
            let message = self.next().await.unwrap();
            if let Some((code, _)) = message.as_close() {
                return code.into();
            }
        }
    }
}

fn cut(message: &[u8]) -> (u8, Value, Vec<u8>) {
    let len = u32::from_le_bytes(*message.first_chunk().unwrap());
    assert_eq!(len as usize, message.len() - 4);
    assert_eq!(message[4], 0x93);
    let start = message.iter().position(|byte| *byte == b'{').unwrap();
    let mut values = serde_json::Deserializer::from_slice(&message[start..]).into_iter();
    let head: Value = values.next().unwrap().unwrap();
    let rest = &message[start + values.byte_offset()..];
    let body = match rest[0] {
        0xC0 => &[],
        0xC4 => &rest[2..],
        0xC5 => &rest[3..],
        _ => &rest[5..],
    };
    (message[5], head, body.to_vec())
}

async fn answer_of(answer: Answer) -> Result<Response<Bytes>, TunnelError> {
    timeout(PATIENCE, answer).await.unwrap().unwrap()
}

/// Section 7.3: method, URL, headers and body go there, status, headers and body come back.
#[tokio::test]
async fn a_request_goes_through_the_tunnel_and_its_response_comes_back() {
    let service = Service::start();
    let mut client = service.tunnel().await;
    let answer = service.send("a", "question");
    let (kind, head, body) = client.message().await;
    assert_eq!(kind, HTTP_REQUEST);
    let expected = json!({
        "Type": 1, "AckId": 1, "LocalRouting": false, "ChannelName": "", "HttpMethod": "POST",
        "Url": "tunnel:///events?x=1", "Headers": { "ce-id": ["1"] },
    });
    assert_eq!((head, &*body), (expected, &b"question"[..]));
    client.answer(&json!(1), b"answer", true).await;
    let response = answer_of(answer).await.unwrap();
    assert_eq!(response.status(), 200);
    let values: Vec<_> = response.headers().get_all("x").iter().collect();
    assert_eq!(values, ["1", "2"]);
    assert_eq!(response.body(), "answer");
    service.assert_metric("hubwire_tunnels{hub=\"chat\"} 1");
    service.assert_metric("hubwire_tunnel_requests_total{outcome=\"answered\"} 1");
}

/// Section 7.3: a fresh ack id for each request of a tunnel tells the responses apart.
#[tokio::test]
async fn responses_may_come_in_any_order() {
    let service = Service::start();
    let mut client = service.tunnel().await;
    let answers = ["one", "two", "three"].map(|text| service.send(text, text));
    let mut requests = Vec::new();
    for _ in &answers {
        requests.push(client.request().await);
    }
    let ids: BTreeSet<u64> = requests.iter().filter_map(|(id, _)| id.as_u64()).collect();
    assert_eq!(ids.len(), 3);
    for (ack_id, body) in requests.iter().rev() {
        client.answer(ack_id, body, true).await;
    }
    for (answer, text) in answers.into_iter().zip(["one", "two", "three"]) {
        assert_eq!(answer_of(answer).await.unwrap().body(), text);
    }
}

/// Section 7.3: several frames with `NotCompleted`, then a last one.
#[tokio::test]
async fn a_response_in_parts_is_put_together() {
    let service = Service::start();
    let mut client = service.tunnel().await;
    let answer = service.send("a", "");
    let (ack_id, _) = client.request().await;
    client.answer(&ack_id, b"one ", false).await;
    client.answer(&ack_id, b"two ", false).await;
    let last = json!({ "AckId": ack_id, "StatusCode": 500 });
    client.send(HTTP_RESPONSE, &last, b"three").await;
    let response = answer_of(answer).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), response.body()),
        (200, &Bytes::from("one two three"))
    );
}

/// Ours: what comes is bounded. The request ends as if the handler had refused it, the tunnel goes on.
#[tokio::test]
async fn a_response_that_is_too_long_ends_its_request_alone() {
    let service = Service::start();
    let mut client = service.tunnel().await;
    let other = service.send("b", "");
    let (other_id, _) = client.request().await;
    for is_first_part in [true, false] {
        let answer = service.send("a", "");
        let (ack_id, _) = client.request().await;
        let part = vec![0; RESPONSE_MAX / 2 + 1];
        match is_first_part {
            true => {
                client
                    .answer(&ack_id, &[0; 1].repeat(RESPONSE_MAX + 1), true)
                    .await
            }
            false => {
                client.answer(&ack_id, &part, false).await;
                client.answer(&ack_id, &part, false).await;
            }
        }
        assert_eq!(answer_of(answer).await.unwrap().status(), 413);
    }
    client.answer(&other_id, b"", true).await;
    assert_eq!(answer_of(other).await.unwrap().status(), 200);
    service.assert_metric("hubwire_tunnel_requests_total{outcome=\"too_long\"} 2");
}

/// Section 7.2: a message has 1 MiB at most. No attempt more would help, so it is not a failure of the network.
#[tokio::test]
async fn a_request_that_is_too_long_is_refused_and_the_tunnel_goes_on() {
    let service = Service::start();
    let mut client = service.tunnel().await;
    let answer = service.send("a", vec![0; MESSAGE_MAX]);
    assert_eq!(answer_of(answer).await.unwrap().status(), 413);
    let answer = service.send("a", vec![7; MESSAGE_MAX - 1000]);
    let (ack_id, body) = client.request().await;
    assert_eq!(body.len(), MESSAGE_MAX - 1000);
    client.answer(&ack_id, b"", true).await;
    assert_eq!(answer_of(answer).await.unwrap().status(), 200);
}

/// Section 7.3: no connected tunnel is a transport failure, also if another hub has one.
#[tokio::test]
async fn without_a_tunnel_of_the_hub_a_request_fails() {
    let service = Service::start();
    let _other = service.tunnels.connect(Hub::new("other").unwrap(), None);
    assert_eq!(
        answer_of(service.send("a", "")).await.unwrap_err(),
        TunnelError
    );
    service.assert_metric("hubwire_tunnel_requests_total{outcome=\"no_tunnel\"} 1");
}

/// Section 7.3. The official client connects anew by itself; until then there is no tunnel.
#[tokio::test]
async fn a_tunnel_that_is_lost_takes_its_requests_with_it() {
    let service = Service::start();
    let mut client = service.tunnel().await;
    let answers = ["a", "b"].map(|id| service.send(id, ""));
    let (ack_id, _) = client.request().await;
    client.request().await;
    client.answer(&ack_id, b"half", false).await;
    drop(client);
    for answer in answers {
        assert_eq!(answer_of(answer).await.unwrap_err(), TunnelError);
    }
    service.assert_metric("hubwire_tunnel_requests_total{outcome=\"lost\"} 2");
    let mut client = service.tunnel().await;
    let answer = service.send("a", "");
    let (ack_id, _) = client.request().await;
    client.answer(&ack_id, b"", true).await;
    assert!(answer_of(answer).await.is_ok());
}

/// A request of before the socket is there waits for it, and one that never gets its socket takes its requests with it.
#[tokio::test]
async fn requests_wait_for_the_socket_of_a_new_tunnel() {
    let service = Service::start();
    let session = service.tunnels.connect(service.hub.clone(), None).unwrap();
    let answer = service.send("a", "early");
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    tokio::spawn(session.run(theirs));
    let mut client = Client(ClientBuilder::new().take_over(ours));
    assert_eq!(client.message().await.0, 10);
    let (ack_id, body) = client.request().await;
    assert_eq!(body, b"early");
    client.answer(&ack_id, b"", true).await;
    assert!(answer_of(answer).await.is_ok());
    drop(client);
    let session = service
        .tunnels
        .connect(Hub::new("new").unwrap(), None)
        .unwrap();
    let (tunnels, hub) = (service.tunnels.clone(), Hub::new("new").unwrap());
    let request = TunnelRequest {
        url: String::new(),
        request: Request::new(Bytes::new()),
    };
    let mut answer = tunnels.request(&hub, "a", request);
    tokio::select! {
        biased;
        _ = &mut answer => panic!("there is no socket yet"),
        () = std::future::ready(()) => {}
    }
    drop(session);
    assert_eq!(
        timeout(PATIENCE, answer).await.unwrap().unwrap_err(),
        TunnelError
    );
}

/// Section 7.3: one per connection id, by a stable hash.
#[tokio::test]
async fn a_connection_stays_with_its_tunnel_and_all_tunnels_are_used() {
    let service = Service::start();
    let mut clients = [
        service.tunnel().await,
        service.tunnel().await,
        service.tunnel().await,
    ];
    let ids: Vec<String> = (0..60)
        .map(|number| format!("connection {number}"))
        .collect();
    let mut homes: Vec<usize> = Vec::new();
    for id in ids.iter().chain(&ids) {
        let answer = service.send(id, "");
        let (home, ack_id) = {
            let [a, b, c] = &mut clients;
            tokio::select! {
                (id, _) = a.request() => (0, id),
                (id, _) = b.request() => (1, id),
                (id, _) = c.request() => (2, id),
            }
        };
        clients[home].answer(&ack_id, b"", true).await;
        answer_of(answer).await.unwrap();
        homes.push(home);
    }
    assert_eq!(homes[..60], homes[60..]);
    for home in 0..3 {
        let share = homes[..60].iter().filter(|other| **other == home).count();
        assert!((5..=40).contains(&share), "{homes:?}");
    }
    // The one that goes hands its connections to the others, which keep theirs.
    let [a, mut b, mut c] = clients;
    drop(a);
    for (id, before) in ids.iter().zip(homes) {
        let (home, answer) = loop {
            let answer = service.send(id, "");
            let home = tokio::select! {
                (ack_id, _) = b.request() => Some((1, ack_id)),
                (ack_id, _) = c.request() => Some((2, ack_id)),
                // Its end was not noticed yet.
                () = until_finished(&answer) => None,
            };
            if let Some((home, ack_id)) = home {
                let client = if home == 1 { &mut b } else { &mut c };
                client.answer(&ack_id, b"", true).await;
                break (home, answer);
            }
        };
        assert!(answer_of(answer).await.is_ok());
        assert!(before == 0 || before == home, "{id}: {before} {home}");
    }
}

async fn until_finished(answer: &Answer) {
    while !answer.is_finished() {
        tokio::task::yield_now().await;
    }
}

/// Ours: every queue has a bound.
#[tokio::test]
async fn further_requests_fail_at_once_while_very_many_wait() {
    let service = Service::start();
    let mut client = service.tunnel().await;
    let mut answers = Vec::new();
    for _ in 0..1024 {
        answers.push(service.send("a", ""));
        client.request().await;
    }
    assert_eq!(
        answer_of(service.send("a", "")).await.unwrap_err(),
        TunnelError
    );
    service.assert_metric("hubwire_tunnel_requests_total{outcome=\"busy\"} 1");
    client.answer(&json!(1), b"", true).await;
    answer_of(answers.swap_remove(0)).await.unwrap();
    let answer = service.send("a", "");
    let (ack_id, _) = client.request().await;
    assert_eq!(ack_id, json!(1025));
    drop(client);
    answer_of(answer).await.unwrap_err();
}

/// A request that nobody waits for any more frees its place, and its response is nobody's.
#[tokio::test]
async fn a_response_that_comes_too_late_is_ignored() {
    let service = Service::start();
    let mut client = service.tunnel().await;
    let answer = service.send("a", "");
    let (ack_id, _) = client.request().await;
    answer.abort();
    assert!(answer.await.unwrap_err().is_cancelled());
    client.answer(&ack_id, b"late", true).await;
    client.answer(&json!(u64::MAX), b"nobody's", true).await;
    let answer = service.send("a", "");
    let (ack_id, _) = client.request().await;
    client.answer(&ack_id, b"good", true).await;
    assert_eq!(answer_of(answer).await.unwrap().body(), "good");
    service.assert_metric("hubwire_tunnel_requests_total{outcome=\"abandoned\"} 1");
}

/// Section 7.1: plain pings keep it alive, and the official client wants a message now and then.
#[tokio::test(start_paused = true)]
async fn an_idle_tunnel_is_pinged_and_gets_a_status() {
    let service = Service::start();
    let mut client = service.tunnel().await;
    let start = Instant::now();
    for round in 1..=20 {
        assert!(client.next().await.unwrap().is_ping());
        assert_eq!(client.message().await.0, 5);
        assert_eq!(start.elapsed().as_secs(), 20 * round);
    }
    service.assert_metric("hubwire_tunnels{hub=\"chat\"} 1");
}

/// Ours: a tunnel whose peer is gone without a word is noticed.
#[tokio::test(start_paused = true)]
async fn a_tunnel_that_nothing_comes_from_is_given_up() {
    let service = Service::start();
    let client = service.tunnel().await;
    let start = Instant::now();
    // Nobody reads, so nothing answers the pings.
    assert_eq!(
        answer_of(service.send("a", "")).await.unwrap_err(),
        TunnelError
    );
    assert_eq!(start.elapsed().as_secs(), 45);
    drop(client);
}

#[tokio::test]
async fn what_is_not_of_the_protocol_ends_the_tunnel_with_a_code() {
    let service = Service::start();
    for (message, code) in [
        (Message::text("hello"), 1003),
        (Message::binary("hello"), 1002),
    ] {
        let mut client = service.tunnel().await;
        client.0.send(message).await.unwrap();
        assert_eq!(client.close_code().await, code);
    }
}

/// Section 7.2: unknown types are ignored.
#[tokio::test]
async fn messages_of_other_types_are_ignored() {
    let service = Service::start();
    let mut client = service.tunnel().await;
    client
        .send(5, &json!({ "Type": 5, "Message": "hello" }), b"")
        .await;
    client.send(99, &json!({}), b"").await;
    let answer = service.send("a", "");
    let (ack_id, _) = client.request().await;
    client.answer(&ack_id, b"", true).await;
    assert!(answer_of(answer).await.is_ok());
}

/// Section 7.3: the reverse path is optional; who tries it is told.
#[tokio::test]
async fn a_rest_request_through_the_tunnel_is_answered_with_501() {
    let service = Service::start();
    let mut client = service.tunnel().await;
    let head = json!({
        "Type": 1, "AckId": 300, "LocalRouting": true, "ChannelName": "x", "HttpMethod": "POST",
        "Url": "https://host/api/hubs/chat/:send", "Headers": {},
    });
    client.send(HTTP_REQUEST, &head, b"").await;
    let (kind, head, _) = client.message().await;
    assert_eq!((kind, &head["StatusCode"]), (HTTP_RESPONSE, &json!(501)));
    assert_eq!(head["AckId"], 300);
    assert_eq!(
        (&head["LocalRouting"], &head["ChannelName"]),
        (&json!(true), &json!("x"))
    );
    assert_eq!(head["NotCompleted"], false);
}

/// A close frame and not the message `ConnectionClose`, after which the official client never comes back.
#[tokio::test]
async fn a_shutdown_closes_tunnels_with_1001_and_waits_for_them() {
    let service = Service::start();
    let mut client = service.tunnel().await;
    let tunnels = service.tunnels.clone();
    let shutdown = tokio::spawn(async move { tunnels.shut_down().await });
    assert_eq!(client.close_code().await, 1001);
    assert!(client.next().await.is_none());
    timeout(PATIENCE, shutdown).await.unwrap().unwrap();
    service.assert_metric("hubwire_tunnels{hub=\"chat\"} 0");
}

/// Ours: a hub has at most 128.
#[tokio::test]
async fn tunnels_of_a_hub_are_bounded() {
    let service = Service::start();
    let connect = || service.tunnels.connect(service.hub.clone(), None);
    let mut sessions: Vec<_> = (0..128).map_while(|_| connect()).collect();
    assert_eq!(sessions.len(), 128);
    assert!(connect().is_none());
    sessions.pop();
    assert!(connect().is_some());
}
