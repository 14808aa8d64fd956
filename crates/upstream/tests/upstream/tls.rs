//! Handlers with https. Source: events-and-operations 4.

use std::sync::Arc;

use hubwire_protocol::event::EventFailure;
use hubwire_upstream::{Ask, Settings, Upstream};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::support::{Reply, TestHandler, handles_all, hello, settings};

fn acceptor(alpn: &[&str]) -> (TlsAcceptor, CertificateDer<'static>) {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = signed.cert.der().clone();
    let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    (TlsAcceptor::from(Arc::new(config)), certificate)
}

async fn start(alpn: &[&str]) -> (TestHandler, Settings) {
    let (acceptor, certificate) = acceptor(alpn);
    let test = TestHandler::start_tls(acceptor, |_| Reply::Now(Default::default())).await;
    let url = format!("https://localhost:{}/", test.port());
    let settings = Settings {
        certificates: vec![certificate],
        ..settings(handles_all(&url))
    };
    (test, settings)
}

#[tokio::test]
async fn http_2_is_used_where_the_handler_has_it() {
    for (alpn, version) in [
        (&["h2", "http/1.1"][..], hyper::Version::HTTP_2),
        (&["http/1.1"], hyper::Version::HTTP_11),
        (&[], hyper::Version::HTTP_11),
    ] {
        let (test, settings) = start(alpn).await;
        Upstream::new(settings)
            .ask(hello(), Ask::Event)
            .await
            .unwrap();
        let request = test.request();
        assert_eq!(request.version, version, "{alpn:?}");
        assert_eq!(request.header("content-length"), "2");
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (test, settings) = start(&["h2"]).await;
    let upstream = Upstream::new(Settings {
        certificates: Vec::new(),
        ..settings
    });
    assert_eq!(
        upstream.ask(hello(), Ask::Event).await,
        Err(EventFailure::Failed)
    );
    assert!(test.requests().is_empty());
}
