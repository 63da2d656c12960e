//! The mappings that come with Lanna, each with a sample of the shape that it reads.

use super::mapping::{Faults, Mapping};

/// A mapping that comes with Lanna.
#[derive(Debug, Clone, Copy)]
pub struct ShippedFeed {
    pub name: &'static str,
    /// The mapping file.
    pub text: &'static str,
    /// What a document looks like. The readings in it are made up.
    pub sample: &'static [u8],
    /// The topic under which the sample would come.
    pub topic: Option<&'static str>,
}

macro_rules! feeds {
    ($($name:literal: $sample:literal $($topic:literal)?;)+) => {
        static FEEDS: &[ShippedFeed] = &[$(ShippedFeed {
            name: $name,
            text: include_str!(concat!("../../feeds/", $name, ".toml")),
            sample: include_bytes!(concat!("../../feeds/", $sample)),
            topic: feeds!(@topic $($topic)?),
        }),+];
    };
    (@topic) => { None };
    (@topic $topic:literal) => { Some($topic) };
}

feeds! {
    "air4thai": "air4thai.sample.json";
    "dustboy": "dustboy.sample.json";
    "gistda-hotspots": "gistda-hotspots.sample.json";
    "meter-mqtt": "meter-mqtt.sample.json" "meters/SAMPLE-17/readings";
    "pea-load-profile": "pea-load-profile.sample.csv";
    "thaiwater-levels": "thaiwater-levels.sample.json";
    "tmd-weather": "tmd-weather.sample.xml";
}

/// Files that the mappings name.
const BESIDE: &[(&str, &[u8])] = &[
    ("pea-meters.csv", include_bytes!("../../feeds/pea-meters.csv")),
    ("mae-moh-tambons.csv", include_bytes!("../../feeds/mae-moh-tambons.csv")),
];

/// All of them.
pub fn shipped_feeds() -> &'static [ShippedFeed] {
    FEEDS
}

impl ShippedFeed {
    /// The one of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        FEEDS.iter().find(|feed| feed.name == name)
    }

    /// The mapping.
    ///
    /// # Errors
    /// Never for one that is released: a test reads them all.
    pub fn mapping(&self) -> Result<Mapping, Faults> {
        let beside = |name: &str| {
            let found = BESIDE.iter().find(|(own, _)| *own == name);
            found.map(|(_, bytes)| bytes.to_vec()).ok_or_else(|| format!("there is no file {name}"))
        };
        Mapping::parse(&format!("feeds/{}.toml", self.name), self.name, self.text, &beside)
    }
}
