#![doc = include_str!("../README.md")]

mod client;
mod driver;
mod error;
mod event;
mod options;
mod socket;
pub mod state;
mod stream;

pub use client::{Acked, Builder, Client, Events, SendOptions};
pub use error::{Error, ErrorKind};
pub use event::{Event, GroupMessage, ServerMessage};
pub use options::{Backoff, Options, Protocol};
pub use stream::{StreamOptions, StreamWriter};

pub use hubwire_protocol::message::{
    Content, ReceivedError, ReceivedFragment, ReceivedStateItem, ReceivedStreamEnd, UserStreamError,
};
pub use hubwire_protocol::metadata::Metadata;
pub use hubwire_protocol::payload::{DataType, Payload};
