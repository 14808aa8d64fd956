//! Operations on a hub as a whole.

use std::sync::Arc;

use hubwire_engine::{Action, Command, ConnectionId, Message, Target};
use hubwire_protocol::message::{DataMessage, From};
use hubwire_protocol::names::Hub;
use hyper::StatusCode;

use super::Call;
use super::error::RestError;
use crate::http::{Response, empty};

pub(super) async fn send_to_all(call: Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    let excluded = call.query.excluded();
    call.query.no_filter()?;
    send(call, hub, Target::All, From::Server, excluded).await
}

pub(super) async fn close_all_connections(call: &Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    close(call, hub, Target::All, call.query.excluded()).await
}

/// Hands a message to everybody concerned and answers that it was accepted.
pub(super) async fn send(
    mut call: Call<'_>,
    hub: Hub,
    to: Target,
    from: From,
    excluded: Vec<ConnectionId>,
) -> Result<Response, RestError> {
    let ttl_seconds = call.query.ttl_seconds()?;
    let content = call.content().await?;
    let node = &call.app.node;
    let message = Message::new(DataMessage { from, content }, node.clock.now(), ttl_seconds);
    node.send(Command {
        hub,
        action: Action::Send {
            to,
            excluded,
            message: Arc::new(message),
        },
    })?;
    Ok(empty(StatusCode::ACCEPTED))
}

/// Closes connections and answers when they are gone.
pub(super) async fn close(
    call: &Call<'_>,
    hub: Hub,
    to: Target,
    excluded: Vec<ConnectionId>,
) -> Result<Response, RestError> {
    let reason = call.query.first("reason").map(str::to_owned);
    let action = Action::Close {
        to,
        excluded,
        reason,
    };
    call.count(hub, action).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
