//! Operations on a hub as a whole.

use std::sync::Arc;

use hubwire_engine::{Action, Command, Message, Selection, Target};
use hubwire_protocol::message::{DataMessage, From};
use hubwire_protocol::names::{GroupName, Hub};
use hyper::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};

use super::error::RestError;
use super::{Call, page};
use crate::http::{Response, empty};

pub(super) async fn send_to_all(call: Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    send(call, hub, Target::All, From::Server).await
}

pub(super) async fn close_all_connections(call: &Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    close(call, hub, Target::All, true).await
}

pub(super) async fn add_connections_to_groups(mut call: Call<'_>) -> Result<Response, RestError> {
    let (hub, members, groups) = bulk(&mut call).await?;
    call.count(hub, Action::AddToGroups { members, groups })
        .await?;
    Ok(empty(StatusCode::OK))
}

pub(super) async fn remove_connections_from_groups(
    mut call: Call<'_>,
) -> Result<Response, RestError> {
    let (hub, members, groups) = bulk(&mut call).await?;
    let groups = Some(groups);
    call.count(hub, Action::RemoveFromGroups { members, groups })
        .await?;
    Ok(empty(StatusCode::OK))
}

pub(super) async fn count(call: &Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    counted(call, hub, Target::All).await
}

pub(super) async fn list_connections(call: &Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    call.connections(hub, Target::All).await
}

pub(super) async fn list_groups(call: &Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    call.groups(hub, Target::All).await
}

/// Hands a message to a target, as far as the query leaves nobody out, and answers that it was accepted.
pub(super) async fn send(
    mut call: Call<'_>,
    hub: Hub,
    target: Target,
    from: From,
) -> Result<Response, RestError> {
    let ttl_seconds = call.query.ttl_seconds()?;
    let to = call.selection(target)?;
    let content = call.content().await?;
    let node = &call.app.node;
    node.quotas.take_message(&hub)?;
    let message = Message::new(
        DataMessage {
            from,
            content,
            stream: None,
        },
        node.clock.now(),
        ttl_seconds,
    );
    node.send(Command {
        hub,
        action: Action::Send {
            to,
            message: Arc::new(message),
        },
    })?;
    Ok(empty(StatusCode::ACCEPTED))
}

/// Closes connections and answers when they are gone.
pub(super) async fn close(
    call: &Call<'_>,
    hub: Hub,
    target: Target,
    can_exclude: bool,
) -> Result<Response, RestError> {
    let reason = call.query.first("reason").map(str::to_owned);
    let connections = Selection {
        excluded: match can_exclude {
            true => call.excluded(),
            false => Vec::new(),
        },
        ..target.into()
    };
    call.count(
        hub,
        Action::Close {
            connections,
            reason,
        },
    )
    .await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

#[derive(Serialize)]
struct Counted {
    connections: usize,
}

/// Answers with a number of connections.
pub(super) async fn counted(call: &Call<'_>, hub: Hub, of: Target) -> Result<Response, RestError> {
    let connections = call.count(hub, Action::Count { of }).await?;
    Ok(page::json(&Counted { connections }))
}

/// Reads a bulk change of groups. Property names match whatever their letter case.
async fn bulk(call: &mut Call<'_>) -> Result<(Hub, Selection, Vec<GroupName>), RestError> {
    let hub = call.hub()?;
    let body = call.json().await?;
    let invalid = || RestError::bad_request("The request body is not a valid groups request.");
    let body: Map<String, Value> = serde_json::from_slice(&body).map_err(|_| invalid())?;
    let (mut groups, mut filter) = (None, None);
    for (name, value) in body {
        match name.to_ascii_lowercase().as_str() {
            "groups" => groups = Some(value),
            "filter" => filter = Some(value),
            _ => {}
        }
    }
    let empty = || RestError::bad_request("A nonempty list of valid group names is required.");
    let groups = match groups {
        Some(Value::Array(groups)) if !groups.is_empty() => groups
            .iter()
            .map(|name| GroupName::new(name.as_str()?).ok())
            .collect::<Option<Vec<_>>>()
            .ok_or_else(empty)?,
        None | Some(Value::Null | Value::Array(_)) => return Err(empty()),
        Some(_) => return Err(invalid()),
    };
    let filter = match filter {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => call.filter(Some(&text))?,
        Some(_) => return Err(invalid()),
    };
    let members = Selection {
        filter,
        ..Target::All.into()
    };
    Ok((hub, members, groups))
}
