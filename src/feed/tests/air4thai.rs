use expect_test::expect;
use serde_json::{Value, json};

use super::{TestFeed, mapped};

fn station(changes: Value) -> Value {
    let mut station = json!({
        "stationID": "40t",
        "nameTH": "การประปาส่วนภูมิภาคแม่เมาะ ",
        "nameEN": "Provincial Waterworks Authority Mae Moh",
        "areaTH": "ต.แม่เมาะ อ.แม่เมาะ, ลำปาง",
        "areaEN": "Mae Mo, Mae Mo, Lampang",
        "stationType": "GROUND",
        "lat": "18.282664",
        "long": "99.659873",
        "forecast": [],
        "AQILast": {
            "date": "2026-03-14",
            "time": "09:00",
            "PM25": {"color_id": "4", "aqi": "146", "value": "54.9"},
            "PM10": {"color_id": "2", "aqi": "44", "value": "73"},
            "O3": {"color_id": "1", "aqi": "19", "value": "27"},
            "CO": {"color_id": "0", "aqi": "-1", "value": "-1"},
            "NO2": {"color_id": "0", "aqi": "-1", "value": "6"},
            "SO2": {"color_id": "1", "aqi": "1", "value": "2"},
            "AQI": {"color_id": "4", "aqi": "146", "param": "PM25"}
        }
    });
    merge(&mut station, changes);
    station
}

fn merge(target: &mut Value, changes: Value) {
    match (target, changes) {
        (Value::Object(target), Value::Object(changes)) => {
            for (name, change) in changes {
                match change {
                    Value::Null => drop(target.remove(&name)),
                    change => merge(target.entry(name).or_insert(Value::Null), change),
                }
            }
        }
        (target, change) => *target = change,
    }
}

fn read(payload: &[u8]) -> Result<TestFeed, String> {
    mapped("air4thai", payload, None)
}

fn read_one(changes: Value) -> TestFeed {
    let payload = json!({"stations": [station(changes)]});
    read(payload.to_string().as_bytes()).expect("is a payload")
}

#[test]
fn a_station_becomes_an_observation() {
    let feed = read_one(json!({}));
    assert!(feed.refused.is_empty() && feed.notes.is_empty());
    expect![[r#"
        {
          "id": "urn:ngsi-ld:AirQualityObserved:air4thai:40t",
          "type": "AirQualityObserved",
          "dateObserved": {
            "type": "Property",
            "value": "2026-03-14T02:00:00Z",
            "valueType": "DateTime"
          },
          "location": {
            "type": "GeoProperty",
            "value": {
              "type": "Point",
              "coordinates": [
                99.659873,
                18.282664
              ]
            }
          },
          "stationName": {
            "type": "LanguageProperty",
            "languageMap": {
              "th": "การประปาส่วนภูมิภาคแม่เมาะ",
              "en": "Provincial Waterworks Authority Mae Moh"
            }
          },
          "areaName": {
            "type": "LanguageProperty",
            "languageMap": {
              "th": "ต.แม่เมาะ อ.แม่เมาะ, ลำปาง",
              "en": "Mae Mo, Mae Mo, Lampang"
            }
          },
          "stationType": {
            "type": "Property",
            "value": "GROUND"
          },
          "typeofLocation": {
            "type": "Property",
            "value": "outdoor"
          },
          "address": {
            "type": "Property",
            "value": {
              "addressCountry": "TH",
              "addressRegion": "Lampang",
              "addressLocality": "Mae Mo, Mae Mo"
            }
          },
          "pm25": {
            "type": "Property",
            "value": 54.9,
            "unitCode": "GQ",
            "observedAt": "2026-03-14T02:00:00Z",
            "averagingPeriod": {
              "type": "Property",
              "value": "PT24H"
            },
            "airQualityIndex": {
              "type": "Property",
              "value": 146
            },
            "source": {
              "type": "Property",
              "value": "http://air4thai.pcd.go.th"
            }
          },
          "pm10": {
            "type": "Property",
            "value": 73,
            "unitCode": "GQ",
            "observedAt": "2026-03-14T02:00:00Z",
            "averagingPeriod": {
              "type": "Property",
              "value": "PT24H"
            },
            "airQualityIndex": {
              "type": "Property",
              "value": 44
            },
            "source": {
              "type": "Property",
              "value": "http://air4thai.pcd.go.th"
            }
          },
          "o3": {
            "type": "Property",
            "value": 27,
            "unitCode": "61",
            "observedAt": "2026-03-14T02:00:00Z",
            "averagingPeriod": {
              "type": "Property",
              "value": "PT8H"
            },
            "airQualityIndex": {
              "type": "Property",
              "value": 19
            },
            "source": {
              "type": "Property",
              "value": "http://air4thai.pcd.go.th"
            }
          },
          "no2": {
            "type": "Property",
            "value": 6,
            "unitCode": "61",
            "observedAt": "2026-03-14T02:00:00Z",
            "averagingPeriod": {
              "type": "Property",
              "value": "PT1H"
            },
            "source": {
              "type": "Property",
              "value": "http://air4thai.pcd.go.th"
            }
          },
          "so2": {
            "type": "Property",
            "value": 2,
            "unitCode": "61",
            "observedAt": "2026-03-14T02:00:00Z",
            "averagingPeriod": {
              "type": "Property",
              "value": "PT1H"
            },
            "airQualityIndex": {
              "type": "Property",
              "value": 1
            },
            "source": {
              "type": "Property",
              "value": "http://air4thai.pcd.go.th"
            }
          },
          "airQualityIndex": {
            "type": "Property",
            "value": 146,
            "observedAt": "2026-03-14T02:00:00Z",
            "dominantPollutant": {
              "type": "Property",
              "value": "pm25"
            },
            "source": {
              "type": "Property",
              "value": "http://air4thai.pcd.go.th"
            }
          },
          "airQualityLevel": {
            "type": "Property",
            "value": "starts to affect health",
            "observedAt": "2026-03-14T02:00:00Z",
            "label": {
              "type": "LanguageProperty",
              "languageMap": {
                "th": "เริ่มมีผลกระทบต่อสุขภาพ",
                "en": "starts to affect health"
              }
            },
            "source": {
              "type": "Property",
              "value": "http://air4thai.pcd.go.th"
            }
          },
          "aqiScheme": {
            "type": "Property",
            "value": "TH-PCD-2023"
          },
          "dataProvider": {
            "type": "Property",
            "value": "Pollution Control Department, Thailand"
          },
          "source": {
            "type": "Property",
            "value": "http://air4thai.pcd.go.th"
          },
          "sourceClass": {
            "type": "Property",
            "value": "official"
          }
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&feed.entities[0]).expect("is JSON"));
}

#[test]
fn the_older_payload_is_read_too() {
    let feed = read_one(json!({
        "AQILast": null,
        "LastUpdate": {
            "date": "2019-01-15", "time": "20:00",
            "PM25": {"value": "34", "unit": "µg/m³"},
            "CO": {"value": "N/A", "unit": "ppm"},
            "SO2": {"value": "2", "unit": "ppb"},
            "NO2": {"value": "7", "unit": "furlongs"},
            "AQI": {"Level": "2", "aqi": "45"}
        }
    }));
    let entity = &feed.entities[0];
    assert_eq!(entity["pm25"]["unitCode"], "GQ");
    assert_eq!(entity["pm25"]["observedAt"], "2019-01-15T13:00:00Z");
    assert_eq!(entity["so2"]["unitCode"], "61");
    assert_eq!(entity.get("co"), None);
    assert_eq!(entity.get("no2"), None);
    assert_eq!(entity["airQualityLevel"]["value"], "good");
    assert_eq!(entity["aqiScheme"]["value"], "TH-PCD-before-2023");
    assert_eq!(feed.notes, [r#"no2: it has the unknown unit "furlongs""#]);
}

#[test]
fn a_station_without_readings_still_stands_where_it_stands() {
    let none = json!({"color_id": "0", "aqi": "-1", "value": "-1"});
    let feed = read_one(json!({"AQILast": {
        "PM25": none, "PM10": none, "O3": none, "NO2": none, "SO2": none,
        "AQI": {"color_id": "0", "aqi": "-999", "param": ""}
    }}));
    let entity = feed.entities[0].as_object().expect("is an object");
    for absent in ["pm25", "pm10", "o3", "co", "no2", "so2", "airQualityIndex", "aqiScheme"] {
        assert!(!entity.contains_key(absent), "{absent}");
    }
    assert!(entity.contains_key("location") && entity.contains_key("stationName"));
}

#[test]
fn bands_end_where_the_index_says() {
    for (aqi, level) in [
        ("0", "very good"),
        ("25", "very good"),
        ("26", "good"),
        ("50", "good"),
        ("100", "moderate"),
        ("101", "starts to affect health"),
        ("200", "starts to affect health"),
        ("201", "affects health"),
        ("512", "affects health"),
    ] {
        let feed = read_one(json!({"AQILast": {"AQI": {"aqi": aqi}}}));
        assert_eq!(feed.entities[0]["airQualityLevel"]["value"], level, "{aqi}");
    }
}

#[test]
fn what_cannot_be_placed_or_dated_is_refused_with_its_reason() {
    let cases = [
        (json!({"stationID": " "}), "it has no stationID"),
        (json!({"lat": ""}), r#"its coordinates "", "99.659873" are no numbers"#),
        (json!({"long": null}), r#"its coordinates "18.282664", null are no numbers"#),
        (
            json!({"lat": "99.659873", "long": "18.282664"}),
            "latitude 99.659873 and longitude 18.282664 are nowhere on Earth: are they swapped?",
        ),
        (json!({"AQILast": null}), "it does not say when it was observed"),
        (
            json!({"AQILast": {"time": "N/A"}}),
            r#""2026-03-14 N/A" is no time of an observation that can be read"#,
        ),
    ];
    for (changes, why) in cases {
        let feed = read_one(changes);
        assert!(feed.entities.is_empty());
        assert_eq!(feed.refused[0].1, why);
    }
}

#[test]
fn a_bad_reading_is_left_out_and_noted() {
    let feed = read_one(json!({"AQILast": {"PM25": {"value": "5O"}, "AQI": {"aqi": "high"}}}));
    assert_eq!(feed.entities[0].get("pm25"), None);
    assert_eq!(
        feed.notes,
        [r#"pm25: "5O" is no number"#, r#"airQualityIndex: "high" is no number"#]
    );
}

#[test]
fn the_payload_may_be_an_array_or_a_single_station() {
    let one = station(json!({}));
    for payload in [one.clone(), json!([one])] {
        let feed = read(payload.to_string().as_bytes()).expect("is a payload");
        assert_eq!(feed.entities.len(), 1);
    }
    for nothing in ["{}", r#"{"stations":{}}"#] {
        let feed = read(nothing.as_bytes()).expect("could be a station");
        assert_eq!((feed.entities.len(), feed.refused.len()), (0, 1), "{nothing}");
    }
    assert!(read(b"7").expect_err("no stations").contains("holds no records"));
    assert!(read(b"{").expect_err("cut off").contains("no JSON"));
    let feed = read(br#"[7]"#).expect("is an array");
    assert_eq!(feed.refused.len(), 1);
}

#[test]
fn odd_station_names_make_good_ids() {
    let feed = read_one(json!({"stationID": "สถานี 1"}));
    let id = feed.entities[0]["id"].as_str().expect("is a text").to_owned();
    assert!(crate::model::check_uri(&id).is_ok(), "{id}");
}

#[test]
fn the_sample_of_lampang_is_taken_whole() {
    let payload = include_bytes!("../../../feeds/air4thai.sample.json");
    let feed = read(payload).expect("is a payload");
    let ids: Vec<_> = feed.entities.iter().map(|entity| entity["id"].as_str()).collect();
    let expected = ["37t", "38t", "39t", "40t"]
        .map(|name| format!("urn:ngsi-ld:AirQualityObserved:air4thai:{name}"));
    assert_eq!(ids, expected.iter().map(|id| Some(id.as_str())).collect::<Vec<_>>());
    assert!(feed.refused.is_empty() && feed.notes.is_empty());
}
