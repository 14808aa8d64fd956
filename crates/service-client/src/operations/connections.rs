//! Connections and users: whether they exist, and closing them.

use azure_core::http::{Method, NoFormat, Response};

use crate::address::Address;
use crate::client::{Operation, WebPubSubServiceClient};
use crate::models::{CloseConnectionOptions, CloseConnectionsOptions, RequestOptions};

impl WebPubSubServiceClient {
    /// Tells whether a connection exists. One that was lost and may still be recovered does.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// assert!(!service.connection_exists("a connection id", None).await?);
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// An id that cannot be right, or an answer of the service other than 200 and 404.
    pub async fn connection_exists(
        &self,
        connection_id: &str,
        options: Option<RequestOptions>,
    ) -> azure_core::Result<bool> {
        let address = self.connection_address(connection_id)?;
        self.exists("WebPubSub.connectionExists", address, options)
            .await
    }

    /// Tells whether a group has a member.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// assert!(!service.group_exists("room", None).await?);
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// A name that cannot be right, or an answer of the service other than 200 and 404.
    pub async fn group_exists(
        &self,
        group: &str,
        options: Option<RequestOptions>,
    ) -> azure_core::Result<bool> {
        let address = self.group_address(group)?;
        self.exists("WebPubSub.groupExists", address, options).await
    }

    /// Tells whether a user has a connection.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// assert!(!service.user_exists("alice", None).await?);
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// A name that cannot be right, or an answer of the service other than 200 and 404.
    pub async fn user_exists(
        &self,
        user_id: &str,
        options: Option<RequestOptions>,
    ) -> azure_core::Result<bool> {
        let address = self.user_address(user_id)?;
        self.exists("WebPubSub.userExists", address, options).await
    }

    /// Closes a connection. Success whether or not it exists.
    ///
    /// ```
    /// use hubwire_service_client::models::CloseConnectionOptions;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// let options = CloseConnectionOptions {
    ///     reason: Some("The session has ended.".to_owned()),
    ///     ..Default::default()
    /// };
    /// service.close_connection("a connection id", Some(options)).await?;
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// An id that cannot be right, or an answer of the service other than 204.
    pub async fn close_connection(
        &self,
        connection_id: &str,
        options: Option<CloseConnectionOptions>,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        let options = options.unwrap_or_default();
        let url = self
            .connection_address(connection_id)?
            .query_if("reason", options.reason.as_deref())
            .query("api-version", self.api_version(&options.request))
            .finish()?;
        let operation = Operation::new("WebPubSub.closeConnection", 204);
        self.call_for_status(operation, Method::Delete, url, options.request)
            .await
    }

    /// Closes all connections of the hub, those that are open when the service gets the call.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// service.close_all_connections(None).await?;
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// An answer of the service other than 204.
    pub async fn close_all_connections(
        &self,
        options: Option<CloseConnectionsOptions>,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        let address = self.address();
        self.close_many("WebPubSub.closeAllConnections", address, options)
            .await
    }

    /// Closes all connections in a group.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// service.close_group_connections("room", None).await?;
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// A name that cannot be right, or an answer of the service other than 204.
    pub async fn close_group_connections(
        &self,
        group: &str,
        options: Option<CloseConnectionsOptions>,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        let address = self.group_address(group)?;
        self.close_many("WebPubSub.closeGroupConnections", address, options)
            .await
    }

    /// Closes all connections of a user.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// service.close_user_connections("alice", None).await?;
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// A name that cannot be right, or an answer of the service other than 204.
    pub async fn close_user_connections(
        &self,
        user_id: &str,
        options: Option<CloseConnectionsOptions>,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        let address = self.user_address(user_id)?;
        self.close_many("WebPubSub.closeUserConnections", address, options)
            .await
    }

    pub(crate) fn connection_address(&self, connection_id: &str) -> azure_core::Result<Address> {
        self.address()
            .literal("/connections/")
            .segment(connection_id, "the connection id")
    }

    pub(crate) fn group_address(&self, group: &str) -> azure_core::Result<Address> {
        self.address()
            .literal("/groups/")
            .segment(group, "the group")
    }

    pub(crate) fn user_address(&self, user_id: &str) -> azure_core::Result<Address> {
        self.address()
            .literal("/users/")
            .segment(user_id, "the user id")
    }

    async fn exists(
        &self,
        name: &'static str,
        address: Address,
        options: Option<RequestOptions>,
    ) -> azure_core::Result<bool> {
        let options = options.unwrap_or_default();
        let url = address
            .query("api-version", self.api_version(&options))
            .finish()?;
        self.ask(name, url, options).await
    }

    async fn close_many(
        &self,
        name: &'static str,
        address: Address,
        options: Option<CloseConnectionsOptions>,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        let options = options.unwrap_or_default();
        let url = address
            .literal("/:closeConnections")
            .query_each("excluded", &options.excluded)
            .query_if("reason", options.reason.as_deref())
            .query("api-version", self.api_version(&options.request))
            .finish()?;
        let operation = Operation::new(name, 204);
        self.call_for_status(operation, Method::Post, url, options.request)
            .await
    }
}
