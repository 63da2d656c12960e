//! The core contexts that come with the broker, so that it needs no network to know NGSI-LD.

use std::sync::{Arc, LazyLock};

use super::{Context, Document, ParseLimits};

/// Where unmapped names live (4.4).
pub const DEFAULT_VOCABULARY: &str = "https://uri.etsi.org/ngsi-ld/default-context/";

/// The core context of this version of the specification.
pub const CORE_CONTEXT: &str = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.9.jsonld";

/// Before the version in the address of a core context.
const ADDRESS: &str = "uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v";

macro_rules! core_contexts {
    ($($version:literal),*) => {
        /// Version and text of every core context, oldest first.
        pub(super) const CORE_CONTEXTS: &[(&str, &str)] = &[$((
            $version,
            include_str!(concat!("../../contexts/ngsi-ld-core-context-v", $version, ".jsonld")),
        )),*];
    };
}

core_contexts!["1.3", "1.4", "1.5", "1.6", "1.7", "1.8", "1.9"];

macro_rules! domain_contexts {
    ($($id:literal),* $(,)?) => {
        /// Contexts for the data of a city, by the local id under which every broker hosts them:
        /// one per subject of the Smart Data Models, and the city's own, which gives one name one
        /// meaning across all subjects.
        pub(super) const DOMAIN_CONTEXTS: &[(&str, &str)] =
            &[$(($id, include_str!(concat!("../../contexts/", $id, ".jsonld")))),*];
    };
}

domain_contexts![
    "alert",
    "building",
    "consumption",
    "data-quality",
    "dcat-ap",
    "device",
    "energy",
    "energy-community",
    "environment",
    "forestry",
    "green-energy",
    "issue-tracking",
    "key-performance-indicator",
    "machine-learning",
    "mae-moh",
    "organization",
    "parks-and-gardens",
    "point-of-interest",
    "risk-management",
    "saref",
    "satellite-imagery",
    "waste-management",
    "waste-water",
    "water-consumption",
    "water-quality",
    "weather",
];

/// The context of this local id that comes with the broker.
pub fn shipped_context(local_id: &str) -> Option<Arc<Context>> {
    let text = shipped_document(local_id)?;
    let mut document = Document::parse(text.as_bytes(), &ParseLimits::default()).ok()?;
    Context::local(&document.remove("@context")?).ok()
}

/// The document of a context that comes with the broker, by its local id.
pub fn shipped_document(local_id: &str) -> Option<&'static str> {
    DOMAIN_CONTEXTS.iter().find(|(id, _)| *id == local_id).map(|(_, text)| *text)
}

/// Whether a context of this local id comes with the broker.
pub(super) fn is_domain(local_id: &str) -> bool {
    DOMAIN_CONTEXTS.iter().any(|(id, _)| *id == local_id)
}

/// Whether the address is that of a core context, of any version we know.
pub fn is_core(url: &str) -> bool {
    core_text(url).is_some()
}

/// The text of the core context at this address.
pub(super) fn core_text(url: &str) -> Option<&'static str> {
    let address = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let version = match address.strip_prefix(ADDRESS) {
        Some(version) => version.strip_suffix(".jsonld")?,
        // The address without a version stands for the newest.
        None if address == "uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld" => "1.9",
        None => return None,
    };
    CORE_CONTEXTS.iter().find(|(known, _)| *known == version).map(|(_, text)| *text)
}

/// The core context as the processor sees it: the value of `@context`, without the scoped context
/// of `ngsildproof` (which would have to be fetched, and whose two terms the readers of proofs
/// know) and without protection (which the order of processing gives: the core comes last).
pub(super) fn core_document(text: &'static str) -> Document<'static> {
    let mut document = Document::parse(text.as_bytes(), &ParseLimits::default())
        .expect("a test reads every shipped context");
    let mut context = document.remove("@context").expect("every shipped context has one");
    context.remove("@protected");
    if let Document::Object(terms) = &mut context {
        for (_, definition) in terms {
            definition.remove("@context");
        }
    }
    context
}

/// The newest core context as the processor sees it.
pub(super) static CORE: LazyLock<Document<'static>> = LazyLock::new(|| {
    let (_, text) = CORE_CONTEXTS.last().expect("contexts are shipped");
    core_document(text)
});
