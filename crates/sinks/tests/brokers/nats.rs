//! NATS, with the official server and the official client for Python. Source: events-and-operations 8.2.

use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use hubwire_protocol::event::{Event, EventKind};
use hubwire_protocol::message::Content;
use hubwire_protocol::metadata::Metadata;
use hubwire_protocol::names::{EventName, Hub};
use hubwire_protocol::payload::{DataType, Payload};
use hubwire_sinks::{NatsSettings, SinkSettings, sink};
use hubwire_upstream::{
    HubSettings, Listener, ListenerEvent, Secret, Settings, Sink, Upstream, UserEventPattern,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::process::{LONG, Script, python};
use crate::support::{JSON, TEXT, full_event, user_event, with};

const SUBSCRIBER: &str = "nats_subscriber.py";

pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    store: PathBuf,
    arguments: Vec<String>,
}

impl Server {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!(
            "nats-{}-{}",
            std::process::id(),
            address.port()
        ));
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let child = spawn(address, &store, &arguments).await;
        Self {
            child,
            address,
            store,
            arguments,
        }
    }

    async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Starts it again after it was killed, on the same port and with what it has stored.
    async fn restart(&mut self) {
        self.child = spawn(self.address, &self.store, &self.arguments).await;
    }

    fn url(&self) -> String {
        format!("nats://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.store));
    }
}

async fn spawn(address: SocketAddr, store: &Path, arguments: &[String]) -> Child {
    let mut child = Command::new(python().with_file_name("nats-server"))
        .args(["-a", "127.0.0.1", "-p", &address.port().to_string()])
        .args(["-js", "-sd"])
        .arg(store)
        .args(arguments)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let ready = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("Server is ready") {
                return;
            }
        }
        panic!("the server has ended");
    };
    tokio::time::timeout(LONG, ready).await.unwrap();
    // It must not stop for a pipe that nobody reads.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    child
}

async fn subscribe(url: &str, mode: &str) -> Script {
    let mut script = Script::start(SUBSCRIBER, &[url, mode]);
    assert_eq!(script.next().await["kind"], "ready");
    script
}

fn settings(url: &str) -> NatsSettings {
    NatsSettings::new(Secret::new(url), "hubwire")
}

fn sink_of(settings: NatsSettings) -> Arc<dyn Sink> {
    sink(SinkSettings::Nats(Box::new(settings))).unwrap()
}

fn numbered(ids: std::ops::Range<u64>) -> Vec<ListenerEvent> {
    ids.map(|id| user_event("c1", id, TEXT, id.to_string().as_bytes()))
        .collect()
}

/// The bodies of as many messages.
async fn bodies(script: &mut Script, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    while bodies.len() < count {
        let message = script.next().await;
        if message["kind"] == "message" {
            bodies.push(message["body"].as_str().unwrap().to_owned());
        }
    }
    bodies
}

fn texts(ids: std::ops::Range<u64>) -> Vec<String> {
    ids.map(|id| id.to_string()).collect()
}

#[tokio::test]
#[ignore = "needs a NATS server: cargo xtask conformance sinks"]
async fn a_subscriber_sees_subject_headers_and_data() {
    let server = Server::start(&[]).await;
    let mut subscriber = subscribe(&server.url(), "core").await;
    let connected = with(user_event("c2", 1, JSON, b"{}"), |event| {
        event.hub = Hub::new("chat.eu[1]").unwrap();
        event.kind = "azure.webpubsub.sys.connected".to_owned();
        event.event_name = "connected".to_owned();
        event.source = "/hubs/chat.eu[1]/client/c2".to_owned();
    });
    let sink = sink_of(settings(&server.url()));
    sink.deliver(&[full_event("c1", 3), connected])
        .await
        .unwrap();
    let expected = json!({
        "kind": "message",
        "subject": "hubwire.chat.user.order%2Ecreated",
        "body": "{\"a\":\n1.50}",
        "headers": {
            "content-type": "application/json",
            "Nats-Msg-Id": "c1/3",
            "ce-specversion": "1.0",
            "ce-id": "3",
            "ce-source": "/hubs/chat/client/c1",
            "ce-type": "azure.webpubsub.user.order.created",
            "ce-time": "2024-02-29T12:34:56Z",
            "ce-datacontenttype": "application/json",
            "ce-awpsversion": "1.0",
            "ce-hub": "chat",
            "ce-eventname": "order.created",
            "ce-connectionid": "c1",
            "ce-userid": "Zo%C3%AB%20%22%E2%9C%93%22%2050%25",
            "ce-subprotocol": "json.webpubsub.azure.v1",
            "ce-connectionstate": "c3RhdGU=",
            "x-webpubsub-metadata-trace-id": "c d",
        },
    });
    assert_eq!(subscriber.next().await, expected);
    let second = subscriber.next().await;
    assert_eq!(second["subject"], "hubwire.chat%2Eeu%5B1%5D.sys.connected");
    assert_eq!(second["headers"]["ce-hub"], "chat.eu[1]");
    assert_eq!(second["headers"].get("ce-userid"), None);
}

#[tokio::test]
#[ignore = "needs a NATS server: cargo xtask conformance sinks"]
async fn events_come_in_their_order_and_one_that_is_too_large_is_lost_alone() {
    let server = Server::start(&[]).await;
    for (mode, jetstream) in [("core", false), ("jetstream", true)] {
        let mut subscriber = subscribe(&server.url(), mode).await;
        let mut settings = settings(&server.url());
        settings.jetstream = jetstream;
        let mut events = numbered(0..256);
        let large = vec![b'x'; 1024 * 1024];
        events.insert(100, user_event("c1", 999, TEXT, &large));
        let error = sink_of(settings).deliver(&events).await.unwrap_err();
        assert_eq!(error.lost, [100], "{error}");
        assert!(error.reason.contains("1048576 bytes"), "{error}");
        assert_eq!(bodies(&mut subscriber, 256).await, texts(0..256));
    }
}

#[tokio::test]
#[ignore = "needs a NATS server: cargo xtask conformance sinks"]
async fn jetstream_drops_an_event_that_it_has_already() {
    let server = Server::start(&[]).await;
    let mut subscriber = subscribe(&server.url(), "jetstream").await;
    let mut settings = settings(&server.url());
    settings.jetstream = true;
    let sink = sink_of(settings);
    for range in [0..3, 0..3, 1..4] {
        sink.deliver(&numbered(range)).await.unwrap();
    }
    assert_eq!(bodies(&mut subscriber, 4).await, texts(0..4));
}

#[tokio::test]
#[ignore = "needs a NATS server: cargo xtask conformance sinks"]
async fn without_a_stream_jetstream_loses_events_in_the_end() {
    let server = Server::start(&[]).await;
    let mut settings = settings(&server.url());
    settings.jetstream = true;
    settings.retry_for = Duration::from_secs(1);
    let error = sink_of(settings)
        .deliver(&numbered(0..3))
        .await
        .unwrap_err();
    assert_eq!(error.lost, [0, 1, 2]);
    assert!(error.reason.contains("no stream"), "{error}");
}

#[tokio::test]
#[ignore = "needs a NATS server: cargo xtask conformance sinks"]
async fn a_password_or_a_token_of_the_url_lets_the_service_in() {
    for (arguments, identity, raw) in [
        (
            &["--user", "hubwire", "--pass", "p+ss$word"][..],
            "hubwire:p%2Bss%24word@",
            "hubwire:p+ss$word@",
        ),
        (&["--auth", "t0ken"][..], "t0ken@", "t0ken@"),
    ] {
        let server = Server::start(arguments).await;
        let url = |identity: &str| format!("nats://{identity}{}", server.address);
        let mut subscriber = subscribe(&url(raw), "core").await;
        sink_of(settings(&url(identity)))
            .deliver(&numbered(0..2))
            .await
            .unwrap();
        assert_eq!(bodies(&mut subscriber, 2).await, texts(0..2));
        let mut settings = settings(&url("s3cret@"));
        settings.retry_for = Duration::from_millis(500);
        let error = sink_of(settings)
            .deliver(&numbered(0..2))
            .await
            .unwrap_err();
        assert!(error.reason.contains("authorization"), "{error}");
        assert!(!error.reason.contains("s3cret"), "{error}");
    }
}

/// A user that may publish events only: the service cannot ask whether they have been read, and delivers all the same. One that
/// may not publish them loses them, and is told.
#[tokio::test]
#[ignore = "needs a NATS server: cargo xtask conformance sinks"]
async fn permissions_of_the_server_are_respected_and_told_of() {
    let file =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("nats-{}.conf", std::process::id()));
    let users = r#"authorization { users = [
        { user: all, password: x }
        { user: events, password: x, permissions: { publish: "hubwire.>", subscribe: "nothing" } }
        { user: none, password: x, permissions: { publish: "other", subscribe: "_INBOX.>" } }
    ] }"#;
    std::fs::write(&file, users).unwrap();
    let server = Server::start(&["-c", file.to_str().unwrap()]).await;
    let url = |user: &str| format!("nats://{user}:x@{}", server.address);
    let mut subscriber = subscribe(&url("all"), "core").await;
    let sink = sink_of(settings(&url("events")));
    for range in [0..2, 2..4] {
        sink.deliver(&numbered(range)).await.unwrap();
    }
    let mut seen = bodies(&mut subscriber, 4).await;
    seen.dedup();
    assert_eq!(seen, texts(0..4));
    let error = sink_of(settings(&url("none")))
        .deliver(&numbered(0..2))
        .await
        .unwrap_err();
    assert!(
        error
            .reason
            .to_lowercase()
            .contains("permissions violation"),
        "{error}"
    );
    std::fs::remove_file(file).unwrap();
}

/// The queue of a listener in front of a sink.
fn upstream(sink: Arc<dyn Sink>) -> Upstream {
    let listener = Listener {
        user_event_pattern: UserEventPattern::parse("*"),
        ..Listener::new(sink)
    };
    let hub_settings = HubSettings {
        listeners: vec![listener],
        ..HubSettings::default()
    };
    Upstream::new(Settings {
        hubs: [(Hub::new("chat").unwrap(), hub_settings)].into(),
        ..Settings::default()
    })
}

async fn raise(upstream: &Upstream, ids: std::ops::Range<u64>) {
    for id in ids {
        let event = Event {
            hub: Hub::new("chat").unwrap(),
            connection_id: Arc::from("c1"),
            user: None,
            subprotocol: None,
            id,
            time: 1_709_210_096_789,
            kind: EventKind::User {
                name: EventName::message(),
                content: Content {
                    payload: Payload {
                        data_type: DataType::Text,
                        data: id.to_string().into(),
                    },
                    metadata: Metadata::default(),
                },
            },
        };
        upstream
            .ask(event, hubwire_upstream::Ask::Event)
            .await
            .unwrap();
    }
}

/// Events-and-operations 8.2.
#[tokio::test]
#[ignore = "needs a NATS server: cargo xtask conformance sinks"]
async fn what_is_queued_while_the_server_is_down_is_stored_when_it_is_back() {
    let mut server = Server::start(&[]).await;
    let mut subscriber = subscribe(&server.url(), "jetstream").await;
    let mut settings = settings(&server.url());
    settings.jetstream = true;
    let upstream = upstream(sink_of(settings));
    raise(&upstream, 0..1000).await;
    bodies(&mut subscriber, 1).await;
    // In the midst of it.
    server.kill().await;
    raise(&upstream, 1000..2000).await;
    server.restart().await;
    upstream.drain(Instant::now() + LONG).await;
    let mut seen = HashSet::from(["0".to_owned()]);
    while seen.len() < 2000 {
        seen.extend(bodies(&mut subscriber, 1).await);
    }
    assert_eq!(seen, texts(0..2000).into_iter().collect());
}

/// Events-and-operations 8.2. The server comes back on its port when the subscriber is there again, since a plain subscriber
/// misses what is published without it: until then the sink finds a port that nobody listens at.
#[tokio::test]
#[ignore = "needs a NATS server: cargo xtask conformance sinks"]
async fn what_is_queued_while_the_server_is_down_is_published_when_it_is_back() {
    let mut server = Server::start(&[]).await;
    let gate = Gate::new(server.address);
    let mut forwarding = gate.open();
    let mut subscriber = subscribe(&server.url(), "core").await;
    let upstream = upstream(sink_of(settings(&format!("nats://{}", gate.address))));
    raise(&upstream, 0..300).await;
    assert_eq!(bodies(&mut subscriber, 300).await, texts(0..300));
    server.kill().await;
    forwarding.abort();
    raise(&upstream, 300..1000).await;
    server.restart().await;
    let (lost, _) = subscriber.until("reconnected").await;
    assert_eq!(lost, Vec::<Value>::new());
    forwarding = gate.open();
    assert_eq!(bodies(&mut subscriber, 700).await, texts(300..1000));
    forwarding.abort();
}

/// A port that leads to a server while it is open.
struct Gate {
    address: SocketAddr,
    server: SocketAddr,
}

impl Gate {
    fn new(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            address: listener.local_addr().unwrap(),
            server,
        }
    }

    fn open(&self) -> tokio::task::JoinHandle<()> {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        let listener = socket.listen(16).unwrap();
        let server = self.server;
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut server = tokio::net::TcpStream::connect(server).await.unwrap();
                tokio::spawn(async move {
                    drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
                });
            }
        })
    }
}
