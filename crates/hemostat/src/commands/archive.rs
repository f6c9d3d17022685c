//! `hemostat archive`: what people do with the archive. None of it needs the archiver to stop.

mod expire;
mod hold;
mod redact;
mod rotate_key;
mod sweep;

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::Subcommand;
use hemostat_archive::{Archive, PrivateKey};

use super::archiver;
use crate::config::Config;
use crate::exit::{Failure, OrFailure as _};

/// `hemostat archive …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ArchiveCommand {
    /// Take bodies of events out of the archive, for good; the order is an event itself
    Redact(redact::RedactArgs),
    /// Let go what `archive.keep.*` does not keep any more; the archiver does the same every hour
    Expire(expire::ExpireArgs),
    /// Keep events from being redacted or let go
    Hold {
        /// What to do.
        #[command(subcommand)]
        command: hold::HoldCommand,
    },
    /// Make a new key for the archive; the old one says that it follows
    RotateKey(rotate_key::RotateKeyArgs),
    /// Remove objects that were left half-made; the archiver does the same every hour
    Sweep(sweep::SweepArgs),
}

/// Does it.
///
/// # Errors
/// Exit 2 for what does not exist or is not said, 3 when log or archive is out of reach, 1 when something is refused.
pub(crate) async fn run(config: &Config, command: &ArchiveCommand) -> Result<(), Failure> {
    match command {
        ArchiveCommand::Redact(args) => redact::run(config, args).await,
        ArchiveCommand::Expire(args) => expire::run(config, args).await,
        ArchiveCommand::Hold { command } => hold::run(config, command).await,
        ArchiveCommand::RotateKey(args) => rotate_key::run(config, args).await,
        ArchiveCommand::Sweep(args) => sweep::run(config, args).await,
    }
}

/// Opens the archive that is there.
///
/// # Errors
/// Exit 2 when there is none, 3 when it is out of reach.
async fn open(config: &Config) -> Result<Archive, Failure> {
    let place = archiver::place(config)?;
    if !place.may_exist() {
        // To open it would make it.
        return Err(Failure::Usage(anyhow!("there is no archive in `{place}`; set {}", archiver::SETTING)));
    }
    archiver::reach(&place).await.context(archiver::SETTING).or_unreachable()
}

/// The key that seals the archive, and where it is. None is made.
///
/// # Errors
/// Exit 2 when it cannot be read, or is not the one that sealed the archive last nor follows it.
async fn key(config: &Config, archive: &Archive) -> Result<(PrivateKey, PathBuf), Failure> {
    let path = archiver::key_file(config)?;
    let named = || format!("the key of the archive, `{}` (archive.key_file)", path.display());
    let pem = std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", named()));
    let key = PrivateKey::from_pem(&pem.or_usage()?).with_context(named).or_usage()?;
    for partition in archive.partitions().await.or_unreachable()? {
        let Some(last) = archive.last(partition).await.or_unreachable()? else { continue };
        let there = &last.statement.key;
        if !archive.may_follow(there, &key.public()).await.or_unreachable()? {
            let here = key.public().id();
            return Err(Failure::Usage(anyhow!(
                "the archive was sealed by the key {there}, and not by {}, which is {here}",
                named()
            )));
        }
    }
    Ok((key, path))
}
