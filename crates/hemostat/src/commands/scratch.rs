//! A folder for what a command needs only while it runs.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::exit::Failure;

/// A folder that is gone when the command ends.
pub(in crate::commands) struct ScratchDir(PathBuf);

impl ScratchDir {
    /// Makes the folder of the command `what`.
    ///
    /// # Errors
    /// When the system does not let it.
    pub(in crate::commands) fn new(what: &str) -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("hemostat-{what}-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make `{}`", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(in crate::commands) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove a temporary folder");
        }
    }
}
