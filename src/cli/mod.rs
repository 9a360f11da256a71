//! The command line: one file per command.

mod check;
mod completions;
mod demo;
mod explain;
mod health;
mod man;
mod providers;
mod serve;

use clap::{Parser, Subcommand};
use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vidgate::config::Settings;

/// One address and one shape for every video-generation job.
#[derive(Parser)]
#[command(version, about, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the proxy.
    Serve(serve::Arguments),
    /// Read a config and say what it would do, or everything that is wrong with it (exit status 1).
    Check(ConfigFile),
    /// List the kinds of providers.
    Providers(providers::Arguments),
    /// Show which call a video id would cause, without making it. Credentials are shown as ***.
    Explain(explain::Arguments),
    /// Run simulated providers and a proxy in front of them. Needs no key and no network.
    Demo(demo::Arguments),
    /// Ask a running proxy whether it should get traffic: exit status 0 when it is ready, else 1.
    Health(health::Arguments),
    /// Print completions for a shell.
    Completions(completions::Arguments),
    /// Print the manual page, or write one for each command.
    Man(man::Arguments),
}

#[derive(clap::Args)]
struct ConfigFile {
    /// The config file (YAML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// What ends a command early; the text goes to standard error.
struct Failure(String);

impl<E: Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure(error.to_string())
    }
}

/// Reads the arguments and runs the command.
pub fn run() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Check(file) => check::run(&file.config),
        Command::Providers(arguments) => providers::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Health(arguments) => health::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(why)) => {
            let _ = writeln!(io::stderr(), "{why}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the settings; a failure lists every fault of the file.
fn load(file: &Path) -> Result<Settings, Failure> {
    Settings::load(file).map_err(|faults| Failure(format!("{} is not in order:\n{faults}", file.display())))
}

/// Prints to standard output; a reader that has left is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
