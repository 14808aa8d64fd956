//! The methods of the client, by what they are about.

mod connections;
mod groups;
mod permissions;
mod raw;
mod sends;
mod tokens;
