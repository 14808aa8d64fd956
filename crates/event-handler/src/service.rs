use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use tower_service::Service;

use crate::access_keys::AccessKeys;
use crate::builder::{BuildError, Builder, check_keys};
use crate::handler::EventHandler;
use crate::origin::{ALLOWED_ORIGIN, AllowedOrigins, REQUEST_ORIGIN};
use crate::rejection::Rejection;
use crate::request::{CONNECTION_ID, Event};
use crate::response::ResponseError;

type HttpResponse = Response<Full<Bytes>>;
type BoxError = Box<dyn Error + Send + Sync>;

/// What [`EventHandlerService`] returns: the answer to a request, which always comes.
pub type ResponseFuture = Pin<Box<dyn Future<Output = Result<HttpResponse, Infallible>> + Send>>;

/// Takes the requests of a service to an event handler, checks them, and gives their events to an [`EventHandler`].
///
/// It answers every request it gets, so it belongs at the path of the event handler; whatever part of the URL says `{event}` or
/// `{hub}` does not matter to it. Clones share handler and keys.
///
/// It is a `tower` service over any body, which `axum` takes by `route_service`, and `hyper` by `TowerToHyperService` of `hyper-util`. How long a
/// request may take is for the layers around it.
pub struct EventHandlerService<H> {
    shared: Arc<Shared<H>>,
}

struct Shared<H> {
    handler: H,
    origins: AllowedOrigins,
    /// Absent if signatures are not checked.
    keys: Option<AccessKeys>,
    body_max: usize,
}

/// A request that is not given to the handler. The text goes to the service, whose operator looks for the cause.
struct Refused(StatusCode, String);

impl<H: EventHandler> EventHandlerService<H> {
    /// Returns a builder of a service for a handler.
    ///
    /// ```
    /// use hubwire_event_handler::{EventHandler, EventHandlerService};
    ///
    /// struct Application;
    /// impl EventHandler for Application {}
    ///
    /// let service = EventHandlerService::builder(Application)
    ///     .connection_string("Endpoint=http://localhost:8080;AccessKey=key;Version=1.0;")
    ///     .build()?;
    /// # Ok::<(), hubwire_event_handler::BuildError>(())
    /// ```
    pub fn builder(handler: H) -> Builder<H> {
        Builder::new(handler)
    }

    pub(crate) fn new(
        handler: H,
        origins: AllowedOrigins,
        keys: Option<&[String]>,
        body_max: usize,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                handler,
                origins,
                keys: keys.map(AccessKeys::new),
                body_max,
            }),
        }
    }

    /// Replaces the access keys, for all clones: from now on these sign the events that are taken. To rotate without a gap, give the
    /// new key beside the old one before the service changes, and take the old one away afterwards.
    ///
    /// It has no effect on a service that was built without signatures.
    ///
    /// # Errors
    ///
    /// [`BuildError::NoAccessKey`] or [`BuildError::EmptyAccessKey`]; the keys are then unchanged.
    ///
    /// ```
    /// # use hubwire_event_handler::{EventHandler, EventHandlerService};
    /// # struct Application;
    /// # impl EventHandler for Application {}
    /// # let service = EventHandlerService::builder(Application).allowed_endpoint("*").access_key("old-key").build()?;
    /// service.replace_access_keys(["new-key", "old-key"])?;
    /// # Ok::<(), hubwire_event_handler::BuildError>(())
    /// ```
    pub fn replace_access_keys(
        &self,
        keys: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<(), BuildError> {
        let keys: Vec<String> = keys.into_iter().map(Into::into).collect();
        check_keys(&keys)?;
        if let Some(current) = &self.shared.keys {
            current.replace(&keys);
        }
        Ok(())
    }

    /// Returns the handler.
    ///
    /// ```
    /// # use hubwire_event_handler::{EventHandler, EventHandlerService};
    /// # #[derive(Debug, PartialEq)]
    /// # struct Application;
    /// # impl EventHandler for Application {}
    /// # let service = EventHandlerService::builder(Application).allowed_endpoint("*").access_key("key").build()?;
    /// assert_eq!(service.handler(), &Application);
    /// # Ok::<(), hubwire_event_handler::BuildError>(())
    /// ```
    pub fn handler(&self) -> &H {
        &self.shared.handler
    }
}

impl<H> Clone for EventHandlerService<H> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<H> fmt::Debug for EventHandlerService<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventHandlerService")
            .field("origins", &self.shared.origins)
            .field("keys", &self.shared.keys)
            .field("body_max", &self.shared.body_max)
            .finish_non_exhaustive()
    }
}

impl<H, B> Service<Request<B>> for EventHandlerService<H>
where
    H: EventHandler,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = HttpResponse;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { Ok(shared.respond(request).await) })
    }
}

impl<H: EventHandler> Shared<H> {
    async fn respond<B>(&self, request: Request<B>) -> HttpResponse
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let answer = match *request.method() {
            Method::POST => self.take(request).await,
            // A service that thinks that OPTIONS is not answered here asks by GET.
            Method::OPTIONS | Method::GET => self.shake_hands(request.headers()),
            _ => return method_not_allowed(),
        };
        answer.unwrap_or_else(Refused::into_response)
    }

    fn shake_hands(&self, headers: &HeaderMap) -> Result<HttpResponse, Refused> {
        self.check_origin(headers)?;
        let mut response = Response::default();
        for origin in self.origins.agreed(headers) {
            response.headers_mut().append(ALLOWED_ORIGIN, origin);
        }
        Ok(response)
    }

    async fn take<B>(&self, request: Request<B>) -> Result<HttpResponse, Refused>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        self.check_origin(&head.headers)?;
        self.check_signature(&head.headers)?;
        let body = self.collect(body).await?;
        let event = Event::read(&head.headers, body)
            .map_err(|error| Refused(StatusCode::BAD_REQUEST, error.to_string()))?;
        Ok(match event {
            Some(event) => self.give(event).await,
            None => Response::default(),
        })
    }

    fn check_origin(&self, headers: &HeaderMap) -> Result<(), Refused> {
        if !headers.contains_key(REQUEST_ORIGIN) {
            let text = "the header `WebHook-Request-Origin` is missing: this is for event requests";
            return Err(Refused(StatusCode::BAD_REQUEST, text.to_owned()));
        }
        match self.origins.allow(headers) {
            true => Ok(()),
            false => {
                let text = "no allowed endpoint has the host that `WebHook-Request-Origin` names";
                Err(Refused(StatusCode::FORBIDDEN, text.to_owned()))
            }
        }
    }

    fn check_signature(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let Some(keys) = &self.keys else {
            return Ok(());
        };
        let connection_id = headers.get(CONNECTION_ID);
        let connection_id = connection_id.map_or(&b""[..], HeaderValue::as_bytes);
        match keys.have_signed(headers, connection_id) {
            true => Ok(()),
            false => {
                let text = "`ce-signature` is missing, or by none of the access keys";
                Err(Refused(StatusCode::UNAUTHORIZED, text.to_owned()))
            }
        }
    }

    async fn collect<B>(&self, body: B) -> Result<Bytes, Refused>
    where
        B: Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let too_long = || {
            let text = format!("the body is longer than {} bytes", self.body_max);
            Refused(StatusCode::PAYLOAD_TOO_LARGE, text)
        };
        if body.size_hint().lower() > u64::try_from(self.body_max).unwrap_or(u64::MAX) {
            return Err(too_long());
        }
        match Limited::new(body, self.body_max).collect().await {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(too_long()),
            Err(_) => Err(Refused(
                StatusCode::BAD_REQUEST,
                "the body ended too early".to_owned(),
            )),
        }
    }

    async fn give(&self, event: Event) -> HttpResponse {
        let handler = &self.handler;
        let answer = match event {
            Event::Connect(event) => handler
                .on_connect(event)
                .await
                .map(|answer| answer.into_response()),
            Event::User(event) => handler
                .on_user_event(event)
                .await
                .map(|answer| answer.into_response()),
            Event::Connected(event) => handler.on_connected(event).await.map(accepted),
            Event::Disconnected(event) => handler.on_disconnected(event).await.map(accepted),
            Event::Joined(event) => handler.on_joined(event).await.map(accepted),
            Event::Left(event) => handler.on_left(event).await.map(accepted),
        };
        match answer {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                tracing::error!(%error, "the answer to an event cannot be sent");
                Rejection::new(StatusCode::INTERNAL_SERVER_ERROR).into_response()
            }
            Err(rejection) => {
                if let Some(error) = rejection.source() {
                    tracing::error!(%error, "an event handler failed");
                }
                rejection.into_response()
            }
        }
    }
}

fn accepted((): ()) -> Result<HttpResponse, ResponseError> {
    Ok(Response::default())
}

fn method_not_allowed() -> HttpResponse {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    let allowed = HeaderValue::from_static("GET, OPTIONS, POST");
    response.headers_mut().insert(ALLOW, allowed);
    response
}

impl Refused {
    fn into_response(self) -> HttpResponse {
        let Self(status, reason) = self;
        tracing::warn!(status = status.as_u16(), reason, "request refused");
        let mut response = Response::new(Full::from(reason));
        *response.status_mut() = status;
        let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        response
    }
}
