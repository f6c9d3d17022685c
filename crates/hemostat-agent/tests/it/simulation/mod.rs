//! All agents over a log in memory, in one thread and no real time, disturbed as a seed says.
//!
//! What runs is the code that runs everywhere else: [`Agent`] with the rules of analyzer, responder and alert agent,
//! and [`Monitor`]. Simulated are what they reach (`network`, `hands`, `world`) and what becomes of them (`drive`). The
//! agents die, between two requests and in the midst of one, begin again under a new name or their old one, and hang
//! for longer than others wait for them; requests and answers are lost, late, repeated and out of order; the log is
//! away, loses its groups, and its clock jumps. Which of these there are, and how often, a seed decides (`scenario`).
//!
//! After a while all faults end and the agents deal with what is left. Then the log is judged (`judge`) by the
//! predicates of [`hemostat_core::invariant`], by what is missing in it, and by what was seen while it was written
//! (`referee`).
//!
//! The same seed gives the same log, byte for byte: one thread, a stopped clock, every queue in order of arrival, one
//! generator of numbers for each replica. (Mind what is random behind one's back: the order of a `HashMap`, a
//! `select!` without `biased`, the order in which `tokio::sync::watch` wakes its receivers.)
//!
//! ```text
//! cargo test -p hemostat-agent --test it                                    # 10,000 seeds
//! HEMOSTAT_SIM_SEEDS=100000 cargo test -p hemostat-agent --test it           # 100,000
//! HEMOSTAT_SIM_SEEDS=10000..20000 cargo test -p hemostat-agent --test it     # others
//! HEMOSTAT_SIM_SEED=17 cargo test -p hemostat-agent --test it -- --nocapture # one, with its log as lines
//! ```
//!
//! [`Agent`]: hemostat_agent::run::Agent
//! [`Monitor`]: hemostat_agent::monitor::Monitor

mod cast;
mod defects;
mod drive;
mod hands;
mod judge;
mod network;
mod random;
mod referee;
mod scenario;
mod seeds;
mod stage;
mod tally;
mod world;
