//! Operations on a user.

use hubwire_engine::{Action, Target};
use hubwire_protocol::message::From;
use hubwire_protocol::rest::ErrorCode;
use hyper::StatusCode;

use super::error::RestError;
use super::{Call, hub};
use crate::http::{Response, empty};

pub(super) async fn exists(call: &Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    let of = Target::User(call.user()?);
    let count = call.count(hub, Action::Count { of }).await?;
    super::exists(count, ErrorCode::UserNotExistedWarning)
}

pub(super) async fn send(call: Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    let target = Target::User(call.user()?);
    hub::send(call, hub, target, From::Server).await
}

pub(super) async fn close_connections(call: &Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    let to = Target::User(call.user()?);
    hub::close(call, hub, to, true).await
}

pub(super) async fn join_group(call: &Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    let members = Target::User(call.user()?).into();
    let groups = vec![call.group()?];
    match call
        .count(hub, Action::AddToGroups { members, groups })
        .await?
    {
        0 => {
            let message = format!("User `{}` is not found.", call.params.user);
            Err(RestError::new(ErrorCode::UserNotExisted, message))
        }
        _ => Ok(empty(StatusCode::OK)),
    }
}

pub(super) async fn leave_group(call: &Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    let members = Target::User(call.user()?).into();
    let groups = Some(vec![call.group()?]);
    call.count(hub, Action::RemoveFromGroups { members, groups })
        .await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(super) async fn leave_all_groups(call: &Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    let members = Target::User(call.user()?).into();
    let groups = None;
    call.count(hub, Action::RemoveFromGroups { members, groups })
        .await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(super) async fn list_connections(call: &Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    let of = Target::User(call.user()?);
    call.connections(hub, of).await
}

pub(super) async fn list_groups(call: &Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    let of = Target::User(call.user()?);
    call.groups(hub, of).await
}

pub(super) async fn count(call: &Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    let of = Target::User(call.user()?);
    hub::counted(call, hub, of).await
}
