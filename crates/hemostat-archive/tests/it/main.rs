//! Archives in the places where they can be.

mod bucket;
mod places;
mod refusals;
