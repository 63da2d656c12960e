//! The area that a point lies in, by a file of boundaries that somebody brings.

use serde_json::json;

use super::by;
use crate::feed::Input;
use crate::feed::run::read_mapping;
use crate::feed::shipped::ShippedFeed;

/// What is added to a mapping for the tambon of each station.
const TAMBON: &str = r#"
[lookups.tambon]
areas = "tambons.geojson"
latitude = "lat"
longitude = "long"
"#;

/// Rectangles around two stations: they are no boundaries of anything.
fn boundaries() -> String {
    let area = |code: &str, th: &str, en: &str, [west, south, east, north]: [f64; 4]| {
        json!({
            "type": "Feature",
            "properties": { "code": code, "th": th, "en": en },
            "geometry": { "type": "MultiPolygon", "coordinates": [[[
                [west, south], [east, south], [east, north], [west, north], [west, south],
            ]]] },
        })
    };
    json!({ "type": "FeatureCollection", "features": [
        area("520204", "แม่เมาะ", "Mae Mo", [99.60, 18.25, 99.70, 18.32]),
        area("520205", "สบป้าด", "Sop Pat", [99.72, 18.20, 99.80, 18.30]),
    ] })
    .to_string()
}

#[test]
fn a_file_of_boundaries_tells_each_station_its_tambon() {
    let shipped = ShippedFeed::named("air4thai").expect("it is shipped");
    let folder = tempfile::tempdir().expect("a folder");
    let names = "tambonCode = { from = \"$tambon.code\", as = \"text\" }\n\
                 tambonName.languages = { th = \"$tambon.th\", en = \"$tambon.en\" }\n";
    let text = shipped.text.replace("[attributes]\n", &format!("{TAMBON}\n[attributes]\n{names}"));
    let file = folder.path().join("air4thai.toml");
    std::fs::write(&file, &text).expect("a file");
    let faults = read_mapping(&file).expect_err("there are no boundaries yet").to_string();
    assert!(
        faults.contains("lookups.tambon.areas") && faults.contains("tambons.geojson"),
        "{faults}"
    );
    std::fs::write(folder.path().join("tambons.geojson"), boundaries()).expect("a file");
    let mapping = read_mapping(&file).unwrap_or_else(|faults| panic!("{faults}"));
    let input = Input { bytes: shipped.sample, topic: None, file: None };
    let feed = by(&mapping, input).expect("it can be read");
    let mut told: Vec<(&str, Option<&str>, Option<&str>)> = feed
        .entities
        .iter()
        .map(|entity| {
            let id = entity["id"].as_str().expect("an id").rsplit(':').next().expect("a station");
            let (code, name) = (&entity["tambonCode"], &entity["tambonName"]);
            (id, code["value"].as_str(), name["languageMap"]["en"].as_str())
        })
        .collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            ("37t", None, None),
            ("38t", Some("520205"), Some("Sop Pat")),
            ("39t", None, None),
            ("40t", Some("520204"), Some("Mae Mo")),
        ]
    );
}
