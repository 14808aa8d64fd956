//! Events leave the service: event handlers are asked by CloudEvents webhooks, event listeners are told.
//!
//! | question | file |
//! | --- | --- |
//! | who gets an event | `filter`, `active` |
//! | what it looks like | `cloud_event`, `request` |
//! | how it gets there | `delivery` (one event), `retry`, `probe` and `validation` (may it go there at all), `credential`, `http`, `address` |
//! | what comes back | `reply`, and `connections` for what is kept: state and cookies |
//! | who is only told | `listener`; `http_client` is for listeners that are told by HTTP |
//!
//! Source: events-and-operations 1 to 5.
//!
//! Nothing here follows a redirect, uses a proxy or connects to an address that the settings do not allow, and no text here, of a
//! log or of an error, holds a secret or the query of a URL.

mod active;
mod address;
mod cloud_event;
mod connections;
mod cookies;
mod credential;
mod delivery;
mod filter;
mod http;
mod http_client;
mod listener;
mod observer;
mod outstanding;
mod presence;
mod probe;
mod reply;
mod request;
mod retry;
mod secret;
mod settings;
mod tunnel;
mod upstream;
mod url_template;
mod validation;

pub use cloud_event::CloudEvent;
pub use filter::{GroupPresence, PresenceEvent, SystemEvent, UserEventPattern};
pub use http_client::{HttpAnswer, HttpClient, SendError, tls_config};
pub use listener::{
    Listener, ListenerEvent, QUEUE_BYTES_MAX_DEFAULT, QUEUE_EVENTS_MAX_DEFAULT, Sink, SinkError,
    SinkFuture,
};
pub use observer::{Kind, NoObserver, Observer, Outcome};
pub use secret::Secret;
pub use settings::{
    Auth, ClientCredentials, Handler, HubSettings, IdentitySource, ManagedIdentity,
    NOTIFICATIONS_MAX_DEFAULT, PrivateAddresses, REQUESTS_PER_HOST_MAX_DEFAULT,
    RESPONSE_BODY_MAX_DEFAULT, RETRY_DELAYS_DEFAULT, Settings, SettingsError, StaticHeader,
    TIMEOUT_DEFAULT,
};
pub use tunnel::{Tunnel, TunnelError, TunnelFuture, TunnelRequest};
pub use upstream::{Ask, Upstream};
pub use url_template::{TemplatePart, Url, UrlError, UrlTemplate};
