//! A client's handshake: negotiation on tokio, then the bare socket goes to a shard. Source: client-protocols 1.

mod connect;
mod recovery;

use std::borrow::Cow;
use std::net::TcpStream as StdTcpStream;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hubwire_engine::{BufferLimits, ConnectionKey, HubSettings, Open, Place, RawMode, Reply};
use hubwire_protocol::http::{Query, decode_segment};
use hubwire_protocol::names::{GroupName, Hub, UserId};
use hubwire_protocol::subprotocol::Subprotocol;
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, HeaderName, HeaderValue, ORIGIN, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE,
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{HeaderMap, Method, Request, StatusCode, Version};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use crate::config::{AnonymousConnectPolicy, FirewallConfig, HubConfig, RequestType};
use crate::firewall::{Identity, Pass, TooMany};
use crate::http::{
    App, Origin, Peer, RETRY_AFTER_SECONDS, Response, bearer_token, empty, text, with_header,
};
use crate::network_rules::{self, Denied};
use crate::node::Node;
use crate::socket::{Attach, Io};
use crate::upstream_settings::event_settings;

/// How long hyper may take to write the 101 and to let go of the socket.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers a request for `/client...`.
pub(crate) async fn handle(
    app: &Arc<App>,
    mut request: Request<Incoming>,
    peer: &Peer,
) -> Response {
    let response = match handshake(app, &mut request, peer).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    };
    app.metrics.count_client_request(response.status().as_u16());
    response
}

/// An answer other than the 101.
pub(crate) struct Refusal {
    status: StatusCode,
    reason: Cow<'static, str>,
    header: Option<(HeaderName, &'static str)>,
}

pub(crate) fn refuse(status: StatusCode, reason: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal {
        status,
        reason: reason.into(),
        header: None,
    }
}

/// Refuses a client that may try again soon.
pub(crate) fn refuse_for_now(status: StatusCode, reason: &'static str) -> Refusal {
    refuse(status, reason).with_header(RETRY_AFTER, RETRY_AFTER_SECONDS)
}

impl Refusal {
    pub(crate) fn with_header(self, name: HeaderName, value: &'static str) -> Self {
        Self {
            header: Some((name, value)),
            ..self
        }
    }

    pub(crate) fn into_response(self) -> Response {
        let response = match &*self.reason {
            "" => empty(self.status),
            reason => text(self.status, reason),
        };
        match self.header {
            Some((name, value)) => with_header(response, name, value),
            None => response,
        }
    }
}

/// Checks a handshake in the order of client-protocols 1.4. The answer of a good one is the 101.
async fn handshake(
    app: &Arc<App>,
    request: &mut Request<Incoming>,
    peer: &Peer,
) -> Result<Response, Refusal> {
    check_network(app, RequestType::ClientConnection, request, peer)?;
    let query = Query::parse_any_case(request.uri().query().unwrap_or_default());
    let (hub, is_legacy) = hub_of(request.uri().path(), &query)?;
    let accept = check_upgrade(request)?;
    let hub = hub.ok_or_else(|| {
        let reason = "The query parameter hub is missing.";
        refuse(StatusCode::BAD_REQUEST, reason)
    })?;
    let hub = Hub::new(&hub).map_err(|_| refuse(StatusCode::BAD_REQUEST, "Invalid hub name."))?;
    let settings = app.config.hubs.get(hub.as_str());
    check_origin(request.headers(), settings)?;
    let offered = offered_subprotocols(request.headers());
    let negotiated = Subprotocol::negotiate(offered.iter().map(String::as_str));
    if let Some(id) = query
        .first("awps_connection_id")
        .filter(|id| !id.is_empty())
    {
        let token = query.first("awps_reconnection_token").unwrap_or_default();
        let claim = recovery::Claim {
            hub,
            connection_id: id,
            token,
            negotiated: negotiated.map(|(_, spelling)| spelling),
        };
        let protocol = recovery::handle(app, request, claim).await?;
        return Ok(switching_protocols(accept, protocol.as_deref()));
    }
    let origin = Origin::of(request, peer, &app.config.network.trusted_proxies);
    let mut admission = admit(app, request, &query, &hub, &origin, is_legacy)?;
    let raw_mode = raw_mode(&query)?;
    check_running(app)?;
    let memory = app.config.limits.memory;
    if memory > 0 && app.metrics.waiting_bytes() > memory + memory / 8 {
        let reason = "Too much is waiting for clients or event handlers.";
        return Err(refuse_for_now(StatusCode::SERVICE_UNAVAILABLE, reason));
    }
    let mut place = KeptPlace::take(app, &hub, &admission.identity)?;
    let mut protocol = negotiated.map(|(_, spelling)| spelling);
    if app.node.upstream.wants_connect(&hub) {
        let id = place.reserve().await?;
        let event = connect::event(&hub, id, &admission, request, &offered, peer);
        let answer = app.node.upstream.connect(event).await;
        protocol = connect::apply(answer, &mut admission, &offered)?.or(protocol);
        check_running(app)?;
    }
    let (subprotocol, _) = protocol
        .and_then(|protocol| Subprotocol::negotiate([protocol]))
        .unwrap_or((Subprotocol::Simple, ""));
    let open = Open {
        hub: hub.clone(),
        settings: Arc::new(hub_settings(settings, &app.config.firewall)),
        subprotocol,
        spelling: protocol
            .filter(|protocol| subprotocol.name() != Some(*protocol))
            .map(Into::into),
        user: admission.user,
        groups: admission.groups,
        roles: admission.roles,
        raw_mode,
        place: place.for_engine()?,
    };
    let on_upgrade = hyper::upgrade::on(request);
    let socket = open_connection(app, open, place).await?;
    tracing::info!(
        target: "hubwire::connectivity",
        %hub,
        connection_id = socket.id,
        peer = %peer.addr,
        "connection started"
    );
    tokio::spawn(hand_over(on_upgrade, socket));
    Ok(switching_protocols(accept, protocol))
}

/// What is taken for a connection that may come about. Dropped before it does, everything is given back.
struct KeptPlace<'a> {
    app: &'a App,
    hub: &'a Hub,
    /// Absent once all is given to a shard.
    pass: Option<Pass>,
    reserved: Option<(u16, ConnectionKey, String)>,
}

impl<'a> KeptPlace<'a> {
    /// Takes a part of the quotas, and a place among those of the same user, token or claim.
    fn take(app: &'a App, hub: &'a Hub, identity: &Identity) -> Result<Self, Refusal> {
        let pass = identity.admit(app.node.clock.now()).map_err(|TooMany| {
            let reason =
                "There are as many connections of this user, token or claim as there may be.";
            refuse_for_now(StatusCode::TOO_MANY_REQUESTS, reason)
        })?;
        if app.node.quotas.open_connection(hub).is_err() {
            let reason = "There are as many connections as there may be.";
            return Err(refuse_for_now(StatusCode::TOO_MANY_REQUESTS, reason));
        }
        Ok(Self {
            app,
            hub,
            pass: Some(pass),
            reserved: None,
        })
    }

    /// Has a shard keep a place. Returns the id that the connection will have.
    async fn reserve(&mut self) -> Result<&str, Refusal> {
        let reserved = self.app.node.reserve_place(random()?).await;
        let Ok((shard, Reply::Reserved { key, id })) = reserved else {
            return Err(overloaded());
        };
        let (_, _, id) = self.reserved.insert((shard, key, id.to_string()));
        Ok(id)
    }

    /// Returns where the connection gets its id from.
    fn for_engine(&self) -> Result<Place, Refusal> {
        match &self.reserved {
            Some((_, key, _)) => Ok(Place::Reserved(*key)),
            None => Ok(Place::Random(random()?)),
        }
    }

    /// Drops what was kept for the connection when a handler let it in.
    fn forget_connect(&self) {
        if let Some((_, _, id)) = &self.reserved {
            self.app.node.upstream.forget(self.hub, id);
        }
    }
}

impl Drop for KeptPlace<'_> {
    fn drop(&mut self) {
        if self.pass.is_none() {
            return;
        }
        if let Some((shard, key, _)) = &self.reserved {
            self.app.node.release(*shard, *key);
        }
        self.forget_connect();
        self.app.node.quotas.close_connection(self.hub);
    }
}

fn overloaded() -> Refusal {
    let reason = "The service is overloaded.";
    refuse_for_now(StatusCode::SERVICE_UNAVAILABLE, reason)
}

/// Makes the 101.
pub(crate) fn switching_protocols(accept: HeaderValue, protocol: Option<&str>) -> Response {
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(protocol) = protocol
        && let Ok(protocol) = HeaderValue::from_str(protocol)
    {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    response
}

/// Returns what a shard has to know of a hub.
pub(crate) fn hub_settings(settings: &HubConfig, firewall: &FirewallConfig) -> HubSettings {
    HubSettings {
        keep_alive_interval_ms: settings.web_socket_keep_alive_interval.as_millis() as u64,
        connection_lifetime_ms: firewall.max_client_connection_lifetime.as_millis() as u64,
        drop_connection_on_event_failure: settings.drop_connection_on_event_failure,
        reliable_buffer: BufferLimits {
            messages: settings.reliable_buffer_messages,
            bytes: settings.reliable_buffer_bytes,
        },
        events: event_settings(settings),
        streaming: settings.streaming,
        group_state: settings.group_state,
        invocation: settings.invocation,
    }
}

/// Checks whether a request of a type may come from where it comes from. Source: events-and-operations 9.3.
pub(crate) fn check_network(
    app: &App,
    asks_for: RequestType,
    request: &Request<Incoming>,
    peer: &Peer,
) -> Result<(), Refusal> {
    network_rules::check(&app.config.network, asks_for, request, peer)
        .map_err(|Denied| refuse(StatusCode::FORBIDDEN, Denied::MESSAGE))
}

pub(crate) fn check_running(app: &App) -> Result<(), Refusal> {
    match app.is_shutting_down() {
        true => Err(refuse_for_now(
            StatusCode::SERVICE_UNAVAILABLE,
            "The service is shutting down.",
        )),
        false => Ok(()),
    }
}

/// Returns the hub's name as given, if it is, and whether it came in the query as it once did.
fn hub_of(path: &str, query: &Query) -> Result<(Option<String>, bool), Refusal> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    match segments.as_slice() {
        ["client"] => Ok((query.first("hub").map(str::to_owned), true)),
        ["client", "hubs", hub] => {
            let hub = decode_segment(hub, false);
            Ok((Some(hub.into_owned()), false))
        }
        _ => Err(refuse(
            StatusCode::NOT_FOUND,
            "There is nothing at this path.",
        )),
    }
}

/// Checks that the request asks for WebSocket. Returns the answer to its key.
pub(crate) fn check_upgrade(request: &Request<Incoming>) -> Result<HeaderValue, Refusal> {
    let headers = request.headers();
    let is_upgrade = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && has_token(headers, &CONNECTION, "upgrade")
        && has_token(headers, &UPGRADE, "websocket");
    if !is_upgrade {
        return Err(refuse(
            StatusCode::BAD_REQUEST,
            "This is a WebSocket endpoint.",
        ));
    }
    if headers
        .get(SEC_WEBSOCKET_VERSION)
        .is_none_or(|version| version != "13")
    {
        let refusal = refuse(StatusCode::UPGRADE_REQUIRED, "The WebSocket version is 13.");
        return Err(refusal.with_header(SEC_WEBSOCKET_VERSION, "13"));
    }
    headers
        .get(SEC_WEBSOCKET_KEY)
        .and_then(|key| hubwire_ws::accept_key(key.as_bytes()))
        .and_then(|accept| HeaderValue::from_str(&accept).ok())
        .ok_or_else(|| {
            let reason = "The header Sec-WebSocket-Key is not the base64 of 16 bytes.";
            refuse(StatusCode::BAD_REQUEST, reason)
        })
}

fn has_token(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case(wanted))
}

/// Refuses pages of other origins where the hub names its own. Only browsers send the header.
fn check_origin(headers: &HeaderMap, settings: &HubConfig) -> Result<(), Refusal> {
    let Some(origin) = headers.get(ORIGIN) else {
        return Ok(());
    };
    let origin = origin.as_bytes();
    let is_allowed = settings.allowed_origins.is_empty()
        || settings
            .allowed_origins
            .iter()
            .any(|allowed| allowed == "*" || allowed.as_bytes().eq_ignore_ascii_case(origin));
    match is_allowed {
        true => Ok(()),
        false => Err(refuse(
            StatusCode::FORBIDDEN,
            "The hub does not allow connections of pages from this origin.",
        )),
    }
}

/// What a client's token says.
#[derive(Default)]
struct Admission {
    claims: Vec<(String, Vec<String>)>,
    identity: Identity,
    user: Option<UserId>,
    groups: Vec<GroupName>,
    roles: Vec<String>,
}

fn admit(
    app: &App,
    request: &Request<Incoming>,
    query: &Query,
    hub: &Hub,
    origin: &Origin,
    is_legacy: bool,
) -> Result<Admission, Refusal> {
    let unauthorized =
        || refuse(StatusCode::UNAUTHORIZED, "").with_header(WWW_AUTHENTICATE, "Bearer");
    let in_query = query
        .first("access_token")
        .filter(|token| !token.is_empty());
    let Some(token) = in_query.or_else(|| bearer_token(request)) else {
        return match app.config.hubs.get(hub.as_str()).anonymous_connect_policy {
            AnonymousConnectPolicy::Allow => Ok(Admission::default()),
            AnonymousConnectPolicy::Deny => Err(unauthorized()),
        };
    };
    let claims = app
        .auth
        .check_client(token, origin, hub, is_legacy)
        .map_err(|error| {
            tracing::debug!(%hub, %error, "client refused");
            unauthorized()
        })?;
    let user = claims.user_id().map(UserId::new).transpose();
    let groups: Result<_, _> = claims.groups().map(GroupName::new).collect();
    Ok(Admission {
        claims: claims.entries().collect(),
        identity: app.firewall.identify(token, &claims),
        user: user.map_err(|_| {
            refuse(
                StatusCode::BAD_REQUEST,
                "The token contains an invalid user ID.",
            )
        })?,
        groups: groups.map_err(|_| {
            refuse(
                StatusCode::BAD_REQUEST,
                "The token contains an invalid group name.",
            )
        })?,
        roles: claims.roles().map(str::to_owned).collect(),
    })
}

/// Reads what a simple client's messages are to do.
fn raw_mode(query: &Query) -> Result<RawMode, Refusal> {
    let bad = |reason| refuse(StatusCode::BAD_REQUEST, reason);
    let no_echo = match query.last("noecho").unwrap_or_default() {
        value if value.is_empty() || value.eq_ignore_ascii_case("false") => false,
        value if value.eq_ignore_ascii_case("true") => true,
        _ => return Err(bad("The query parameter noEcho is neither true nor false.")),
    };
    let mode = query.last("webpubsub_mode").unwrap_or_default();
    if mode.is_empty() || mode.eq_ignore_ascii_case("sendEvent") {
        return Ok(RawMode::Event);
    }
    if !mode.eq_ignore_ascii_case("sendToGroup") {
        return Err(bad(
            "The query parameter webpubsub_mode is neither sendEvent nor sendToGroup.",
        ));
    }
    let group = GroupName::new(query.last("group").unwrap_or_default())
        .map_err(|_| bad("The query parameter group is not a valid group name."))?;
    Ok(RawMode::Publish { group, no_echo })
}

fn offered_subprotocols(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

fn random() -> Result<[u8; 16], Refusal> {
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| {
        refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            "No random numbers are to be had.",
        )
    })?;
    Ok(random)
}

/// Activates a connection: from here on it is visible and its output is kept for it.
async fn open_connection(
    app: &Arc<App>,
    open: Open,
    mut place: KeptPlace<'_>,
) -> Result<PendingSocket, Refusal> {
    let hub = open.hub.clone();
    let kept_by = place.reserved.as_ref().map(|(shard, ..)| *shard);
    let pass = place.pass.take().unwrap_or_default();
    let opened = app.node.open(open, pass, kept_by).await;
    let Ok((
        shard,
        Reply::Opened {
            key,
            id,
            ignored_roles,
        },
    )) = opened
    else {
        if let Ok((_, Reply::NotFound)) = opened {
            // The shard gives back only what a connection has had.
            app.node.quotas.close_connection(&hub);
        }
        place.forget_connect();
        return Err(overloaded());
    };
    if ignored_roles > 0 {
        tracing::debug!(%hub, connection_id = %id, ignored_roles, "roles were not understood");
    }
    Ok(PendingSocket::new(app, shard, key, id.to_string()))
}

/// An active connection that waits for its socket. Dropped without one, it ends the connection.
struct PendingSocket {
    node: Arc<Node>,
    shard: u16,
    key: ConnectionKey,
    id: String,
    is_attached: bool,
}

impl PendingSocket {
    fn new(app: &App, shard: u16, key: ConnectionKey, id: String) -> Self {
        Self {
            node: app.node.clone(),
            shard,
            key,
            id,
            is_attached: false,
        }
    }

    fn attach(mut self, io: Io, received: Bytes) {
        self.is_attached = true;
        let attach = Attach {
            key: self.key,
            io,
            received,
        };
        self.node.attach(self.shard, attach);
    }
}

impl Drop for PendingSocket {
    fn drop(&mut self) {
        if !self.is_attached {
            self.node.abandon(self.shard, self.key);
        }
    }
}

/// Waits until the 101 is written, then takes the bare socket out of the upgrade and gives it to the shard.
async fn hand_over(on_upgrade: OnUpgrade, socket: PendingSocket) {
    match timeout(HANDOVER_TIMEOUT, on_upgrade).await {
        Ok(Ok(upgraded)) => match take_apart(upgraded) {
            Ok((io, received)) => socket.attach(io, received),
            Err(error) => tracing::warn!(%error, "cannot take the socket out of an upgrade"),
        },
        Ok(Err(error)) => tracing::debug!(%error, "upgrade failed"),
        Err(_) => tracing::debug!("upgrade timed out"),
    }
}

fn take_apart(upgraded: Upgraded) -> std::io::Result<(Io, Bytes)> {
    let upgraded = match downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => {
            let tcp: StdTcpStream = parts.io.into_inner().into_std()?;
            return Ok((Io::plain(tcp), parts.read_buf));
        }
        Err(upgraded) => upgraded,
    };
    match downcast::<TokioIo<TlsStream<TcpStream>>>(upgraded) {
        Ok(parts) => {
            let (tcp, session) = parts.io.into_inner().into_inner();
            Ok((Io::tls(tcp.into_std()?, session), parts.read_buf))
        }
        Err(_) => Err(std::io::Error::other("the stream is neither TCP nor TLS")),
    }
}
