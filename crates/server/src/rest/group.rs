//! Operations on a group.

use hubwire_engine::{Action, Target};
use hubwire_protocol::message::From;
use hubwire_protocol::rest::ErrorCode;
use hyper::StatusCode;

use super::error::RestError;
use super::{Call, hub};
use crate::http::{Response, empty};

pub(super) async fn exists(call: &Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    let of = Target::Group(call.group()?);
    let count = call.count(hub, Action::Count { of }).await?;
    super::exists(count, ErrorCode::GroupNotExistedWarning)
}

pub(super) async fn send(call: Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    let group = call.group()?;
    let target = Target::Group(group.clone());
    let from = From::Group { group, user: None };
    hub::send(call, hub, target, from).await
}

pub(super) async fn close_connections(call: &Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    let to = Target::Group(call.group()?);
    hub::close(call, hub, to, true).await
}

pub(super) async fn add_connection(call: &Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    let group = call.group()?;
    let Some(id) = call.connection()? else {
        return Err(call.no_such_connection(ErrorCode::ConnectionNotExisted));
    };
    let members = Target::Connection(id).into();
    let groups = vec![group];
    match call
        .count(hub, Action::AddToGroups { members, groups })
        .await?
    {
        0 => Err(call.no_such_connection(ErrorCode::ConnectionNotExisted)),
        _ => Ok(empty(StatusCode::OK)),
    }
}

pub(super) async fn remove_connection(call: &Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    let groups = Some(vec![call.group()?]);
    if let Some(id) = call.connection()? {
        let members = Target::Connection(id).into();
        call.count(hub, Action::RemoveFromGroups { members, groups })
            .await?;
    }
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(super) async fn list_connections(call: &Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    let of = Target::Group(call.group()?);
    call.members(hub, of).await
}

pub(super) async fn count(call: &Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    let of = Target::Group(call.group()?);
    hub::counted(call, hub, of).await
}
