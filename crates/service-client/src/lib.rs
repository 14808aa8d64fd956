#![doc = include_str!("../README.md")]

mod address;
mod client;
mod credential;
mod error;
pub mod filter;
mod group;
mod message;
pub mod models;
mod operations;
mod options;
mod policies;
mod transport;

pub use client::WebPubSubServiceClient;
pub use credential::AccessKeyCredential;
pub use error::ServiceError;
pub use group::GroupClient;
pub use message::{ContentType, Message};
pub use models::{ClientAccessToken, ClientProtocol, GroupMember, Permission};
pub use options::{
    Clock, LoggingOptions, RequestOptions, RetryOptions, TransportOptions,
    WebPubSubServiceClientOptions,
};

/// The core of the Azure libraries for Rust that this crate is built on, in the version that its types come from.
pub use azure_core;
