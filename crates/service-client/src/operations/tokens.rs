//! Tokens with which clients connect.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use azure_core::http::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::client::{Operation, WebPubSubServiceClient};
use crate::credential::AccessKeyCredential;
use crate::error::invalid;
use crate::models::{ClientAccessToken, ClientAccessTokenOptions, ClientProtocol};

const MINUTES_DEFAULT: u32 = 60;
/// The first version of the REST API that knows kinds of clients.
const CLIENT_TYPE_SINCE: &str = "2024-01-01";

impl WebPubSubServiceClient {
    /// Makes a token with which a client can connect to the hub, and the address to connect to.
    ///
    /// With an access key the token is made locally, without a request. With an identity the service makes it.
    ///
    /// ```
    /// use hubwire_service_client::models::ClientAccessTokenOptions;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// let options = ClientAccessTokenOptions {
    ///     user_id: Some("alice".to_owned()),
    ///     roles: vec!["webpubsub.joinLeaveGroup.room".to_owned()],
    ///     ..Default::default()
    /// };
    /// let access = service.get_client_access_token(Some(options)).await?;
    /// assert!(access.url.starts_with("ws://"));
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// An option that cannot be right; with an identity, an answer of the service other than 200.
    pub async fn get_client_access_token(
        &self,
        options: Option<ClientAccessTokenOptions>,
    ) -> azure_core::Result<ClientAccessToken> {
        let options = options.unwrap_or_default();
        let now = self.0.clock.unix_seconds();
        let expiry = expiry(&options, now)?;
        let path = options.client_protocol.path();
        let http = format!("{}{path}{}", self.0.endpoint.as_str(), self.0.hub);
        // "http" becomes "ws", "https" becomes "wss".
        let base_url = format!("ws{}", &http["http".len()..]);
        let token = match &self.0.access_key {
            Some(key) => local_token(key, &options, http, now, expiry),
            None => self.generate_token(options, expiry - now).await?,
        };
        Ok(ClientAccessToken::new(base_url, token))
    }

    async fn generate_token(
        &self,
        options: ClientAccessTokenOptions,
        lifetime: u64,
    ) -> azure_core::Result<String> {
        if !options.jwt_headers.is_empty() {
            return Err(invalid(
                "headers of a token need an access key; the service makes tokens without"
                    .to_owned(),
            ));
        }
        let version = self.api_version(&options.request);
        let has_client_type = version >= CLIENT_TYPE_SINCE;
        let protocol = options.client_protocol;
        if !has_client_type && protocol != ClientProtocol::Default {
            return Err(invalid(format!(
                "API version {version} knows no tokens for {} clients; use {CLIENT_TYPE_SINCE} or later",
                protocol.as_str()
            )));
        }
        let minutes = (lifetime / 60).max(1).to_string();
        let client_type = has_client_type.then(|| protocol.as_str());
        let url = self
            .address()
            .literal("/:generateToken")
            .query_if("userId", options.user_id.as_deref())
            .query_each("role", &options.roles)
            .query("minutesToExpire", &minutes)
            .query("api-version", version)
            .query_each("group", &options.groups)
            .query_if("clientType", client_type)
            .finish()?;
        let operation = Operation::new("WebPubSub.generateClientToken", 200);
        let response = self
            .call(operation, Method::Post, url, options.request)
            .await?;
        let answer: Generated = response.body().json()?;
        Ok(answer.token)
    }
}

#[derive(Deserialize)]
struct Generated {
    token: String,
}

/// Returns when the token expires, in seconds since 1970.
fn expiry(options: &ClientAccessTokenOptions, now: u64) -> azure_core::Result<u64> {
    match (options.minutes_to_expire, options.expires_at) {
        (Some(_), Some(_)) => Err(invalid(
            "a token has either minutes to expire or a time at which it does, not both".to_owned(),
        )),
        (Some(0), None) => Err(invalid(
            "a token cannot expire in 0 minutes; give at least 1".to_owned(),
        )),
        (minutes, None) => Ok(now + u64::from(minutes.unwrap_or(MINUTES_DEFAULT)) * 60),
        (None, Some(time)) => seconds(time)
            .filter(|expiry| *expiry > now)
            .ok_or_else(|| invalid("the time at which the token expires is past".to_owned())),
    }
}

fn seconds(time: SystemTime) -> Option<u64> {
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

fn local_token(
    key: &AccessKeyCredential,
    options: &ClientAccessTokenOptions,
    audience: String,
    now: u64,
    expiry: u64,
) -> String {
    let mut claims: BTreeMap<&str, Value> = BTreeMap::from([
        ("aud", audience.into()),
        ("iat", now.into()),
        ("nbf", now.into()),
        ("exp", expiry.into()),
    ]);
    if let Some(user_id) = options.user_id.as_deref().filter(|id| !id.is_empty()) {
        claims.insert("sub", user_id.into());
    }
    if !options.roles.is_empty() {
        claims.insert("role", options.roles.clone().into());
    }
    if !options.groups.is_empty() {
        claims.insert("webpubsub.group", options.groups.clone().into());
    }
    key.token(&options.jwt_headers, &claims)
}
