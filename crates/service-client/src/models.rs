//! Options of methods, and what methods return.
//!
//! Every method that has options takes them as its last argument; `None` is the same as all defaults.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use azure_core::http::pager::{Page, PagerContinuation};
use serde::Deserialize;
use serde_json::Value;

use crate::error::invalid;
pub use crate::options::RequestOptions;

/// The version of the REST API that requests name by default.
pub const API_VERSION: &str = "2024-12-01";

/// Options of [`send_to_all`](crate::WebPubSubServiceClient::send_to_all).
#[derive(Clone, Debug, Default)]
pub struct SendToAllOptions {
    /// Ids of connections that do not get the message.
    pub excluded: Vec<String>,
    /// Only connections that match get the message. See [`crate::filter`].
    pub filter: Option<String>,
    /// Drop the message where it cannot be handed over within this time. 0 to 300 seconds, 0 for never.
    pub message_ttl_seconds: Option<u16>,
    /// Names and values that go with the message. Names are at most 256 bytes of letters, digits and some signs, values at most 1,024
    /// bytes of ASCII, all together at most 8,192 bytes.
    pub metadata: BTreeMap<String, String>,
    /// Options that every method has.
    pub request: RequestOptions,
}

/// Options of [`send_to_group`](crate::WebPubSubServiceClient::send_to_group).
pub type SendToGroupOptions = SendToAllOptions;

/// Options of [`send_to_user`](crate::WebPubSubServiceClient::send_to_user).
#[derive(Clone, Debug, Default)]
pub struct SendToUserOptions {
    /// Only connections that match get the message. See [`crate::filter`].
    pub filter: Option<String>,
    /// Drop the message where it cannot be handed over within this time. 0 to 300 seconds, 0 for never.
    pub message_ttl_seconds: Option<u16>,
    /// Names and values that go with the message, as in [`SendToAllOptions::metadata`].
    pub metadata: BTreeMap<String, String>,
    /// Options that every method has.
    pub request: RequestOptions,
}

/// Options of [`send_to_connection`](crate::WebPubSubServiceClient::send_to_connection).
#[derive(Clone, Debug, Default)]
pub struct SendToConnectionOptions {
    /// Drop the message where it cannot be handed over within this time. 0 to 300 seconds, 0 for never.
    pub message_ttl_seconds: Option<u16>,
    /// Names and values that go with the message, as in [`SendToAllOptions::metadata`].
    pub metadata: BTreeMap<String, String>,
    /// Options that every method has.
    pub request: RequestOptions,
}

/// Options of the methods that close many connections.
#[derive(Clone, Debug, Default)]
pub struct CloseConnectionsOptions {
    /// Ids of connections to leave open.
    pub excluded: Vec<String>,
    /// What clients are told.
    pub reason: Option<String>,
    /// Options that every method has.
    pub request: RequestOptions,
}

/// Options of [`close_connection`](crate::WebPubSubServiceClient::close_connection).
#[derive(Clone, Debug, Default)]
pub struct CloseConnectionOptions {
    /// What the client is told.
    pub reason: Option<String>,
    /// Options that every method has.
    pub request: RequestOptions,
}

/// Options of [`add_connections_to_groups`](crate::WebPubSubServiceClient::add_connections_to_groups) and
/// [`remove_connections_from_groups`](crate::WebPubSubServiceClient::remove_connections_from_groups).
#[derive(Clone, Debug, Default)]
pub struct ChangeGroupsOptions {
    /// The connections meant: all of the hub without one. See [`crate::filter`].
    pub filter: Option<String>,
    /// Options that every method has.
    pub request: RequestOptions,
}

/// Options of [`list_connections`](crate::WebPubSubServiceClient::list_connections).
#[derive(Clone, Debug, Default)]
pub struct ListConnectionsOptions {
    /// Most members to list. At least 1. Default all.
    pub top: Option<u32>,
    /// Most members on a page. 1 to 200. Default 200.
    pub max_page_size: Option<u32>,
    /// Where to go on: what a pager gave as its continuation, or a token of the service.
    pub continuation: Option<PagerContinuation>,
    /// Options that every method has.
    pub request: RequestOptions,
}

/// Options of [`get_client_access_token`](crate::WebPubSubServiceClient::get_client_access_token).
#[derive(Clone, Debug, Default)]
pub struct ClientAccessTokenOptions {
    /// The user that the client will be. Default none.
    pub user_id: Option<String>,
    /// What the client may do, such as `webpubsub.sendToGroup.chat`.
    pub roles: Vec<String>,
    /// Groups that the client is in from the start.
    pub groups: Vec<String>,
    /// How long the token opens connections. At least 1 minute. Default 60. Not together with `expires_at`.
    pub minutes_to_expire: Option<u32>,
    /// When the token stops to open connections. Without an access key it is rounded down to minutes from now.
    pub expires_at: Option<SystemTime>,
    /// How the client will speak.
    pub client_protocol: ClientProtocol,
    /// Further headers of the token. Tokens made with an access key only.
    pub jwt_headers: BTreeMap<String, Value>,
    /// Options that every method has. Without effect where the token is made locally.
    pub request: RequestOptions,
}

/// How a client speaks, which decides where it connects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientProtocol {
    /// WebSocket, plain or with a subprotocol of the service.
    #[default]
    Default,
    /// MQTT over WebSocket.
    Mqtt,
    /// Socket.IO.
    SocketIo,
}

impl ClientProtocol {
    /// Returns the path before the hub.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Default => "/client/hubs/",
            Self::Mqtt => "/clients/mqtt/hubs/",
            Self::SocketIo => "/clients/socketio/hubs/",
        }
    }

    /// Returns the name in the REST API.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Default => "Default",
            Self::Mqtt => "MQTT",
            Self::SocketIo => "SocketIO",
        }
    }
}

impl FromStr for ClientProtocol {
    type Err = azure_core::Error;

    /// Reads `Default`, `MQTT` or `SocketIO`, whatever the letter case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Default, Self::Mqtt, Self::SocketIo]
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| {
                invalid(format!(
                    "{text:?} is no client protocol; use Default, MQTT or SocketIO"
                ))
            })
    }
}

/// What a connection may be allowed to do with a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Permission {
    /// Send to the group.
    SendToGroup,
    /// Join and leave the group.
    JoinLeaveGroup,
}

impl Permission {
    /// Returns the name in the REST API.
    ///
    /// ```
    /// # use hubwire_service_client::Permission;
    /// assert_eq!(Permission::SendToGroup.as_str(), "sendToGroup");
    /// ```
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SendToGroup => "sendToGroup",
            Self::JoinLeaveGroup => "joinLeaveGroup",
        }
    }
}

impl FromStr for Permission {
    type Err = azure_core::Error;

    /// Reads `sendToGroup` or `joinLeaveGroup`, whatever the letter case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::SendToGroup, Self::JoinLeaveGroup]
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| {
                invalid(format!(
                    "{text:?} is no permission; use sendToGroup or joinLeaveGroup"
                ))
            })
    }
}

/// What a client needs to connect. `Debug` does not show the token.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientAccessToken {
    /// Where to connect, without the token: `ws` or `wss`.
    pub base_url: String,
    /// The token.
    pub token: String,
    /// Where to connect, with the token in its query.
    pub url: String,
}

impl ClientAccessToken {
    pub(crate) fn new(base_url: String, token: String) -> Self {
        Self {
            url: format!("{base_url}?access_token={token}"),
            base_url,
            token,
        }
    }
}

impl fmt::Debug for ClientAccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAccessToken")
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

/// A connection in a group.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct GroupMember {
    /// The id of the connection.
    pub connection_id: String,
    /// The user of the connection, if it has one.
    #[serde(default)]
    pub user_id: Option<String>,
}

/// Some connections in a group, and where the next are.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct GroupMemberPage {
    /// The connections.
    #[serde(default)]
    pub value: Vec<GroupMember>,
    /// The address of the next page, if there is one.
    #[serde(default)]
    pub next_link: Option<String>,
}

#[async_trait::async_trait]
impl Page for GroupMemberPage {
    type Item = GroupMember;
    type IntoIter = std::vec::IntoIter<GroupMember>;

    async fn into_items(self) -> azure_core::Result<Self::IntoIter> {
        Ok(self.value.into_iter())
    }
}
