//! Operations on a connection.

use hubwire_engine::{Action, ConnectionId, Target};
use hubwire_protocol::message::From;
use hubwire_protocol::rest::ErrorCode;
use hyper::StatusCode;

use super::error::RestError;
use super::{Call, hub};
use crate::http::{Response, empty};

impl Call<'_> {
    /// Returns the connection that the path names; `None` is an id that no connection has.
    pub(super) fn connection(&self) -> Result<Option<ConnectionId>, RestError> {
        match self.params.connection.trim().is_empty() {
            true => Err(RestError::bad_request("Invalid connection ID.")),
            false => Ok(ConnectionId::parse(&self.params.connection)),
        }
    }

    pub(super) fn no_such_connection(&self, code: ErrorCode) -> RestError {
        let message = format!("Connection `{}` is not found.", self.params.connection);
        RestError::new(code, message)
    }
}

pub(super) async fn exists(call: &Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    let count = match call.connection()? {
        Some(id) => {
            let of = Target::Connection(id);
            call.count(hub, Action::Count { of }).await?
        }
        None => 0,
    };
    super::exists(count, ErrorCode::ConnectionNotExistedWarning)
}

pub(super) async fn send(mut call: Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    match call.connection()? {
        Some(id) => hub::send(call, hub, Target::Connection(id), From::Server).await,
        None => {
            // Nobody is there, but a bad request is one all the same.
            call.query.ttl_seconds()?;
            call.content().await?;
            Ok(empty(StatusCode::ACCEPTED))
        }
    }
}

pub(super) async fn close(call: &Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    match call.connection()? {
        Some(id) => hub::close(call, hub, Target::Connection(id), false).await,
        None => Ok(empty(StatusCode::NO_CONTENT)),
    }
}

pub(super) async fn leave_all_groups(call: &Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    if let Some(id) = call.connection()? {
        let members = Target::Connection(id).into();
        let groups = None;
        call.count(hub, Action::RemoveFromGroups { members, groups })
            .await?;
    }
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(super) async fn list_groups(call: &Call<'_>) -> Result<Response, RestError> {
    let hub = call.hub()?;
    let missing = || call.no_such_connection(ErrorCode::ConnectionNotExisted);
    let of = Target::Connection(call.connection()?.ok_or_else(missing)?);
    match call
        .count(hub.clone(), Action::Count { of: of.clone() })
        .await?
    {
        0 => Err(missing()),
        _ => call.groups(hub, of).await,
    }
}
