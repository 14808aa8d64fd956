//! Handlers behind a tunnel. Source: events-and-operations 7.3.

use std::pin::Pin;

use bytes::Bytes;
use hubwire_protocol::names::Hub;
use hyper::{Request, Response};

/// Carries requests to handlers that have opened a connection to the service, instead of the other way round.
pub trait Tunnel: Send + Sync {
    /// Sends a request for a hub. Its URL has the scheme `tunnel` and no host, as in `tunnel:///path`; of several tunnels the
    /// connection id picks one. Dropping the future takes the request back as far as that is possible.
    fn request<'a>(
        &'a self,
        hub: &'a Hub,
        connection_id: &'a str,
        request: TunnelRequest,
    ) -> TunnelFuture<'a>;
}

/// What a tunnel carries: everything of a request but its address, and the address as text, since there is no host in it.
#[derive(Clone, Debug)]
pub struct TunnelRequest {
    /// `tunnel:///path`, with the query.
    pub url: String,
    /// Method, headers and body.
    pub request: Request<Bytes>,
}

/// The response of a tunnel, or that there is none.
pub type TunnelFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Response<Bytes>, TunnelError>> + Send + 'a>>;

/// A request did not reach a handler, or the response did not come back. It is repeated as after any failure of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no tunnel is connected, or it was lost")]
pub struct TunnelError;
