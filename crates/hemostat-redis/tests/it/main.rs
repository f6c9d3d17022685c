//! The log on real redis-servers.

mod connect;
mod contract;
mod durability;
mod foreign;
mod full;
mod given;
mod loss;
mod managed;
mod reading;
mod scripts;
