//! Models as pages for people, in English and Thai side by side.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::broker::ModelEntry;
use crate::schema::{Property, unit};

const HEAD: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>";

const STYLE: &str = "</title><style>\
:root{color-scheme:light dark;--line:#8884;--soft:#8881}\
body{font:16px/1.5 system-ui,'Noto Sans Thai',sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.4rem .6rem;border-bottom:1px solid var(--line)}\
th{background:var(--soft)}code{font-size:.9em}small{opacity:.75}.must{font-weight:600}\
</style>";

/// All models.
pub(super) fn list(entries: &[ModelEntry]) -> String {
    let mut out = String::from(HEAD);
    out.push_str("Models");
    out.push_str(STYLE);
    out.push_str("<h1>Models</h1><p>What the entities of this city look like. ");
    out.push_str("<span lang=\"th\">แบบจำลองข้อมูลของเมือง</span></p>");
    out.push_str(
        "<table><thead><tr><th>Type<th>English<th lang=\"th\">ไทย<th>Domain<th>Validation</thead>",
    );
    for entry in entries {
        let model = &entry.model;
        out.push_str("<tr><td><a href=\"/models/");
        escape(&mut out, &model.name);
        out.push_str("\"><code>");
        escape(&mut out, &model.name);
        out.push_str("</code></a>");
        labels(&mut out, &model.labels);
        out.push_str("<td>");
        escape(&mut out, model.domain.as_deref().unwrap_or_default());
        out.push_str("<td>");
        out.push_str(entry.validation.word());
    }
    out.push_str("</table>");
    out
}

/// One model.
pub(super) fn show(entry: &ModelEntry) -> String {
    let model = &entry.model;
    let mut out = String::from(HEAD);
    escape(&mut out, &model.name);
    out.push_str(STYLE);
    out.push_str("<p><a href=\"/models\">Models</a></p><h1>");
    escape(&mut out, &model.name);
    out.push_str("</h1><p>");
    for label in model.labels.values() {
        escape(&mut out, label);
        out.push_str("<br>");
    }
    out.push_str("<code>");
    escape(&mut out, model.type_name.as_str());
    let _ = write!(out, "</code></p><p>Validation: {}. ", entry.validation.word());
    out.push_str("<a href=\"/models/");
    escape(&mut out, &model.name);
    out.push_str("/schema\">JSON Schema</a></p>");
    out.push_str(
        "<table><thead><tr><th>Attribute<th>English<th lang=\"th\">ไทย<th>Value<th>Units</thead>",
    );
    for property in model.properties() {
        row(&mut out, entry, property);
    }
    out.push_str("</table>");
    if let Some(example) = entry.example() {
        out.push_str("<h2>Example</h2><pre>");
        escape(&mut out, &serde_json::to_string_pretty(&example).unwrap_or_default());
        out.push_str("</pre>");
    }
    out
}

fn row(out: &mut String, entry: &ModelEntry, property: &Property) {
    let must = entry.model.required.contains(&property.term);
    out.push_str(if must { "<tr><td class=\"must\"><code>" } else { "<tr><td><code>" });
    escape(out, &property.term);
    out.push_str(if must { "</code> <small>required</small>" } else { "</code>" });
    labels(out, &property.labels);
    out.push_str("<td>");
    if let Some(kind) = property.kind {
        let _ = write!(out, "{}: ", kind.term());
    }
    escape(out, &property.expected);
    out.push_str("<td>");
    for code in &property.units {
        if let Some(unit) = unit(code) {
            escape(out, &unit.symbol);
            out.push(' ');
        }
        out.push_str("<code>");
        escape(out, code);
        out.push_str("</code> ");
    }
}

fn labels(out: &mut String, labels: &BTreeMap<String, String>) {
    for language in ["en", "th"] {
        let _ = write!(out, "<td lang=\"{language}\">");
        escape(out, labels.get(language).map_or("", String::as_str));
    }
}

/// Text as HTML has it: what a tenant wrote must not become markup.
fn escape(out: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tenant_wrote_is_text_and_no_markup() {
        let mut out = String::new();
        escape(&mut out, "<script>\"&'");
        assert_eq!(out, "&lt;script&gt;&quot;&amp;&#39;");
    }
}
