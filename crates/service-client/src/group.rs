//! A client for one group.

use azure_core::http::{NoFormat, Pager, Response};

use crate::client::WebPubSubServiceClient;
use crate::message::Message;
use crate::models::{
    CloseConnectionsOptions, GroupMemberPage, ListConnectionsOptions, RequestOptions,
    SendToGroupOptions,
};

/// The methods of a [`WebPubSubServiceClient`] that are about one group. Errors are as there.
#[derive(Clone, Debug)]
pub struct GroupClient {
    service: WebPubSubServiceClient,
    name: String,
}

impl GroupClient {
    pub(crate) fn new(service: WebPubSubServiceClient, name: &str) -> Self {
        Self {
            service,
            name: name.to_owned(),
        }
    }

    /// Returns the name of the group.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// assert_eq!(service.group("room").name(), "room");
    /// # Ok(()) }) }
    /// ```
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends a message to every connection in the group.
    ///
    /// ```
    /// use hubwire_service_client::Message;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// service.group("room").send_to_all(Message::text("Hello room"), None).await?;
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`WebPubSubServiceClient::send_to_group`].
    pub async fn send_to_all(
        &self,
        message: Message,
        options: Option<SendToGroupOptions>,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        self.service
            .send_to_group(&self.name, message, options)
            .await
    }

    /// Closes all connections in the group.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// service.group("room").close_all_connections(None).await?;
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`WebPubSubServiceClient::close_group_connections`].
    pub async fn close_all_connections(
        &self,
        options: Option<CloseConnectionsOptions>,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        self.service
            .close_group_connections(&self.name, options)
            .await
    }

    /// Tells whether the group has a member.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// assert!(!service.group("room").exists(None).await?);
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`WebPubSubServiceClient::group_exists`].
    pub async fn exists(&self, options: Option<RequestOptions>) -> azure_core::Result<bool> {
        self.service.group_exists(&self.name, options).await
    }

    /// Adds a connection to the group.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// let missing = service.group("room").add_connection("a connection id", None).await;
    /// assert!(missing.is_err());
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`WebPubSubServiceClient::add_connection_to_group`].
    pub async fn add_connection(
        &self,
        connection_id: &str,
        options: Option<RequestOptions>,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        self.service
            .add_connection_to_group(&self.name, connection_id, options)
            .await
    }

    /// Removes a connection from the group.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// service.group("room").remove_connection("a connection id", None).await?;
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`WebPubSubServiceClient::remove_connection_from_group`].
    pub async fn remove_connection(
        &self,
        connection_id: &str,
        options: Option<RequestOptions>,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        self.service
            .remove_connection_from_group(&self.name, connection_id, options)
            .await
    }

    /// Adds the connections that a user has now to the group.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// let missing = service.group("room").add_user("nobody", None).await;
    /// assert!(missing.is_err());
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`WebPubSubServiceClient::add_user_to_group`].
    pub async fn add_user(
        &self,
        user_id: &str,
        options: Option<RequestOptions>,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        self.service
            .add_user_to_group(&self.name, user_id, options)
            .await
    }

    /// Removes the connections of a user from the group.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// service.group("room").remove_user("alice", None).await?;
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`WebPubSubServiceClient::remove_user_from_group`].
    pub async fn remove_user(
        &self,
        user_id: &str,
        options: Option<RequestOptions>,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        self.service
            .remove_user_from_group(&self.name, user_id, options)
            .await
    }

    /// Lists the connections in the group.
    ///
    /// ```
    /// use futures_util::TryStreamExt;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// let members: Vec<_> = service.group("room").list_connections(None)?.try_collect().await?;
    /// assert!(members.is_empty());
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`WebPubSubServiceClient::list_connections`].
    pub fn list_connections(
        &self,
        options: Option<ListConnectionsOptions>,
    ) -> azure_core::Result<Pager<GroupMemberPage>> {
        self.service.list_connections(&self.name, options)
    }
}
