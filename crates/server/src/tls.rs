mod clients;

pub(crate) use clients::ClientCertificates;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};

use crate::config::{TlsConfig, TlsVersion};

/// A certificate or its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("cannot read {what} {path}: {source}")]
    Read {
        /// Certificate or key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path} holds no {what} in PEM form: {source}")]
    Pem {
        /// Certificate or key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// The authorities of clients' certificates cannot be used.
    #[error("{path} cannot be used to check the certificates of clients: {source}")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Key and certificate cannot be used together.
    #[error("certificate {cert} and key {key} cannot be used: {source}")]
    Unusable {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// A listener's certificate, replaced when its files change. Connections keep the one they began with.
#[derive(Debug)]
pub(crate) struct Certificate {
    config: TlsConfig,
    client_verifier: Arc<dyn ClientCertVerifier>,
    current: ArcSwap<CertifiedKey>,
    /// The files' contents as last read, whether they could be used or not.
    read: Mutex<(Vec<u8>, Vec<u8>)>,
}

impl Certificate {
    pub(crate) fn load(config: &TlsConfig) -> Result<Arc<Self>, CertificateError> {
        let files = read_files(config)?;
        let current = parse(config, &files)?;
        Ok(Arc::new(Self {
            config: config.clone(),
            client_verifier: clients::verifier(config)?,
            current: ArcSwap::new(current),
            read: Mutex::new(files),
        }))
    }

    /// Reads the files again and, if they have changed and are good, uses what they hold from now on. Returns whether it does.
    ///
    /// # Errors
    ///
    /// When they cannot be used; the certificate stays as it is, and the same contents are not reported again.
    pub(crate) fn reload(&self) -> Result<bool, CertificateError> {
        let files = read_files(&self.config)?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if *read == files {
            return Ok(false);
        }
        let parsed = parse(&self.config, &files);
        *read = files;
        self.current.store(parsed?);
        Ok(true)
    }

    /// Returns the certificate's file.
    pub(crate) fn path(&self) -> &Path {
        &self.config.cert
    }

    /// Makes the TLS settings of a listener: HTTP/2 and HTTP/1.1 by ALPN.
    pub(crate) fn server_config(self: &Arc<Self>) -> Arc<ServerConfig> {
        const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
        const NEWEST: &[&SupportedProtocolVersion] = &[&TLS13];
        let versions = match self.config.min_version {
            TlsVersion::V1_2 => BOTH,
            TlsVersion::V1_3 => NEWEST,
        };
        let mut config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_protocol_versions(versions)
            .expect("the provider has cipher suites for both versions")
            .with_client_cert_verifier(self.client_verifier.clone())
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn read_files(config: &TlsConfig) -> Result<(Vec<u8>, Vec<u8>), CertificateError> {
    let read = |what, path: &PathBuf| {
        fs::read(path).map_err(|source| CertificateError::Read {
            what,
            path: path.clone(),
            source,
        })
    };
    Ok((
        read("certificate", &config.cert)?,
        read("key", &config.key)?,
    ))
}

fn parse(
    config: &TlsConfig,
    (cert, key): &(Vec<u8>, Vec<u8>),
) -> Result<Arc<CertifiedKey>, CertificateError> {
    let pem = |what, path: &PathBuf| {
        let path = path.clone();
        move |source| CertificateError::Pem { what, path, source }
    };
    let certs: Vec<_> = CertificateDer::pem_slice_iter(cert)
        .collect::<Result<_, _>>()
        .map_err(pem("certificate", &config.cert))?;
    if certs.is_empty() {
        return Err(pem("certificate", &config.cert)(pem::Error::NoItemsFound));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(pem("private key", &config.key))?;
    let unusable = |source| CertificateError::Unusable {
        cert: config.cert.clone(),
        key: config.key.clone(),
        source,
    };
    let key = aws_lc_rs::sign::any_supported_type(&key).map_err(unusable)?;
    let certified = CertifiedKey::new(certs, key);
    match certified.keys_match() {
        // Some keys cannot tell, which is no reason to refuse them.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(Arc::new(certified))
        }
        Err(source) => Err(unusable(source)),
    }
}
