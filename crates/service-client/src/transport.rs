//! The HTTP client below the pipeline.

use std::sync::Arc;
use std::time::Duration;

use azure_core::Error;
use azure_core::error::ErrorKind;
use azure_core::http::Transport;

use crate::error::invalid;
use crate::options::TransportOptions;

/// How long an idle connection is kept. Below the time after which services and load balancers drop it.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Makes a transport with a pool of connections of its own, as many as are in flight at once.
pub(crate) fn transport(options: &TransportOptions) -> azure_core::Result<Transport> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(options.connect_timeout)
        .read_timeout(options.read_timeout)
        .pool_idle_timeout(IDLE_MAX)
        .tcp_nodelay(true)
        .redirect(reqwest::redirect::Policy::none());
    if let Some(address) = &options.proxy {
        // The error of the parser would show a password in the address.
        let proxy = reqwest::Proxy::all(address).map_err(|_| {
            invalid("the proxy is not usable; give it as http://host:port".to_owned())
        })?;
        builder = builder.proxy(proxy);
    }
    for file in &options.root_certificates {
        let roots = reqwest::Certificate::from_pem_bundle(file).map_err(refuse)?;
        if roots.is_empty() {
            return Err(invalid(
                "a root certificate file holds no certificate; give it as PEM".to_owned(),
            ));
        }
        builder = builder.tls_certs_merge(roots);
    }
    if !options.verify_certificates {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    let client = builder.build().map_err(refuse)?;
    Ok(Transport::new(Arc::new(client)))
}

fn refuse(error: reqwest::Error) -> Error {
    Error::with_error(
        ErrorKind::Other,
        error,
        "the HTTP client cannot be made with these transport options",
    )
}
