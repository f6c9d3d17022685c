//! The endpoints over real connections.

mod endpoints;
mod running;
mod stopping;
