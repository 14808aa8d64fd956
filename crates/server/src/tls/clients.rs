//! Certificates of clients: asked for, never demanded. Source: events-and-operations 9.6.

use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;

use ::aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hubwire_protocol::event::ClientCertificate;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use super::CertificateError;
use crate::config::TlsConfig;

/// Columns of a PEM file. Source: RFC 7468, 2.
const PEM_COLUMNS: usize = 64;

/// Returns what asks clients for certificates, if anything does, and looks at them.
pub(super) fn verifier(
    config: &TlsConfig,
) -> Result<Arc<dyn ClientCertVerifier>, CertificateError> {
    let Some(path) = &config.client_ca else {
        return Ok(match config.request_client_certificate {
            true => Arc::new(AnyCertificate(
                aws_lc_rs::default_provider().signature_verification_algorithms,
            )),
            false => Arc::new(NoClientAuth),
        });
    };
    let read = |source| CertificateError::Read {
        what: "client authorities",
        path: path.clone(),
        source,
    };
    let unusable = |source| CertificateError::Authorities {
        path: path.clone(),
        source,
    };
    let pem = fs::read(path).map_err(read)?;
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(&pem) {
        let root = root.map_err(|error| unusable(error.into()))?;
        roots.add(root).map_err(|error| unusable(error.into()))?;
    }
    let provider = aws_lc_rs::default_provider().into();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
        .allow_unauthenticated()
        .build()
        .map_err(|error| unusable(error.into()))?;
    Ok(verifier)
}

/// Takes any certificate whose key the client has; what it is worth is the handler's to say.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// What a client has shown in the TLS handshake, the leaf first.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientCertificates(Option<Arc<[CertificateDer<'static>]>>);

impl ClientCertificates {
    /// Takes the chain of a session, which is absent where none was asked for or shown.
    pub(crate) fn of(session: &rustls::ServerConnection) -> Self {
        let chain = session.peer_certificates();
        Self(chain.map(|chain| chain.iter().map(|cert| cert.clone().into_owned()).collect()))
    }

    /// Returns the client's own certificate as handlers of `connect` see it.
    pub(crate) fn for_handler(&self) -> Vec<ClientCertificate> {
        let leaf = self.0.as_deref().and_then(<[_]>::first);
        leaf.map(|leaf| ClientCertificate {
            thumbprint: thumbprint(leaf),
            content: pem(leaf),
        })
        .into_iter()
        .collect()
    }
}

/// Returns the SHA-1 of a certificate in hexadecimal, which names it and proves nothing.
fn thumbprint(der: &[u8]) -> String {
    let mut text = String::new();
    for byte in digest(&SHA1_FOR_LEGACY_USE_ONLY, der).as_ref() {
        write!(text, "{byte:02X}").expect("writing to a string does not fail");
    }
    text
}

fn pem(der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = "-----BEGIN CERTIFICATE-----".to_owned();
    for (index, letter) in encoded.chars().enumerate() {
        if index % PEM_COLUMNS == 0 {
            text.push_str("\r\n");
        }
        text.push(letter);
    }
    text + "\r\n-----END CERTIFICATE-----"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_is_shown_by_its_sha_1_and_in_pem_form() {
        let der = [0x5a; 100];
        let shown = ClientCertificates(Some([CertificateDer::from(der.to_vec())].into()));
        let shown = shown.for_handler();
        assert_eq!(shown.len(), 1);
        assert_eq!(shown[0].thumbprint.len(), 40);
        let read = CertificateDer::from_pem_slice(shown[0].content.as_bytes());
        assert_eq!(read.unwrap().as_ref(), der);
        assert!(
            shown[0]
                .content
                .lines()
                .all(|line| line.len() <= PEM_COLUMNS)
        );
        assert!(ClientCertificates::default().for_handler().is_empty());
    }

    #[test]
    fn thumbprint_is_the_known_one() {
        assert_eq!(
            thumbprint(b"abc"),
            "A9993E364706816ABA3E25717850C26C9CD0D89D"
        );
    }
}
