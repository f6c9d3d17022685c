//! `hemostat-replay restore` and `rebuild`: what the log keeps beside its events, made of the events again.

mod compare;
mod old_keys;
mod projection;
mod restore;

pub(crate) use compare::{RebuildArgs, run};
pub(crate) use restore::{RestoreArgs, run as restore};
