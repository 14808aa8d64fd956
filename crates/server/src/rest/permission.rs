//! What a connection may do to a group. Source: rest-api 4.4.

use hubwire_engine::{Action, ConnectionId, PERMISSION_RULES_MAX, Permission, Reply};
use hubwire_protocol::names::{GroupName, Hub};
use hubwire_protocol::rest::ErrorCode;
use hyper::StatusCode;

use super::Call;
use super::error::RestError;
use crate::http::{Response, empty};

struct Asked {
    hub: Hub,
    permission: Permission,
    group: GroupName,
    connection: Option<ConnectionId>,
}

pub(super) async fn grant(call: &Call<'_>) -> Result<Response, RestError> {
    let asked = parse(call)?;
    let missing = || call.no_such_connection(ErrorCode::ConnectionNotExistedInfo);
    let action = Action::Grant {
        connection: asked.connection.ok_or_else(missing)?,
        permission: asked.permission,
        group: asked.group,
    };
    match call.ask(asked.hub, action).await? {
        Reply::Matched(_) => Ok(empty(StatusCode::OK)),
        Reply::Conflict => Err(too_many_rules(call)),
        _ => Err(missing()),
    }
}

pub(super) async fn check(call: &Call<'_>) -> Result<Response, RestError> {
    let asked = parse(call)?;
    let missing = || call.no_such_connection(ErrorCode::ConnectionNotExistedInfo);
    let action = Action::CheckPermission {
        connection: asked.connection.ok_or_else(missing)?,
        permission: asked.permission,
        group: asked.group,
    };
    match call.ask(asked.hub, action).await? {
        Reply::Matched(_) => Ok(empty(StatusCode::OK)),
        Reply::Denied => {
            let name = match asked.permission {
                Permission::SendToGroup => "SendToGroup",
                Permission::JoinLeaveGroup => "JoinLeaveGroup",
            };
            let id = &call.params.connection;
            let message = format!("Connection `{id}` doesn't have the permission `{name}`.");
            Err(RestError::new(ErrorCode::ConnectionNotExistedInfo, message))
        }
        _ => Err(missing()),
    }
}

pub(super) async fn revoke(call: &Call<'_>) -> Result<Response, RestError> {
    let asked = parse(call)?;
    let Some(connection) = asked.connection else {
        return Ok(empty(StatusCode::NO_CONTENT));
    };
    let action = Action::Revoke {
        connection,
        permission: asked.permission,
        group: asked.group,
    };
    match call.ask(asked.hub, action).await? {
        Reply::Conflict => Err(too_many_rules(call)),
        _ => Ok(empty(StatusCode::NO_CONTENT)),
    }
}

fn parse(call: &Call<'_>) -> Result<Asked, RestError> {
    let hub = call.hub()?;
    let text = &call.params.permission;
    let permission = if text.eq_ignore_ascii_case("sendToGroup") || text == "1" {
        Permission::SendToGroup
    } else if text.eq_ignore_ascii_case("joinLeaveGroup") || text == "2" {
        Permission::JoinLeaveGroup
    } else {
        let message = format!("Invalid permission '{text}', it is sendToGroup or joinLeaveGroup.");
        return Err(RestError::bad_request(message));
    };
    let connection = call.connection()?;
    let group = GroupName::new(call.query.first("targetName").unwrap_or_default())?;
    Ok(Asked {
        hub,
        permission,
        group,
        connection,
    })
}

fn too_many_rules(call: &Call<'_>) -> RestError {
    let id = &call.params.connection;
    let message = format!("Connection `{id}` holds {PERMISSION_RULES_MAX} rules already.");
    RestError::new(ErrorCode::ConnectionConflict, message)
}
