//! The REST data plane: the route table, and what every operation has in common. Source: rest-api 1 and 7.
//!
//! The checks come in this order, and none of them has an effect: route, network rules, token, api-version, data action, parameters, body's length, content
//! type, body, JSON, metadata. An operation is a function in the file of its resource and a row in `route.rs`.

mod body;
mod connection;
mod continuation;
mod cors;
mod error;
mod filters;
mod group;
mod hub;
mod page;
mod permission;
mod route;
mod token;
mod user;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Instant;

use hubwire_engine::{Action, Command, ConnectionId, Reply, Selection, Target};
use hubwire_protocol::http::Query;
use hubwire_protocol::names::{GroupName, Hub, UserId};
use hubwire_protocol::rest::{API_SUPPORTED_VERSIONS, API_VERSIONS, ErrorCode};
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, StatusCode};
use uuid::Uuid;

use crate::config::RequestType;
use crate::http::{App, Origin, Peer, Response, bearer_token, empty};
use crate::identity::{self, Grant, Refusal};
use crate::network_rules::{self, Denied};
use crate::node::Overloaded;
use crate::quota::Exhausted;

use error::RestError;
pub(crate) use filters::Filters;
use route::{Operation, Params};

const X_MS_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
const X_MS_CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");
const API_SUPPORTED_VERSIONS_HEADER: HeaderName = HeaderName::from_static("api-supported-versions");

/// Who asks, as the token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    /// Nobody in particular, where that is enough.
    Anybody,
    /// A holder of an access key, who may do everything.
    AccessKey,
    /// Somebody with an identity.
    Identity(Grant),
}

/// A request whose route and token are good.
struct Call<'a> {
    app: &'a App,
    params: &'a Params,
    query: Query,
    parts: &'a Parts,
    operation: Operation,
    caller: Caller,
    /// Where the request was addressed to.
    origin: Origin,
    /// Taken by the operation that reads it.
    body: &'a mut Option<Incoming>,
    /// Bytes of the body that were read.
    received: &'a AtomicUsize,
}

/// Answers a request for `/api...`.
pub(crate) async fn handle(app: &Arc<App>, request: Request<Incoming>, peer: &Peer) -> Response {
    let started = Instant::now();
    let request_id = Uuid::new_v4().to_string();
    let client_request_id = request.headers().get(X_MS_CLIENT_REQUEST_ID).cloned();
    let is_head = request.method() == Method::HEAD;
    let received = AtomicUsize::new(0);
    let (parts, body) = request.into_parts();
    let request = Request::from_parts(parts, ());
    let origin = cors::allowed_origin(request.headers(), &app.config.rest.cors_allowed_origins);
    if let Some(origin) = &origin
        && let Some(mut response) = cors::preflight(&request)
    {
        cors::allow(&mut response, origin.clone());
        return response;
    }
    let trace_id = trace_id(request.headers());
    let mut body = Some(body);
    let (operation, result) = dispatch(app, request, &mut body, peer, &received).await;
    if let Some(unread) = body
        && !unread.is_end_stream()
    {
        // The answer does not wait for it. Dropped, it would end the caller's connection under the next request.
        tokio::spawn(body::discard(unread));
    }
    let mut response = match result {
        Ok(response) => response,
        Err(error) => error.into_response(is_head),
    };
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        headers.insert(X_MS_REQUEST_ID, value);
    }
    if operation.is_some() {
        let versions = HeaderValue::from_static(API_SUPPORTED_VERSIONS);
        headers.insert(API_SUPPORTED_VERSIONS_HEADER, versions);
    }
    let took = started.elapsed();
    let category = operation.map_or("Uncategorized", Operation::category);
    app.metrics
        .observe_rest(category, took, received.load(Ordering::Relaxed));
    tracing::info!(
        target: "hubwire::http_request",
        operation = category,
        status = response.status().as_u16(),
        took_us = took.as_micros() as u64,
        request_id,
        client_request_id = client_request_id.as_ref().and_then(|id| id.to_str().ok()),
        trace_id,
        peer = %peer.addr,
        "request"
    );
    if let Some(origin) = origin {
        cors::allow(&mut response, origin);
    }
    if let Some(id) = client_request_id {
        response.headers_mut().insert(X_MS_CLIENT_REQUEST_ID, id);
    }
    response
}

/// Returns the trace that a W3C `traceparent` header names, for the log.
fn trace_id(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("traceparent")?.to_str().ok()?;
    let id = value.split('-').nth(1)?;
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| id.to_owned())
}

async fn dispatch(
    app: &Arc<App>,
    request: Request<()>,
    body: &mut Option<Incoming>,
    peer: &Peer,
    received: &AtomicUsize,
) -> (Option<Operation>, Result<Response, RestError>) {
    let raw_path = request.uri().path();
    let resolved = route::resolve(raw_path, app.config.rest.keep_encoded_slash);
    let Some((params, operations)) = resolved else {
        return (None, Err(RestError::not_found()));
    };
    let is_served = |operation: Operation| match operation {
        Operation::Health => peer.roles.health,
        _ => peer.roles.rest,
    };
    if !operations
        .iter()
        .any(|(_, operation)| is_served(*operation))
    {
        return (None, Err(RestError::not_found()));
    }
    let found = operations
        .iter()
        .find(|(method, _)| method == request.method());
    let Some(&(_, operation)) = found else {
        return (None, method_not_allowed(operations));
    };
    (
        Some(operation),
        run(app, operation, &params, request, body, peer, received).await,
    )
}

async fn run(
    app: &Arc<App>,
    operation: Operation,
    params: &Params,
    request: Request<()>,
    body: &mut Option<Incoming>,
    peer: &Peer,
    received: &AtomicUsize,
) -> Result<Response, RestError> {
    if operation != Operation::Health {
        network_rules::check(&app.config.network, RequestType::RestApi, &request, peer)?;
    }
    if app.is_shutting_down() {
        return Err(RestError::unavailable("The service is shutting down."));
    }
    let origin = Origin::of(&request, peer, &app.config.network.trusted_proxies);
    let caller = match operation {
        Operation::Health => Caller::Anybody,
        _ => authenticate(app, &request, &origin).await?,
    };
    let query = Query::parse(request.uri().query().unwrap_or_default());
    check_version(&query)?;
    authorise(caller, operation)?;
    if operation != Operation::Health {
        let hub = Hub::new(&params.hub)?;
        app.node.quotas.take_rest_request(&hub)?;
    }
    let (parts, ()) = request.into_parts();
    let call = Call {
        app,
        params,
        query,
        parts: &parts,
        operation,
        caller,
        origin,
        body,
        received,
    };
    match operation {
        Operation::Health => Ok(empty(StatusCode::OK)),
        Operation::GenerateClientToken => token::generate(&call),
        Operation::SendToAll => hub::send_to_all(call).await,
        Operation::AddConnectionsToGroups => hub::add_connections_to_groups(call).await,
        Operation::RemoveConnectionsFromGroups => hub::remove_connections_from_groups(call).await,
        Operation::CountConnections => hub::count(&call).await,
        Operation::ListConnections => hub::list_connections(&call).await,
        Operation::ListGroups => hub::list_groups(&call).await,
        Operation::CloseAllConnections => hub::close_all_connections(&call).await,
        Operation::ConnectionExists => connection::exists(&call).await,
        Operation::CloseConnection => connection::close(&call).await,
        Operation::SendToConnection => connection::send(call).await,
        Operation::RemoveConnectionFromAllGroups => connection::leave_all_groups(&call).await,
        Operation::ListGroupsOfConnection => connection::list_groups(&call).await,
        Operation::CountConnectionsInGroup => group::count(&call).await,
        Operation::ListConnectionsInGroup => group::list_connections(&call).await,
        Operation::GroupExists => group::exists(&call).await,
        Operation::SendToGroup => group::send(call).await,
        Operation::CloseGroupConnections => group::close_connections(&call).await,
        Operation::AddConnectionToGroup => group::add_connection(&call).await,
        Operation::RemoveConnectionFromGroup => group::remove_connection(&call).await,
        Operation::CountConnectionsOfUser => user::count(&call).await,
        Operation::ListConnectionsOfUser => user::list_connections(&call).await,
        Operation::ListGroupsOfUser => user::list_groups(&call).await,
        Operation::UserExists => user::exists(&call).await,
        Operation::SendToUser => user::send(call).await,
        Operation::CloseUserConnections => user::close_connections(&call).await,
        Operation::AddUserToGroup => user::join_group(&call).await,
        Operation::RemoveUserFromGroup => user::leave_group(&call).await,
        Operation::RemoveUserFromAllGroups => user::leave_all_groups(&call).await,
        Operation::GrantPermission => permission::grant(&call).await,
        Operation::CheckPermission => permission::check(&call).await,
        Operation::RevokePermission => permission::revoke(&call).await,
    }
}

/// Finds out who asks. Source: rest-api 3.
async fn authenticate(
    app: &App,
    request: &Request<()>,
    origin: &Origin,
) -> Result<Caller, RestError> {
    let token = bearer_token(request)
        .ok_or_else(|| RestError::unauthorized("The request has no bearer token."))?;
    if let Some(claims) = app.identities.recognise(token) {
        return match app.identities.check(token, claims).await {
            Ok(grant) => Ok(Caller::Identity(grant)),
            Err(error @ Refusal::Unavailable) => Err(RestError::unavailable(&format!(
                "The token cannot be checked: {error}."
            ))),
            Err(error) => {
                tracing::debug!(%error, "caller with an identity refused");
                Err(refused(&error))
            }
        };
    }
    app.auth
        .check_rest(token, &origin.host, &origin.path(request.uri().path()))
        .map(|()| Caller::AccessKey)
        .map_err(|error| {
            tracing::debug!(%error, "caller refused");
            match identity::is_identity_token(token) {
                true => RestError::unauthorized(
                    "The token is refused: tokens of identities are not accepted here.",
                ),
                false => refused(&error),
            }
        })
}

fn refused(error: &dyn std::error::Error) -> RestError {
    RestError::unauthorized(&format!("The token is refused: {error}."))
}

/// Checks that the caller may do what it asks for. Source: rest-api 3.6.
fn authorise(caller: Caller, operation: Operation) -> Result<(), RestError> {
    match (caller, operation.data_action()) {
        (Caller::Identity(grant), Some(action)) if !grant.allows(action) => {
            let message = format!(
                "The identity lacks the data action {}, which one of its roles has to give.",
                action.name()
            );
            Err(RestError::new(ErrorCode::Forbidden, message))
        }
        (Caller::Anybody | Caller::AccessKey | Caller::Identity(_), _) => Ok(()),
    }
}

fn check_version(query: &Query) -> Result<(), RestError> {
    let mut versions = query.all("api-version");
    match (versions.next(), versions.next()) {
        (None, _) => Ok(()),
        (Some(version), None) if API_VERSIONS.contains(&version) => Ok(()),
        (Some(_), _) => Err(
            RestError::bad_request("The specified API version is not supported.")
                .with_target("api-version"),
        ),
    }
}

fn method_not_allowed(operations: &[(Method, Operation)]) -> Result<Response, RestError> {
    let methods: Vec<&str> = operations
        .iter()
        .map(|(method, _)| method.as_str())
        .collect();
    let methods = methods.join(", ");
    let message = format!("Only {methods} can be used here.");
    let error = RestError::new(ErrorCode::MethodNotAllowed, message);
    match HeaderValue::from_str(&methods) {
        Ok(value) => Err(error.with_header(ALLOW, value)),
        Err(_) => Err(error),
    }
}

impl Call<'_> {
    fn hub(&self) -> Result<Hub, RestError> {
        Ok(Hub::new(&self.params.hub)?)
    }

    fn group(&self) -> Result<GroupName, RestError> {
        Ok(GroupName::new(&self.params.group)?)
    }

    fn user(&self) -> Result<UserId, RestError> {
        Ok(UserId::new(&self.params.user)?)
    }

    /// Returns those connections of a send's target that its query does not leave out. Source: rest-api 1.2.
    fn selection(&self, target: Target) -> Result<Selection, RestError> {
        let (can_exclude, can_filter) = match target {
            Target::All | Target::Group(_) => (true, true),
            Target::User(_) => (false, true),
            Target::Connection(_) | Target::Watchers(_) => (false, false),
        };
        Ok(Selection {
            excluded: match can_exclude {
                true => self.excluded(),
                false => Vec::new(),
            },
            filter: match can_filter {
                true => self.filter(self.query.first("filter"))?,
                false => None,
            },
            ..target.into()
        })
    }

    /// Returns the connections to leave out. What is not an id of a connection leaves nobody out.
    fn excluded(&self) -> Vec<ConnectionId> {
        self.query
            .all("excluded")
            .filter_map(ConnectionId::parse)
            .collect()
    }

    /// Has a command carried out and returns what came of it.
    async fn ask(&self, hub: Hub, action: Action) -> Result<Reply, RestError> {
        Ok(self.app.node.ask(Command { hub, action }).await?)
    }

    /// Like [`Call::ask`], for actions that are answered by a number of connections.
    async fn count(&self, hub: Hub, action: Action) -> Result<usize, RestError> {
        match self.ask(hub, action).await? {
            Reply::Matched(count) => Ok(count),
            Reply::NotFound
            | Reply::Denied
            | Reply::Conflict
            | Reply::Connections(_)
            | Reply::Groups(_)
            | Reply::Reserved { .. }
            | Reply::Opened { .. }
            | Reply::Recovered { .. } => Ok(0),
        }
    }
}

impl From<Overloaded> for RestError {
    fn from(Overloaded: Overloaded) -> Self {
        Self::unavailable("The service is overloaded.")
    }
}

impl From<Denied> for RestError {
    fn from(Denied: Denied) -> Self {
        Self::new(ErrorCode::Forbidden, Denied::MESSAGE)
    }
}

impl From<Exhausted> for RestError {
    fn from(Exhausted: Exhausted) -> Self {
        Self::too_many_requests()
    }
}

/// Answers an existence check.
fn exists(count: usize, otherwise: ErrorCode) -> Result<Response, RestError> {
    match count {
        0 => Err(RestError::new(otherwise, "")),
        _ => Ok(empty(StatusCode::OK)),
    }
}
