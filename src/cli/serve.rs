//! `vidgate serve`

use super::Failure;
use std::path::Path;
use vidgate::server;

pub fn run(file: &Path) -> Result<(), Failure> {
    let mut settings = super::load(file)?;
    let logs = server::start_logs(&settings.log)?;
    server::pick_ports(&mut settings)?;
    Ok(server::run(&settings, logs)?)
}
