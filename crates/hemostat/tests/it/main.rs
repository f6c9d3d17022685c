//! The whole binary, on a real Redis and a real container engine.

mod acl_file;
mod archive_care;
mod archiving;
mod bad_input;
mod bench;
mod bridging;
mod chaos;
mod compose;
mod crashes;
mod demo;
mod dlq;
mod documents;
mod footprint;
mod grafana;
mod ground;
mod healing;
mod layers;
mod metrics;
mod operator;
mod past;
mod prometheus;
mod reach;
mod restoring;
mod rig;
mod rights;
mod sharing;
