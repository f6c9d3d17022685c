//! The program as its users run it, on archives made for the purpose.

mod bench;
mod decided_again;
mod export;
mod golden;
mod live;
mod made;
mod play;
mod provider;
mod recordings;
mod restore;
mod rig;
mod state;
mod story;
mod timeline;
mod verify;
mod what_if;
