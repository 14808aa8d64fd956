//! The running server over real sockets, a file for each part of the checklist in client-protocols 12.

mod support;

mod json;
