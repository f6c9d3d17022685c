//! `hemostat completion`.

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use crate::cli::Cli;
use crate::exit::Failure;

/// Prints a completion script.
///
/// # Errors
/// None today; the signature is that of every command.
pub(crate) fn run(shell: Shell) -> Result<(), Failure> {
    generate(shell, &mut Cli::command(), "hemostat", &mut std::io::stdout());
    Ok(())
}
