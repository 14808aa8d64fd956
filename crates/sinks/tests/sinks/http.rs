//! The webhook that nobody waits for. Source: events-and-operations 8.2.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hubwire_sinks::{HttpSettings, SinkSettings, sink};
use hubwire_upstream::{PrivateAddresses, Secret, Sink, StaticHeader, Url};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::support::{JSON, TEXT, full_event, user_event, with};

/// What a receiver has got.
#[derive(Clone)]
struct Received {
    uri: String,
    headers: HeaderMap,
    body: Bytes,
}

/// A receiver that answers with given statuses, then with 204.
#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<(Vec<Received>, VecDeque<u16>)>>);

impl Receiver {
    async fn start(statuses: &[u16]) -> (Self, SocketAddr) {
        let receiver = Self::default();
        receiver.0.lock().unwrap().1.extend(statuses);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = receiver.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let receiver = shared.clone();
                let service = service_fn(move |request| receiver.clone().answer(request));
                tokio::spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    drop(server.serve_connection(TokioIo::new(socket), service).await);
                });
            }
        });
        (receiver, address)
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let mut inner = self.0.lock().unwrap();
        inner.0.push(Received {
            uri: head.uri.to_string(),
            headers: head.headers,
            body,
        });
        let status = inner.1.pop_front().unwrap_or(204);
        let mut response = Response::new(Full::new(Bytes::from_static(b"ignored")));
        *response.status_mut() = status.try_into().unwrap();
        if (300..400).contains(&status) {
            response
                .headers_mut()
                .insert("location", "/elsewhere".try_into().unwrap());
        }
        if status == 204 {
            *response.body_mut() = Full::default();
        }
        Ok(response)
    }

    fn received(&self) -> Vec<Received> {
        self.0.lock().unwrap().0.clone()
    }

    fn bodies(&self) -> Vec<String> {
        let text = |received: Received| String::from_utf8(received.body.to_vec()).unwrap();
        self.received().into_iter().map(text).collect()
    }
}

fn settings(address: SocketAddr) -> HttpSettings {
    let url = format!("http://{address}/events?code=s3cret");
    let mut settings = HttpSettings::new(Url::parse(&url, PrivateAddresses::Allow).unwrap());
    settings.private_addresses = PrivateAddresses::Allow;
    settings.retry_for = Duration::from_secs(2);
    settings
}

fn sink_of(settings: HttpSettings) -> Arc<dyn Sink> {
    sink(SinkSettings::Http(Box::new(settings))).unwrap()
}

/// Events-and-operations 4, 8.1.
#[tokio::test]
async fn an_event_is_a_request_in_the_binary_mode() {
    let (receiver, address) = Receiver::start(&[]).await;
    let mut settings = settings(address);
    let header = StaticHeader::new("Authorization", &Secret::new("Bearer x")).unwrap();
    settings.headers.push(header);
    sink_of(settings)
        .deliver(&[full_event("c1", 3)])
        .await
        .unwrap();
    let received = &receiver.received()[0];
    assert_eq!(received.uri, "/events?code=s3cret");
    assert_eq!(&received.body[..], b"{\"a\":\n1.50}");
    for (name, value) in [
        ("authorization", "Bearer x"),
        ("content-type", "application/json"),
        ("content-length", "11"),
        ("ce-specversion", "1.0"),
        ("ce-awpsversion", "1.0"),
        ("ce-type", "azure.webpubsub.user.order.created"),
        ("ce-source", "/hubs/chat/client/c1"),
        ("ce-id", "3"),
        ("ce-time", "2024-02-29T12:34:56Z"),
        ("ce-hub", "chat"),
        ("ce-connectionid", "c1"),
        ("ce-eventname", "order.created"),
        ("ce-userid", "Zoë \"✓\" 50%"),
        ("ce-subprotocol", "json.webpubsub.azure.v1"),
        ("ce-connectionstate", "c3RhdGU="),
        ("x-webpubsub-metadata-trace-id", "c d"),
    ] {
        let found = received.headers.get(name).map(|value| value.as_bytes());
        assert_eq!(found, Some(value.as_bytes()), "{name}");
    }
    assert!(!received.headers.contains_key("ce-signature"));
    assert!(!received.headers.contains_key("cookie"));
}

#[tokio::test]
async fn an_attribute_that_no_header_can_hold_is_percent_encoded() {
    let (receiver, address) = Receiver::start(&[]).await;
    let event = with(user_event("c1", 1, TEXT, b"hi"), |event| {
        event.subprotocol = Some(Arc::from("ü%\n"));
    });
    sink_of(settings(address)).deliver(&[event]).await.unwrap();
    assert_eq!(
        receiver.received()[0].headers["ce-subprotocol"],
        "%C3%BC%25%0A"
    );
    assert_eq!(receiver.received()[0].headers["content-type"], TEXT);
}

#[tokio::test]
async fn a_batch_is_an_array_of_objects_in_their_order() {
    let (receiver, address) = Receiver::start(&[]).await;
    let mut settings = settings(address);
    settings.batch = true;
    let events: Vec<_> = (0..5).map(|id| user_event("c1", id, TEXT, b"hi")).collect();
    sink_of(settings).deliver(&events).await.unwrap();
    let received = &receiver.received()[..];
    assert_eq!(received.len(), 1);
    let content_type = "application/cloudevents-batch+json; charset=utf-8";
    assert_eq!(received[0].headers["content-type"], content_type);
    assert!(!received[0].headers.contains_key("ce-id"));
    let objects: Vec<Value> = serde_json::from_slice(&received[0].body).unwrap();
    let ids: Vec<&str> = objects
        .iter()
        .map(|object| object["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["0", "1", "2", "3", "4"]);
}

#[tokio::test]
async fn a_batch_has_a_length_that_receivers_take() {
    let (receiver, address) = Receiver::start(&[]).await;
    let mut settings = settings(address);
    settings.batch = true;
    let body = "a".repeat(400_000);
    let huge = "b".repeat(2_000_000);
    let mut events: Vec<_> = (0..4)
        .map(|id| user_event("c1", id, TEXT, body.as_bytes()))
        .collect();
    events.insert(1, user_event("c1", 9, TEXT, huge.as_bytes()));
    sink_of(settings).deliver(&events).await.unwrap();
    let counts: Vec<usize> = receiver
        .received()
        .iter()
        .map(|received| {
            serde_json::from_slice::<Vec<Value>>(&received.body)
                .unwrap()
                .len()
        })
        .collect();
    assert_eq!(counts, [1, 1, 2, 1]);
}

#[tokio::test]
async fn a_receiver_that_is_busy_is_asked_again() {
    for statuses in [[503, 503], [429, 500], [408, 504]] {
        let (receiver, address) = Receiver::start(&statuses).await;
        let events: Vec<_> = (0..3)
            .map(|id| user_event("c1", id, TEXT, id.to_string().as_bytes()))
            .collect();
        sink_of(settings(address)).deliver(&events).await.unwrap();
        assert_eq!(receiver.bodies(), ["0", "0", "0", "1", "2"], "{statuses:?}");
    }
}

#[tokio::test]
async fn a_receiver_whose_connection_breaks_is_asked_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sink = sink_of(settings(listener.local_addr().unwrap()));
    let events = [user_event("c1", 1, TEXT, b"hi")];
    let (outcome, is_kept) = tokio::join!(sink.deliver(&events), async {
        drop(listener.accept().await.unwrap());
        let (socket, _) = listener.accept().await.unwrap();
        let service = service_fn(|request: Request<Incoming>| async move {
            Ok::<_, Infallible>(Response::new(request.into_body()))
        });
        let server = auto::Builder::new(TokioExecutor::new());
        let serving = server.serve_connection(TokioIo::new(socket), service);
        tokio::time::timeout(Duration::from_secs(1), serving)
            .await
            .is_err()
    });
    outcome.unwrap();
    assert!(is_kept, "the connection is there for the next event");
}

/// Events-and-operations 8.2, 9.1.
#[tokio::test]
async fn neither_a_redirect_nor_a_refusal_is_followed_or_repeated() {
    for status in [301, 307, 400, 401, 413] {
        let (receiver, address) = Receiver::start(&[204, status]).await;
        let events: Vec<_> = (0..3).map(|id| user_event("c1", id, TEXT, b"hi")).collect();
        let error = sink_of(settings(address))
            .deliver(&events)
            .await
            .unwrap_err();
        assert_eq!(error.lost, [1]);
        assert_eq!(error.reason, format!("http://{address} answered {status}"));
        assert_eq!(receiver.received().len(), 3);
        assert!(
            receiver
                .received()
                .iter()
                .all(|received| received.uri.starts_with("/events"))
        );
    }
}

#[tokio::test]
async fn a_receiver_that_stays_down_loses_the_batch_and_not_more_time_than_one_event() {
    let (receiver, address) = Receiver::start(&[503; 100]).await;
    let mut settings = settings(address);
    settings.retry_for = Duration::from_millis(250);
    let events: Vec<_> = (0..50)
        .map(|id| user_event("c1", id, JSON, b"{}"))
        .collect();
    let error = sink_of(settings).deliver(&events).await.unwrap_err();
    assert_eq!(error.lost.len(), 50);
    // At once and after a tenth of a second; the next pause would be too long.
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn the_events_of_each_connection_come_in_their_order() {
    let (receiver, address) = Receiver::start(&[]).await;
    let events: Vec<_> = (0..200)
        .map(|id| {
            user_event(
                &format!("c{}", id % 20),
                id,
                TEXT,
                id.to_string().as_bytes(),
            )
        })
        .collect();
    sink_of(settings(address)).deliver(&events).await.unwrap();
    let numbers: Vec<u64> = receiver
        .bodies()
        .iter()
        .map(|body| body.parse().unwrap())
        .collect();
    assert_eq!(numbers.len(), 200);
    for connection in 0..20 {
        let of_connection: Vec<u64> = numbers
            .iter()
            .copied()
            .filter(|id| id % 20 == connection)
            .collect();
        assert!(of_connection.is_sorted(), "{of_connection:?}");
    }
}

/// Events-and-operations 9.1.
#[tokio::test]
async fn a_private_address_is_refused_unless_allowed() {
    let (receiver, address) = Receiver::start(&[]).await;
    let mut settings = settings(address);
    settings.private_addresses = PrivateAddresses::Deny;
    let events = [user_event("c1", 1, TEXT, b"hi")];
    let error = sink_of(settings).deliver(&events).await.unwrap_err();
    assert!(error.reason.contains("private"), "{error}");
    assert!(!error.reason.contains("s3cret"), "{error}");
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_loses_the_event_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = settings(listener.local_addr().unwrap());
    settings.timeout = Duration::from_millis(50);
    settings.retry_for = Duration::from_millis(200);
    let events = [user_event("c1", 1, TEXT, b"hi")];
    let error = sink_of(settings).deliver(&events).await.unwrap_err();
    assert!(error.reason.ends_with("did not answer in time"), "{error}");
}
