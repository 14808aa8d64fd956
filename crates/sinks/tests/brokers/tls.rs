//! Brokers behind TLS.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hubwire_sinks::{KafkaSettings, NatsSettings, Sasl, SaslMechanism, SinkSettings, sink};
use hubwire_upstream::{Secret, Sink, SinkError};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::nats::Server;
use crate::support::{TEXT, user_event};

const API_VERSIONS: i16 = 18;
const SASL_HANDSHAKE: i16 = 17;
const SASL_AUTHENTICATE: i16 = 36;
const CONNECTION_STRING: &str = "Endpoint=sb://x/;SharedAccessKeyName=send;SharedAccessKey=s3cret=";

fn certificate() -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

async fn deliver(sink: &Arc<dyn Sink>) -> Result<(), SinkError> {
    sink.deliver(&[user_event("c1", 1, TEXT, b"hi")]).await
}

#[tokio::test]
#[ignore = "needs a NATS server: cargo xtask conformance sinks"]
async fn a_nats_server_is_trusted_if_somebody_vouches_for_it() {
    let signed = certificate();
    let file = |name: &str, text: String| {
        let name = format!("nats-{}-{name}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (certificate, key) = (
        file("certificate.pem", signed.cert.pem()),
        file("key.pem", signed.signing_key.serialize_pem()),
    );
    let server = Server::start(&["--tls", "--tlscert", &certificate, "--tlskey", &key]).await;
    for scheme in ["tls", "nats"] {
        let url = format!("{scheme}://localhost:{}", server.address.port());
        let mut settings = NatsSettings::new(Secret::new(url), "hubwire");
        settings.retry_for = Duration::from_millis(300);
        let stranger = sink(SinkSettings::Nats(Box::new(settings.clone()))).unwrap();
        let error = deliver(&stranger).await.unwrap_err();
        assert!(error.reason.contains("certificate"), "{error}");
        settings.certificates = vec![signed.cert.der().clone()];
        let friend = sink(SinkSettings::Nats(Box::new(settings))).unwrap();
        deliver(&friend).await.unwrap();
    }
    for path in [certificate, key] {
        std::fs::remove_file(path).unwrap();
    }
}

/// What Event Hubs wants: SASL PLAIN with `$ConnectionString` over TLS. The broker of this test says good-bye after that.
#[tokio::test]
async fn a_user_of_kafka_shows_its_password_to_a_broker_that_is_trusted() {
    let signed = certificate();
    let certificate = signed.cert.der().clone();
    let acceptor = acceptor(&signed, &certificate);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut settings = KafkaSettings::new(vec![format!("localhost:{port}")], "hubwire");
    settings.tls = true;
    settings.certificates = vec![certificate];
    settings.retry_for = Duration::ZERO;
    settings.sasl = Some(Sasl {
        mechanism: SaslMechanism::Plain,
        username: "$ConnectionString".to_owned(),
        password: Secret::new(CONNECTION_STRING),
    });
    let sink = sink(SinkSettings::Kafka(Box::new(settings))).unwrap();
    let proof = async {
        let (socket, _) = listener.accept().await.unwrap();
        let mut socket = acceptor.accept(socket).await.unwrap();
        authenticate(&mut socket).await
    };
    let events = [user_event("c1", 1, TEXT, b"hi")];
    let delivery = sink.deliver(&events);
    let proof = tokio::select! {
        outcome = delivery => panic!("{outcome:?}"),
        proof = proof => proof,
    };
    let expected = format!("\0$ConnectionString\0{CONNECTION_STRING}");
    assert_eq!(String::from_utf8(proof).unwrap(), expected);
}

fn acceptor(
    signed: &rcgen::CertifiedKey<rcgen::KeyPair>,
    certificate: &CertificateDer<'static>,
) -> TlsAcceptor {
    let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Speaks Kafka until a client has shown who it is, and returns what it has shown.
async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut S) -> Vec<u8> {
    loop {
        let length = socket.read_i32().await.unwrap();
        let mut request = vec![0; usize::try_from(length).unwrap()];
        socket.read_exact(&mut request).await.unwrap();
        let word = |at: usize| i16::from_be_bytes(request[at..at + 2].try_into().unwrap());
        let (api, version, correlation) = (word(0), word(2), &request[4..8]);
        let name_length = usize::try_from(word(8)).unwrap();
        let body = &request[10 + name_length..];
        let mut answer = correlation.to_vec();
        match api {
            API_VERSIONS if version > 0 => {
                // Not that version; the answer is one of version 0.
                answer.extend([0, 35, 0, 0, 0, 0]);
            }
            API_VERSIONS => {
                answer.extend([0, 0, 0, 0, 0, 3]);
                for (api, highest) in [
                    (API_VERSIONS, 0),
                    (SASL_HANDSHAKE, 1),
                    (SASL_AUTHENTICATE, 1),
                ] {
                    for number in [api, 0, highest] {
                        answer.extend(number.to_be_bytes());
                    }
                }
            }
            SASL_HANDSHAKE => answer.extend(b"\0\0\0\0\0\x01\0\x05PLAIN"),
            SASL_AUTHENTICATE => return body[4..].to_vec(),
            other => panic!("the client asks for {other}"),
        }
        socket
            .write_i32(i32::try_from(answer.len()).unwrap())
            .await
            .unwrap();
        socket.write_all(&answer).await.unwrap();
        socket.flush().await.unwrap();
    }
}
