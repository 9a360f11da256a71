//! `vidgate serve`

use super::Failure;
use std::path::PathBuf;
use vidgate::server::{self, Start};

#[derive(clap::Args)]
pub struct Arguments {
    /// The config file (YAML). SIGHUP and `POST /reload` on the admin listener read it again.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Take the listening sockets over from a running program (Linux only).
    ///
    /// Start this one, then send SIGQUIT to the other: it hands its sockets over, answers what it has begun, and ends.
    /// No connection is refused meanwhile. Both need the same `listen` and `admin` addresses, and the same user. This
    /// one gives up, and the other goes on, when no sockets come within about 6 seconds.
    #[arg(long)]
    upgrade: bool,
    /// Where sockets are handed over; the same for both programs. Default: vidgate-upgrade.sock in the folder for
    /// temporary files. Put it where only the program's user can write.
    #[arg(long, value_name = "PATH")]
    upgrade_sock: Option<PathBuf>,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut settings = super::load(&arguments.config)?;
    let logs = server::start_logs(&settings.log)?;
    // The addresses of a program that hands over are taken, by it.
    if !arguments.upgrade {
        server::pick_ports(&mut settings)?;
    }
    let Arguments { config, upgrade, upgrade_sock } = arguments;
    Ok(server::run(&settings, logs, Start { file: Some(config), upgrade, upgrade_sock })?)
}
