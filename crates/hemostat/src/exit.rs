//! How the process ends: exit codes and what is said with them.

use std::fmt;
use std::process::ExitCode;

/// Why a command did not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It worked and found something (exit 1).
    Finding,
    /// It was asked for the wrong thing or configured wrongly (exit 2).
    Usage(anyhow::Error),
    /// Something it needs is out of reach (exit 3).
    Unreachable(anyhow::Error),
    /// It failed (exit 1).
    Failed(anyhow::Error),
}

impl Failure {
    /// Says what went wrong on standard error and answers with the exit code.
    pub(crate) fn report(self) -> ExitCode {
        let (code, error) = match self {
            Self::Finding => return ExitCode::from(1),
            Self::Usage(error) => (2, error),
            Self::Unreachable(error) => (3, error),
            Self::Failed(error) => (1, error),
        };
        eprintln!("hemostat: {}", one_line(&error));
        ExitCode::from(code)
    }
}

/// An error and its sources, without repeating what a source says again.
fn one_line(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.contains(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finding => f.write_str("a finding"),
            Self::Usage(error) | Self::Unreachable(error) | Self::Failed(error) => {
                f.write_str(&one_line(error))
            }
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// Names the exit code an error leads to.
pub(crate) trait OrFailure<T> {
    /// Exit 2.
    fn or_usage(self) -> Result<T, Failure>;
    /// Exit 3.
    fn or_unreachable(self) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrFailure<T> for Result<T, E> {
    fn or_usage(self) -> Result<T, Failure> {
        self.map_err(|error| Failure::Usage(error.into()))
    }

    fn or_unreachable(self) -> Result<T, Failure> {
        self.map_err(|error| Failure::Unreachable(error.into()))
    }
}
