//! The adapter on a real engine: the contract of the port, and what only this adapter promises.

mod acts;
mod counters;
mod events;
mod laboratory;
mod labs;
mod logs;
mod state;

use laboratory::Laboratory;

hemostat_agent::containers_contract!(Laboratory::start());
