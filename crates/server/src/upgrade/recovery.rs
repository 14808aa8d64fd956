//! A client that comes back to its reliable connection. It always gets the 101: official clients give up only when they are closed
//! with 1008 after it, while other answers make them try on. Source: client-protocols 5.4.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hubwire_engine::{ConnectionId, Recover, Reply};
use hubwire_protocol::close::Close;
use hubwire_protocol::names::Hub;
use hubwire_ws::{ClosePayload, Header, Opcode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt, sink};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::{HANDOVER_TIMEOUT, PendingSocket, Refusal, check_running, hand_over, refuse_for_now};
use crate::clock::unix_seconds;
use crate::http::App;

/// What a client that comes back says.
pub(super) struct Claim<'a> {
    pub(super) hub: Hub,
    pub(super) connection_id: &'a str,
    pub(super) token: &'a str,
    /// The subprotocol that would be chosen for a new connection.
    pub(super) negotiated: Option<&'a str>,
}

/// Recovers the connection, or sees to it that the client learns that there is none. Returns the subprotocol to answer with.
pub(super) async fn handle(
    app: &Arc<App>,
    request: &mut Request<Incoming>,
    claim: Claim<'_>,
) -> Result<Option<String>, Refusal> {
    check_running(app)?;
    let overloaded = |_| {
        refuse_for_now(
            StatusCode::SERVICE_UNAVAILABLE,
            "The service is overloaded.",
        )
    };
    let hub = claim.hub.clone();
    if let Some(recover) = verify(app, &claim)
        && let (shard, Reply::Recovered { key, protocol }) =
            app.node.recover(recover).await.map_err(overloaded)?
    {
        app.metrics.count_recovery("recovered");
        let id = claim.connection_id;
        tracing::info!(target: "hubwire::connectivity", %hub, connection_id = id, "connection recovered");
        let socket = PendingSocket::new(app, shard, key, id.to_owned());
        tokio::spawn(hand_over(hyper::upgrade::on(request), socket));
        return Ok(Some(protocol));
    }
    app.metrics.count_recovery("refused");
    let permit = app.refusals.clone().try_acquire_owned().map_err(|_| {
        let reason = "Too many recoveries are being refused.";
        refuse_for_now(StatusCode::SERVICE_UNAVAILABLE, reason)
    })?;
    let close_timeout = app.config.limits.close_timeout;
    tokio::spawn(close(hyper::upgrade::on(request), close_timeout, permit));
    Ok(claim.negotiated.map(str::to_owned))
}

/// Checks the token. Nothing is said about which part of it is wrong.
fn verify(app: &App, claim: &Claim<'_>) -> Option<Recover> {
    let id = ConnectionId::parse(claim.connection_id)?;
    app.auth
        .reconnection_key
        .verify(claim.connection_id, claim.token, unix_seconds())
        .then(|| Recover {
            hub: claim.hub.clone(),
            id,
        })
}

/// Closes a client that has nothing to come back to.
async fn close(on_upgrade: OnUpgrade, close_timeout: Duration, permit: OwnedSemaphorePermit) {
    let closing = async {
        let upgraded = on_upgrade.await.map_err(io::Error::other)?;
        let mut socket = TokioIo::new(upgraded);
        let Close { code, reason } = Close::not_recovered();
        let payload =
            code.map_or_else(ClosePayload::empty, |code| ClosePayload::new(code, &reason));
        let header = Header::new(Opcode::Close, payload.as_bytes().len());
        socket
            .write_all(&[header.as_bytes(), payload.as_bytes()].concat())
            .await?;
        socket.shutdown().await?;
        // What the client still sends is read, so that the close frame is not lost to a reset.
        tokio::io::copy(&mut socket, &mut sink()).await
    };
    match timeout(HANDOVER_TIMEOUT.min(close_timeout), closing).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::debug!(%error, "refused recovery ended early"),
        Err(_) => tracing::debug!("refused recovery was not closed by the client"),
    }
    drop(permit);
}
