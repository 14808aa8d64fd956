//! Requests that have no method, and the health of the service.

use azure_core::http::{Method, RawResponse, Request, Url};

use crate::address::Address;
use crate::client::{Operation, WebPubSubServiceClient};
use crate::error::{invalid, unexpected};
use crate::models::RequestOptions;

impl WebPubSubServiceClient {
    /// Tells whether the service takes requests. Asked without saying who asks.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// assert!(service.health(None).await?);
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// No answer, or one other than 200 and 503.
    pub async fn health(&self, options: Option<RequestOptions>) -> azure_core::Result<bool> {
        let options = options.unwrap_or_default();
        let url = Address::new(self.0.base.as_str())
            .literal("/api/health")
            .query("api-version", self.api_version(&options))
            .finish()?;
        let request = self.request_with(Method::Head, url, &options);
        let operation = Operation::new("WebPubSub.getServiceStatus", 200);
        let response = self.exchange(operation, request, options, true).await?;
        match *response.status() {
            200 => Ok(true),
            503 => Ok(false),
            _ => Err(unexpected(response)),
        }
    }

    /// Makes a request to the service for [`WebPubSubServiceClient::send_request`]. The path begins with a slash and may have a query;
    /// nothing is added to it.
    ///
    /// ```
    /// use azure_core::http::Method;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// let request = service.request(Method::Get, "/api/hubs/hub/groups/room/connections")?;
    /// # let _ = (service, request);
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// The path does not begin with a slash.
    pub fn request(&self, method: Method, path_and_query: &str) -> azure_core::Result<Request> {
        if !path_and_query.starts_with('/') {
            return Err(invalid(format!(
                "{path_and_query:?} is no path; begin it with a slash"
            )));
        }
        let url = Url::parse(&format!("{}{path_and_query}", self.0.base.as_str()))?;
        Ok(Request::new(url, method))
    }

    /// Sends any request to the service, signed as all are, and returns whatever the answer is.
    ///
    /// ```
    /// use azure_core::http::Method;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/service.rs"));
    /// # fn main() { doc_service(|service| async move {
    /// let request = service.request(Method::Get, "/api/hubs/hub/groups/room/connections")?;
    /// let response = service.send_request(request, None).await?;
    /// assert_eq!(u16::from(response.status()), 200);
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// The request is for another host, or there was no answer.
    pub async fn send_request(
        &self,
        mut request: Request,
        options: Option<RequestOptions>,
    ) -> azure_core::Result<RawResponse> {
        let inner = &*self.0;
        let url = request.url().as_str();
        if inner.base.below(url).is_none() {
            let Some(rest) = inner.endpoint.below(url) else {
                return Err(invalid(format!(
                    "the request is for {}, and this client signs only for {}",
                    request.url().origin().ascii_serialization(),
                    inner.endpoint.as_str()
                )));
            };
            *request.url_mut() = Url::parse(&format!("{}{rest}", inner.base.as_str()))?;
        }
        let options = options.unwrap_or_default();
        for (name, value) in options.headers.iter() {
            request.insert_header(name.clone(), value.clone());
        }
        let operation = Operation {
            name: "WebPubSub.sendRequest",
            success: 200,
            is_send: request.url().path().ends_with(":send"),
        };
        self.exchange(operation, request, options, false).await
    }
}
