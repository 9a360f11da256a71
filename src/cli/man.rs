//! `vidgate man`

use super::Failure;
use clap::CommandFactory;
use clap_mangen::Man;
use std::fs;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Arguments {
    /// Write vidgate.1 and a page for each command into this folder, instead of printing the first.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let command = super::Arguments::command();
    if let Some(folder) = &arguments.dir {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        return Ok(clap_mangen::generate_to(command, folder)?);
    }
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    super::print(&String::from_utf8(page)?)
}
