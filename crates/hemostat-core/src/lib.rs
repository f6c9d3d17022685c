//! The decisions of HemoStat.
//!
//! Each agent's rules are two functions ([`role::Decide`]): `decide` holds every rule and changes nothing;
//! `fold` changes the state and holds no rule. The crate knows no clock, socket, environment, file or task:
//! `now` is always the recorded time of the input. Replay is therefore the live agent with its effects dropped.
//!
//! Where to find what: [`detect`] (is it sick?), [`diagnose`] (why?), [`remediate`] (may we act, and did it
//! help?), [`notify`] (who has to know?), [`engine`] (what a container engine tells), [`labels`] (what a
//! container allows), [`redact`] (secrets in evidence), [`project`] (incidents as people read them),
//! [`invariant`] (the promises, as predicates over a log), [`replay`] (the decisions of a log, decided again),
//! [`bridge`] (what the Python HemoStat hears, and says).

pub mod bridge;
pub mod detect;
pub mod diagnose;
pub mod engine;
pub mod invariant;
pub mod labels;
pub mod notify;
pub mod project;
pub mod redact;
pub mod remediate;
pub mod replay;
pub mod role;
