//! TLS and HTTP/2: certificates, ALPN, and the same service behind both.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt;
use futures_util::future::join_all;
use http_body_util::Full;
use hubwire_server::config::{Config, DEVELOPMENT_KEY, TlsConfig, TlsVersion};
use hyper::{Request, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_websockets::{ClientBuilder, Connector, Message};

use crate::support::pubsub::{NOT_RECOVERED, RELIABLE_JSON};
use crate::support::{ALL_ROLES, Client, JSON, PATIENCE, Received, Service, sign, unix_seconds};

const SEND: &str = "/api/hubs/chat/:send";

#[tokio::test]
async fn a_secure_client_publishes_and_receives() {
    let secure = Secure::start().await;
    let mut client = secure.json().await;
    client.join("room").await;
    for number in 0..3 {
        let ack = publish_acked(&mut client, json!({ "n": number }), number).await;
        assert_eq!(ack["data"], json!({ "n": number }));
    }
    client.expect_nothing().await;
}

#[tokio::test]
async fn a_simple_secure_client_receives_without_having_sent_anything() {
    let secure = Secure::start().await;
    let mut client = secure.connect("", json!({})).await;
    secure.send_by_http_1("hi").await;
    assert_eq!(client.text().await, "hi");
}

#[tokio::test]
async fn messages_of_a_mebibyte_pass_in_both_directions() {
    let secure = Secure::start().await;
    let mut client = secure.json().await;
    client.join("room").await;
    for number in 0..3 {
        let data = "x".repeat((1 << 20) - 200);
        let echo = publish_acked(&mut client, json!(data), number).await;
        assert_eq!(echo["data"], json!(data));
    }
}

#[tokio::test]
async fn many_quick_messages_keep_their_order() {
    let secure = Secure::start().await;
    let mut client = secure.json().await;
    client.join("room").await;
    for number in 0..200 {
        client
            .send_json(json!({ "type": "sendToGroup", "group": "room", "data": number }))
            .await;
    }
    for number in 0..200 {
        assert_eq!(client.json().await["data"], json!(number));
    }
    client.expect_nothing().await;
}

/// The session's buffer is smaller than what waits, so it is filled and emptied many times.
#[tokio::test]
async fn what_a_slow_secure_reader_has_missed_arrives_whole() {
    let secure = Secure::start().await;
    let mut client = secure.json().await;
    let body = "x".repeat(200_000);
    for number in 0..40 {
        secure.send_by_http_1(&format!("{number:02}{body}")).await;
    }
    for number in 0..40 {
        let message = client.json().await;
        let data = message["data"].as_str().unwrap();
        assert_eq!(data.len(), 200_002);
        assert_eq!(data[..2], format!("{number:02}"));
    }
    client.expect_nothing().await;
}

/// Items 92 and 94: frames below and above what is copied, more of them than the session's buffer holds.
#[tokio::test]
async fn a_secure_client_comes_back_to_its_connection() {
    let secure = Secure::start().await;
    let mut client = secure.connect(RELIABLE_JSON, json!({})).await;
    let mut connected = client.json().await;
    let texts: Vec<String> = (0..30)
        .map(|number| "x".repeat([10, 20_000, 70_000][number % 3]))
        .collect();
    secure.send_by_http_1(&texts[0]).await;
    let first = client.text().await;
    for round in 0..3 {
        // With and without a close frame, which has no code.
        if round == 1 {
            let close = Message::close(None, "");
            client.socket.send(close).await.unwrap();
        }
        drop(client);
        if round == 0 {
            for text in &texts[1..] {
                secure.send_by_http_1(text).await;
            }
        }
        let path = format!(
            "/client/hubs/chat?awps_connection_id={}&awps_reconnection_token={}",
            connected["connectionId"].as_str().unwrap(),
            connected["reconnectionToken"].as_str().unwrap()
        );
        client = secure.connect_path(&path, RELIABLE_JSON).await;
        let again = client.json().await;
        assert_eq!(again["connectionId"], connected["connectionId"]);
        connected = again;
        assert_eq!(client.text().await, first);
        for (number, text) in (2..).zip(&texts[1..]) {
            let message = client.json().await;
            assert_eq!(message["sequenceId"], number);
            assert_eq!(message["data"].as_str().unwrap(), text);
        }
        client.expect_nothing().await;
    }
}

#[tokio::test]
async fn a_refused_secure_client_sees_the_close() {
    let secure = Secure::start().await;
    let path = "/client/hubs/chat?awps_connection_id=nobody&awps_reconnection_token=x";
    let mut client = secure.connect_path(path, RELIABLE_JSON).await;
    client.expect_close(1008, NOT_RECOVERED).await;
}

#[tokio::test]
async fn a_secure_client_is_closed_like_any_other() {
    let secure = Secure::start().await;
    let mut closed = secure.json().await;
    let shutdown = tokio::spawn(secure.service.server.shutdown());
    assert_eq!(closed.json().await["message"], "Service is restarting.");
    closed.expect_close(1001, "Service is restarting.").await;
    assert_eq!(closed.next().await, Received::End);
    shutdown.await.unwrap();
}

#[tokio::test]
async fn an_old_version_of_tls_is_refused_where_the_listener_says_so() {
    for (min_version, is_accepted) in [(TlsVersion::V1_2, true), (TlsVersion::V1_3, false)] {
        let secure = Secure::start_with(|config| {
            config.listeners[0].tls.as_mut().unwrap().min_version = min_version;
        })
        .await;
        for (version, is_accepted) in [
            (&rustls::version::TLS12, is_accepted),
            (&rustls::version::TLS13, true),
        ] {
            let connector = connector(&[&secure.files.cert_pem()], &[version], &[]);
            let stream = secure.handshake(&connector).await;
            assert_eq!(stream.is_ok(), is_accepted, "{version:?}, {min_version:?}");
        }
    }
}

#[tokio::test]
async fn new_connections_see_a_reloaded_certificate_and_old_ones_live_on() {
    let secure = Secure::start().await;
    let mut old_client = secure.json().await;
    let old = secure.files.cert_pem();
    assert_eq!(secure.presented(&[&old]).await, der(&old));
    secure.files.write_new_certificate();
    let new = secure.files.cert_pem();
    secure.service.server.reload_certificates();
    assert_eq!(secure.presented(&[&old, &new]).await, der(&new));
    let trusts_only_the_old = connector(&[&old], rustls::ALL_VERSIONS, &[]);
    assert!(secure.handshake(&trusts_only_the_old).await.is_err());
    old_client.join("room").await;
    let echo = publish_acked(&mut old_client, json!("still here"), 1).await;
    assert_eq!(echo["data"], "still here");
}

#[tokio::test]
async fn files_that_cannot_be_used_leave_the_certificate_as_it_is() {
    let secure = Secure::start().await;
    let good_cert = secure.files.cert_pem();
    let good_key = fs::read_to_string(secure.files.key()).unwrap();
    let other_key = make_certificate().1;
    let cases = [
        (good_cert.as_str(), "no key at all"),
        ("no certificate at all", good_key.as_str()),
        (good_cert.as_str(), other_key.as_str()),
        ("", ""),
    ];
    for (cert, key) in cases {
        fs::write(secure.files.cert(), cert).unwrap();
        fs::write(secure.files.key(), key).unwrap();
        secure.service.server.reload_certificates();
        assert_eq!(secure.presented(&[&good_cert]).await, der(&good_cert));
    }
    fs::remove_file(secure.files.cert()).unwrap();
    secure.service.server.reload_certificates();
    assert_eq!(secure.presented(&[&good_cert]).await, der(&good_cert));
    secure.files.write_new_certificate();
    let new = secure.files.cert_pem();
    secure.service.server.reload_certificates();
    assert_eq!(secure.presented(&[&new]).await, der(&new));
}

#[tokio::test]
async fn alpn_chooses_between_http_1_and_http_2() {
    let secure = Secure::start().await;
    let mut client = secure.connect("", json!({})).await;
    let cases: [(&[&str], Option<&str>, Version); 4] = [
        (&["h2", "http/1.1"], Some("h2"), Version::HTTP_2),
        (&["h2"], Some("h2"), Version::HTTP_2),
        (&["http/1.1"], Some("http/1.1"), Version::HTTP_11),
        (&[], None, Version::HTTP_11),
    ];
    for (offered, chosen, version) in cases {
        let connector = connector(&[&secure.files.cert_pem()], rustls::ALL_VERSIONS, offered);
        let stream = secure.handshake(&connector).await.unwrap();
        let alpn = stream.get_ref().1.alpn_protocol();
        assert_eq!(alpn, chosen.map(str::as_bytes), "{offered:?}");
        let answer = send_over(stream, version, &secure.service, "hi").await;
        assert_eq!(answer, (version, StatusCode::ACCEPTED), "{offered:?}");
        assert_eq!(client.text().await, "hi");
    }
}

#[tokio::test]
async fn http_2_is_understood_without_tls_by_prior_knowledge() {
    let service = Service::start().await;
    let mut client = service.simple("chat", json!({})).await;
    let tcp = TcpStream::connect(service.addr).await.unwrap();
    let answer = send_over(tcp, Version::HTTP_2, &service, "hi").await;
    assert_eq!(answer, (Version::HTTP_2, StatusCode::ACCEPTED));
    assert_eq!(client.text().await, "hi");
}

#[tokio::test]
async fn peers_that_do_not_finish_the_tls_handshake_are_dropped() {
    let secure = Secure::start_with(|config| {
        config.limits.handshake_timeout = Duration::from_secs(1);
    })
    .await;
    let peers = ["", "\x16\x03\x01\x02\x00\x01", "GET / HTTP/1.1\r\n\r\n"];
    let dropped = peers.map(async |bytes| {
        let mut tcp = TcpStream::connect(secure.service.addr).await.unwrap();
        tcp.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        timeout(PATIENCE, tcp.read_to_end(&mut answer))
            .await
            .expect("the peer was dropped")
            .ok();
    });
    join_all(dropped).await;
    secure.json().await.expect_nothing().await;
}

/// A service that speaks TLS with a certificate of the test's own.
struct Secure {
    service: Service,
    files: Files,
}

impl Secure {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let files = Files::new();
        let service = Service::start_with(|config| {
            config.listeners[0].tls = Some(TlsConfig {
                cert: files.cert(),
                key: files.key(),
                min_version: TlsVersion::V1_2,
                request_client_certificate: false,
                client_ca: None,
            });
            change(config);
        })
        .await;
        assert!(service.server.listeners()[0].tls);
        Self { service, files }
    }

    /// Connects a WebSocket client as browsers do.
    async fn connect(&self, subprotocol: &str, claims: serde_json::Value) -> Client {
        let path = self.service.client_path("chat", claims);
        self.connect_path(&path, subprotocol).await
    }

    async fn connect_path(&self, path: &str, subprotocol: &str) -> Client {
        let url = format!("wss://{}{path}", self.service.addr);
        let connector = Connector::Rustls(connector(
            &[&self.files.cert_pem()],
            rustls::ALL_VERSIONS,
            &["http/1.1"],
        ));
        let mut builder = ClientBuilder::new()
            .uri(&url)
            .unwrap()
            .connector(&connector);
        if !subprotocol.is_empty() {
            let name = "sec-websocket-protocol".parse().unwrap();
            builder = builder
                .add_header(name, subprotocol.parse().unwrap())
                .unwrap();
        }
        let (socket, _) = timeout(PATIENCE, builder.connect()).await.unwrap().unwrap();
        Client {
            socket,
            subprotocol: None,
            connection_id: String::new(),
        }
    }

    async fn json(&self) -> Client {
        let mut client = self.connect(JSON, json!({ "role": ALL_ROLES })).await;
        assert_eq!(client.json().await["event"], "connected");
        client
    }

    async fn handshake(&self, connector: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(self.service.addr).await.unwrap();
        let name = "127.0.0.1".try_into().unwrap();
        let mut stream = timeout(PATIENCE, connector.connect(name, tcp))
            .await
            .unwrap()?;
        stream.flush().await?;
        Ok(stream)
    }

    /// Returns the certificate that the service presents to a client that trusts these.
    async fn presented(&self, trusted: &[&str]) -> CertificateDer<'static> {
        let connector = connector(trusted, rustls::ALL_VERSIONS, &[]);
        let stream = self.handshake(&connector).await.unwrap();
        let certificates = stream.get_ref().1.peer_certificates().unwrap();
        certificates[0].clone().into_owned()
    }

    async fn send_by_http_1(&self, body: &str) {
        let connector = connector(&[&self.files.cert_pem()], rustls::ALL_VERSIONS, &[]);
        let stream = self.handshake(&connector).await.unwrap();
        let answer = send_over(stream, Version::HTTP_11, &self.service, body).await;
        assert_eq!(answer.1, StatusCode::ACCEPTED);
    }
}

/// Publishes to `room`, of which the client is a member. Returns the echo, which comes before the ack.
async fn publish_acked(
    client: &mut Client,
    data: serde_json::Value,
    ack_id: u64,
) -> serde_json::Value {
    client
        .send_json(json!({ "type": "sendToGroup", "group": "room", "data": data, "ackId": ack_id }))
        .await;
    let echo = client.json().await;
    let ack = client.json().await;
    assert_eq!(
        ack,
        json!({ "type": "ack", "ackId": ack_id, "success": true })
    );
    echo
}

/// Sends a text to all by REST over a connection of this version.
async fn send_over<I>(
    io: I,
    version: Version,
    service: &Service,
    body: &str,
) -> (Version, StatusCode)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let url = format!("https://{}{SEND}", service.addr);
    let token = sign(
        &json!({ "aud": url, "exp": unix_seconds() + 60 }),
        DEVELOPMENT_KEY,
    );
    let request = Request::post(&url)
        .header("host", service.addr.to_string())
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "text/plain")
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap();
    let io = TokioIo::new(io);
    let call = async {
        if version == Version::HTTP_2 {
            let executor = TokioExecutor::new();
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(executor, io).await?;
            tokio::spawn(connection);
            sender.send_request(request).await
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
            tokio::spawn(connection);
            sender.send_request(request).await
        }
    };
    let response = timeout(PATIENCE, call).await.unwrap().unwrap();
    (response.version(), response.status())
}

fn connector(
    trusted: &[&str],
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for pem in trusted {
        roots.add(der(pem)).unwrap();
    }
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let mut config = ClientConfig::builder_with_provider(provider.into())
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// Returns a certificate and its key in PEM form.
fn make_certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// A certificate and its key in a directory that is removed at the end of the test.
struct Files(PathBuf);

impl Files {
    fn new() -> Self {
        static COUNTER: AtomicUsize = AtomicUsize::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("hubwire-tls-test-{}-{number}", std::process::id());
        let files = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(&files.0).unwrap();
        files.write_new_certificate();
        files
    }

    fn cert(&self) -> PathBuf {
        self.0.join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.0.join("key.pem")
    }

    fn cert_pem(&self) -> String {
        fs::read_to_string(self.cert()).unwrap()
    }

    fn write_new_certificate(&self) {
        let (cert, key) = make_certificate();
        fs::write(self.cert(), cert).unwrap();
        fs::write(self.key(), key).unwrap();
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // A directory that stays behind harms nobody.
        fs::remove_dir_all(&self.0).ok();
    }
}
