#![doc = include_str!("../README.md")]

mod access_keys;
mod builder;
mod event;
mod handler;
mod origin;
mod rejection;
mod request;
mod response;
mod service;
mod state;

pub use builder::{BODY_MAX_DEFAULT, BuildError, Builder};
pub use event::{
    ConnectEvent, ConnectedEvent, Context, DisconnectedEvent, GroupEvent, MqttConnect, UserEvent,
};
pub use handler::EventHandler;
pub use http::StatusCode;
pub use hubwire_protocol::event::{ClientCertificate, ConnectRequest};
pub use hubwire_protocol::metadata::Metadata;
pub use hubwire_protocol::payload::{DataType, Payload};
pub use rejection::Rejection;
pub use response::{ConnectResponse, UserEventResponse};
pub use service::{EventHandlerService, ResponseFuture};
pub use state::{ConnectionState, STATE_MAX, StateError};
