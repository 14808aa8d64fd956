//! The client: how it is made, and how it makes calls.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::TokenCredential;
use azure_core::http::headers::{ACCEPT, CLIENT_REQUEST_ID};
use azure_core::http::policies::Policy;
use azure_core::http::policies::auth::BearerTokenAuthorizationPolicy;
use azure_core::http::{
    Context, Method, NoFormat, Pipeline, PipelineSendOptions, RawResponse, Request, Response, Url,
};
use azure_core::tracing::PublicApiInstrumentationInformation;
use hubwire_protocol::connection_string::ConnectionString;
use hubwire_protocol::http::encode_component;
use hubwire_protocol::names::Hub;

use crate::address::{Address, Endpoint};
use crate::credential::AccessKeyCredential;
use crate::error::{invalid, unexpected};
use crate::options::{Clock, RequestOptions, RetryOptions, WebPubSubServiceClientOptions};
use crate::policies::Call;
use crate::policies::authenticate::{AccessKey, Identity};
use crate::policies::log::Log;
use crate::policies::redirect::{Redirect, Unsigned};
use crate::policies::retry::Retry;
use crate::transport::transport;

/// What identities ask tokens for.
const SCOPE: &str = "https://webpubsub.azure.com/.default";

/// Publishes to the connections of one hub and manages them. Cheap to clone; clones share connections to the service.
///
/// Every method is one request, except those that say otherwise. All return [`azure_core::Result`]:
/// [`ServiceError`](crate::ServiceError) tells what the service said when it refused. A name that the service could never take is an
/// error before anything is sent.
#[derive(Clone)]
pub struct WebPubSubServiceClient(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    /// What tokens are for.
    pub(crate) endpoint: Endpoint,
    /// Where requests go: the endpoint or a proxy.
    pub(crate) base: Endpoint,
    pub(crate) hub: String,
    /// The address of the hub in the REST API.
    prefix: String,
    api_version: String,
    /// What makes client tokens; none where the service has to.
    pub(crate) access_key: Option<AccessKeyCredential>,
    pub(crate) clock: Clock,
    pipeline: Pipeline,
    has_tracer: bool,
    is_traced: bool,
    retry: RetryOptions,
    timeout: Option<Duration>,
}

/// One operation of the REST API.
#[derive(Clone, Copy)]
pub(crate) struct Operation {
    /// For spans.
    pub(crate) name: &'static str,
    /// The one status that means success.
    pub(crate) success: u16,
    /// Whether it delivers a message.
    pub(crate) is_send: bool,
}

impl Operation {
    pub(crate) const fn new(name: &'static str, success: u16) -> Self {
        Self {
            name,
            success,
            is_send: false,
        }
    }
}

/// Who asks.
enum Credential {
    Key(AccessKeyCredential),
    Identity(Arc<dyn TokenCredential>),
}

impl WebPubSubServiceClient {
    /// Makes a client that asks with the token of an identity, such as one of the crate `azure_identity`.
    ///
    /// Tokens are for `https://webpubsub.azure.com/.default`, kept until shortly before they expire, and sent over https only.
    ///
    /// ```no_run
    /// use azure_identity::DeveloperToolsCredential;
    /// use hubwire_service_client::WebPubSubServiceClient;
    /// # fn main() -> azure_core::Result<()> {
    /// let credential = DeveloperToolsCredential::new(None)?;
    /// let service =
    ///     WebPubSubServiceClient::new("https://pubsub.example.com", "hub", credential, None)?;
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The endpoint, the hub or an option is not usable.
    pub fn new(
        endpoint: &str,
        hub: &str,
        credential: Arc<dyn TokenCredential>,
        options: Option<WebPubSubServiceClientOptions>,
    ) -> azure_core::Result<Self> {
        Self::build(endpoint, hub, Credential::Identity(credential), options)
    }

    /// Makes a client that asks with an access key, which can be updated while the client is in use.
    ///
    /// ```
    /// use hubwire_service_client::{AccessKeyCredential, WebPubSubServiceClient};
    /// # fn main() -> azure_core::Result<()> {
    /// let credential = AccessKeyCredential::new("<access key>")?;
    /// let service = WebPubSubServiceClient::with_key_credential(
    ///     "https://pubsub.example.com",
    ///     "hub",
    ///     credential,
    ///     None,
    /// )?;
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The endpoint, the hub or an option is not usable.
    pub fn with_key_credential(
        endpoint: &str,
        hub: &str,
        credential: AccessKeyCredential,
        options: Option<WebPubSubServiceClientOptions>,
    ) -> azure_core::Result<Self> {
        Self::build(endpoint, hub, Credential::Key(credential), options)
    }

    /// Makes a client from a connection string, as the service shows it: `Endpoint=…;AccessKey=…;Version=1.0;`.
    ///
    /// ```
    /// use hubwire_service_client::WebPubSubServiceClient;
    /// # fn main() -> azure_core::Result<()> {
    /// let service = WebPubSubServiceClient::with_connection_string(
    ///     "Endpoint=https://pubsub.example.com;AccessKey=<access key>;Version=1.0;",
    ///     "hub",
    ///     None,
    /// )?;
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The connection string is malformed or has no key, or the hub or an option is not usable.
    pub fn with_connection_string(
        connection_string: &str,
        hub: &str,
        options: Option<WebPubSubServiceClientOptions>,
    ) -> azure_core::Result<Self> {
        let refuse = |error| invalid(format!("the connection string is not usable: {error}"));
        let parsed = ConnectionString::parse(connection_string).map_err(refuse)?;
        if !parsed.has_known_version() {
            tracing::warn!(
                version = parsed.version(),
                "a connection string of an unknown version is read as one of version 1"
            );
        }
        let key = parsed.access_key().map_err(refuse)?;
        let credential = Credential::Key(AccessKeyCredential::new(key)?);
        Self::build(parsed.endpoint(), hub, credential, options)
    }

    fn build(
        endpoint: &str,
        hub: &str,
        credential: Credential,
        options: Option<WebPubSubServiceClientOptions>,
    ) -> azure_core::Result<Self> {
        let options = options.unwrap_or_default();
        let endpoint = Endpoint::parse(endpoint, "the endpoint")?;
        let base = match &options.reverse_proxy_endpoint {
            Some(proxy) => Endpoint::parse(proxy, "the reverse proxy endpoint")?,
            None => endpoint.clone(),
        };
        check_hub(hub)?;
        let access_key = match &credential {
            Credential::Key(key) => Some(key.clone()),
            Credential::Identity(_) => None,
        };
        let has_tracer = options
            .client_options
            .instrumentation
            .tracer_provider
            .is_some();
        Ok(Self(Arc::new(Inner {
            hub: hub.to_owned(),
            prefix: format!("{}/api/hubs/{}", base.as_str(), encode_component(hub)),
            api_version: options.api_version.clone(),
            access_key,
            clock: options.clock.clone(),
            has_tracer,
            is_traced: options.logging.enabled,
            retry: options.retry,
            timeout: options.timeout,
            pipeline: pipeline(options, credential, &endpoint, &base)?,
            endpoint,
            base,
        })))
    }

    /// Returns the endpoint of the service, also where requests go through a reverse proxy.
    ///
    /// ```
    /// # use hubwire_service_client::WebPubSubServiceClient;
    /// # let text = "Endpoint=https://pubsub.example.com;AccessKey=key;Version=1.0;";
    /// # let service = WebPubSubServiceClient::with_connection_string(text, "hub", None)?;
    /// assert_eq!(service.endpoint().host_str(), Some("pubsub.example.com"));
    /// # azure_core::Result::Ok(())
    /// ```
    pub fn endpoint(&self) -> &Url {
        &self.0.endpoint.url
    }

    /// Returns the name of the hub, as it was given.
    ///
    /// ```
    /// # use hubwire_service_client::WebPubSubServiceClient;
    /// # let text = "Endpoint=https://pubsub.example.com;AccessKey=key;Version=1.0;";
    /// # let service = WebPubSubServiceClient::with_connection_string(text, "hub", None)?;
    /// assert_eq!(service.hub(), "hub");
    /// # azure_core::Result::Ok(())
    /// ```
    pub fn hub(&self) -> &str {
        &self.0.hub
    }

    /// Returns the address of the hub, to be continued.
    pub(crate) fn address(&self) -> Address {
        Address::new(&self.0.prefix)
    }

    /// Returns the version of the REST API that a call names.
    pub(crate) fn api_version<'a>(&'a self, options: &'a RequestOptions) -> &'a str {
        options
            .api_version
            .as_deref()
            .unwrap_or(&self.0.api_version)
    }

    /// Makes a call and checks that it succeeded.
    pub(crate) async fn call(
        &self,
        operation: Operation,
        method: Method,
        url: Url,
        options: RequestOptions,
    ) -> azure_core::Result<RawResponse> {
        let request = self.request_with(method, url, &options);
        self.send(operation, request, options).await
    }

    /// Makes a call whose answer is a status alone.
    pub(crate) async fn call_for_status(
        &self,
        operation: Operation,
        method: Method,
        url: Url,
        options: RequestOptions,
    ) -> azure_core::Result<Response<(), NoFormat>> {
        Ok(self.call(operation, method, url, options).await?.into())
    }

    /// Asks whether something exists: 200 for yes, 404 for no.
    pub(crate) async fn ask(
        &self,
        name: &'static str,
        url: Url,
        options: RequestOptions,
    ) -> azure_core::Result<bool> {
        let request = self.request_with(Method::Head, url, &options);
        let operation = Operation::new(name, 200);
        let response = self.exchange(operation, request, options, false).await?;
        match *response.status() {
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(unexpected(response)),
        }
    }

    /// Makes a request with the headers of the options.
    pub(crate) fn request_with(
        &self,
        method: Method,
        url: Url,
        options: &RequestOptions,
    ) -> Request {
        let mut request = Request::new(url, method);
        if method != Method::Head {
            request.insert_header(ACCEPT, "application/json");
        }
        for (name, value) in options.headers.iter() {
            request.insert_header(name.clone(), value.clone());
        }
        request
    }

    /// Sends a request and checks that it succeeded.
    pub(crate) async fn send(
        &self,
        operation: Operation,
        request: Request,
        options: RequestOptions,
    ) -> azure_core::Result<RawResponse> {
        let response = self.exchange(operation, request, options, false).await?;
        match *response.status() == operation.success {
            true => Ok(response),
            false => Err(unexpected(response)),
        }
    }

    /// Sends a request and returns whatever the answer is. `is_anonymous` leaves out who asks.
    pub(crate) async fn exchange(
        &self,
        operation: Operation,
        mut request: Request,
        options: RequestOptions,
        is_anonymous: bool,
    ) -> azure_core::Result<RawResponse> {
        let inner = &*self.0;
        if let Some(id) = options.client_request_id {
            request.insert_header(CLIENT_REQUEST_ID, id);
        }
        let mut context = Context::new();
        context.insert(Call {
            retry: options.retry.unwrap_or(inner.retry),
            timeout: options.timeout.or(inner.timeout),
            is_traced: options.logging.unwrap_or(inner.is_traced),
            is_send: operation.is_send,
            has_secret_answer: request.url().path().ends_with(":generateToken"),
        });
        if is_anonymous {
            context.insert(Unsigned);
        }
        if inner.has_tracer {
            let name = Cow::Borrowed(operation.name);
            context.insert(PublicApiInstrumentationInformation::new(name, Vec::new()));
        }
        let send_options = PipelineSendOptions {
            skip_checks: true,
            ..PipelineSendOptions::default()
        };
        inner
            .pipeline
            .send(&context, &mut request, Some(send_options))
            .await
    }
}

impl fmt::Debug for WebPubSubServiceClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebPubSubServiceClient")
            .field("endpoint", &self.0.endpoint.as_str())
            .field("hub", &self.0.hub)
            .finish_non_exhaustive()
    }
}

fn pipeline(
    options: WebPubSubServiceClientOptions,
    credential: Credential,
    endpoint: &Endpoint,
    base: &Endpoint,
) -> azure_core::Result<Pipeline> {
    let mut client_options = options.client_options;
    if client_options.transport.is_none() {
        client_options.transport = Some(transport(&options.transport)?);
    }
    client_options.retry = azure_core::http::RetryOptions::none();
    let authenticate: Arc<dyn Policy> = match credential {
        Credential::Key(credential) => Arc::new(AccessKey {
            credential,
            endpoint: endpoint.clone(),
            base: base.clone(),
            user: options.user,
            clock: options.clock.clone(),
        }),
        Credential::Identity(credential) => {
            let policy = BearerTokenAuthorizationPolicy::new(credential, [SCOPE]);
            Arc::new(Identity(policy))
        }
    };
    let mut per_try: Vec<Arc<dyn Policy>> = vec![
        Arc::new(Retry {
            clock: options.clock,
            user_agent: options.user_agent,
        }),
        Arc::new(Redirect),
        authenticate,
    ];
    // The log comes last, so that it shows what the policies of the user have added.
    per_try.append(&mut client_options.per_try_policies);
    per_try.push(Arc::new(Log(options.logging)));
    Ok(Pipeline::new(
        option_env!("CARGO_PKG_NAME"),
        option_env!("CARGO_PKG_VERSION"),
        client_options,
        Vec::new(),
        per_try,
        None,
    ))
}

fn check_hub(hub: &str) -> azure_core::Result<()> {
    match Hub::new(hub) {
        Ok(_) => Ok(()),
        Err(_) => Err(invalid(format!(
            "{hub:?} is no hub name; use a letter, then up to 127 letters, digits or _`,.[]"
        ))),
    }
}
