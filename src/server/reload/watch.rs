//! Whether the files of a config have changed, by looking at them.
//!
//! Looking is enough, and sees what notifications miss: Kubernetes swaps a symbolic link two folders above the file.

use crate::config::Listen;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

const EVERY: Duration = Duration::from_secs(1);

/// What tells one state of a file from another: where it lies, which file it is, its time, its length.
type Stamp = Option<(PathBuf, u64, u64, i64, i64, u64)>;

/// The config file and the certificates of the listeners.
pub(super) struct Watch {
    pub is_on: bool,
    files: Vec<PathBuf>,
    /// As they were when they were last read.
    read: Vec<Stamp>,
    /// As they were at the last look. A file that changes from look to look is still being written.
    seen: Vec<Stamp>,
    next_look: Instant,
}

impl Watch {
    pub fn new(file: Option<&Path>, listen: &[Listen]) -> Watch {
        let tls = listen.iter().filter_map(|listen| listen.tls.as_ref());
        let certificates = tls.flat_map(|tls| [tls.cert.clone(), tls.key.clone()]);
        let files: Vec<PathBuf> = file.map(Path::to_owned).into_iter().chain(certificates).collect();
        let stamps = stamps(&files);
        Watch { is_on: false, files, read: stamps.clone(), seen: stamps, next_look: Instant::now() + EVERY }
    }

    /// Remembers the files as they are, since they are read now.
    pub fn look_at_files(&mut self) {
        self.read = stamps(&self.files);
        self.seen.clone_from(&self.read);
    }

    /// Waits until the files differ from those that were read, and have come to rest.
    pub async fn change(&mut self) {
        if !self.is_on {
            return std::future::pending().await;
        }
        loop {
            // Kept between calls, which end early whenever something else happens.
            sleep_until(self.next_look).await;
            self.next_look = Instant::now() + EVERY;
            if self.has_changed(stamps(&self.files)) {
                return;
            }
        }
    }

    fn has_changed(&mut self, stamps: Vec<Stamp>) -> bool {
        let is_at_rest = self.seen == stamps;
        self.seen = stamps;
        is_at_rest && self.seen != self.read
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |file: &PathBuf| {
        let path = fs::canonicalize(file).ok()?;
        let data = fs::metadata(&path).ok()?;
        Some((path, data.dev(), data.ino(), data.mtime(), data.mtime_nsec(), data.len()))
    };
    files.iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swapped_link_is_a_change_once_it_is_at_rest() {
        let folder = std::env::temp_dir().join(format!("vidgate-watch-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        for version in ["one", "two"] {
            fs::create_dir_all(folder.join(version)).unwrap();
            fs::write(folder.join(version).join("config.yaml"), "same").unwrap();
        }
        // As Kubernetes lays out a mounted ConfigMap.
        let (data, file) = (folder.join("..data"), folder.join("config.yaml"));
        std::os::unix::fs::symlink("one", &data).unwrap();
        std::os::unix::fs::symlink("..data/config.yaml", &file).unwrap();
        let mut watch = Watch::new(Some(&file), &[]);
        let look = |watch: &mut Watch| watch.has_changed(stamps(&watch.files.clone()));
        assert!(!look(&mut watch));
        std::os::unix::fs::symlink("two", folder.join("swap")).unwrap();
        fs::rename(folder.join("swap"), &data).unwrap();
        assert!(!look(&mut watch), "it may change further");
        assert!(look(&mut watch));
        watch.look_at_files();
        assert!(!look(&mut watch), "it has been read");
        fs::remove_dir_all(&folder).unwrap();
    }
}
