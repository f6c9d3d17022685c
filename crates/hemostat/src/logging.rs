//! Log lines on standard error: text on a terminal, JSON otherwise.

use std::io::IsTerminal;

use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Format, Logging};

/// Starts logging. Libraries below are only heard from WARN on, unless the filter says more.
///
/// # Errors
/// When the level is not a filter.
pub(crate) fn start(logging: &Logging) -> Result<(), ParseError> {
    let filter = if logging.level.contains('=') {
        EnvFilter::try_new(&logging.level)?
    } else {
        let crates = [
            "hemostat",
            "hemostat_agent",
            "hemostat_redis",
            "hemostat_docker",
            "hemostat_http",
            "hemostat_web",
        ];
        let ours: Vec<_> = crates.iter().map(|name| format!("{name}={}", logging.level)).collect();
        EnvFilter::try_new(format!("warn,{}", ours.join(",")))?
    };
    let terminal = std::io::stderr().is_terminal();
    let json = match logging.format {
        Format::Auto => !terminal,
        Format::Text => false,
        Format::Json => true,
    };
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // A second start, as tests in one process make it, keeps the first.
    let _started = if json {
        lines.json().flatten_event(true).finish().try_init()
    } else {
        lines.with_ansi(terminal && std::env::var_os("NO_COLOR").is_none()).finish().try_init()
    };
    Ok(())
}
