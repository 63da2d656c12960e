//! The models that come with Lanna: Smart Data Models for the domains of a city, and three of its
//! own. They are compiled when they are first asked for.

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use rustc_hash::FxHashMap;
use serde::Deserialize;
use serde_json::Value;

use super::Model;
use crate::jsonld::Context;
use crate::model::TypeName;

/// A model that comes with Lanna.
pub struct Shipped {
    /// The short name of the type.
    pub name: &'static str,
    /// The folder it stands in: its subject among the Smart Data Models, or `local`.
    pub subject: &'static str,
    schema: &'static str,
    example: &'static str,
    refused: &'static str,
    model: OnceLock<Model>,
}

/// An entity that a model must refuse.
#[derive(Debug, Clone, Deserialize)]
pub struct Refused {
    /// Why, in a sentence.
    pub why: String,
    /// The attribute that is wrong.
    pub attribute: String,
    /// In the simplified form.
    pub entity: Value,
}

/// What a unit code stands for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Unit {
    pub symbol: String,
    pub en: String,
    pub th: String,
}

macro_rules! models {
    ($($subject:literal: $($name:literal),+;)+) => {
        static SHIPPED: [Shipped; [$($($name),+),+].len()] = [$($(Shipped {
            name: $name,
            subject: $subject,
            schema: models!(@file $subject, $name, "schema"),
            example: models!(@file $subject, $name, "example"),
            refused: models!(@file $subject, $name, "refused"),
            model: OnceLock::new(),
        }),+),+];
    };
    (@file $subject:literal, $name:literal, $file:literal) => {
        include_str!(concat!("../../smart-data-models/", $subject, "/", $name, "/", $file, ".json"))
    };
}

models! {
    "alert": "Alert", "Anomaly";
    "building": "Building", "BuildingOperation";
    "consumption": "ConsumptionCost", "ConsumptionPoint";
    "data-quality": "DataQualityAssessment";
    "dcat-ap": "Agent", "Catalogue", "CatalogueRecord", "DataService", "Dataset", "Distribution";
    "device": "Device", "DeviceMeasurement", "DeviceModel", "SmartMeteringObservation";
    "energy": "ACMeasurement", "SolarEnergy", "ThreePhaseAcMeasurement";
    "energy-community": "EnergyCommunity", "EnergyProsumer";
    "environment": "AirQualityForecast", "AirQualityObserved", "CarbonFootprint", "EnvironmentObserved", "FloodMonitoring", "IndoorEnvironmentObserved", "NoiseLevelObserved", "PhreaticObserved", "WaterObserved";
    "forestry": "FireForestStatus";
    "green-energy": "GreenEnergyGenerator", "GreenEnergyMeasurement", "PhotovoltaicDevice", "PhotovoltaicMeasurement";
    "issue-tracking": "IssueReporting";
    "key-performance-indicator": "KeyPerformanceIndicator";
    "local": "EmissionFactor", "EnergyMeter", "Hotspot";
    "machine-learning": "MLModel", "MLProcessing";
    "organization": "Organization";
    "parks-and-gardens": "Garden", "GreenspaceRecord";
    "point-of-interest": "PointOfInterest";
    "risk-management": "Asset", "Exposure", "GISData", "Hazard", "Measure", "Mitigation", "Risk", "Vulnerability";
    "saref": "Meter";
    "satellite-imagery": "EOAnalysis", "EOGeoDataLayer";
    "waste-management": "WasteContainer", "WasteContainerIsle", "WasteContainerModel", "WasteObserved";
    "waste-water": "OffGasStack";
    "water-consumption": "WaterConsumptionObserved";
    "water-quality": "WaterQualityObserved", "WaterQualityPredicted";
    "weather": "WeatherAlert", "WeatherForecast", "WeatherObserved";
}

impl Shipped {
    /// The model.
    pub fn model(&self) -> &Model {
        self.model.get_or_init(|| {
            let schema = self.read(self.schema);
            Model::read(schema, &Context::core()).expect("a test reads every shipped model")
        })
    }

    /// An entity that is as the model says, in the simplified form.
    pub fn example(&self) -> Value {
        self.read(self.example)
    }

    /// An entity that is not, and why.
    pub fn refused(&self) -> Refused {
        serde_json::from_str(self.refused).expect("a test reads every shipped model")
    }

    /// Whether the type is Lanna's own and no Smart Data Model.
    pub fn is_local(&self) -> bool {
        self.subject == "local"
    }

    fn read(&self, text: &str) -> Value {
        serde_json::from_str(text).expect("a test reads every shipped model")
    }
}

/// All of them, by subject and name.
pub fn shipped() -> &'static [Shipped] {
    &SHIPPED
}

static BY_TYPE: LazyLock<FxHashMap<TypeName, usize>> = LazyLock::new(|| {
    let mut by_type = FxHashMap::default();
    for (place, shipped) in SHIPPED.iter().enumerate() {
        let model = shipped.model();
        by_type.insert(model.type_name, place);
        by_type.extend(model.other_names().iter().map(|other| (*other, place)));
    }
    by_type
});

/// The one for entities of a type, by its official name, by its former name, or by the name that
/// it has without any @context.
pub fn shipped_for(name: TypeName) -> Option<&'static Shipped> {
    BY_TYPE.get(&name).map(|place| &SHIPPED[*place])
}

/// Compiles all of them now instead of when the first is asked for.
pub fn prepare() {
    LazyLock::force(&BY_TYPE);
}

/// What a UN/CEFACT code stands for, of those that the models use.
pub fn unit(code: &str) -> Option<&'static Unit> {
    static UNITS: LazyLock<BTreeMap<String, Unit>> = LazyLock::new(|| {
        serde_json::from_str(include_str!("../../smart-data-models/units.json"))
            .expect("a test reads the units")
    });
    UNITS.get(code)
}
