//! The commands that operate a running broker.

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, builder::Command as Clap};
use lanna::model::TenantId;

use crate::cli::desk::Whom;
use crate::cli::history::{Changes, History, What as Asked};
use crate::cli::subscriptions::{Subscriptions, What, Which};

/// `lanna subscriptions`.
pub(super) fn subscriptions() -> Clap {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let which = |name: &'static str, about: &'static str| {
        let these = Arg::new("letter").value_name("LETTER").num_args(0..).help("Their ids");
        let all = Arg::new("all").long("all").action(ArgAction::SetTrue).help("All of the tenant");
        Clap::new(name)
            .about(about)
            .arg(these)
            .arg(option("of", "SUBSCRIPTION", "Those of a subscription"))
            .arg(all)
            .group(ArgGroup::new("which").args(["letter", "of", "all"]).required(true))
    };
    let command = Clap::new("subscriptions")
        .about("See how a running broker's notifications fare, and replay or drop dead letters")
        .subcommand_required(true)
        .subcommand(Clap::new("list").about("How the deliveries of each subscription stand"))
        .subcommand(Clap::new("failing").about("Subscriptions whose receivers fail, and why"))
        .subcommand(
            Clap::new("dead-letters")
                .about("Notifications that could not be delivered")
                .arg(option("of", "SUBSCRIPTION", "Only those of a subscription")),
        )
        .subcommand(which("replay", "Try dead letters once more"))
        .subcommand(which("drop", "Forget dead letters"));
    asking(command)
}

/// What `lanna subscriptions` was asked.
pub(super) fn understood_subscriptions(matches: &ArgMatches) -> (Subscriptions, &ArgMatches) {
    let (name, below) = matches.subcommand().unwrap_or(("list", matches));
    let of = || below.get_one::<String>("of").cloned();
    let which = || match (of(), below.get_flag("all")) {
        (Some(of), _) => Which::Of(of),
        (None, true) => Which::All,
        (None, false) => {
            Which::These(below.get_many("letter").into_iter().flatten().cloned().collect())
        }
    };
    let what = match name {
        "dead-letters" => What::DeadLetters { subscription: of() },
        "replay" => What::Replay(which()),
        "drop" => What::Drop(which()),
        name => What::List { failing: name == "failing" },
    };
    (Subscriptions { what, whom: whom(below) }, below)
}

/// The arguments of commands that ask a running broker.
fn asking(command: Clap) -> Clap {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).global(true).help(help)
    };
    command
        .arg(option("to", "URL", "The broker; the one of this configuration when absent"))
        .arg(
            option("tenant", "NAME", "The tenant; the default one when absent")
                .value_parser(TenantId::named),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .global(true)
                .help("Print JSON, one thing to a line"),
        )
}

fn whom(matches: &ArgMatches) -> Whom {
    Whom {
        to: matches.get_one::<String>("to").cloned(),
        tenant: matches.get_one::<TenantId>("tenant").cloned().unwrap_or_default(),
        json: matches.get_flag("json"),
    }
}

/// `lanna history`.
pub(super) fn history() -> Clap {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let days = |name: &'static str, help: &'static str| {
        option(name, "DAYS", help).value_parser(clap::value_parser!(u32).range(..=36_525))
    };
    let of = || {
        let help = "The type, as a term of the broker's @context or an IRI; * for all others";
        Arg::new("type").value_name("TYPE").required(true).help(help)
    };
    let set = Clap::new("set")
        .about("Say what is recorded of a type, and for how long; what is not named stays")
        .arg(of())
        .arg(option("record", "WHAT", "all, none, or attributes between commas"))
        .arg(
            option(
                "attributes",
                "NAMES",
                "The attributes that the days are about; all when absent",
            )
            .value_delimiter(','),
        )
        .arg(days("raw-days", "For how long instances are kept as they came"))
        .arg(days("hourly-days", "For how long numbers are kept as aggregates of hours"))
        .arg(days("daily-days", "For how long numbers are kept as aggregates of days"))
        .arg(
            Arg::new("for-ever")
                .long("for-ever")
                .action(ArgAction::SetTrue)
                .conflicts_with_all(["raw-days", "hourly-days", "daily-days"])
                .help("Keep them as they came, for ever"),
        );
    let held = Clap::new("held")
        .about("What is held: from when to when as it came, as hours, as days")
        .arg(option("id", "ID", "Only of this entity"))
        .arg(option("type", "TYPE", "Only of entities of this type"));
    let command = Clap::new("history")
        .about("See and change what a running broker records and for how long, and what it holds")
        .subcommand_required(true)
        .subcommand(Clap::new("rules").about("What is recorded, and for how long"))
        .subcommand(set)
        .subcommand(Clap::new("unset").about("Take the rule of a type back").arg(of()))
        .subcommand(held);
    asking(command)
}

/// What `lanna history` was asked.
pub(super) fn understood_history(matches: &ArgMatches) -> (History, &ArgMatches) {
    let (name, below) = matches.subcommand().unwrap_or(("rules", matches));
    let text = |name: &str| below.get_one::<String>(name).cloned();
    let what = match name {
        "set" => Asked::Set {
            of: text("type").unwrap_or_default(),
            changes: Changes {
                record: text("record"),
                attributes: below.get_many("attributes").into_iter().flatten().cloned().collect(),
                days: ["raw-days", "hourly-days", "daily-days"]
                    .map(|name| below.get_one::<u32>(name).copied()),
                for_ever: below.get_flag("for-ever"),
            },
        },
        "unset" => Asked::Unset { of: text("type").unwrap_or_default() },
        "held" => Asked::Held { id: text("id"), of: text("type") },
        _ => Asked::Rules,
    };
    (History { what, whom: whom(below) }, below)
}
