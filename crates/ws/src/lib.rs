//! WebSocket (RFC 6455) for a server, without I/O.
//!
//! [`Decoder`] cuts and unmasks client frames inside the buffer they were read into, so that a whole frame costs no copy.
//! [`Header`] is the head of a server frame; the payload stays where it is and may be shared by any number of sockets.
//! Nothing here reads a socket, a clock or a configuration; extensions are not supported.

mod close;
mod decode;
mod frame;
mod handshake;

pub use close::{CLOSE_REASON_MAX, ClosePayload, is_valid_close_code};
pub use decode::{DecodeError, Decoder, Event, MessageKind, Progress};
pub use frame::{HEADER_MAX, Header, Opcode};
pub use handshake::accept_key;
