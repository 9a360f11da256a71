//! `vidgate completions`

use super::Failure;
use clap::CommandFactory;
use clap_complete::Shell;

#[derive(clap::Args)]
pub struct Arguments {
    /// The shell that they are for.
    shell: Shell,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::Arguments::command(), env!("CARGO_PKG_NAME"), &mut script);
    super::print(&String::from_utf8(script)?)
}
