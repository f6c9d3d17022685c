//! The run loop over the log in memory, on a stopped clock: what it promises whatever dies or goes away.

mod basics;
mod chaos;
mod failures;
mod members;
mod order;
mod outages;
mod replicas;
mod script;
mod shutdown;
mod timers;
