//! `vidgate explain`

use super::Failure;
use std::path::PathBuf;
use vidgate::gateway::Gateway;

#[derive(clap::Args)]
pub struct Arguments {
    /// The id of a video: {job}:{provider}
    id: String,
    /// The config file (YAML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let settings = super::load(&arguments.config)?;
    let gateway = Gateway::new(&settings)?;
    let explanation = gateway.explain(&arguments.id).map_err(|error| error.message(None))?;
    super::print(&explanation.to_string())
}
