//! The broker itself.

use super::parts::JSON;
use super::{Answer, BROKER};

operations! {
    Get SourceIdentity "sourceIdentity" in BROKER ("5.15.1, 6.33.3.1"):
    "Who this broker is, to other brokers" ""
    { headers: &["NGSILD-Tenant"],
      answers: &[Answer { status: 200, about: "Its identity.", media: &[(JSON, "SourceIdentity")],
        headers: &[] }] }

    Get Health "health" in BROKER (""):
    "Version, limits and state" ""
    { answers: &[Answer { status: 200, about: "All is well, or the broker is shutting down.",
        media: &[(JSON, "Health")], headers: &[] }] }

    Get Ready "ready" in BROKER (""):
    "Whether requests should be sent here" ""
    { answers: &[
        Answer { status: 200, about: "Yes.", media: &[(JSON, "Readiness")], headers: &[] },
        Answer { status: 503, about: "No, and why.", media: &[(JSON, "Readiness")], headers: &[] },
      ] }

    Get Metrics "metrics" in BROKER (""):
    "Counters for Prometheus" ""
    { answers: &[Answer { status: 200, about: "In its text format.",
        media: &[("text/plain", "text")], headers: &[] }] }

    Get OpenApi "openapi" in BROKER (""):
    "This description" ""
    { answers: &[Answer { status: 200, about: "An OpenAPI 3.1 document.",
        media: &[(JSON, "Document")], headers: &[] }] }

    Get Docs "docs" in BROKER (""):
    "This description as a page" ""
    { answers: &[Answer { status: 200, about: "A page.", media: &[("text/html", "text")],
        headers: &[] }] }

    Get Root "root" in BROKER (""):
    "The greeting" ""
    { answers: &[Answer { status: 200, about: "A page.", media: &[("text/html", "text")],
        headers: &[] }] }
}
