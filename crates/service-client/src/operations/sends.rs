//! Sending messages.

use std::collections::BTreeMap;

use azure_core::http::headers::CONTENT_TYPE;
use azure_core::http::{Method, NoFormat, Response};
use hubwire_protocol::metadata::Metadata;

use crate::address::Address;
use crate::client::{Operation, WebPubSubServiceClient};
use crate::error::invalid;
use crate::message::Message;
use crate::models::{
    RequestOptions, SendToAllOptions, SendToConnectionOptions, SendToGroupOptions,
    SendToUserOptions,
};

const METADATA_HEADER: &str = "x-webpubsub-metadata-";
/// Longest time to live of a message. Seconds.
const TTL_MAX: u16 = 300;

impl WebPubSubServiceClient {
    /// Sends a message to every connection of the hub. Success means accepted: the service does not wait for clients.
    ///
    /// ```
    /// use hubwire_service_client::Message;
    /// use hubwire_service_client::models::SendToAllOptions;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// service.send_to_all(Message::text("Hello world"), None).await?;
    /// let options = SendToAllOptions {
    ///     excluded: vec!["a connection id".to_owned()],
    ///     ..Default::default()
    /// };
    /// service.send_to_all(Message::json(&[1, 2])?, Some(options)).await?;
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// An option that cannot be right, or an answer of the service other than 202.
    pub async fn send_to_all(
        &self,
        message: Message,
        options: Option<SendToAllOptions>,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        let options = options.unwrap_or_default();
        let address = self.address().literal("/:send");
        self.send_many("WebPubSub.sendToAll", address, message, options)
            .await
    }

    /// Sends a message to every connection in a group. Success means accepted, whether or not the group has members.
    ///
    /// ```
    /// use hubwire_service_client::Message;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// service.send_to_group("room", Message::text("Hello room"), None).await?;
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// A name or an option that cannot be right, or an answer of the service other than 202.
    pub async fn send_to_group(
        &self,
        group: &str,
        message: Message,
        options: Option<SendToGroupOptions>,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        let options = options.unwrap_or_default();
        let address = self.group_address(group)?.literal("/:send");
        self.send_many("WebPubSub.sendToGroup", address, message, options)
            .await
    }

    /// Sends a message to every connection of a user. Success means accepted, whether or not the user has connections.
    ///
    /// ```
    /// use hubwire_service_client::Message;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// service.send_to_user("alice", Message::text("Hello Alice"), None).await?;
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// A name or an option that cannot be right, or an answer of the service other than 202.
    pub async fn send_to_user(
        &self,
        user_id: &str,
        message: Message,
        options: Option<SendToUserOptions>,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        let options = options.unwrap_or_default();
        let address = self.user_address(user_id)?.literal("/:send");
        let many = SendToAllOptions {
            excluded: Vec::new(),
            filter: options.filter,
            message_ttl_seconds: options.message_ttl_seconds,
            metadata: options.metadata,
            request: options.request,
        };
        self.send_many("WebPubSub.sendToUser", address, message, many)
            .await
    }

    /// Sends a message to one connection. Success means accepted, whether or not the connection exists.
    ///
    /// ```
    /// use hubwire_service_client::Message;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// service.send_to_connection("a connection id", Message::text("Hello you"), None).await?;
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// An id or an option that cannot be right, or an answer of the service other than 202.
    pub async fn send_to_connection(
        &self,
        connection_id: &str,
        message: Message,
        options: Option<SendToConnectionOptions>,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        let options = options.unwrap_or_default();
        let address = self.connection_address(connection_id)?.literal("/:send");
        let many = SendToAllOptions {
            message_ttl_seconds: options.message_ttl_seconds,
            metadata: options.metadata,
            request: options.request,
            ..SendToAllOptions::default()
        };
        self.send_many("WebPubSub.sendToConnection", address, message, many)
            .await
    }

    async fn send_many(
        &self,
        name: &'static str,
        address: Address,
        message: Message,
        options: SendToAllOptions,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        let ttl = options.message_ttl_seconds;
        if let Some(ttl) = ttl.filter(|ttl| *ttl > TTL_MAX) {
            return Err(invalid(format!(
                "a message cannot live for {ttl} seconds; give 0 to {TTL_MAX}"
            )));
        }
        let mut address = address
            .query_each("excluded", &options.excluded)
            .query("api-version", self.api_version(&options.request))
            .query_if("filter", options.filter.as_deref());
        if let Some(ttl) = ttl {
            address = address.query("messageTtlSeconds", &ttl.to_string());
        }
        let url = address.finish()?;
        let mut request_options = options.request;
        add_metadata(options.metadata, &mut request_options)?;
        let mut request = self.request_with(Method::Post, url, &request_options);
        request.insert_header(CONTENT_TYPE, message.content_type.as_str());
        request.set_body(message.body);
        let operation = Operation {
            name,
            success: 202,
            is_send: true,
        };
        Ok(self.send(operation, request, request_options).await?.into())
    }
}

/// Turns metadata into headers, checked as the service would.
fn add_metadata(
    metadata: BTreeMap<String, String>,
    options: &mut RequestOptions,
) -> azure_core::Result<()> {
    let mut checked = Metadata::default();
    for (name, value) in metadata {
        let header = format!("{METADATA_HEADER}{}", name.to_ascii_lowercase());
        // The service takes what follows the last comma.
        if value.contains(',') {
            return Err(invalid(format!(
                "the metadata value of {name:?} holds a comma, which the service would cut it at"
            )));
        }
        checked
            .insert(name, value.clone())
            .map_err(|error| invalid(error.to_string()))?;
        options.headers.insert(header, value);
    }
    Ok(())
}
