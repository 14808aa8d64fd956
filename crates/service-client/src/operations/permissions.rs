//! What a connection may do.

use azure_core::http::{Method, NoFormat, Response, Url};

use crate::client::{Operation, WebPubSubServiceClient};
use crate::error::invalid;
use crate::models::{Permission, RequestOptions};

impl WebPubSubServiceClient {
    /// Allows a connection something with one group. The name of the group is literal: `*` means a group of that name.
    ///
    /// ```
    /// use hubwire_service_client::Permission;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// let missing = service
    ///     .grant_permission(Permission::SendToGroup, "a connection id", "room", None)
    ///     .await;
    /// assert!(missing.is_err());
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// A name that cannot be right, or an answer of the service other than 200: 404 without such a connection, 409 when it has 1,000
    /// permissions.
    pub async fn grant_permission(
        &self,
        permission: Permission,
        connection_id: &str,
        target_name: &str,
        options: Option<RequestOptions>,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        let options = options.unwrap_or_default();
        let url = self.permission_url(permission, connection_id, target_name, &options)?;
        let operation = Operation::new("WebPubSub.grantPermission", 200);
        self.call_for_status(operation, Method::Put, url, options)
            .await
    }

    /// Takes a permission away. The connection stays in the groups that it is in.
    ///
    /// ```
    /// use hubwire_service_client::Permission;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// service
    ///     .revoke_permission(Permission::JoinLeaveGroup, "a connection id", "room", None)
    ///     .await?;
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// A name that cannot be right, or an answer of the service other than 204.
    pub async fn revoke_permission(
        &self,
        permission: Permission,
        connection_id: &str,
        target_name: &str,
        options: Option<RequestOptions>,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        let options = options.unwrap_or_default();
        let url = self.permission_url(permission, connection_id, target_name, &options)?;
        let operation = Operation::new("WebPubSub.revokePermission", 204);
        self.call_for_status(operation, Method::Delete, url, options)
            .await
    }

    /// Tells whether a connection has a permission. A connection that does not exist has none.
    ///
    /// ```
    /// use hubwire_service_client::Permission;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// let may_send = service
    ///     .has_permission(Permission::SendToGroup, "a connection id", "room", None)
    ///     .await?;
    /// assert!(!may_send);
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// A name that cannot be right, or an answer of the service other than 200 and 404.
    pub async fn has_permission(
        &self,
        permission: Permission,
        connection_id: &str,
        target_name: &str,
        options: Option<RequestOptions>,
    ) -> azure_core::Result<bool> {
        let options = options.unwrap_or_default();
        let url = self.permission_url(permission, connection_id, target_name, &options)?;
        self.ask("WebPubSub.checkPermission", url, options).await
    }

    fn permission_url(
        &self,
        permission: Permission,
        connection_id: &str,
        target_name: &str,
        options: &RequestOptions,
    ) -> azure_core::Result<Url> {
        if target_name.is_empty() {
            return Err(invalid(
                "the target of the permission is empty; give the name of a group".to_owned(),
            ));
        }
        self.address()
            .literal("/permissions/")
            .literal(permission.as_str())
            .literal("/connections/")
            .segment(connection_id, "the connection id")?
            .query("targetName", target_name)
            .query("api-version", self.api_version(options))
            .finish()
    }
}
