//! What callers and clients say in HTTP before it means anything: paths, queries, content types.

mod content_type;
mod path;
mod query;

pub use content_type::ContentType;
pub use path::{decode_path, decode_segment, encode_component};
pub use query::{Query, QueryError};
