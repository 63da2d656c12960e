//! The two macros that make a setting one row: its documentation, name, type and default give the
//! field, the file key, the environment variable, the flag, the help and the listing.

use super::value::Input;

/// One setting, as the help and the error messages see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The section it belongs to.
    pub section: &'static str,
    /// Its name within the section.
    pub name: &'static str,
    /// A shorter flag than `--section-name`, for what is set often.
    pub flag: Option<&'static str>,
    /// What it does.
    pub doc: &'static str,
    /// What stands for a value in the help.
    pub value: &'static str,
    /// What a value looks like.
    pub hint: &'static str,
    /// True for a setting that a bare flag switches on.
    pub switch: bool,
    /// True for a setting that may be given several times.
    pub list: bool,
}

impl Key {
    /// What it does, as one paragraph.
    pub fn about(&self) -> String {
        self.doc.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// `section.name`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// The environment variable, `LANNA_SECTION_NAME`.
    pub fn env(&self) -> String {
        format!("LANNA_{}_{}", self.section, self.name).to_uppercase()
    }

    /// The flag, without its dashes.
    pub fn flag(&self) -> String {
        match self.flag {
            Some(flag) => flag.to_owned(),
            None => format!("{}-{}", self.section, self.name).replace('_', "-"),
        }
    }
}

/// Settings about one concern.
pub trait Section: Default {
    /// Its name in the file.
    const NAME: &'static str;
    /// What it is about.
    const ABOUT: &'static str;
    /// Its settings, in the order of the file.
    const KEYS: &'static [Key];

    /// Sets one of [`Self::KEYS`]; the message tells what a right value looks like.
    fn set(&mut self, name: &str, input: Input<'_>) -> Result<(), String>;

    /// The value of one of [`Self::KEYS`] as TOML, absent when nothing is set.
    fn get(&self, name: &str) -> Option<toml::Value>;
}

macro_rules! settings {
    (
        $(#[doc = $about:literal])*
        pub struct $Section:ident = $section:literal {
            $(
                $(#[doc = $doc:literal])*
                $(#[flag = $flag:literal])?
                $field:ident: $Type:ty = $default:expr,
            )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $Section {
            $($(#[doc = $doc])* pub $field: $Type,)*
        }

        impl Default for $Section {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $crate::config::Section for $Section {
            const NAME: &'static str = $section;
            const ABOUT: &'static str = concat!($($about, "\n"),*);
            const KEYS: &'static [$crate::config::Key] = &[$($crate::config::Key {
                section: $section,
                name: stringify!($field),
                flag: $crate::config::section::settings!(@flag $($flag)?),
                doc: concat!($($doc, "\n"),*),
                value: <$Type as $crate::config::Value>::NAME,
                hint: <$Type as $crate::config::Value>::HINT,
                switch: <$Type as $crate::config::Value>::SWITCH,
                list: <$Type as $crate::config::Value>::LIST,
            },)*];

            fn set(
                &mut self,
                name: &str,
                input: $crate::config::value::Input<'_>,
            ) -> Result<(), String> {
                match name {
                    $(stringify!($field) => {
                        self.$field = input.read::<$Type>()?;
                    })*
                    _ => unreachable!("only names of KEYS are set"),
                }
                Ok(())
            }

            fn get(&self, name: &str) -> Option<toml::Value> {
                match name {
                    $(stringify!($field) => $crate::config::Value::show(&self.$field),)*
                    _ => None,
                }
            }
        }
    };
    (@flag) => { None };
    (@flag $flag:literal) => { Some($flag) };
}

macro_rules! config {
    (
        $(#[$meta:meta])*
        pub struct $Config:ident { $($field:ident: $Section:ty,)* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct $Config {
            $(
                #[doc = concat!("The `[", stringify!($field), "]` section.")]
                pub $field: $Section,
            )*
        }

        impl $Config {
            /// The sections with what each is about, in the order of the file.
            pub const SECTIONS: &'static [(&'static str, &'static str, &'static [Key])] = &[
                $((<$Section>::NAME, <$Section>::ABOUT, <$Section>::KEYS),)*
            ];

            /// Every setting, in the order of the file.
            pub fn keys() -> impl Iterator<Item = &'static Key> {
                Self::SECTIONS.iter().flat_map(|(_, _, keys)| keys.iter())
            }

            /// The value of a setting as TOML, absent when nothing is set.
            pub fn get(&self, key: &Key) -> Option<toml::Value> {
                match key.section {
                    $(<$Section>::NAME => self.$field.get(key.name),)*
                    _ => None,
                }
            }

            pub(super) fn set(
                &mut self,
                key: &Key,
                input: value::Input<'_>,
            ) -> Result<(), String> {
                match key.section {
                    $(<$Section>::NAME => self.$field.set(key.name, input),)*
                    _ => unreachable!("a key names one of the sections"),
                }
            }
        }
    };
}

pub(super) use {config, settings};
