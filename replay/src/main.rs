//! `hemostat-replay`: what was, from the log, its archive, or a recording. Reads only, but for three verbs: `play` writes
//! into a namespace of its own, `restore` into one without a log, and `rebuild` puts states right.

mod bench;
mod cli;
mod export;
mod info;
mod play;
mod rebuild;
mod record;
mod recording;
mod rules;
mod screen;
mod source;
mod state;
mod test;
mod timeline;
mod verify;
mod what_if;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command};

/// The binary is linked with musl, whose allocator has one lock for all threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code of a finding: a difference, a broken promise.
const FINDING: u8 = 1;
/// Exit code of wrong usage, as clap gives it.
const USAGE: u8 = 2;
/// Exit code of what could not be done.
const FAILED: u8 = 3;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Cli { command, from } = Cli::parse();
    let done = match command {
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut cli::command(), "hemostat-replay", &mut std::io::stdout());
            Ok(true)
        }
        Command::Test(args) => test::run(&from, &args).await,
        Command::WhatIf(args) => what_if::run(&from, &args).await,
        Command::Export(args) => export::run(&from, &args).await,
        Command::CheckExport(args) => export::check(&args),
        Command::Bench(args) => bench::run(&args).await,
        Command::Info(output) => info::run(&from, output).await,
        Command::Play(args) => play::run(&from, &args).await,
        Command::Record(args) => record::run(&from, &args).await,
        Command::Restore(args) => rebuild::restore(&from, &args).await,
        Command::Rebuild(args) => rebuild::run(&from, &args).await,
        Command::State(args) => state::run(&from, &args).await,
        Command::Diff(args) => state::diff(&from, &args).await,
        Command::Timeline(args) => timeline::run(&from, &args).await,
        Command::Verify(args) => verify::run(&args, &from).await,
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FINDING),
        Err(error) => {
            eprintln!("hemostat-replay: {error:#}");
            ExitCode::from(if error.is::<rules::WrongSetting>() { USAGE } else { FAILED })
        }
    }
}
