//! The HTTP channels against a real server.

mod answers;
mod payloads;
mod secrets;
mod server;
mod telling;
