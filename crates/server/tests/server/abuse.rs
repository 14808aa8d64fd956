//! Peers that vanish, stall, flood or talk nonsense, and what is left of them.
//!
//! Descriptors and memory are counted for the whole process, so each test that does so runs in a process of its own. Where peers
//! come by the thousand, the service has threads of its own, since on the test's thread they would keep it from running.

use std::fs;
use std::process::Command;
use std::time::Duration;

use futures_util::SinkExt;
use futures_util::future::join_all;
use hubwire_server::config::{AnonymousConnectPolicy, HubConfig};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::timeout;
use tokio_websockets::Message;

use crate::support::metrics::with_metrics;
use crate::support::pubsub::{DETACHED, RELIABLE_JSON, offer};
use crate::support::wire::{
    BINARY, FIRST_BINARY, JSON_HEAD, MIDDLE, PING, PONG, TEXT, frame, upgrade_request,
};
use crate::support::{Answer, JSON, PATIENCE, Received, Service, allow_many_sockets};

/// Set in the processes that run a single test.
const ALONE: &str = "HUBWIRE_TEST_ALONE";
/// Bound of what thousands of connections do.
const SIEGE_PATIENCE: Duration = Duration::from_secs(120);
const ABORTS: usize = 5000;
/// Connections that are made at once.
const AT_ONCE: usize = 50;
const ANONYMOUS_PATH: &str = "/client/hubs/chat";
/// What the process may keep after all peers are gone, for allocators do not give everything back. KiB.
const GROWTH_MAX: usize = 64 * 1024;
const PROTECTED_PATH: &str = "/client/hubs/protected";

const CONNECTIONS: &str = "hubwire_connections";
const OPENED: &str = "hubwire_connections_opened_total";

/// Where a peer vanishes.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Connected,
    HalfHead,
    Upgraded,
    HalfFrame,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_vanish_at_any_stage_leave_nothing_behind() {
    if !is_alone("abuse::peers_that_vanish_at_any_stage_leave_nothing_behind") {
        return;
    }
    let siege = Siege::begin().await;
    for stage in [
        Stage::Connected,
        Stage::HalfHead,
        Stage::Upgraded,
        Stage::HalfFrame,
    ] {
        let mut left = ABORTS;
        while left > 0 {
            let batch = left.min(AT_ONCE);
            let vanish = (0..batch).map(|number| vanish(&siege.service, stage, number % 2 == 0));
            timeout(PATIENCE, join_all(vanish)).await.unwrap();
            left -= batch;
        }
    }
    siege.end().await;
}

/// A client that is gone as soon as it has asked: its connection may be made by then, and nobody has looked at it yet.
#[tokio::test]
async fn a_handshake_that_is_given_up_leaves_no_connection() {
    let service = Service::start_with(|config| {
        config.shards = 2;
        with_metrics(config);
    })
    .await;
    let path = service.client_path("chat", json!({}));
    for head in [JSON_HEAD, "", &offer(RELIABLE_JSON)] {
        let request = upgrade_request(service.addr, &path, head);
        for round in 0..100 {
            let mut tcp = TcpStream::connect(service.addr).await.unwrap();
            tcp.write_all(request.as_bytes()).await.unwrap();
            if round % 4 == 0 {
                tcp.set_zero_linger().unwrap();
            }
        }
    }
    let protocol = |name: &str| format!(r#"protocol="{name}""#);
    let [plain, simple, reliable] = [JSON, "none", RELIABLE_JSON].map(protocol);
    for labels in [&plain, &simple, &reliable] {
        // An end may come before its request is read.
        service
            .until_metric(OPENED, labels, |opened| opened >= 10.0)
            .await;
    }
    for labels in [&plain, &simple] {
        service
            .until_metric(CONNECTIONS, labels, |count| count == 0.0)
            .await;
    }
    // Who was quick enough to get the socket of a reliable connection could come back.
    let are_detached = async {
        while service.metric(CONNECTIONS, &reliable).await != service.metric(DETACHED, "").await {}
    };
    timeout(PATIENCE, are_detached).await.unwrap();
}

#[tokio::test]
async fn nonsense_on_the_http_port_is_refused_and_leaves_nothing_behind() {
    if !is_alone("abuse::nonsense_on_the_http_port_is_refused_and_leaves_nothing_behind") {
        return;
    }
    let siege = Siege::begin().await;
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let long_line = vec![b'x'; 1 << 20];
    let many_headers = "X: y\r\n".repeat(100_000);
    let mut cases: Vec<Vec<u8>> = vec![
        b"\r\n\r\n\r\n\r\n".to_vec(),
        b"hello\r\n\r\n".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"GET  HTTP/1.1\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot a frame at all, but long enough for one".to_vec(),
        long_line,
        format!("GET / HTTP/1.1\r\n{many_headers}\r\n").into_bytes(),
    ];
    cases.extend((0..200).map(|_| random.bytes(300)));
    for case in &cases {
        let mut tcp = TcpStream::connect(siege.service.addr).await.unwrap();
        // The service may have had enough before all of it is sent.
        timeout(PATIENCE, tcp.write_all(case)).await.unwrap().ok();
        tcp.shutdown().await.ok();
        let mut answer = Vec::new();
        timeout(PATIENCE, tcp.read_to_end(&mut answer))
            .await
            .expect("the connection was ended")
            .ok();
        let is_success = answer.starts_with(b"HTTP/1.1 2");
        assert!(!is_success, "{}", String::from_utf8_lossy(&answer));
    }
    siege.end().await;
}

#[tokio::test]
async fn nonsense_after_the_upgrade_is_closed_and_leaves_nothing_behind() {
    if !is_alone("abuse::nonsense_after_the_upgrade_is_closed_and_leaves_nothing_behind") {
        return;
    }
    let siege = Siege::begin().await;
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    for round in 0..300 {
        let head = if round % 2 == 0 { JSON_HEAD } else { "" };
        let mut wire = siege.service.wire(ANONYMOUS_PATH, head).await;
        let nonsense = match round % 3 {
            // Not masked, whatever else it is.
            0 => b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            1 => random.bytes(500),
            _ => frame(TEXT, &random.bytes(500)),
        };
        wire.send_bytes(&nonsense).await;
        wire.tcp.shutdown().await.unwrap();
        while wire.next().await.is_some() {}
    }
    siege.end().await;
}

#[tokio::test]
async fn silent_peers_are_dropped_after_the_handshake_timeout_and_good_clients_get_through() {
    let name =
        "abuse::silent_peers_are_dropped_after_the_handshake_timeout_and_good_clients_get_through";
    if !is_alone(name) {
        return;
    }
    let siege = Siege::begin_with(|config| {
        config.limits.handshake_timeout = Duration::from_millis(500);
        config.limits.handshakes_max = 50;
    })
    .await;
    let mut silent = Vec::new();
    for number in 0..200 {
        let mut tcp = TcpStream::connect(siege.service.addr).await.unwrap();
        let bytes = match number % 3 {
            0 => String::new(),
            1 => "GET /client/hubs/chat HTTP/1.1\r\nHost: ".to_owned(),
            _ => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        };
        tcp.write_all(bytes.as_bytes()).await.unwrap();
        silent.push(tcp);
    }
    let good = (0..20).map(|_| async {
        let mut client = siege.service.connect_path(ANONYMOUS_PATH, &[]).await;
        client.socket.send(Message::ping("good")).await.unwrap();
        assert_eq!(client.next().await, Received::Pong(b"good".to_vec()));
    });
    let dropped = silent.iter_mut().map(|tcp| async {
        let mut answer = Vec::new();
        timeout(PATIENCE, tcp.read_to_end(&mut answer))
            .await
            .expect("the silent peer was dropped")
            .ok();
    });
    tokio::join!(join_all(good), join_all(dropped));
    drop(silent);
    siege.end().await;
}

/// A peer that never ends its message does not make the service keep it.
#[tokio::test]
async fn endless_messages_are_refused_at_the_limit() {
    if !is_alone("abuse::endless_messages_are_refused_at_the_limit") {
        return;
    }
    let siege = Siege::begin().await;
    for _ in 0..20 {
        let mut wire = siege.service.wire(ANONYMOUS_PATH, "").await;
        wire.send(FIRST_BINARY, &[0; 60_000]).await;
        // 17 fragments are 1,020,000 bytes; the limit is 1,048,576.
        for _ in 0..17 {
            wire.send(MIDDLE, &[0; 60_000]).await;
        }
        wire.expect_close(1009, "The client message is too large.")
            .await;
        let mut wire = siege.service.wire(ANONYMOUS_PATH, "").await;
        wire.send(BINARY, &vec![0; (1 << 20) + 1]).await;
        wire.expect_close(1009, "The client message is too large.")
            .await;
    }
    siege.end().await;
}

#[tokio::test]
async fn a_flood_of_pings_does_not_keep_others_from_being_served() {
    let siege = Siege::begin().await;
    let mut flooder = siege.service.wire(ANONYMOUS_PATH, "").await;
    let flood = frame(PING, b"flood").repeat(2000);
    let mut good = siege.service.json("chat", json!({})).await;
    let (mut reader, mut writer) = flooder.tcp.split();
    let mut pongs = 0;
    let count = 20 * 2000;
    let (written, (), ()) = tokio::join!(
        async {
            for _ in 0..20 {
                writer.write_all(&flood).await?;
            }
            Ok::<_, std::io::Error>(())
        },
        async {
            let mut buffer = vec![0; 64 * 1024];
            let pong_len = 2 + b"flood".len();
            while pongs < count * pong_len {
                let len = timeout(PATIENCE, reader.read(&mut buffer)).await.unwrap();
                let len = len.unwrap();
                assert_ne!(len, 0, "a client that reads is not too slow");
                pongs += len;
            }
        },
        async {
            for _ in 0..50 {
                good.expect_nothing().await;
            }
        }
    );
    written.unwrap();
    flooder.send(PING, b"last").await;
    assert_eq!(flooder.next().await, Some((PONG, b"last".to_vec())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_reader_beside_a_thousand_good_ones_harms_nobody_and_leaves_nothing_behind() {
    let name = "abuse::a_stalled_reader_beside_a_thousand_good_ones_harms_nobody_and_leaves_nothing_behind";
    if !is_alone(name) {
        return;
    }
    let mut siege = Siege::begin_with(|config| {
        config.limits.outbound_queue_bytes = 256 * 1024;
        config.limits.close_timeout = Duration::from_millis(100);
    })
    .await;
    let service = &siege.service;
    let path = service.client_path("chat", json!({ "sub": "stalled" }));
    let stalled = service.narrow_wire(&path, "").await;
    let body = "x".repeat(16 * 1024);
    let fill = async {
        while service.metric("hubwire_send_queue_bytes", "").await == 0.0 {
            service
                .send(
                    "/api/hubs/chat/users/stalled/:send",
                    "text/plain",
                    body.as_bytes(),
                )
                .await;
        }
    };
    timeout(PATIENCE, fill).await.unwrap();
    let mut good = Vec::new();
    while good.len() < 1000 {
        let connect = (0..AT_ONCE).map(|_| service.connect_path(ANONYMOUS_PATH, &[]));
        good.extend(join_all(connect).await);
    }
    let slow_clients = || {
        service.metric(
            "hubwire_connections_closed_total",
            r#"category="SlowClient""#,
        )
    };
    let mut rounds = 0;
    while slow_clients().await == 0.0 {
        rounds += 1;
        assert!(rounds < 500, "the stalled reader was never closed");
        service
            .send("/api/hubs/chat/:send", "text/plain", body.as_bytes())
            .await;
        let receive = good.iter_mut().map(|client| async {
            assert_eq!(client.text().await.len(), body.len());
        });
        timeout(SIEGE_PATIENCE, join_all(receive)).await.unwrap();
    }
    assert_eq!(slow_clients().await, 1.0);
    drop(good);
    // Its own end is still open; the service's must not be.
    siege.descriptors = siege.descriptors.map(|count| count + 1);
    siege.end().await;
    drop(stalled);
}

/// A service under attack, and what the process held before.
struct Siege {
    service: Service,
    descriptors: Option<usize>,
    memory: Option<usize>,
}

impl Siege {
    async fn begin() -> Self {
        Self::begin_with(|_| {}).await
    }

    /// Starts a service whose hub `chat` takes clients without a token, and serves one of each kind.
    async fn begin_with(change: impl FnOnce(&mut hubwire_server::config::Config)) -> Self {
        allow_many_sockets();
        let service = Service::start_with(|config| {
            with_metrics(config);
            config.shards = 2;
            let hub = HubConfig {
                anonymous_connect_policy: AnonymousConnectPolicy::Allow,
                ..HubConfig::default()
            };
            config.hubs.set("chat", hub);
            change(config);
        })
        .await;
        let siege = Self {
            service,
            descriptors: None,
            memory: None,
        };
        siege.check_service().await;
        siege.until_quiet().await;
        let mut least = descriptors();
        for _ in 0..1000 {
            // The last of those served may not have let go of everything yet.
            yield_now().await;
            least = least.min(descriptors());
        }
        Self {
            descriptors: least,
            memory: memory(),
            ..siege
        }
    }

    /// Asserts that the service still works, and waits until it holds no more than before.
    async fn end(self) {
        self.check_service().await;
        self.until_quiet().await;
        let mut last = None;
        let poll = async {
            loop {
                last = descriptors();
                if last <= self.descriptors {
                    return;
                }
                yield_now().await;
            }
        };
        let is_reached = timeout(PATIENCE, poll).await.is_ok();
        let before = self.descriptors;
        assert!(is_reached, "{last:?} descriptors are open, {before:?} were");
        let panics = self.service.metric("hubwire_shard_panics_total", "").await;
        assert_eq!(panics, 0.0);
        if let (Some(before), Some(after)) = (self.memory, memory()) {
            let growth = after.saturating_sub(before);
            assert!(growth < GROWTH_MAX, "the process has grown by {growth} KiB");
        }
    }

    async fn check_service(&self) {
        let refused = self.service.handshake(PROTECTED_PATH, "").await;
        assert_eq!(refused.status, 401);
        let mut client = self.service.connect_path(ANONYMOUS_PATH, &[]).await;
        let answer: Answer = self
            .service
            .rest("POST", "/api/hubs/chat/:send", "text/plain", b"alive")
            .await;
        assert_eq!(answer.status, 202);
        assert_eq!(client.next().await, Received::Text("alive".to_owned()));
    }

    async fn until_quiet(&self) {
        for gauge in ["hubwire_connections", "hubwire_send_queue_bytes"] {
            self.service
                .until_metric(gauge, "", |value| value == 0.0)
                .await;
        }
    }
}

async fn vanish(service: &Service, stage: Stage, by_reset: bool) {
    match stage {
        Stage::Connected | Stage::HalfHead => {
            let mut tcp = TcpStream::connect(service.addr).await.unwrap();
            if let Stage::HalfHead = stage {
                let request = upgrade_request(service.addr, ANONYMOUS_PATH, "");
                let half = &request.as_bytes()[..request.len() / 2];
                tcp.write_all(half).await.unwrap();
            }
            if by_reset {
                tcp.set_zero_linger().unwrap();
            }
        }
        Stage::Upgraded | Stage::HalfFrame => {
            let mut wire = service.wire(ANONYMOUS_PATH, JSON_HEAD).await;
            if let Stage::HalfFrame = stage {
                let frame = frame(TEXT, &[b'x'; 1000]);
                wire.send_bytes(&frame[..frame.len() / 2]).await;
            }
            if by_reset {
                wire.abort();
            }
        }
    }
}

/// Runs a test in a process of its own. Returns whether this is that process.
fn is_alone(name: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let is_good = output.status.success() && text.contains("1 passed");
    assert!(
        is_good,
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

/// Returns the number of open descriptors of this process, where the system tells.
fn descriptors() -> Option<usize> {
    fs::read_dir("/proc/self/fd").ok().map(Iterator::count)
}

/// Returns the KiB of memory that this process holds, where the system tells.
fn memory() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Bytes that are the same in every run.
struct Random(u64);

impl Random {
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len)
            .map(|_| {
                self.0 ^= self.0 << 13;
                self.0 ^= self.0 >> 7;
                self.0 ^= self.0 << 17;
                (self.0 >> 32) as u8
            })
            .collect()
    }
}
