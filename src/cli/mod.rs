//! The command line. Composes the rooms of the library; nothing else does.

mod args;
mod desk;
mod explain;
mod feed_file;
mod feeds;
mod history;
mod import;
mod logging;
mod migrate;
mod models;
mod serve;
mod subscriptions;

use std::{io::Write, process::ExitCode};

use lanna::config::{Config, Sources};

use args::{Command, Invocation};

/// Runs the command that was asked for. Exit codes: 0 done, 1 failed, 2 asked for wrongly.
pub fn main() -> ExitCode {
    let invocation = args::parse();
    let config = match configuration(&invocation) {
        Ok(config) => config,
        Err(why) => return refuse(&why.to_string()),
    };
    match invocation.command {
        Command::Serve(options) => match logging::start(&config.log) {
            Ok(()) => ended(serve::run(config, &options)),
            Err(why) => refuse(&why),
        },
        Command::Migrate(asked) => match logging::start(&config.log) {
            Ok(()) => ended(migrate::run(&config, asked)),
            Err(why) => refuse(&why),
        },
        Command::Import(import) => match logging::start(&config.log) {
            Ok(()) => ended(import::run(&config, *import)),
            Err(why) => refuse(&why),
        },
        Command::Models(asked) => ended(models::run(&config, asked)),
        Command::Feeds(asked) => ended(feeds::run(&config, asked)),
        Command::Explain(explain) => match logging::start(&config.log) {
            Ok(()) => ended(explain::run(&config, &explain)),
            Err(why) => refuse(&why),
        },
        Command::History(asked) => ended(history::run(&config, asked)),
        Command::Subscriptions(asked) => ended(subscriptions::run(&config, asked)),
        Command::ShowConfig => ended(print(&config.to_toml())),
    }
}

fn configuration(invocation: &Invocation) -> Result<Config, lanna::config::ConfigError> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    Config::load(&Sources {
        file: invocation.file.clone(),
        env: std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect(),
        flags: invocation.choices.clone(),
    })
}

/// Writes to standard output; a reader that went away is no error.
fn print(text: &str) -> Result<(), std::io::Error> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn refuse(why: &str) -> ExitCode {
    eprintln!("lanna: {why}");
    ExitCode::from(2)
}

fn ended<E: std::fmt::Display>(result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("lanna: {why}");
            ExitCode::FAILURE
        }
    }
}
