//! Putting a configuration together from its sources.

use std::path::PathBuf;

use super::{Config, ConfigError, Key, nearest::nearest, value::Input};

/// One setting chosen on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Which.
    pub key: Key,
    /// What for.
    pub value: String,
}

/// Where settings come from, the weakest first.
#[derive(Debug, Default)]
pub struct Sources {
    /// A file to read, if any.
    pub file: Option<PathBuf>,
    /// The environment; only names that begin with `LANNA_` matter.
    pub env: Vec<(String, String)>,
    /// The command line.
    pub flags: Vec<Choice>,
}

/// Names under the prefix that are not settings.
const NOT_SETTINGS: [&str; 1] = ["LANNA_CONFIG"];

impl Config {
    /// Puts a configuration together and checks it.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        if let Some(file) = &sources.file {
            config.read_file(file)?;
        }
        config.read_env(&sources.env)?;
        for Choice { key, value } in &sources.flags {
            let place = format!("--{}", key.flag());
            config.put(key, Input::Text(value), place)?;
        }
        config.check()?;
        Ok(config)
    }

    fn read_file(&mut self, file: &std::path::Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(file)
            .map_err(|why| ConfigError::Unreadable { file: file.to_owned(), why })?;
        let table: toml::Table = toml::from_str(&text)
            .map_err(|why| ConfigError::NotToml { file: file.to_owned(), why: Box::new(why) })?;
        let place = file.display().to_string();
        for (section, value) in &table {
            let known = Self::SECTIONS.iter().find(|(name, _, _)| name == section);
            let (Some((_, _, keys)), Some(values)) = (known, value.as_table()) else {
                let sections = Self::SECTIONS.iter().map(|(name, _, _)| *name);
                let meant = nearest(section, sections).map(|name| format!("[{name}]"));
                return Err(ConfigError::Unknown { place, name: section.clone(), meant });
            };
            for (name, value) in values {
                let Some(key) = keys.iter().find(|key| key.name == name) else {
                    let meant = nearest(name, keys.iter().map(|key| key.name)).map(str::to_owned);
                    let name = format!("{section}.{name}");
                    return Err(ConfigError::Unknown { place, name, meant });
                };
                self.put(key, Input::Toml(value), place.clone())?;
            }
        }
        Ok(())
    }

    fn read_env(&mut self, env: &[(String, String)]) -> Result<(), ConfigError> {
        let ours = env.iter().filter(|(name, _)| {
            name.starts_with("LANNA_") && !NOT_SETTINGS.contains(&name.as_str())
        });
        for (name, value) in ours {
            let Some(key) = Self::keys().find(|key| key.env() == *name) else {
                let names: Vec<String> = Self::keys().map(Key::env).collect();
                let meant = nearest(name, names.iter().map(String::as_str)).map(str::to_owned);
                let place = "the environment".to_owned();
                return Err(ConfigError::Unknown { place, name: name.clone(), meant });
            };
            self.put(key, Input::Text(value), name.clone())?;
        }
        Ok(())
    }

    fn put(&mut self, key: &Key, input: Input<'_>, place: String) -> Result<(), ConfigError> {
        self.set(key, input).map_err(|why| {
            let value = match input {
                Input::Text(text) => format!("{text:?}"),
                Input::Toml(value) => value.to_string(),
            };
            ConfigError::BadValue { place, name: key.path(), value, why }
        })
    }

    /// Refuses settings that contradict each other.
    fn check(&self) -> Result<(), ConfigError> {
        let refuse = |why: &str| Err(ConfigError::Contradiction(why.to_owned()));
        if self.server.tls_cert.is_some() != self.server.tls_key.is_some() {
            return refuse("server.tls_cert and server.tls_key belong together: set both or none");
        }
        if self.server.listen.is_empty() {
            return refuse("server.listen is empty: the broker would listen nowhere");
        }
        if self.mongodb.pool == 0 {
            return refuse("mongodb.pool must be more than 0");
        }
        let limits = &self.limits;
        if limits.page_default > limits.page_max {
            return refuse("limits.page_default is larger than limits.page_max");
        }
        let page = [limits.page_default, limits.page_max, limits.batch, limits.connections];
        if page.contains(&0) {
            return refuse(
                "limits.page_default, page_max, batch and connections must be more than 0",
            );
        }
        // The parser is recursive; a thread's stack holds about this many levels with ease.
        if !(4..=512).contains(&limits.depth) {
            return refuse("limits.depth must be between 4 and 512");
        }
        Ok(())
    }

    /// The configuration as a TOML file, each setting below what it does. What is not set is
    /// commented out.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        for (name, about, keys) in Self::SECTIONS {
            if !text.is_empty() {
                text.push('\n');
            }
            comment(&mut text, about);
            text.push_str(&format!("[{name}]\n"));
            for key in *keys {
                comment(&mut text, key.doc);
                match self.get(key) {
                    Some(value) => text.push_str(&format!("{} = {value}\n", key.name)),
                    None => text.push_str(&format!("# {} =\n", key.name)),
                }
            }
        }
        text
    }
}

fn comment(out: &mut String, doc: &str) {
    for line in doc.trim_end().lines() {
        out.push('#');
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lanna.toml");
        std::fs::write(&path, file).expect("written");
        let flag = |flag: &str| *Config::keys().find(|key| key.flag() == flag).expect("a flag");
        let sources = Sources {
            file: Some(path),
            env: env.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            flags: flags
                .iter()
                .map(|(name, value)| Choice { key: flag(name), value: value.to_string() })
                .collect(),
        };
        let place = folder.path().display().to_string();
        Config::load(&sources).map_err(|error| error.to_string().replace(&place, ""))
    }

    #[test]
    fn the_command_line_wins_over_the_environment_and_that_over_the_file() {
        let file = "[limits]\nbatch = 1\ndepth = 10\nmembers = 100\n";
        let env = [("LANNA_LIMITS_BATCH", "2"), ("LANNA_LIMITS_DEPTH", "20")];
        let config = load(file, &env, &[("limits-batch", "3")]).expect("a configuration");
        assert_eq!((config.limits.batch, config.limits.depth), (3, 20));
        assert_eq!((config.limits.members, config.limits.vertices), (100, 10_000));
    }

    #[test]
    fn a_wrong_name_is_refused_with_the_one_that_was_meant() {
        for (file, env, message) in [
            (
                "[server]\nlisen = \"127.0.0.1:1\"",
                "",
                "/lanna.toml: there is no setting server.lisen; did you mean listen?",
            ),
            (
                "[sever]\nlisten = \"127.0.0.1:1\"",
                "",
                "/lanna.toml: there is no setting sever; did you mean [server]?",
            ),
            (
                "listen = \"127.0.0.1:1\"",
                "",
                "/lanna.toml: there is no setting listen; lanna --help lists them all",
            ),
            (
                "",
                "LANNA_SERVER_LISTN",
                "the environment: there is no setting LANNA_SERVER_LISTN; did you mean \
                 LANNA_SERVER_LISTEN?",
            ),
        ] {
            let env = [(env, "127.0.0.1:1")];
            assert_eq!(load(file, &env, &[]).expect_err("wrong"), message);
        }
    }

    #[test]
    fn a_wrong_value_is_refused_with_what_is_right() {
        for (file, message) in [
            (
                "[limits]\nbody = \"8 apples\"",
                "/lanna.toml: limits.body cannot be \"8 apples\": expected a size, like 64KiB, \
                 8MiB or 2GiB",
            ),
            (
                "[limits]\nbatch = \"many\"",
                "/lanna.toml: limits.batch cannot be \"many\": expected a whole number",
            ),
            ("[server]\nlisten = []", "server.listen is empty: the broker would listen nowhere"),
            (
                "[server]\ntls_cert = \"a.pem\"",
                "server.tls_cert and server.tls_key belong together: set both or none",
            ),
            ("[limits]\npage_max = 10", "limits.page_default is larger than limits.page_max"),
        ] {
            assert_eq!(load(file, &[], &[]).expect_err("wrong"), message);
        }
        assert!(load("[server", &[], &[]).expect_err("wrong").contains("is not TOML"));
    }

    #[test]
    fn what_is_shown_reads_back_as_the_same() {
        let file = "[store]\ndurability = \"100ms\"\n[egress]\nallow = [\"10.0.0.0/8\"]\n";
        let config = load(file, &[], &[]).expect("a configuration");
        let again = load(&config.to_toml(), &[], &[]).expect("what it shows");
        assert_eq!(config, again);
    }

    #[test]
    fn every_flag_is_different() {
        let mut flags: Vec<String> = Config::keys().map(Key::flag).collect();
        let all = flags.len();
        flags.sort();
        flags.dedup();
        assert_eq!(flags.len(), all);
    }
}
