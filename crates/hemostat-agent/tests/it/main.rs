//! All agents together, over a log in memory.

mod simulation;
