//! Handlers that connect to the service, because the service cannot connect to them. Source: events-and-operations 7.
//!
//! The official tool `awps-tunnel` keeps a WebSocket to `/server/tunnel`; events of handlers with a URL such as `tunnel:///path` go
//! through it to a server on the developer's machine. Tunnels are few, so each is a task on tokio and no shard knows of it.

mod frame;
mod link;
mod registry;
mod session;
#[cfg(test)]
mod tests;

use std::time::Duration;

use hubwire_protocol::http::Query;
use hubwire_protocol::names::Hub;
use hyper::body::Incoming;
use hyper::header::WWW_AUTHENTICATE;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

pub(crate) use self::registry::Tunnels;
use self::session::Session;
use crate::config::RequestType;
use crate::http::{App, Origin, Peer, Response, bearer_token};
use crate::identity::{self, Grant};
use crate::upgrade::{
    Refusal, check_network, check_running, check_upgrade, refuse, refuse_for_now,
    switching_protocols,
};

/// How long hyper may take to write the 101 and to let go of the socket.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers a request for `/server...`.
pub(crate) async fn handle(app: &App, mut request: Request<Incoming>, peer: &Peer) -> Response {
    let answer = handshake(app, &mut request, peer).await;
    answer.unwrap_or_else(Refusal::into_response)
}

/// Checks a handshake. The answer of a good one is the 101. `target`, which names a node in a cluster, is ignored.
async fn handshake(
    app: &App,
    request: &mut Request<Incoming>,
    peer: &Peer,
) -> Result<Response, Refusal> {
    let path = request.uri().path();
    if path.strip_suffix('/').unwrap_or(path) != "/server/tunnel" {
        let reason = "There is nothing at this path.";
        return Err(refuse(StatusCode::NOT_FOUND, reason));
    }
    check_network(app, RequestType::ServerConnection, request, peer)?;
    let accept = check_upgrade(request)?;
    let query = Query::parse_any_case(request.uri().query().unwrap_or_default());
    let hub = query.first("hub").ok_or_else(|| {
        let reason = "The query parameter hub is missing.";
        refuse(StatusCode::BAD_REQUEST, reason)
    })?;
    let hub = Hub::new(hub).map_err(|_| refuse(StatusCode::BAD_REQUEST, "Invalid hub name."))?;
    let origin = Origin::of(request, peer, &app.config.network.trusted_proxies);
    let user = admit(app, request, &query, &hub, &origin).await?;
    check_running(app)?;
    let session = app.tunnels.connect(hub.clone(), user).ok_or_else(|| {
        let reason = "The hub has as many tunnels as it may have.";
        refuse_for_now(StatusCode::TOO_MANY_REQUESTS, reason)
    })?;
    tracing::info!(%hub, tunnel = session.id(), peer = %peer.addr, "tunnel started");
    tokio::spawn(hand_over(hyper::upgrade::on(request), session));
    Ok(switching_protocols(accept, None))
}

/// Checks the token. Returns who it was made for: a number that the process with the tunnel gives itself. There is none in the token of
/// an identity, which has to be allowed to do everything, since a tunnel gets whatever the handlers of the hub would.
async fn admit(
    app: &App,
    request: &Request<Incoming>,
    query: &Query,
    hub: &Hub,
    origin: &Origin,
) -> Result<Option<String>, Refusal> {
    let unauthorized =
        || refuse(StatusCode::UNAUTHORIZED, "").with_header(WWW_AUTHENTICATE, "Bearer");
    let in_query = query
        .first("access_token")
        .filter(|token| !token.is_empty());
    let token = in_query
        .or_else(|| bearer_token(request))
        .ok_or_else(unauthorized)?;
    if let Some(claims) = app.identities.recognise(token) {
        return match app.identities.check(token, claims).await {
            Ok(Grant::EVERYTHING) => Ok(None),
            Ok(_) => {
                let reason = "The identity lacks a role that allows everything.";
                Err(refuse(StatusCode::FORBIDDEN, reason))
            }
            Err(identity::Refusal::Unavailable) => {
                let reason = "The token cannot be checked now.";
                Err(refuse_for_now(StatusCode::SERVICE_UNAVAILABLE, reason))
            }
            Err(error) => {
                tracing::debug!(%hub, %error, "tunnel refused");
                Err(unauthorized())
            }
        };
    }
    let claims = app.auth.check_tunnel(token, origin, hub).map_err(|error| {
        tracing::debug!(%hub, %error, "tunnel refused");
        unauthorized()
    })?;
    Ok(claims.user_id().map(str::to_owned))
}

/// Waits until the 101 is written, then carries requests.
async fn hand_over(on_upgrade: OnUpgrade, session: Session) {
    match timeout(HANDOVER_TIMEOUT, on_upgrade).await {
        Ok(Ok(upgraded)) => session.run(TokioIo::new(upgraded)).await,
        Ok(Err(error)) => tracing::debug!(%error, "upgrade failed"),
        Err(_) => tracing::debug!("upgrade timed out"),
    }
}
