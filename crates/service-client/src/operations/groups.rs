//! Who is in which group.

use azure_core::http::headers::CONTENT_TYPE;
use azure_core::http::pager::{
    ItemIterator, PagerContinuation, PagerOptions, PagerResult, PagerState,
};
use azure_core::http::{Method, NoFormat, Pager, Response, Url};
use hubwire_protocol::http::encode_component;
use serde_json::json;

use crate::address::Address;
use crate::client::{Operation, WebPubSubServiceClient};
use crate::error::invalid;
use crate::group::GroupClient;
use crate::models::{ChangeGroupsOptions, GroupMemberPage, ListConnectionsOptions, RequestOptions};

/// Most members on a page.
const PAGE_SIZE_MAX: u32 = 200;

impl WebPubSubServiceClient {
    /// Returns a client for one group.
    ///
    /// ```
    /// use hubwire_service_client::Message;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// let room = service.group("room");
    /// room.send_to_all(Message::text("Hello room"), None).await?;
    /// # Ok(()) }) }
    /// ```
    pub fn group(&self, name: &str) -> GroupClient {
        GroupClient::new(self.clone(), name)
    }

    /// Adds a connection to a group.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// let missing = service.add_connection_to_group("room", "a connection id", None).await;
    /// assert!(missing.is_err());
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// A name that cannot be right, or an answer of the service other than 200: 404 without such a connection.
    pub async fn add_connection_to_group(
        &self,
        group: &str,
        connection_id: &str,
        options: Option<RequestOptions>,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        let address = self.membership(group, connection_id)?;
        let operation = Operation::new("WebPubSub.addConnectionToGroup", 200);
        self.change(operation, Method::Put, address, options).await
    }

    /// Removes a connection from a group. Success whether or not it was there.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// service.remove_connection_from_group("room", "a connection id", None).await?;
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// A name that cannot be right, or an answer of the service other than 204.
    pub async fn remove_connection_from_group(
        &self,
        group: &str,
        connection_id: &str,
        options: Option<RequestOptions>,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        let address = self.membership(group, connection_id)?;
        let operation = Operation::new("WebPubSub.removeConnectionFromGroup", 204);
        self.change(operation, Method::Delete, address, options)
            .await
    }

    /// Removes a connection from all groups.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// service.remove_connection_from_all_groups("a connection id", None).await?;
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// An id that cannot be right, or an answer of the service other than 204.
    pub async fn remove_connection_from_all_groups(
        &self,
        connection_id: &str,
        options: Option<RequestOptions>,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        let address = self.connection_address(connection_id)?.literal("/groups");
        let operation = Operation::new("WebPubSub.removeConnectionFromAllGroups", 204);
        self.change(operation, Method::Delete, address, options)
            .await
    }

    /// Adds the connections that a user has now to a group.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// let missing = service.add_user_to_group("room", "nobody", None).await;
    /// assert!(missing.is_err());
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// A name that cannot be right, or an answer of the service other than 200: 404 when the user has no connection.
    pub async fn add_user_to_group(
        &self,
        group: &str,
        user_id: &str,
        options: Option<RequestOptions>,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        let address = self.user_membership(group, user_id)?;
        let operation = Operation::new("WebPubSub.addUserToGroup", 200);
        self.change(operation, Method::Put, address, options).await
    }

    /// Removes the connections of a user from a group.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// service.remove_user_from_group("room", "alice", None).await?;
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// A name that cannot be right, or an answer of the service other than 204.
    pub async fn remove_user_from_group(
        &self,
        group: &str,
        user_id: &str,
        options: Option<RequestOptions>,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        let address = self.user_membership(group, user_id)?;
        let operation = Operation::new("WebPubSub.removeUserFromGroup", 204);
        self.change(operation, Method::Delete, address, options)
            .await
    }

    /// Removes the connections of a user from all groups.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// service.remove_user_from_all_groups("alice", None).await?;
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// A name that cannot be right, or an answer of the service other than 204.
    pub async fn remove_user_from_all_groups(
        &self,
        user_id: &str,
        options: Option<RequestOptions>,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        let address = self.user_address(user_id)?.literal("/groups");
        let operation = Operation::new("WebPubSub.removeUserFromAllGroups", 204);
        self.change(operation, Method::Delete, address, options)
            .await
    }

    /// Adds many connections to groups: those that match the filter of the options, or all of the hub.
    ///
    /// ```
    /// use hubwire_service_client::models::ChangeGroupsOptions;
    /// use hubwire_service_client::odata;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// let options = ChangeGroupsOptions {
    ///     filter: Some(odata!("userId eq {}", "alice")),
    ///     ..Default::default()
    /// };
    /// service.add_connections_to_groups(&["red", "blue"], Some(options)).await?;
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// No group, or an answer of the service other than 200.
    pub async fn add_connections_to_groups<S: AsRef<str>>(
        &self,
        groups: &[S],
        options: Option<ChangeGroupsOptions>,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        let address = self.address().literal("/:addToGroups");
        let operation = Operation::new("WebPubSub.addConnectionsToGroups", 200);
        self.change_many(operation, address, groups, options).await
    }

    /// Removes many connections from groups: those that match the filter of the options, or all of the hub.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// service.remove_connections_from_groups(&["red", "blue"], None).await?;
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// No group, or an answer of the service other than 200.
    pub async fn remove_connections_from_groups<S: AsRef<str>>(
        &self,
        groups: &[S],
        options: Option<ChangeGroupsOptions>,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        let address = self.address().literal("/:removeFromGroups");
        let operation = Operation::new("WebPubSub.removeConnectionsFromGroups", 200);
        self.change_many(operation, address, groups, options).await
    }

    /// Lists the connections in a group, one after the other or by page, one request for each page.
    ///
    /// ```
    /// use futures_util::TryStreamExt;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// let mut members = service.list_connections("room", None)?;
    /// while let Some(member) = members.try_next().await? {
    ///     println!("{} {:?}", member.connection_id, member.user_id);
    /// }
    /// let mut pages = service.list_connections("room", None)?.into_pages();
    /// while let Some(page) = pages.try_next().await? {
    ///     println!("{} members", page.into_model()?.value.len());
    /// }
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// A name or an option that cannot be right. From the stream: an answer of the service other than 200, or one that is no page.
    pub fn list_connections(
        &self,
        group: &str,
        options: Option<ListConnectionsOptions>,
    ) -> azure_core::Result<Pager<GroupMemberPage>> {
        let options = options.unwrap_or_default();
        if let Some(size) = options.max_page_size
            && !(1..=PAGE_SIZE_MAX).contains(&size)
        {
            return Err(invalid(format!(
                "a page cannot hold {size} members; give 1 to {PAGE_SIZE_MAX}"
            )));
        }
        let mut address = self.group_address(group)?.literal("/connections");
        if let Some(size) = options.max_page_size {
            address = address.query("maxpagesize", &size.to_string());
        }
        if let Some(top) = options.top {
            address = address.query("top", &top.to_string());
        }
        let service = self.clone();
        let request = options.request;
        let fetch = move |state: PagerState, _: PagerOptions<'static>| {
            let url = service.page_url(&address, &state, &request);
            let (service, request) = (service.clone(), request.clone());
            let page = async move { service.page(url?, request).await };
            Box::pin(page) as azure_core::http::pager::PagerResultFuture<_>
        };
        let pager_options = PagerOptions {
            continuation: options.continuation,
            ..PagerOptions::default()
        };
        Ok(ItemIterator::new(fetch, Some(pager_options)))
    }

    fn page_url(
        &self,
        first: &Address,
        state: &PagerState,
        options: &RequestOptions,
    ) -> azure_core::Result<Url> {
        let version = self.api_version(options);
        let token = match state {
            PagerState::More(PagerContinuation::Link(link)) => {
                return self.next_page_url(link, version);
            }
            PagerState::More(other) => Some(other.as_ref()),
            PagerState::Initial => None,
        };
        first
            .clone()
            .query_if("continuationToken", token)
            .query("api-version", version)
            .finish()
    }

    /// Returns where the next page is to be asked for: at the host of this client, whatever name the service gave itself.
    fn next_page_url(&self, link: &Url, version: &str) -> azure_core::Result<Url> {
        let inner = &*self.0;
        let text = link.as_str();
        let rest = inner
            .endpoint
            .below(text)
            .or_else(|| inner.base.below(text));
        let rest = match rest {
            Some(rest) => rest,
            // A service behind a proxy may know itself by another name or scheme.
            None if link.path().starts_with("/api/hubs/") => {
                &text[text.find("/api/hubs/").unwrap_or_default()..]
            }
            None => {
                return Err(invalid(format!(
                    "the service gave {} as address of the next page, which is not below {}",
                    link.origin().ascii_serialization(),
                    inner.base.as_str()
                )));
            }
        };
        let mut url = Url::parse(&format!("{}{rest}", inner.base.as_str()))?;
        let kept = url.query().unwrap_or_default().to_owned();
        let kept: Vec<&str> = kept
            .split('&')
            .filter(|pair| !pair.is_empty() && !pair.starts_with("api-version="))
            .collect();
        let version = format!("api-version={}", encode_component(version));
        let query = kept.into_iter().chain([version.as_str()]);
        url.set_query(Some(&query.collect::<Vec<_>>().join("&")));
        Ok(url)
    }

    async fn page(
        &self,
        url: Url,
        options: RequestOptions,
    ) -> azure_core::Result<PagerResult<Response<GroupMemberPage>>> {
        let operation = Operation::new("WebPubSub.listConnectionsInGroup", 200);
        let raw = self
            .call(operation, Method::Get, url.clone(), options)
            .await?;
        let page: GroupMemberPage = raw.body().json()?;
        let response = raw.into();
        let Some(link) = page.next_link.filter(|link| !link.is_empty()) else {
            return Ok(PagerResult::Done { response });
        };
        let next = Url::parse(&link)?;
        if next.path() == url.path() && next.query() == url.query() {
            return Err(invalid(
                "the service gave a page as its own next page".to_owned(),
            ));
        }
        Ok(PagerResult::More {
            response,
            continuation: PagerContinuation::Link(next),
        })
    }

    fn membership(&self, group: &str, connection_id: &str) -> azure_core::Result<Address> {
        self.group_address(group)?
            .literal("/connections/")
            .segment(connection_id, "the connection id")
    }

    fn user_membership(&self, group: &str, user_id: &str) -> azure_core::Result<Address> {
        self.user_address(user_id)?
            .literal("/groups/")
            .segment(group, "the group")
    }

    async fn change(
        &self,
        operation: Operation,
        method: Method,
        address: Address,
        options: Option<RequestOptions>,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        let options = options.unwrap_or_default();
        let url = address
            .query("api-version", self.api_version(&options))
            .finish()?;
        self.call_for_status(operation, method, url, options).await
    }

    async fn change_many<S: AsRef<str>>(
        &self,
        operation: Operation,
        address: Address,
        groups: &[S],
        options: Option<ChangeGroupsOptions>,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        if groups.is_empty() {
            return Err(invalid("no group is named; give at least one".to_owned()));
        }
        let options = options.unwrap_or_default();
        let url = address
            .query("api-version", self.api_version(&options.request))
            .finish()?;
        let groups: Vec<&str> = groups.iter().map(AsRef::as_ref).collect();
        let body = match &options.filter {
            Some(filter) => json!({ "groups": groups, "filter": filter }),
            None => json!({ "groups": groups }),
        };
        let mut request = self.request_with(Method::Post, url, &options.request);
        request.insert_header(CONTENT_TYPE, "application/json");
        request.set_body(body.to_string());
        Ok(self.send(operation, request, options.request).await?.into())
    }
}
