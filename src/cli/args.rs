//! Commands and flags. The flags of the settings come from the table of the configuration, so
//! that the help cannot forget one.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, builder::Command as Clap};
use lanna::config::{Choice, Config, Key};

/// What was asked for.
#[derive(Debug, PartialEq)]
pub struct Invocation {
    /// The configuration file, if any.
    pub file: Option<PathBuf>,
    /// The settings on the command line.
    pub choices: Vec<Choice>,
    /// What to do.
    pub command: Command,
}

/// What to do.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// Serve the API.
    Serve(Serve),
    /// Print the configuration.
    ShowConfig,
}

/// How to serve.
#[derive(Debug, PartialEq)]
pub struct Serve {
    /// Load the sample first.
    pub sample: bool,
}

/// The file that is read when none is named and it is there.
const USUAL_FILE: &str = "lanna.toml";

/// Reads the command line; wrong ones, `--help` and `--version` end the program here.
pub fn parse() -> Invocation {
    let mut invocation = understood(&clap().get_matches());
    if invocation.file.is_none() && std::path::Path::new(USUAL_FILE).is_file() {
        invocation.file = Some(USUAL_FILE.into());
    }
    invocation
}

fn clap() -> Clap {
    let sample = Arg::new("sample")
        .long("sample")
        .action(ArgAction::SetTrue)
        .help("Load a day of air quality around Mae Moh before serving");
    let file = Arg::new("config")
        .long("config")
        .short('c')
        .value_name("FILE")
        .env("LANNA_CONFIG")
        .value_parser(clap::value_parser!(PathBuf))
        .global(true)
        .help("The configuration file (TOML); lanna.toml when it is there");
    Clap::new("lanna")
        .version(env!("CARGO_PKG_VERSION"))
        .about("An NGSI-LD context broker that becomes a city's data platform")
        .after_help(
            "Without a command, lanna serves. Every setting below can also stand in the file or \
             in the environment; flags win over the environment, and that over the file.",
        )
        .subcommand_help_heading("Commands")
        .arg(sample.clone())
        .arg(file)
        .args(Config::keys().map(flag))
        .subcommand(Clap::new("serve").about("Serve the API (the default)").arg(sample))
        .subcommand(
            Clap::new("config")
                .about("Ask about the configuration")
                .subcommand_required(true)
                .subcommand(
                    Clap::new("show").about("Print the configuration in force, as a TOML file"),
                ),
        )
}

/// The flag of a setting.
fn flag(key: &'static Key) -> Arg {
    let about = key.about();
    let short = about.split(". ").next().unwrap_or_default().trim_end_matches('.').to_owned();
    let default = match Config::default().get(key) {
        Some(toml::Value::Array(values)) if values.is_empty() => String::new(),
        Some(toml::Value::Array(values)) => {
            let values: Vec<String> = values.iter().map(shown).collect();
            format!(" [default: {}]", values.join(","))
        }
        Some(value) => format!(" [default: {}]", shown(&value)),
        None => String::new(),
    };
    // clap wants names that live as long as the program, which is how long it is asked once.
    let arg = Arg::new(&*key.path().leak())
        .long(&*key.flag().leak())
        .value_name(key.value)
        .help_heading(&*format!("Settings of [{}]", key.section).leak())
        .help(short)
        .long_help(format!("{about}\n[{}] [env: {}]{default}", key.hint, key.env()))
        .hide_short_help(key.flag.is_none())
        .global(true);
    match (key.switch, key.list) {
        (true, _) => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        (_, true) => arg.action(ArgAction::Append),
        _ => arg,
    }
}

fn shown(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn understood(matches: &ArgMatches) -> Invocation {
    let (command, deepest) = match matches.subcommand() {
        Some(("config", below)) => {
            (Command::ShowConfig, below.subcommand().map_or(below, |(_, show)| show))
        }
        Some((_, serve)) => {
            let sample = serve.get_flag("sample") || matches.get_flag("sample");
            (Command::Serve(Serve { sample }), serve)
        }
        None => (Command::Serve(Serve { sample: matches.get_flag("sample") }), matches),
    };
    let choice = |key: &Key| {
        let values = deepest.get_many::<String>(&key.path())?;
        let value = values.map(String::as_str).collect::<Vec<_>>().join(",");
        Some(Choice { key: *key, value })
    };
    Invocation {
        file: deepest.get_one::<PathBuf>("config").cloned(),
        choices: Config::keys().filter_map(choice).collect(),
        command,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invoked(args: &[&str]) -> Invocation {
        let args = ["lanna"].iter().chain(args);
        understood(&clap().try_get_matches_from(args).unwrap_or_else(|error| panic!("{error}")))
    }

    #[test]
    fn the_command_line_is_well_formed() {
        clap().debug_assert();
    }

    #[test]
    fn serving_is_the_default() {
        assert_eq!(invoked(&[]).command, Command::Serve(Serve { sample: false }));
        assert_eq!(invoked(&["--sample"]).command, Command::Serve(Serve { sample: true }));
        assert_eq!(invoked(&["serve", "--sample"]).command, Command::Serve(Serve { sample: true }));
        assert_eq!(invoked(&["config", "show"]).command, Command::ShowConfig);
    }

    #[test]
    fn flags_are_settings_before_and_after_the_command() {
        for args in [
            &["--listen", "127.0.0.1:1", "--allow-private-egress"][..],
            &["serve", "--listen", "127.0.0.1:1", "--allow-private-egress"],
            &["--listen", "127.0.0.1:1", "config", "show", "--allow-private-egress=true"],
        ] {
            let choices = invoked(args).choices;
            let pairs: Vec<_> =
                choices.iter().map(|choice| (choice.key.path(), &*choice.value)).collect();
            let listen = ("server.listen".to_owned(), "127.0.0.1:1");
            assert_eq!(pairs, [listen, ("egress.allow_private".to_owned(), "true")], "{args:?}");
        }
        let twice = invoked(&["--context", "https://a.b/c=x", "--context", "https://a.b/d=y"]);
        assert_eq!(twice.choices[0].value, "https://a.b/c=x,https://a.b/d=y");
    }

    #[test]
    fn every_setting_is_explained() {
        let help = clap().render_long_help().to_string();
        for key in Config::keys() {
            assert!(help.contains(&format!("--{}", key.flag())), "{}", key.flag());
            assert!(help.contains(&key.env()), "{}", key.env());
        }
    }
}
