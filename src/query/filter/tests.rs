use std::sync::Arc;

use expect_test::{Expect, expect};
use serde_json::{Value as Json, json};

use super::super::testing::{context, entity, name, now, parse};
use super::super::{ErrorKind, Limits, Lookup, NoLookup, parse_names};
use super::*;
use crate::model::{Entity, EntityId, Stored};

fn check(text: &str, expected: Expect) {
    let filter = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    expected.assert_eq(&filter.to_string());
    assert_eq!(parse(&filter.to_string()), Ok(filter), "{text}");
}

#[test]
fn queries_are_read_and_printed() {
    check("temperature", expect!["temperature"]);
    check(" speed > 50 ; brand == \"A b\" ", expect!["speed>50;brand==\"A b\""]);
    check("a==1;b==2|c==3", expect!["(a==1;b==2)|c==3"]);
    check("(a==1|b==2);c==3", expect!["(a==1|b==2);c==3"]);
    check("((a|b);c)", expect!["(a|b);c"]);
    check("!heading;speed>25", expect!["!heading;speed>25"]);
    check("a==true;b!=false", expect!["a==true;b!=false"]);
    check(
        "a==-1.5e3;b==1.0;c==18446744073709551615",
        expect!["a==-1500.0;b==1.0;c==18446744073709551615"],
    );
    check(
        "t>=2026-01-01T00:00:00Z;d<2026-01-02;h==12:30:00Z",
        expect!["t>=2026-01-01T00:00:00Z;d<2026-01-02;h==12:30:00Z"],
    );
    check("a==\"x\\\"y\\u0e01\"", expect!["a==\"x\\\"yก\""]);
    check(
        "a==1..5;b!=\"a\"..\"c\";c==1,\"x\",true",
        expect!["a==1..5;b!=\"a\"..\"c\";c==1,\"x\",true"],
    );
    check("name~=\"^A.*(b|c);\"|name!~=\"x\"", expect!["name~=\"^A.*(b|c);\"|name!~=\"x\""]);
    check("name~=^a(b|c){1,2}$;x", expect!["name~=\"^a(b|c){1,2}$\";x"]);
    check("code~=\"^\\d+\\.\"", expect!["code~=\"^\\\\d+\\\\.\""]);
    check("locatedIn==urn:ngsi-ld:City:Pisa", expect!["locatedIn==urn:ngsi-ld:City:Pisa"]);
    check("a==urn:x:1,\"urn:x:2\"", expect!["a==urn:x:1,\"urn:x:2\""]);
    check("a==https://x.org/(b)?c=d!e;f", expect!["a==https://x.org/(b)?c=d!e;f"]);
    check("gender==Male", expect!["gender==Male"]);
}

#[test]
fn paths_are_read_and_printed() {
    check("a.b.c>1", expect!["a.b.c>1"]);
    check(
        "location.observedAt>=2020-01-01T00:00:00Z",
        expect!["location.observedAt>=2020-01-01T00:00:00Z"],
    );
    check("address[city]==\"Berlin\"", expect!["address[city]==\"Berlin\""]);
    check("a.b[c.d]", expect!["a.b[c.d]"]);
    check("a[c][d]", expect!["a[c.d]"]);
    check(
        "color[en-US]==\"red\";color[*]!=\"x\"",
        expect!["color[en-US]==\"red\";color[*]!=\"x\""],
    );
    check("raw[\"odd.key]\"]==1", expect!["raw[\"odd.key]\"]==1"]);
    check("managedBy{name}==\"x\"", expect!["managedBy{name}==\"x\""]);
    check("owner{works{name}}==\"x\"", expect!["owner{works{name}}==\"x\""]);
    check("sensor{Device:humidity}>3", expect!["sensor{Device:humidity}>3"]);
    check("sensor{Device,Sensor:humidity.x[y]}", expect!["sensor{Device,Sensor:humidity.x[y]}"]);
    check("sensor{p:humidity}", expect!["sensor{p:humidity}"]);
    check("sensor{p:Device:humidity}", expect!["sensor{p:Device:humidity}"]);
    check("sensor{Device:p:humidity}", expect!["sensor{Device:p:humidity}"]);
    check(
        "sensor{https://x.org/a.b/Device:humidity}",
        expect!["sensor{https://x.org/a.b/Device:humidity}"],
    );
    check("sensor{<https://x.org/a:b>:humidity}", expect!["sensor{<https://x.org/a:b>:humidity}"]);
    check("a.rel{b}", expect!["a.rel{b}"]);
    check("p:dust>1", expect!["p:dust>1"]);
    check("https://example.org/dust.observedAt", expect!["https://example.org/dust.observedAt"]);
    check(
        "<https://example.org/a.b.c>.https://example.org/x.y",
        expect!["<https://example.org/a.b.c>.https://example.org/x.y"],
    );
    check("ฝุ่น>90;ค่าน้ำ_2.หน่วย==\"ไมโครกรัม\"", expect!["ฝุ่น>90;ค่าน้ำ_2.หน่วย==\"ไมโครกรัม\""]);
}

#[test]
fn names_mean_the_same_however_they_are_written() {
    let written = ["ฝุ่น>1", "https://example.org/dust>1", "<https://example.org/dust>>1"];
    let first = parse(written[0]).expect("a query");
    for text in written {
        assert_eq!(parse(text), Ok(first.clone()), "{text}");
    }
    let terms = |text: &str| match parse(text).expect(text) {
        Filter::Test(test) => test.path.names.iter().map(|term| term.iri().to_owned()).collect(),
        _ => Vec::new(),
    };
    assert_eq!(terms("dotted"), ["https://example.org/a.b.c"]);
    assert_eq!(terms("<https://example.org/a.b.c>"), ["https://example.org/a.b.c"]);
    assert_eq!(
        terms("https://a.b/c.https://d.e/f#g.h"),
        ["https://a.b/c", "https://d.e/f#g", "https://uri.etsi.org/ngsi-ld/default-context/h"]
    );
}

#[test]
fn real_clients_are_understood() {
    for text in [
        "temperature>20;brandName!=\"Mercedes\"",
        "refStore==\"urn:ngsi-ld:Store:001\"",
        "refStore==urn:ngsi-ld:Store:001",
        "category==commercial",
        "brandName!=Mercedes",
        "location.observedAt>=2020-01-01T00%3A00%3A00Z",
        "managedBy>\"urn:a\"",
        "endpoint==\"http://csf-a.example.com\"",
        "(name==\"Pisa Tower\"|name==\"Eiffel Tower\");almostFull==false",
        "locatedIn==urn:ngsi-ld:City:Pisa|locatedIn==urn:ngsi-ld:City:Paris",
        "name==\"Eiffel%20Tower\"",
        "speed~=\"3.*\"",
    ] {
        parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}

#[test]
fn mistakes_are_shown_where_they_are() {
    for (text, message, span) in [
        ("", "expected an attribute or \"(\", found the end", (0, 0)),
        ("speed>", "expected a value, found the end", (6, 6)),
        ("ฝุ่น>;a", "expected a value, found \";\" at character 6", (13, 14)),
        ("))bad((", "expected an attribute or \"(\", found \")\" at character 1", (0, 1)),
        (
            "a=1",
            "expected an operator, \";\", \"|\" or the end, found \"=\" at character 2",
            (1, 2),
        ),
        ("(a==1", "expected an operator, \";\", \"|\" or \")\", found the end", (5, 5)),
        (
            "a==1)",
            "expected an operator, \";\", \"|\" or the end, found \")\" at character 5",
            (4, 5),
        ),
        ("a==1;", "expected an attribute or \"(\", found the end", (5, 5)),
        ("a..b", "expected the name of an attribute, found \".\" at character 3", (2, 3)),
        ("a[", "expected a key, a language or \"*\", found the end", (2, 2)),
        ("a[b", "expected \".\" or \"]\", found the end", (3, 3)),
        ("a{b", "expected \".\", \"[\", \"{\" or \"}\", found the end", (3, 3)),
        ("a{}", "expected a type or the name of an attribute, found \"}\" at character 3", (2, 3)),
        (
            "a{B,C}",
            "expected \":\" and the name of an attribute, found \"}\" at character 6",
            (5, 6),
        ),
        ("a==\"x", "the quotation mark is never closed", (3, 4)),
        ("a==\"\\x\"", "\"\\x\" is not a JSON string", (3, 7)),
        ("a>true", "true has no order; only == and != take them", (2, 6)),
        ("a>4..5", "ranges and lists have no order; only == and != take them", (2, 4)),
        ("a<1,2", "ranges and lists have no order; only == and != take them", (2, 4)),
        ("a==1..\"x\"", "a range goes between two numbers, two texts or two dates", (3, 9)),
        ("a==007", "007 is not a number as JSON writes it; a text needs quotation marks", (3, 6)),
        (
            "a==Mae Moh",
            "\"Mae Moh\" is no value; a text needs quotation marks, like \"Mae Moh\"",
            (3, 10),
        ),
        ("a==b==c", "\"b==c\" is no value; a text needs quotation marks, like \"Mae Moh\"", (3, 7)),
        ("a==1,,2", "expected a value, found \",\" at character 6", (5, 6)),
    ] {
        let error = parse(text).expect_err(text);
        assert_eq!((error.message.as_str(), error.span), (message, Some(span)), "{text}");
        assert_eq!((error.kind, error.parameter), (ErrorKind::Syntax, "q"), "{text}");
    }
    let error = parse("a~=\"(\"").expect_err("an open group");
    assert_eq!(error.span, Some((3, 6)));
    assert!(error.message.starts_with("\"(\" is not a regular expression: "), "{error}");
}

#[test]
fn what_asks_for_too_much_is_too_complex() {
    for text in [
        vec!["a==1"; 300].join(";"),
        format!("a=={}", vec!["1"; 600].join(",")),
        format!("{}a{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("{}a{}", "a{".repeat(100_000), "}".repeat(100_000)),
        vec!["a"; 600].join("."),
        format!("a[{}]", vec!["a"; 600].join(".")),
        format!("a~=\"{}\"", "x".repeat(5_000)),
        "a~=\"((x{99}){99}){99}\"".to_owned(),
    ] {
        assert_eq!(parse(&text).unwrap_err().kind, ErrorKind::TooComplex, "{}", &text[..10]);
    }
    assert!(parse(&vec!["a==1"; 256].join(";")).is_ok());
}

#[test]
fn what_a_query_names_is_known() {
    for (text, depth, names_an_attribute) in [
        ("a>1", 0, true),
        ("a{b}==1;c", 1, true),
        ("a{b{c}}|d{e}", 2, true),
        ("modifiedAt>\"2020-01-01T00:00:00Z\"", 0, false),
        ("createdAt;expiresAt;deletedAt", 0, false),
        ("modifiedAt>2020-01-01T00:00:00Z;a", 0, true),
        ("id==urn:x:1;type==Building;scope==\"/A\"", 0, false),
        ("a.createdAt>2020-01-01T00:00:00Z", 0, true),
    ] {
        let filter = parse(text).expect(text);
        assert_eq!(filter.link_depth(), depth, "{text}");
        assert_eq!(filter.names_an_attribute(), names_an_attribute, "{text}");
    }
}

/// Other entities to link to.
struct Others(Vec<Arc<Stored>>);

impl Lookup for Others {
    fn entity(&self, id: &EntityId) -> Option<Arc<Stored>> {
        self.0.iter().find(|stored| stored.id == *id).cloned()
    }
}

fn holds(text: &str, entity: &Entity, lookup: &dyn Lookup) -> bool {
    parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).matches(entity, now(), lookup)
}

/// Each query with whether it holds of the entity.
fn table(json: Json, cases: &[(&str, bool)]) {
    let entity = entity(json);
    for (text, expected) in cases {
        assert_eq!(holds(text, &entity, &NoLookup), *expected, "{text}");
    }
}

#[test]
fn numbers_compare_by_value() {
    table(
        json!({"n": 30, "f": 30.5, "big": 9007199254740993_i64}),
        &[
            ("n", true),
            ("!n", false),
            ("m", false),
            ("!m", true),
            ("n==30", true),
            ("n==30.0", true),
            ("n==3e1", true),
            ("n==31", false),
            ("n!=30", false),
            ("n!=31", true),
            ("n>30", false),
            ("n>=30", true),
            ("n<30", false),
            ("n<=30", true),
            ("n>29.9", true),
            ("f>30;f<31", true),
            ("n==10..30", true),
            ("n==30..40", true),
            ("n==31..40", false),
            ("n!=10..30", false),
            ("n!=31..40", true),
            ("n==1,30", true),
            ("n==1,2", false),
            ("n!=1,30", false),
            ("n!=1,2", true),
            ("n~=\"3\"", false),
            ("n!~=\"3\"", false),
            ("big==9007199254740993", true),
            ("big==9007199254740992", false),
            ("big>9007199254740992", true),
            ("m!=1", false),
            ("m!~=\"x\"", false),
        ],
    );
}

#[test]
fn values_of_different_types_are_unequal_and_have_no_order() {
    table(
        json!({"n": 30, "s": "30", "b": true, "o": {"x": 1}, "list": []}),
        &[
            ("n==\"30\"", false),
            ("n!=\"30\"", true),
            ("n>\"20\"", false),
            ("s==30", false),
            ("s!=30", true),
            ("s>20", false),
            ("s!=1..100", true),
            ("b==true", true),
            ("b==false", false),
            ("b!=false", true),
            ("b==\"true\"", false),
            ("b!=\"true\"", true),
            ("b==1", false),
            ("o", true),
            ("o==1", false),
            ("o!=1", true),
            ("o>1", false),
            ("list", true),
            ("list==1", false),
            ("list!=1", true),
        ],
    );
}

#[test]
fn texts_compare_by_code_points() {
    table(
        json!({"name": "Mae Moh", "m": "m", "th": "แม่เมาะ", "uri": "urn:x:1"}),
        &[
            ("name==\"Mae Moh\"", true),
            ("name==\"mae moh\"", false),
            ("m==m", true),
            ("m>\"m\"", false),
            ("m>=\"m\"", true),
            ("m>\"Z\"", true),
            ("m<\"n\"", true),
            ("m==\"a\"..\"z\"", true),
            ("name~=\"^Mae\"", true),
            ("name~=\"Moh\"", true),
            ("name~=\"^Moh\"", false),
            ("name!~=\"^Moh\"", true),
            ("name!~=\"Moh\"", false),
            ("th==\"แม่เมาะ\"", true),
            ("th~=\"เมาะ$\"", true),
            ("th>\"m\"", true),
            ("uri==urn:x:1", true),
            ("uri==\"urn:x:1\"", true),
            ("uri!=urn:x:1,urn:x:2", false),
        ],
    );
}

#[test]
fn dates_and_times_compare_chronologically() {
    table(
        json!({
            "plain": "2026-01-31T12:00:00.500Z",
            "typed": {"value": {"@type": "DateTime", "@value": "2026-01-31T12:00:00Z"}},
            "day": {"value": {"@type": "Date", "@value": "2026-01-31"}},
            "time": "08:30:00Z",
            "text": "soon",
        }),
        &[
            ("plain>2026-01-31T12:00:00Z", true),
            ("plain>\"2026-01-31T12:00:00Z\"", true),
            ("plain<\"2026-01-31T12:00:01Z\"", true),
            ("plain==2026-01-31T12:00:00.5Z", true),
            ("plain==\"2026-01-31T12:00:00.5Z\"", true),
            ("plain!=\"2026-01-31T12:00:00.5Z\"", false),
            ("typed==2026-01-31T12:00:00.000Z", true),
            ("typed==\"2026-01-31T12:00:00.000Z\"", true),
            ("typed==2026-01-31T00:00:00Z..2026-02-01T00:00:00Z", true),
            ("typed==2026-01-31", true),
            ("typed>2026-01-30", true),
            ("typed>2026-01-31", false),
            ("day==2026-01-31", true),
            ("day<2026-02-01", true),
            ("day>=2026-01-31T18:00:00Z", true),
            ("day>2026-01-31T18:00:00Z", false),
            ("time<09:00:00Z", true),
            ("time>09:00:00Z", false),
            ("time==2026-01-31", false),
            ("text>2026-01-31", false),
            ("text!=2026-01-31", true),
            ("text>\"2026-01-31\"", true),
            ("typed~=\"^2026\"", true),
        ],
    );
}

#[test]
fn arrays_are_searched_for_equality_only() {
    table(
        json!({"tags": ["a", "b"], "one": ["a"], "n": {"valueList": [1, 2, 3]}}),
        &[
            ("tags==\"a\"", true),
            ("tags==\"c\"", false),
            ("tags!=\"a\"", false),
            ("tags!=\"c\"", true),
            ("tags==\"b\",\"z\"", true),
            ("tags==\"x\",\"z\"", false),
            ("tags!=\"b\",\"z\"", false),
            ("tags==\"a\"..\"z\"", false),
            ("tags!=\"a\"..\"z\"", true),
            ("tags>\"A\"", false),
            ("tags~=\"a\"", false),
            ("tags!~=\"x\"", false),
            ("one>\"A\"", true),
            ("one~=\"a\"", true),
            ("n==2", true),
            ("n==4", false),
            ("n>0", false),
            ("n", true),
            ("tags[0]==\"a\"", true),
            ("tags[2]", false),
        ],
    );
}

#[test]
fn compound_values_are_entered_by_brackets() {
    table(
        json!({
            "address": {"value": {"city": "Berlin", "geo": {"lat": 52.5}, "ฝุ่น": 1}, "city": "sub"},
            "raw": {"json": {"value": {"a.b": [1, {"c": "x"}]}, "city": "Rome", "n": 5}},
        }),
        &[
            ("address[city]", true),
            ("address[city]==\"Berlin\"", true),
            ("address[postcode]==\"Berlin\"", false),
            ("address[postcode]!=\"Berlin\"", false),
            ("!address[postcode]", true),
            ("address[geo.lat]>52", true),
            ("address[geo][lat]>52", true),
            ("address[ฝุ่น]==1", true),
            ("address[https://x]", false),
            ("address.city==\"sub\"", true),
            ("address.city[x]", false),
            ("raw[city]==\"Rome\"", true),
            ("raw[n]>4", true),
            ("raw[value]", true),
            ("raw[value.\"a.b\".0]==1", true),
            ("raw[value.\"a.b\".1.c]==\"x\"", true),
            ("raw[value.\"a.b\"]==1", true),
            ("raw[value.c]", false),
            ("raw==5", false),
        ],
    );
}

#[test]
fn languages_are_chosen_by_tag() {
    let color = json!({"languageMap": {"fr": "rouge", "en": "red", "th": ["แดง", "สีแดง"]}});
    table(
        json!({"color": color, "one": {"languageMap": {"en": "red"}}}),
        &[
            ("color", true),
            ("color[en]==\"red\"", true),
            ("color[EN]==\"red\"", true),
            ("color[en]==\"rouge\"", false),
            ("color[de]", false),
            ("color[de]!=\"red\"", false),
            ("color[*]==\"rouge\"", true),
            ("color[*]!=\"red\"", false),
            ("color[*]!=\"blue\"", true),
            ("color==\"rouge\"", true),
            ("color!=\"red\"", false),
            ("color[th]==\"สีแดง\"", true),
            ("color[th]~=\"แดง\"", false),
            ("color~=\"^ro\"", true),
            ("color!~=\"^ro\"", false),
            ("color!~=\"^x\"", true),
            ("color>\"red\"", true),
            ("color>\"ฮ\"", true),
            ("color==\"ra\"..\"rf\"", true),
            ("one[en]~=\"^r\"", true),
            ("color[en.x]", false),
        ],
    );
}

#[test]
fn words_of_a_vocabulary_are_compared_as_iris() {
    let entity = entity(json!({"category": {"vocab": ["commercial", "other"]}, "c": "commercial"}));
    for (text, expand, expected) in [
        ("category==commercial", "", false),
        ("category==commercial", "category", true),
        ("category==\"commercial\"", "category", true),
        ("category==commercial", "other", false),
        ("category!=commercial", "category", false),
        ("category!=commercial", "", true),
        ("category==x,commercial", "other,category", true),
        ("category==https://example.org/words/commercial", "", true),
        ("category==\"https://example.org/words/commercial\"", "category", true),
        ("c==commercial", "", true),
        ("c==commercial", "c", false),
    ] {
        let expand = (!expand.is_empty()).then_some(expand);
        let limits = Limits::default();
        let options = FilterOptions::parse(expand, None, context(), &limits).expect("names");
        let filter = Filter::parse(text, context(), &options, &limits).expect(text);
        assert_eq!(filter.matches(&entity, now(), &NoLookup), expected, "{text} {expand:?}");
        let again = Filter::parse(&filter.to_string(), context(), &options, &limits);
        assert_eq!(again, Ok(filter), "{text}");
    }
}

#[test]
fn relationships_know_only_equality() {
    let entity = json!({
        "one": {"object": "urn:x:a"},
        "many": {"object": ["urn:x:a", "urn:x:b"]},
        "list": {"objectList": ["urn:x:a", "urn:x:b"]},
    });
    table(
        entity,
        &[
            ("one", true),
            ("one==urn:x:a", true),
            ("one==\"urn:x:a\"", true),
            ("one==urn:x:b", false),
            ("one!=urn:x:b", true),
            ("one>\"urn:a\"", false),
            ("one<=\"urn:z\"", false),
            ("one~=\"urn\"", false),
            ("one!~=\"xyz\"", false),
            ("many==urn:x:b", true),
            ("many!=urn:x:b", false),
            ("many==urn:x:z,urn:x:b", true),
            ("list==urn:x:b", true),
            ("list!=urn:x:c", true),
            ("one[x]", false),
        ],
    );
}

#[test]
fn sub_attributes_and_members_follow_dots() {
    table(
        json!({
            "t": {
                "value": 20,
                "observedAt": "2026-02-01T00:00:00Z",
                "unitCode": "CEL",
                "datasetId": "urn:x:set",
                "expiresAt": "2027-01-01T00:00:00Z",
                "valueType": "Building",
                "quality": {"value": "good", "by": {"object": "urn:x:me"}},
            },
            "rel": {"object": "urn:x:a", "objectType": ["Building", "Other"]},
            "bare": 1,
        }),
        &[
            ("t.observedAt", true),
            ("t.observedAt>2026-01-31T00:00:00Z", true),
            ("t.observedAt>\"2026-01-31T00:00:00Z\"", true),
            ("t.observedAt<2026-01-31T00:00:00Z", false),
            ("t.observedAt==2026-02-01", true),
            ("bare.observedAt", false),
            ("!bare.observedAt", true),
            ("t.unitCode==\"CEL\"", true),
            ("t.unitCode==CEL", true),
            ("bare.unitCode!=\"CEL\"", false),
            ("t.datasetId==urn:x:set", true),
            ("bare.datasetId", false),
            ("t.expiresAt>2026-12-01T00:00:00Z", true),
            ("t.createdAt==1970-01-01T00:16:40Z", true),
            ("t.modifiedAt>1970-01-01T00:16:40Z", true),
            ("t.deletedAt", false),
            ("t.valueType==Building", false),
            ("t.valueType==https://example.org/types/Building", true),
            ("rel.objectType==Building", true),
            ("t.quality==\"good\"", true),
            ("t.quality.by==urn:x:me", true),
            ("t.quality.by.quality", false),
            ("t.quality.observedAt", false),
            ("t.observedAt.x", false),
            ("t.observedAt[x]", false),
        ],
    );
}

#[test]
fn the_entitys_own_members_can_be_asked() {
    let json = json!({
        "id": "urn:x:1", "type": ["Building", "p:House"], "scope": ["/A", "/B"],
        "expiresAt": "2027-01-01T00:00:00Z",
    });
    table(
        json,
        &[
            ("modifiedAt>\"1970-01-01T00:00:00Z\"", true),
            ("modifiedAt>=1970-01-01T00:33:20Z", true),
            ("createdAt>1970-01-01T00:33:20Z", false),
            ("expiresAt<2027-01-02T00:00:00Z", true),
            ("deletedAt", false),
            ("observedAt", false),
            ("id==urn:x:1", true),
            ("id~=\"1$\"", true),
            ("id!=urn:x:1", false),
            ("type==Building", true),
            ("type==p:House", true),
            ("type==Other", false),
            ("scope==\"/A\"", true),
            ("scope", true),
        ],
    );
    table(json!({}), &[("scope", false), ("expiresAt", false), ("!scope", true)]);
}

#[test]
fn any_living_instance_suffices() {
    let json = json!({
        "speed": [
            {"value": 5},
            {"value": 60, "datasetId": "urn:x:gps"},
            {"value": 900, "datasetId": "urn:x:old", "expiresAt": "2026-03-01T12:00:00Z"},
        ],
        "gone": {"value": 1, "expiresAt": "2026-01-01T00:00:00Z"},
        "kept": {"value": 1, "sub": {"value": 2, "expiresAt": "2026-01-01T00:00:00Z"}},
    });
    table(
        json,
        &[
            ("speed>50", true),
            ("speed<50", true),
            ("speed>100", false),
            ("speed==900", false),
            ("speed!=5", true),
            ("speed!=5;speed!=60", true),
            ("gone", false),
            ("!gone", true),
            ("gone!=5", false),
            ("kept.sub", false),
            ("kept", true),
        ],
    );
}

#[test]
fn linked_entities_are_asked_through_braces() {
    let all = [
        json!({"id": "urn:x:a", "name": "Pisa Tower", "in": {"object": "urn:x:b"}}),
        json!({"id": "urn:x:b", "type": "City", "name": "Pisa", "n": {"value": 1, "m": 2}}),
        json!({"id": "urn:x:c", "expiresAt": "2026-01-01T00:00:00Z", "name": "Old"}),
    ];
    let others = Others(all.into_iter().map(|json| Stored::new(entity(json))).collect());
    let one = entity(json!({
        "managedBy": {"object": "urn:x:a", "via": {"object": "urn:x:b"}},
        "near": {"objectList": ["urn:x:c", "urn:x:missing", "urn:x:b"]},
        "plain": "urn:x:a",
    }));
    for (text, expected) in [
        ("managedBy{name}==\"Pisa Tower\"", true),
        ("managedBy{name}!=\"Pisa Tower\"", false),
        ("managedBy{name}", true),
        ("managedBy{nothing}", false),
        ("!managedBy{nothing}", true),
        ("managedBy{Building:name}==\"Pisa Tower\"", true),
        ("managedBy{Vehicle:name}==\"Pisa Tower\"", false),
        ("managedBy{Vehicle,Building:name}", true),
        ("managedBy{in{name}}==\"Pisa\"", true),
        ("managedBy{in{City:n.m}}==2", true),
        ("managedBy{Building:in{Building:name}}", false),
        ("managedBy.via{name}==\"Pisa\"", true),
        ("near{name}==\"Old\"", false),
        ("near{name}==\"Pisa\"", true),
        ("near{modifiedAt}>1970-01-01T00:00:00Z", true),
        ("near{id}==urn:x:b", true),
        ("near{City:type}==City", true),
        ("plain{name}", false),
        ("nothing{name}", false),
    ] {
        assert_eq!(holds(text, &one, &others), expected, "{text}");
        assert!(!holds(text, &one, &NoLookup) || text.starts_with('!'), "{text}");
    }
}

#[test]
fn circles_of_links_come_to_an_end() {
    let fan = json!({"id": "urn:x:a", "r": {"object": vec!["urn:x:a"; 50]}});
    let others = Others(vec![Stored::new(entity(fan.clone()))]);
    let deep = format!("{}none{}", "r{".repeat(20), "}".repeat(20));
    assert!(!holds(&deep, &entity(fan), &others));
}

#[test]
fn names_may_become_known_later() {
    let filter = parse("neverSeenBefore>1|x{NeverSeenType:y}").expect("a query");
    assert!(!filter.matches(&entity(json!({"a": 1})), now(), &NoLookup));
    assert_eq!(filter.tests()[0].path.attribute().and_then(Term::name), None);
    let later = entity(json!({"neverSeenBefore": 2}));
    assert!(filter.matches(&later, now(), &NoLookup));
    assert_eq!(
        filter.tests()[0].path.attribute().and_then(Term::name),
        Some(name("neverSeenBefore"))
    );
}

#[test]
fn lists_of_names_are_read() {
    let limits = Limits::default();
    let names = parse_names("expandValues", "a, p:b,https://x.org/y.z", context(), &limits);
    let names: Vec<String> =
        names.expect("names").iter().map(|term| term.iri().to_owned()).collect();
    assert_eq!(
        names,
        [
            "https://uri.etsi.org/ngsi-ld/default-context/a",
            "https://example.org/p#b",
            "https://x.org/y.z"
        ]
    );
    for bad in ["", "a,", ",a", "a b", "a;b", "a.b", "1a"] {
        assert!(parse_names("expandValues", bad, context(), &limits).is_err(), "{bad}");
    }
}
