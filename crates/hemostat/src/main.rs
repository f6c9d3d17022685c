//! The one binary of HemoStat: every agent, and the operator's tools.

mod agents;
mod cli;
mod commands;
mod config;
mod connect;
mod exit;
mod logging;
mod past;
mod show;
mod supervise;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use hemostat_event::Role;

use cli::{BenchCommand, Cli, Command, IncidentCommand, SettingsArgs};
use config::Config;
use config::source::Given;
use exit::{Failure, OrFailure as _};

/// The binary is linked with musl, whose allocator has one lock for all threads and maps and unmaps memory for every
/// batch of events.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match start(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn start(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        // These need no configuration and no runtime.
        Command::Completion { shell } => return commands::completion::run(shell),
        Command::Workload { kind } => return commands::workload::run(&kind),
        Command::CheckConfig(args) if args.reference => return commands::check_config::reference(),
        _ => {}
    }
    let config = read_config(&cli.settings)?;
    logging::start(&config.log).context("log.level").or_usage()?;
    // Two threads: the work is waiting for Redis and the engine, and memory counts.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    runtime.block_on(dispatch(cli.command, config))
}

async fn dispatch(command: Command, config: Config) -> Result<(), Failure> {
    match command {
        Command::Up(args) => commands::up::run(config, &args).await,
        Command::Monitor => commands::run_agents::one(config, Role::Monitor).await,
        Command::Analyzer => commands::run_agents::one(config, Role::Analyzer).await,
        Command::Responder => commands::run_agents::one(config, Role::Responder).await,
        Command::Alert => commands::run_agents::one(config, Role::Alert).await,
        Command::Archiver => commands::archiver::run(config).await,
        Command::Metrics(args) => commands::metrics::run(config, &args).await,
        Command::Bridge => commands::bridge::run(config).await,
        Command::Archive { command } => commands::archive::run(&config, &command).await,
        Command::Log(args) => commands::log::run(&config, &args).await,
        Command::Status(args) => commands::status::run(&config, args.output).await,
        Command::Incidents(args) => commands::incidents::run(&config, &args).await,
        Command::Incident { command: IncidentCommand::Show { id, past, output } } => {
            commands::incident_show::run(&config, &id, &past, output.output).await
        }
        Command::Explain(args) => commands::explain::run(&config, &args).await,
        Command::Dlq { command } => commands::dlq::run(&config, &command).await,
        Command::Doctor(args) => commands::doctor::run(&config, args.output).await,
        Command::CheckConfig(args) => commands::check_config::run(&config, args.output.output),
        Command::Acl(args) => commands::acl::run(&config, &args),
        Command::Healthcheck(args) => commands::healthcheck::run(&config, &args).await,
        Command::Demo(args) => commands::demo::run(config, &args).await,
        Command::Bench { command: BenchCommand::Reaction(args) } => {
            commands::bench_reaction::run(config, &args).await
        }
        Command::Bench { command: BenchCommand::Hop(args) } => commands::bench_hop::run(&config, &args).await,
        Command::Bench { command: BenchCommand::Append(args) } => commands::bench_append::run(&args).await,
        Command::Bench { command: BenchCommand::Metrics(args) } => commands::bench_metrics::run(&args).await,
        Command::Bench { command: BenchCommand::Load(args) } => {
            commands::bench_load::run(&config, &args).await
        }
        Command::Bench { command: BenchCommand::Replica } => commands::bench_hop::replica(config).await,
        Command::Completion { shell } => commands::completion::run(shell),
        Command::Workload { kind } => commands::workload::run(&kind),
    }
}

/// Reads flags, environment and file.
fn read_config(args: &SettingsArgs) -> Result<Config, Failure> {
    let mut flags = args.set.clone();
    flags.extend(args.redis.iter().map(|url| format!("redis.url={url}")));
    let file = match &args.config {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("failed to read the configuration `{}`", path.display()));
            Some((path.clone(), text.or_usage()?))
        }
    };
    let given = Given {
        flags: &flags,
        file,
        environment: Some(&|name| std::env::var(name).ok()),
        environment_names: std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect(),
        read_file: Some(&|path| std::fs::read_to_string(path)),
    };
    Config::read(&given).or_usage()
}
