//! Commands and flags. The flags of the settings come from the table of the configuration, so
//! that the help cannot forget one.

mod operate;

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, builder::Command as Clap};
use lanna::config::{Choice, Config, Key};
use lanna::import::{Format, Mode, Options};
use lanna::model::TenantId;

use self::operate::{history, subscriptions, understood_history, understood_subscriptions};
use super::explain::Explain;
use super::feeds::{Feeds, Sample};
use super::history::History;
use super::import::Import;
use super::migrate::Migrate;
use super::models::Models;
use super::subscriptions::Subscriptions;

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
    /// Import entities.
    Import(Box<Import>),
    /// Ask about models of data.
    Models(Models),
    /// Copy from one store to another.
    Migrate(Migrate),
    /// Say how the store finds what a query selects.
    Explain(Explain),
    /// Ask about feeds.
    Feeds(Feeds),
    /// Ask a running broker what it records and holds.
    History(History),
    /// Ask a running broker about its deliveries.
    Subscriptions(Subscriptions),
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
        .help("Load samples of feeds around Mae Moh (air, water, weather, energy, fires) first");
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
        .subcommand(history())
        .subcommand(import())
        .subcommand(migrate())
        .subcommand(models())
        .subcommand(feeds())
        .subcommand(store())
        .subcommand(subscriptions())
        .subcommand(
            Clap::new("config")
                .about("Ask about the configuration")
                .subcommand_required(true)
                .subcommand(
                    Clap::new("show").about("Print the configuration in force, as a TOML file"),
                ),
        )
}

fn store() -> Clap {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let explain = Clap::new("explain")
        .about("Say how the store finds what a query selects")
        .long_about(
            "Say how the store finds what a query selects: by which filter and which indexes, \
             whether what it finds has to be evaluated again, and how much it looks at. The \
             first page is tried out.",
        )
        .arg(
            Arg::new("query")
                .value_name("QUERY")
                .required(true)
                .help("The query, as in a URL after the question mark: 'type=Vehicle&q=speed>50'"),
        )
        .arg(
            option("tenant", "NAME", "The tenant; the default one when absent")
                .value_parser(TenantId::named),
        )
        .arg(option("entity-context", "URL|FILE", "The @context of the names in the query"));
    Clap::new("store").about("Ask about the store").subcommand_required(true).subcommand(explain)
}

fn understood_explain(matches: &ArgMatches) -> Explain {
    let text = |name| matches.get_one::<String>(name).cloned();
    Explain {
        query: text("query").unwrap_or_default(),
        tenant: matches.get_one::<TenantId>("tenant").cloned().unwrap_or_default(),
        context: text("entity-context"),
    }
}

fn import() -> Clap {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Clap::new("import")
        .about("Import entities from a file")
        .long_about(
            "Import entities from a file: a JSON array, one entity to a line, normalized, \
             concise or simplified; or what entities were over \
             time, as temporal entities or as a table (CSV). They go into the data \
             folder, which no other process may use meanwhile, or with --to into a broker that \
             runs.",
        )
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .help("The file, or - for standard input"),
        )
        .arg(
            option("format", "FORMAT", "What the file holds")
                .value_parser(|text: &str| text.parse::<Format>())
                .default_value("auto"),
        )
        .arg(
            option("feed", "NAME|FILE", "The feed, or mapping file, whose document the file is")
                .conflicts_with_all(["format", "mapping", "update"])
                .long_help(
                    "The feed, or mapping file, whose document the file is, like air4thai: `lanna \
                     feeds list` names them. The mapping says what becomes of its records.",
                ),
        )
        .arg(option("to", "URL", "A running broker to import into, like http://127.0.0.1:9090"))
        .arg(
            option("tenant", "NAME", "The tenant; the default one when absent")
                .value_parser(TenantId::named),
        )
        .arg(
            option("entity-context", "URL|FILE", "The @context of entities that bring none")
                .long_help("The @context of entities that bring none: its address, or a file"),
        )
        .arg(
            Arg::new("update")
                .long("update")
                .action(ArgAction::SetTrue)
                .help("Update the attributes of entities that exist, instead of replacing them"),
        )
        .arg(option("mapping", "FILE", "What the columns of a CSV file mean (JSON)").long_help(
            "What the columns of a CSV file mean, as JSON. Without it the file has the columns in \
             which the temporal API answers: id, type, attribute, observedAt, value, unitCode.",
        ))
        .arg(
            Arg::new("resume")
                .long("resume")
                .action(ArgAction::SetTrue)
                .help("Note beside the file how far the import is, and go on from there"),
        )
        .arg(
            option("batch", "COUNT", "How many entities are written at once")
                .value_parser(clap::value_parser!(u16).range(1..))
                .default_value("500"),
        )
}

fn models() -> Clap {
    let name = Arg::new("name").value_name("TYPE").required(true);
    let file = Arg::new("file").value_name("FILE").help("The file; standard input when absent");
    Clap::new("models")
        .about("Ask what the entities of a city look like")
        .subcommand_required(true)
        .subcommand(Clap::new("list").about("List the models that are shipped"))
        .subcommand(Clap::new("show").about("Show a model").arg(name))
        .subcommand(
            Clap::new("check")
                .about("Check the entities of a file against the models of their types")
                .arg(file),
        )
}

fn understood_models(below: &ArgMatches) -> (Models, &ArgMatches) {
    match below.subcommand() {
        Some(("show", show)) => {
            (Models::Show(show.get_one("name").cloned().unwrap_or_default()), show)
        }
        Some(("check", check)) => {
            let file = check.get_one::<String>("file").filter(|file| *file != "-");
            (Models::Check(file.map(PathBuf::from)), check)
        }
        other => (Models::List, other.map_or(below, |(_, list)| list)),
    }
}

fn feeds() -> Clap {
    let name = || Arg::new("name").value_name("NAME|FILE");
    Clap::new("feeds")
        .about("Ask about feeds, and try their mapping files")
        .subcommand_required(true)
        .subcommand(Clap::new("list").about("List the feeds there are, and which of them run"))
        .subcommand(
            Clap::new("check")
                .about("Check mapping files: all, those named, or those in files of your own")
                .arg(name().num_args(0..)),
        )
        .subcommand(
            Clap::new("try")
                .about("Print what a feed would store of a document, and what it would refuse")
                .arg(name().required(true).help("The feed, or a mapping file"))
                .arg(
                    Arg::new("sample")
                        .long("sample")
                        .value_name("FILE")
                        .value_parser(clap::value_parser!(PathBuf))
                        .help("The document; the sample that comes with the feed when absent"),
                )
                .arg(
                    Arg::new("topic")
                        .long("topic")
                        .value_name("TOPIC")
                        .help("The topic under which the document came"),
                ),
        )
}

fn understood_feeds(below: &ArgMatches) -> (Feeds, &ArgMatches) {
    match below.subcommand() {
        Some(("check", check)) => {
            let names = check.get_many::<String>("name").into_iter().flatten();
            (Feeds::Check(names.cloned().collect()), check)
        }
        Some(("try", tried)) => {
            let sample = Sample {
                name: tried.get_one("name").cloned().unwrap_or_default(),
                file: tried.get_one("sample").cloned(),
                topic: tried.get_one("topic").cloned(),
            };
            (Feeds::Try(sample), tried)
        }
        other => (Feeds::List, other.map_or(below, |(_, list)| list)),
    }
}

fn migrate() -> Clap {
    let place = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("FOLDER|URL").required(true).help(help)
    };
    Clap::new("migrate")
        .about("Copy a broker, or some of its tenants, from one store to another")
        .long_about(
            "Copy a broker, or some of its tenants, from one store to another: between data folders \
             and MongoDBs, in any direction. Nobody may write meanwhile. What was interrupted goes \
             on where it was when the same is asked again; in the end both are compared.",
        )
        .arg(place("from", "The data folder or the MongoDB to copy from"))
        .arg(place("to", "The data folder or the MongoDB to copy to"))
        .arg(
            Arg::new("tenant")
                .long("tenant")
                .value_name("NAME")
                .action(ArgAction::Append)
                .value_parser(TenantId::named)
                .help("Only this tenant; may be given several times"),
        )
}

fn understood_migration(matches: &ArgMatches) -> Migrate {
    let text = |name| matches.get_one::<String>(name).cloned().unwrap_or_default();
    let tenants = matches.get_many::<TenantId>("tenant").into_iter().flatten();
    Migrate { from: text("from"), to: text("to"), tenants: tenants.cloned().collect() }
}

fn understood_import(matches: &ArgMatches) -> Import {
    let text = |name| matches.get_one::<String>(name).cloned();
    Import {
        file: text("file").filter(|file| file != "-").map(PathBuf::from),
        options: Options {
            format: matches.get_one("format").copied().unwrap_or_default(),
            batch: matches.get_one::<u16>("batch").map_or(500, |count| usize::from(*count)),
            ..Options::default()
        },
        to: text("to"),
        tenant: matches.get_one::<TenantId>("tenant").cloned().unwrap_or_default(),
        context: text("entity-context"),
        mode: if matches.get_flag("update") { Mode::Update } else { Mode::Replace },
        mapping: text("mapping").map(PathBuf::from),
        feed: text("feed"),
        resume: matches.get_flag("resume"),
    }
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
        Some(("models", below)) => {
            let (asked, deepest) = understood_models(below);
            (Command::Models(asked), deepest)
        }
        Some(("feeds", below)) => {
            let (asked, deepest) = understood_feeds(below);
            (Command::Feeds(asked), deepest)
        }
        Some(("migrate", asked)) => (Command::Migrate(understood_migration(asked)), asked),
        Some(("store", below)) => {
            let explain = below.subcommand().map_or(below, |(_, explain)| explain);
            (Command::Explain(understood_explain(explain)), explain)
        }
        Some(("import", import)) => (Command::Import(Box::new(understood_import(import))), import),
        Some(("history", below)) => {
            let (asked, deepest) = understood_history(below);
            (Command::History(asked), deepest)
        }
        Some(("subscriptions", below)) => {
            let (asked, deepest) = understood_subscriptions(below);
            (Command::Subscriptions(asked), deepest)
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
    use crate::cli::subscriptions::{What, Which};

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
    fn an_import_is_told_what_and_where_to() {
        let Command::Import(import) = invoked(&["import", "-"]).command else {
            panic!("an import was asked for")
        };
        assert_eq!((import.file, import.to, import.mode), (None, None, Mode::Replace));
        let words = "import f.json --format key-values --to http://a --tenant Lampang --update \
                     --entity-context c.jsonld --batch 100 --data elsewhere";
        let invocation = invoked(&words.split_whitespace().collect::<Vec<_>>());
        assert_eq!(invocation.choices[0].value, "elsewhere");
        let Command::Import(import) = invocation.command else { panic!("an import was asked for") };
        assert_eq!(import.file, Some("f.json".into()));
        assert_eq!((import.options.format, import.options.batch), (Format::KeyValues, 100));
        assert_eq!(import.tenant.name(), Some("Lampang"));
        assert_eq!((import.context.as_deref(), import.mode), (Some("c.jsonld"), Mode::Update));
        let words = ["import", "f.json", "--format", "simplified"];
        let Command::Import(import) = invoked(&words).command else { panic!("an import") };
        assert_eq!((import.options.format, import.feed), (Format::KeyValues, None));
        let words = ["import", "f.json", "--feed", "air4thai"];
        let Command::Import(import) = invoked(&words).command else { panic!("an import") };
        assert_eq!(import.feed.as_deref(), Some("air4thai"));
    }

    #[test]
    fn a_migration_is_told_where_from_and_where_to() {
        let words = "migrate --from data --to mongodb://h/?replicaSet=r --tenant a --tenant b";
        let words: Vec<_> = words.split_whitespace().collect();
        let Command::Migrate(asked) = invoked(&words).command else { panic!("a migration") };
        assert_eq!((&*asked.from, &*asked.to), ("data", "mongodb://h/?replicaSet=r"));
        assert_eq!(asked.tenants.len(), 2);
    }

    #[test]
    fn feeds_are_listed_checked_and_tried() {
        let asked = |words: &str| {
            let words: Vec<&str> = words.split_whitespace().collect();
            match invoked(&words).command {
                Command::Feeds(asked) => asked,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(asked("feeds list"), Feeds::List);
        assert_eq!(asked("feeds check a b.toml"), Feeds::Check(vec!["a".into(), "b.toml".into()]));
        let sample = Sample { name: "a".into(), file: Some("f".into()), topic: Some("t/1".into()) };
        assert_eq!(asked("feeds try a --sample f --topic t/1"), Feeds::Try(sample));
        let invocation = invoked(&["--feeds", "air4thai,dustboy"]);
        assert_eq!(invocation.choices[0].value, "air4thai,dustboy");
    }

    #[test]
    fn a_query_is_explained() {
        let invocation = invoked(&["store", "explain", "type=A&q=b>1", "--tenant", "Lampang"]);
        let Command::Explain(explain) = invocation.command else { panic!("asked to explain") };
        assert_eq!((&*explain.query, explain.tenant.name()), ("type=A&q=b>1", Some("Lampang")));
    }

    #[test]
    fn deliveries_are_asked_about_with_one_word() {
        let asked = |words: &str| {
            let words: Vec<&str> = words.split_whitespace().collect();
            match invoked(&words).command {
                Command::Subscriptions(asked) => asked,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(asked("subscriptions list").what, What::List { failing: false });
        let failing = asked("subscriptions failing --to http://a:1 --tenant Lampang --json");
        assert_eq!(failing.what, What::List { failing: true });
        let whom = failing.whom;
        assert_eq!((whom.to.as_deref(), whom.json), (Some("http://a:1"), true));
        assert_eq!(whom.tenant.name(), Some("Lampang"));
        let of = Some("urn:s".to_owned());
        let letters = asked("subscriptions dead-letters --of urn:s");
        assert_eq!(letters.what, What::DeadLetters { subscription: of });
        let these = Which::These(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(asked("subscriptions replay a b").what, What::Replay(these));
        assert_eq!(asked("subscriptions drop --all").what, What::Drop(Which::All));
        let of = Which::Of("urn:s".to_owned());
        assert_eq!(asked("subscriptions drop --of urn:s").what, What::Drop(of));
        for wrong in ["subscriptions", "subscriptions drop", "subscriptions replay a --all"] {
            let words = ["lanna"].into_iter().chain(wrong.split_whitespace());
            assert!(clap().try_get_matches_from(words).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rules_of_history_are_set_with_flags() {
        use crate::cli::history::{Changes, What};
        let asked = |words: &str| {
            let words: Vec<&str> = words.split_whitespace().collect();
            match invoked(&words).command {
                Command::History(asked) => asked,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(asked("history rules").what, What::Rules);
        let set = "history set AirQualityObserved --attributes pm25,pm10 --raw-days 90 \
                   --daily-days 3650 --tenant Lampang";
        let changes = Changes {
            attributes: vec!["pm25".to_owned(), "pm10".to_owned()],
            days: [Some(90), None, Some(3650)],
            ..Changes::default()
        };
        let of = "AirQualityObserved".to_owned();
        assert_eq!(asked(set).what, What::Set { of: of.clone(), changes });
        assert_eq!(asked(set).whom.tenant.name(), Some("Lampang"));
        assert_eq!(asked("history unset AirQualityObserved").what, What::Unset { of });
        let id = Some("urn:x:1".to_owned());
        assert_eq!(asked("history held --id urn:x:1").what, What::Held { id, of: None });
        for wrong in ["history", "history set", "history set * --raw-days 99999", "history unset"] {
            let words = ["lanna"].into_iter().chain(wrong.split_whitespace());
            assert!(clap().try_get_matches_from(words).is_err(), "{wrong}");
        }
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
