//! Tokens of an identity, over TLS.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_core::time::OffsetDateTime;
use hubwire_service_client::models::{ClientAccessTokenOptions, ClientProtocol, RequestOptions};
use hubwire_service_client::{
    Message, RetryOptions, WebPubSubServiceClient, WebPubSubServiceClientOptions,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::{Answer, Got, serve};

/// A credential whose tokens are numbered and live as long as the test says.
#[derive(Debug)]
struct Numbered {
    lifetime: Duration,
    asked: Mutex<Vec<Vec<String>>>,
}

impl Numbered {
    fn new(seconds: u64) -> Arc<Self> {
        Arc::new(Self {
            lifetime: Duration::from_secs(seconds),
            asked: Mutex::default(),
        })
    }
}

#[async_trait]
impl TokenCredential for Numbered {
    async fn get_token(
        &self,
        scopes: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let mut asked = self.asked.lock().unwrap();
        asked.push(scopes.iter().map(|scope| (*scope).to_owned()).collect());
        let expires = OffsetDateTime::now_utc() + self.lifetime;
        Ok(AccessToken::new(format!("token{}", asked.len()), expires))
    }
}

/// A server of the test with TLS.
struct Secure {
    endpoint: String,
    certificate: String,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Secure {
    async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let certificate = made.cert.pem();
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = made.signing_key.serialize_pem();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let secure = Self {
            endpoint: format!("https://{}", listener.local_addr().unwrap()),
            certificate,
            got: Arc::default(),
        };
        let answers = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<_>>()));
        let got = Arc::clone(&secure.got);
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (answers, got) = (Arc::clone(&answers), Arc::clone(&got));
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(tcp).await {
                        serve(stream, answers, got).await;
                    }
                });
            }
        });
        secure
    }

    fn options(&self) -> WebPubSubServiceClientOptions {
        let mut options = WebPubSubServiceClientOptions::default();
        options.transport.root_certificates = vec![self.certificate.clone().into_bytes()];
        options
    }

    fn client(&self, credential: Arc<Numbered>) -> WebPubSubServiceClient {
        self.client_with(credential, self.options())
    }

    fn client_with(
        &self,
        credential: Arc<Numbered>,
        options: WebPubSubServiceClientOptions,
    ) -> WebPubSubServiceClient {
        WebPubSubServiceClient::new(&self.endpoint, "chat", credential, Some(options)).unwrap()
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    fn tokens(&self) -> Vec<String> {
        self.got()
            .iter()
            .map(|got| got.header("authorization").unwrap_or("none").to_owned())
            .collect()
    }
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_kept() {
    let secure = Secure::start([Answer::status(202)]).await;
    let credential = Numbered::new(3600);
    let service = secure.client(Arc::clone(&credential));
    for _ in 0..3 {
        service.send_to_all(Message::text("x"), None).await.unwrap();
    }
    assert_eq!(secure.tokens(), ["Bearer token1"; 3]);
    let scopes = [["https://webpubsub.azure.com/.default".to_owned()]];
    assert_eq!(*credential.asked.lock().unwrap(), scopes);
}

#[tokio::test]
async fn a_token_that_soon_expires_is_replaced_also_between_tries() {
    let secure = Secure::start([Answer::status(503), Answer::status(404)]).await;
    let service = secure.client(Numbered::new(60));
    assert!(!service.user_exists("alice", None).await.unwrap());
    assert_eq!(secure.tokens(), ["Bearer token1", "Bearer token2"]);
}

#[tokio::test]
async fn a_refused_token_is_not_used_again() {
    let secure = Secure::start([Answer::status(401), Answer::status(202)]).await;
    let service = secure.client(Numbered::new(3600));
    let refused = service.send_to_all(Message::text("x"), None).await;
    assert_eq!(
        refused.unwrap_err().http_status().map(|status| *status),
        Some(401)
    );
    service.send_to_all(Message::text("x"), None).await.unwrap();
    assert_eq!(secure.tokens(), ["Bearer token1", "Bearer token2"]);
}

#[tokio::test]
async fn the_service_makes_client_tokens() {
    let answer = Answer::status(200).body(r#"{"token":"made"}"#);
    let secure = Secure::start([answer]).await;
    let service = secure.client(Numbered::new(3600));
    let options = ClientAccessTokenOptions {
        user_id: Some("a b".to_owned()),
        roles: vec!["r1".to_owned(), "r2".to_owned()],
        groups: vec!["g1".to_owned()],
        minutes_to_expire: Some(5),
        client_protocol: ClientProtocol::Mqtt,
        ..ClientAccessTokenOptions::default()
    };
    let access = service
        .get_client_access_token(Some(options))
        .await
        .unwrap();
    assert_eq!(access.token, "made");
    let base = secure.endpoint.replacen("https", "wss", 1);
    assert_eq!(
        access.url,
        format!("{base}/clients/mqtt/hubs/chat?access_token=made")
    );
    let got = &secure.got()[0];
    let query = "userId=a%20b&role=r1&role=r2&minutesToExpire=5&api-version=2024-12-01&group=g1&clientType=MQTT";
    assert_eq!(got.method, "POST");
    assert_eq!(got.target, format!("/api/hubs/chat/:generateToken?{query}"));
    let soon = ClientAccessTokenOptions {
        expires_at: Some(std::time::SystemTime::now() + Duration::from_secs(30)),
        ..ClientAccessTokenOptions::default()
    };
    service.get_client_access_token(Some(soon)).await.unwrap();
    assert!(secure.got()[1].target.contains("minutesToExpire=1&"));
}

#[tokio::test]
async fn versions_without_kinds_of_clients_do_not_get_one() {
    let answer = Answer::status(200).body(r#"{"token":"made"}"#);
    let secure = Secure::start([answer]).await;
    let service = secure.client(Numbered::new(3600));
    let options = |client_protocol| {
        Some(ClientAccessTokenOptions {
            client_protocol,
            request: RequestOptions {
                api_version: Some("2023-07-01".to_owned()),
                ..RequestOptions::default()
            },
            ..ClientAccessTokenOptions::default()
        })
    };
    let mqtt = service
        .get_client_access_token(options(ClientProtocol::Mqtt))
        .await;
    assert!(mqtt.unwrap_err().to_string().contains("2024-01-01"));
    let plain = service
        .get_client_access_token(options(ClientProtocol::Default))
        .await;
    plain.unwrap();
    let got = secure.got();
    assert_eq!(got.len(), 1);
    assert!(!got[0].target.contains("clientType"));
}

#[tokio::test]
async fn health_is_asked_without_a_token() {
    let secure = Secure::start([Answer::status(200)]).await;
    let credential = Numbered::new(3600);
    let service = secure.client(Arc::clone(&credential));
    assert!(service.health(None).await.unwrap());
    assert_eq!(secure.tokens(), ["none"]);
    assert!(credential.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_token_is_never_sent_in_the_clear() {
    let credential = Numbered::new(3600);
    let token = Arc::clone(&credential);
    let service = WebPubSubServiceClient::new("http://127.0.0.1:1", "chat", token, None).unwrap();
    let error = service.user_exists("alice", None).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Credential));
    assert!(error.to_string().contains("https endpoint"), "{error}");
    assert!(credential.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_unknown_certificate_is_refused_unless_told_otherwise() {
    let secure = Secure::start([Answer::status(200)]).await;
    let mut options = WebPubSubServiceClientOptions {
        retry: RetryOptions::none(),
        ..WebPubSubServiceClientOptions::default()
    };
    let service = secure.client_with(Numbered::new(3600), options.clone());
    let error = service.health(None).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Connection), "{error}");
    options.transport.verify_certificates = false;
    let service = secure.client_with(Numbered::new(3600), options.clone());
    assert!(service.health(None).await.unwrap());
    options.transport.root_certificates = vec![b"no certificate".to_vec()];
    let refused =
        WebPubSubServiceClient::new(&secure.endpoint, "chat", Numbered::new(1), Some(options));
    assert!(refused.is_err());
}
