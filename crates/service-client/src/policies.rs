//! What every request passes, in this order: retry, redirect, authentication, logging. The pipeline of `azure_core` adds the rest.

pub(crate) mod authenticate;
pub(crate) mod log;
pub(crate) mod redirect;
pub(crate) mod retry;

use std::time::Duration;

use crate::options::RetryOptions;

/// Headers whose values are never shown, and that no other host gets.
pub(crate) const SECRET_HEADERS: [&str; 7] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "api-key",
    "x-api-key",
    "ocp-apim-subscription-key",
];

/// What one call asks of the policies. It travels in the context.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) retry: RetryOptions,
    pub(crate) timeout: Option<Duration>,
    /// Whether the call is logged in full.
    pub(crate) is_traced: bool,
    /// Whether it delivers a message, so that a second one may be a duplicate.
    pub(crate) is_send: bool,
    /// Whether the answer holds a secret.
    pub(crate) has_secret_answer: bool,
}
