//! Where `${NAME}`, `${file:/path}` and the files that a config names are read from.

use std::env::VarError;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The most that is read of one file, the config itself included.
pub(super) const MAX_FILE: u64 = 4 << 20;

/// The world outside the config file. Tests put their own in its place.
pub trait Environment {
    /// The value of an environment variable.
    fn variable(&self, name: &str) -> Result<String, VarError>;

    /// The whole of a file; relative paths are relative to the working directory.
    fn file(&self, path: &Path) -> io::Result<Vec<u8>>;
}

/// The process's own environment and file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Environment for System {
    fn variable(&self, name: &str) -> Result<String, VarError> {
        std::env::var(name)
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // One byte more than allowed: an endless file is refused, not read to its end.
        File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(io::Error::other("the file is larger than 4 MiB"));
        }
        Ok(bytes)
    }
}
