//! The log on real redis-servers.

mod cluster;
mod connect;
mod contract;
mod durability;
mod foreign;
mod full;
mod given;
mod lag;
mod load;
mod loss;
mod managed;
mod pair;
mod pressure;
mod reading;
mod safe;
mod scripts;
mod sentinel;
mod shadow;
mod tls;
mod trim;
