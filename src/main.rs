//! The program: arguments, settings, server.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
