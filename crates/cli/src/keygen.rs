//! `hubwire keygen`: prints a random access key.

use std::io::Write as _;

use anyhow::anyhow;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hubwire_protocol::connection_string::ConnectionString;

use crate::arguments::KeygenArguments;
use crate::failure::Failure;

/// A multiple of three, so that base64 needs no padding.
const KEY_BYTES: usize = 48;

/// Prints a key, or a connection string that holds one.
pub(crate) fn run(arguments: &KeygenArguments) -> Result<(), Failure> {
    let mut bytes = [0; KEY_BYTES];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| {
        Failure::Work(anyhow!(
            "the operating system gave no random numbers; try again"
        ))
    })?;
    let key = STANDARD.encode(bytes);
    let line = match &arguments.connection_string {
        Some(endpoint) => ConnectionString::new(&endpoint.to_string(), &key)
            .expect("an endpoint and base64 make a connection string")
            .to_text(),
        None => key,
    };
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(format!("{line}\n").as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::Work(error.into()))
}
