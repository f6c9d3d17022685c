//! The monitor over an engine and a log in memory, on a stopped clock.

mod follow;
mod handover;
mod incidents;
mod outages;
mod pressure;
mod rig;
mod scope;
