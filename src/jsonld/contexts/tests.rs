use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::*;
use crate::jsonld::{CORE_CONTEXT, LoadError, RemoteDocument};

/// A web of documents that counts how often it is asked, and may be away.
#[derive(Default)]
struct Web {
    documents: Mutex<std::collections::HashMap<String, (String, Option<Duration>)>>,
    away: std::sync::atomic::AtomicBool,
    asked: Mutex<Vec<String>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl Web {
    fn with(documents: &[(&str, Value)]) -> Arc<Self> {
        let web = Self::default();
        for (url, context) in documents {
            web.put(url, context.clone());
        }
        Arc::new(web)
    }

    fn put(&self, url: &str, context: Value) {
        let text = json!({ "@context": context }).to_string();
        self.documents.lock().insert(url.into(), (text, None));
    }

    fn go_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    fn asked(&self) -> usize {
        self.asked.lock().len()
    }
}

#[async_trait]
impl DocumentLoader for Web {
    async fn load(&self, url: &str) -> Result<RemoteDocument, LoadError> {
        self.asked.lock().push(url.into());
        let at_once = self.at_once.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_at_once.fetch_max(at_once, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.at_once.fetch_sub(1, Ordering::Relaxed);
        if self.away.load(Ordering::Relaxed) {
            return Err(LoadError::Unreachable("the host is away".into()));
        }
        let documents = self.documents.lock();
        let (text, max_age) =
            documents.get(url).ok_or_else(|| LoadError::Unreachable("answered 404".into()))?;
        Ok(RemoteDocument { bytes: text.clone().into(), max_age: *max_age })
    }
}

/// A shelf in memory.
#[derive(Default)]
struct Memory(Mutex<std::collections::BTreeMap<String, StoredContext>>);

#[async_trait]
impl ContextShelf for Memory {
    async fn put(&self, context: StoredContext) -> Result<(), ShelfError> {
        self.0.lock().insert(context.local_id.clone(), context);
        Ok(())
    }

    async fn remove(&self, local_id: &str) -> Result<(), ShelfError> {
        self.0.lock().remove(local_id);
        Ok(())
    }

    async fn load(&self, local_id: &str) -> Result<Option<StoredContext>, ShelfError> {
        Ok(self.0.lock().get(local_id).cloned())
    }

    async fn load_all(&self) -> Result<Vec<StoredContext>, ShelfError> {
        Ok(self.0.lock().values().cloned().collect())
    }
}

const US: TenantId = TenantId::DEFAULT;
const A: &str = "https://example.org/a.jsonld";
const B: &str = "https://example.org/b.jsonld";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + seconds * 1_000_000)
}

fn contexts(web: &Arc<Web>) -> Contexts {
    with(web, ContextSettings::default())
}

fn with(web: &Arc<Web>, settings: ContextSettings) -> Contexts {
    Contexts::new(web.clone(), Arc::new(NoShelf), settings, at(0))
}

async fn by_url(
    contexts: &Contexts,
    url: &str,
    now: Timestamp,
) -> Result<Arc<Context>, ContextError> {
    contexts.resolve(&US, ContextSource::Url(url), now).await
}

async fn inline(contexts: &Contexts, context: Value) -> Result<Arc<Context>, ContextError> {
    contexts.resolve(&US, ContextSource::Inline(&Document::from_json(&context)), at(0)).await
}

fn hits(contexts: &Contexts, url: &str) -> u64 {
    let all = contexts.list(&US, None);
    all.iter().find(|details| &*details.url == url).expect("a known context").hits
}

#[tokio::test]
async fn a_context_is_fetched_once_and_then_found() {
    let web = Web::with(&[(A, json!({ "speed": "https://example.org/speed" }))]);
    let contexts = contexts(&web);
    let first = by_url(&contexts, A, at(1)).await.expect("a context");
    assert_eq!(first.expand_text("speed"), "https://example.org/speed");
    assert_eq!(first.link().url.as_deref(), Some(A));
    let again = by_url(&contexts, A, at(2)).await.expect("a context");
    assert!(Arc::ptr_eq(&first, &again));
    let alone = inline(&contexts, json!([A])).await.expect("a context");
    assert!(Arc::ptr_eq(&first, &alone));
    let with_core = inline(&contexts, json!([A, CORE_CONTEXT])).await.expect("a context");
    assert!(Arc::ptr_eq(&first, &with_core));
    assert_eq!(web.asked(), 1);
    assert_eq!(hits(&contexts, A), 4);
}

#[tokio::test]
async fn many_at_once_fetch_it_once_and_share_its_failure() {
    let web = Web::with(&[(A, json!([B])), (B, json!({ "b": "https://example.org/b" }))]);
    let contexts = Arc::new(contexts(&web));
    let ask = |url: &'static str| {
        let contexts = contexts.clone();
        tokio::spawn(async move { by_url(&contexts, url, at(1)).await })
    };
    let asked: Vec<_> = (0..20).flat_map(|_| [ask(A), ask(B)]).collect();
    for answer in asked {
        assert!(answer.await.expect("no panic").is_ok());
    }
    assert_eq!(web.asked(), 2);

    let missing = "https://example.org/missing.jsonld";
    let asked: Vec<_> = (0..20).map(|_| ask(missing)).collect();
    for answer in asked {
        let error = answer.await.expect("no panic").expect_err("missing");
        assert!(matches!(error, ContextError::NotAvailable(url, _) if &*url == missing));
    }
    assert_eq!(web.asked(), 3);
    assert!(by_url(&contexts, missing, at(1)).await.is_err());
    assert_eq!(web.asked(), 4, "a failure is not remembered");
}

#[tokio::test]
async fn arrays_are_fetched_together_and_read_in_order() {
    let web = Web::with(&[
        (A, json!({ "x": "https://example.org/first", "only": "https://example.org/a" })),
        (B, json!({ "x": "https://example.org/second" })),
    ]);
    let contexts = contexts(&web);
    let given = json!([A, B, { "y": "only:z", "z": "https://example.org/z" }]);
    let context = inline(&contexts, given.clone()).await.expect("a context");
    assert_eq!(context.expand_text("x"), "https://example.org/second");
    assert_eq!(context.expand_text("only"), "https://example.org/a");
    assert_eq!(context.expand_text("z"), "https://example.org/z");
    assert_eq!(web.most_at_once.load(Ordering::Relaxed), 2);
    assert_eq!(context.link().url, None);
    assert_eq!(*context.link().body, *given.to_string());
    let again = inline(&contexts, given).await.expect("a context");
    assert!(Arc::ptr_eq(&context, &again));
    let other = inline(&contexts, json!([A, B, {}])).await.expect("a context");
    assert!(!Arc::ptr_eq(&context, &other));
}

#[tokio::test]
async fn relative_addresses_start_from_the_document_that_has_them() {
    let web = Web::with(&[
        ("https://example.org/x/a.jsonld", json!(["../b.jsonld", { "@import": "c.jsonld" }])),
        ("https://example.org/b.jsonld", json!({ "b": "https://example.org/#b" })),
        ("https://example.org/x/c.jsonld", json!({ "c": "https://example.org/#c" })),
    ]);
    let contexts = contexts(&web);
    let context = by_url(&contexts, "https://example.org/x/a.jsonld", at(0)).await.expect("found");
    assert_eq!(context.expand_text("b"), "https://example.org/#b");
    assert_eq!(context.expand_text("c"), "https://example.org/#c");
    let error = inline(&contexts, json!(["b.jsonld", {}])).await.expect_err("relative");
    assert!(matches!(error, ContextError::Invalid(_)), "{error}");
}

#[tokio::test]
async fn copies_age_and_are_renewed() {
    let web = Web::with(&[(A, json!({ "speed": "https://example.org/old" }))]);
    let contexts = contexts(&web);
    let old = by_url(&contexts, A, at(0)).await.expect("a context");
    web.put(A, json!({ "speed": "https://example.org/new" }));
    let still = by_url(&contexts, A, at(3_599)).await.expect("a context");
    assert!(Arc::ptr_eq(&old, &still));
    let new = by_url(&contexts, A, at(3_601)).await.expect("a context");
    assert_eq!(new.expand_text("speed"), "https://example.org/new");
    assert_ne!(new.id(), old.id());
    let unchanged = by_url(&contexts, A, at(9_000)).await.expect("a context");
    assert_eq!(web.asked(), 3);
    assert!(Arc::ptr_eq(&new, &unchanged), "an equal copy changes nothing");
}

#[tokio::test]
async fn what_is_in_use_is_renewed_before_it_expires() {
    let web = Web::with(&[
        (A, json!({ "speed": "https://example.org/old" })),
        (B, json!({ "speed": "https://example.org/unused" })),
    ]);
    let contexts = contexts(&web);
    by_url(&contexts, A, at(0)).await.expect("a context");
    by_url(&contexts, B, at(0)).await.expect("a context");
    by_url(&contexts, A, at(3_500)).await.expect("a context");
    web.put(A, json!({ "speed": "https://example.org/new" }));
    contexts.renew_due(at(3_580)).await;
    assert_eq!(web.asked(), 2, "it is not time yet");
    contexts.renew_due(at(3_590)).await;
    assert_eq!(web.asked(), 4);
    let new = by_url(&contexts, A, at(3_602)).await.expect("a context");
    assert_eq!(new.expand_text("speed"), "https://example.org/new");
    contexts.renew_due(at(7_185)).await;
    assert_eq!(web.asked(), 5, "nobody asked for the other one within the hour");
    web.go_away(true);
    by_url(&contexts, A, at(10_000)).await.expect("a context");
    contexts.renew_due(at(10_780)).await;
    let asked = web.asked();
    by_url(&contexts, A, at(10_790)).await.expect("the old copy");
    assert_eq!(web.asked(), asked, "a request does not wait for a host that is away");
}

#[tokio::test]
async fn the_host_says_how_long_a_copy_lasts_within_bounds() {
    let web = Web::with(&[(A, json!({})), (B, json!({}))]);
    let contexts = contexts(&web);
    web.documents.lock().get_mut(A).expect("A").1 = Some(Duration::from_secs(600));
    web.documents.lock().get_mut(B).expect("B").1 = Some(Duration::ZERO);
    by_url(&contexts, A, at(0)).await.expect("a context");
    by_url(&contexts, B, at(0)).await.expect("a context");
    let expiry = |url: &str| contexts.details(&US, url, at(1)).expect("known").expires_at;
    assert_eq!(expiry(A), Some(at(600)));
    assert_eq!(expiry(B), Some(at(60)));
}

#[tokio::test]
async fn an_old_copy_serves_while_its_host_is_away() {
    let web = Web::with(&[(A, json!({ "speed": "https://example.org/old" }))]);
    let contexts = contexts(&web);
    by_url(&contexts, A, at(0)).await.expect("a context");
    web.go_away(true);
    let old = by_url(&contexts, A, at(4_000)).await.expect("an old copy");
    assert_eq!(old.expand_text("speed"), "https://example.org/old");
    assert_eq!(web.asked(), 2);
    by_url(&contexts, A, at(4_030)).await.expect("an old copy");
    assert_eq!(web.asked(), 2, "the host is left alone for a while");
    web.go_away(false);
    web.put(A, json!({ "speed": "https://example.org/new" }));
    let new = by_url(&contexts, A, at(4_070)).await.expect("a new copy");
    assert_eq!(new.expand_text("speed"), "https://example.org/new");
    web.documents.lock().insert(A.into(), ("<html>".into(), None));
    let kept = by_url(&contexts, A, at(9_000)).await.expect("the copy before the nonsense");
    assert_eq!(kept.expand_text("speed"), "https://example.org/new");
}

#[tokio::test]
async fn those_who_come_while_a_copy_is_renewed_get_the_old_one() {
    let web = Web::with(&[(A, json!({ "a": "https://example.org/a" }))]);
    let contexts = Arc::new(contexts(&web));
    by_url(&contexts, A, at(0)).await.expect("a context");
    let first = tokio::spawn({
        let contexts = contexts.clone();
        async move { by_url(&contexts, A, at(4_000)).await }
    });
    while web.asked() < 2 {
        tokio::task::yield_now().await;
    }
    let started = std::time::Instant::now();
    by_url(&contexts, A, at(4_000)).await.expect("the old copy");
    assert!(started.elapsed() < Duration::from_millis(4));
    first.await.expect("no panic").expect("a context");
}

#[tokio::test]
async fn what_is_reachable_but_no_context_is_invalid() {
    let web = Web::with(&[
        ("https://example.org/number", json!(5)),
        ("https://example.org/scoped", json!({ "a": { "@context": {} } })),
        ("https://example.org/cyclic", json!({ "a": "b:x", "b": "a:x" })),
    ]);
    for (url, text) in [
        ("https://example.org/html", "<html>"),
        ("https://example.org/bare", r#"{"a":"https://example.org/a"}"#),
        ("https://example.org/array", r#"[{"@context":{}}]"#),
    ] {
        web.documents.lock().insert(url.into(), (text.into(), None));
    }
    let contexts = contexts(&web);
    for name in ["number", "scoped", "cyclic", "html", "bare", "array"] {
        let url = format!("https://example.org/{name}");
        let error = by_url(&contexts, &url, at(0)).await.expect_err(name);
        assert!(matches!(&error, ContextError::Invalid(_)), "{name}: {error}");
    }
    for url in ["urn:example:context", "ftp://example.org/", "no address"] {
        let error = by_url(&contexts, url, at(0)).await.expect_err(url);
        assert!(matches!(&error, ContextError::Invalid(_)), "{url}: {error}");
    }
}

#[tokio::test]
async fn size_depth_and_number_of_documents_are_limited() {
    let web = Arc::new(Web::default());
    let url = |number: usize| format!("https://example.org/{number}");
    for number in 0..50 {
        web.put(&url(number), json!([url(number + 1)]));
    }
    let contexts = contexts(&web);
    let error = by_url(&contexts, &url(0), at(0)).await.expect_err("too deep");
    assert!(error.to_string().contains("deep"), "{error}");
    by_url(&contexts, &url(45), at(0)).await.expect_err("the last one is missing");
    web.put(&url(50), json!({ "end": "https://example.org/#end" }));
    by_url(&contexts, &url(45), at(0)).await.expect("not too deep");

    for number in 100..140 {
        web.put(&url(number), json!({}));
    }
    let many: Vec<String> = (100..140).map(url).collect();
    let error = inline(&contexts, json!(many)).await.expect_err("too many");
    assert!(error.to_string().contains("more than 32"), "{error}");

    let small = with(&web, ContextSettings { max_bytes: 10, ..ContextSettings::default() });
    let error = by_url(&small, &url(50), at(0)).await.expect_err("too large");
    assert!(error.to_string().contains("larger"), "{error}");
}

#[tokio::test]
async fn documents_that_refer_to_each_other_in_a_circle_are_refused() {
    let web = Web::with(&[
        (A, json!([B, { "a": "https://example.org/a" }])),
        (B, json!([A, { "b": "https://example.org/b" }])),
    ]);
    let contexts = contexts(&web);
    let error = by_url(&contexts, A, at(0)).await.expect_err("an endless context");
    assert!(matches!(&error, ContextError::Invalid(_)), "{error}");
    assert!(error.to_string().contains("draws itself in, or"), "{error}");
    assert_eq!(web.asked(), 2);
    web.put(B, json!([B]));
    let alone = with(&web, ContextSettings::default());
    let error = inline(&alone, json!([B])).await.expect_err("an endless context");
    assert!(matches!(error, ContextError::Invalid(_)));
}

#[tokio::test]
async fn a_document_may_be_referred_to_by_several() {
    let web = Web::with(&[
        (A, json!([B, { "a": "https://example.org/a" }])),
        (B, json!({ "b": "https://example.org/b" })),
    ]);
    let contexts = contexts(&web);
    let context = inline(&contexts, json!([A, B, A])).await.expect("a context");
    assert_eq!(context.expand_text("b"), "https://example.org/b");
}

#[tokio::test]
async fn core_contexts_of_all_versions_are_built_in() {
    let web = Arc::new(Web::default());
    let contexts = contexts(&web);
    for version in ["1.3", "1.4", "1.5", "1.6", "1.7", "1.8", "1.9"] {
        let url = format!("https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v{version}.jsonld");
        let context = by_url(&contexts, &url, at(0)).await.expect("built in");
        assert_eq!(context.id(), Context::core().id());
        assert_eq!(context.link().url.as_deref(), Some(&*url));
        let beside = inline(&contexts, json!([{ "a": "https://example.org/a" }, url])).await;
        assert_eq!(beside.expect("built in").expand_text("a"), "https://example.org/a");
    }
    assert_eq!(web.asked(), 0);
    let missing = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-non-existing.jsonld";
    let error = by_url(&contexts, missing, at(0)).await.expect_err("no such version");
    assert!(matches!(error, ContextError::NotAvailable(..)));
}

#[tokio::test]
async fn a_request_without_a_context_gets_the_configured_one() {
    let web = Web::with(&[(A, json!({ "speed": "https://example.org/speed" }))]);
    let plain = contexts(&web);
    let core = plain.resolve(&US, ContextSource::Default, at(0)).await.expect("the core");
    assert_eq!(core.link().url.as_deref(), Some(CORE_CONTEXT));
    let settings = ContextSettings { default_url: Some(A.into()), ..ContextSettings::default() };
    let configured = with(&web, settings);
    let context = configured.resolve(&US, ContextSource::Default, at(0)).await.expect("A");
    assert_eq!(context.expand_text("speed"), "https://example.org/speed");
    assert_eq!(context.link().url.as_deref(), Some(A));
}

#[tokio::test]
async fn a_preloaded_document_is_the_web() {
    let web = Arc::new(Web::default());
    let mut contexts = contexts(&web);
    let document = json!({ "@context": { "a": "https://example.org/#a" } }).to_string();
    contexts.preload(A, document.as_bytes()).expect("a context");
    assert!(contexts.preload(B, b"{}").is_err());
    assert!(contexts.details(&US, A, at(0)).is_none(), "nobody used it yet");
    by_url(&contexts, A, at(0)).await.expect("preloaded");
    assert_eq!(contexts.details(&US, A, at(0)).expect("used").kind, ContextKind::Cached);
    contexts.reload(&US, A, at(0)).await.expect("the web is there");
    contexts.delete(&US, A, at(0)).await.expect("a cached entry");
    assert!(contexts.details(&US, A, at(0)).is_none());
    let back = by_url(&contexts, A, at(0)).await.expect("preloaded");
    assert_eq!(back.expand_text("a"), "https://example.org/#a");
    assert_eq!(web.asked(), 0);
}

#[tokio::test]
async fn hosted_contexts_are_used_without_the_network_under_any_name_of_the_broker() {
    let web = Arc::new(Web::default());
    let contexts = contexts(&web);
    let context = json!({ "A1": "urn:ngsi-ld:attributes:A1" });
    let details = contexts
        .host(&US, &Document::from_json(&context), "id-1", at(7))
        .await
        .expect("a valid context");
    assert_eq!(
        details.to_json(),
        json!({
            "URL": "http://localhost:9090/ngsi-ld/v1/jsonldContexts/id-1",
            "localId": "id-1",
            "kind": "Hosted",
            "createdAt": at(7).to_string(),
            "numberOfHits": 0,
        })
    );
    for url in [&*details.url, "http://127.0.0.1:9090/ngsi-ld/v1/jsonldContexts/id-1"] {
        let hosted = by_url(&contexts, url, at(8)).await.expect("hosted");
        assert_eq!(hosted.expand_text("A1"), "urn:ngsi-ld:attributes:A1");
        assert_eq!(hosted.link().url.as_deref(), Some(url));
    }
    assert_eq!(&*contexts.serve(&US, "id-1", at(9)).expect("hosted"), context.to_string());
    assert_eq!(contexts.details(&US, &details.url, at(9)).expect("hosted").hits, 3);
    contexts.delete(&US, "id-1", at(10)).await.expect("hosted");
    assert_eq!(contexts.serve(&US, "id-1", at(10)), Err(ServeError::Unknown));
    let error = by_url(&contexts, &details.url, at(10)).await.expect_err("deleted");
    assert!(matches!(error, ContextError::NotAvailable(..)));
    assert_eq!(web.asked(), 0);
}

#[tokio::test]
async fn what_is_no_context_is_not_hosted() {
    let contexts = contexts(&Arc::new(Web::default()));
    for context in [
        json!(42),
        json!(true),
        json!([A, 7]),
        json!({ "a": 5 }),
        json!({ "a": "b:x", "b": "a:x" }),
        json!({ "a": { "@id": "https://example.org/a", "@context": {} } }),
    ] {
        let refused = contexts.host(&US, &Document::from_json(&context), "id", at(0)).await;
        assert!(matches!(refused, Err(HostError::Context(ContextError::Invalid(_)))), "{context}");
    }
    assert_eq!(contexts.list(&US, Some(ContextKind::Hosted)).len(), shipped());
}

/// How many contexts every broker hosts.
fn shipped() -> usize {
    crate::jsonld::shipped::DOMAIN_CONTEXTS.len()
}

#[tokio::test]
async fn a_hosted_context_draws_in_what_it_refers_to_when_it_is_used() {
    let web = Web::with(&[(A, json!({ "a": "https://example.org/#a" })), (B, json!({}))]);
    let contexts = contexts(&web);
    let list = json!([A, B]);
    contexts.host(&US, &Document::from_json(&list), "id-2", at(0)).await.expect("hosted");
    assert_eq!(web.asked(), 0);
    let url = "http://localhost:9090/ngsi-ld/v1/jsonldContexts/id-2";
    by_url(&contexts, url, at(0)).await.expect("hosted");
    for url in [A, B] {
        assert_eq!(contexts.details(&US, url, at(0)).expect("cached").kind, ContextKind::Cached);
        assert_eq!(contexts.serve(&US, url, at(0)), Err(ServeError::OnlyCached));
    }
    contexts.delete(&US, A, at(0)).await.expect("cached");
    by_url(&contexts, url, at(0)).await.expect("fetched anew");
    assert_eq!(web.asked(), 3);
}

#[tokio::test]
async fn tenants_do_not_see_each_other_s_contexts() {
    let web = Web::with(&[(A, json!({}))]);
    let contexts = contexts(&web);
    let other = TenantId::named("other").expect("a name");
    let private = json!({ "private": "https://example.org/private" });
    let details =
        contexts.host(&other, &Document::from_json(&private), "id-3", at(0)).await.expect("hosted");
    assert!(contexts.details(&US, "id-3", at(0)).is_none());
    // Whoever was told of its id may read it.
    assert_eq!(*contexts.serve(&US, "id-3", at(0)).expect("its content"), *private.to_string());
    assert_eq!(contexts.delete(&US, "id-3", at(0)).await, Err(RemoveError::Unknown));
    assert!(contexts.list(&US, None).iter().all(|details| &*details.local_id != "id-3"));
    contexts
        .resolve(&other, ContextSource::Url(&details.url), at(0))
        .await
        .expect("its own context");
    let error = by_url(&contexts, &details.url, at(0)).await.expect_err("another's");
    assert!(matches!(error, ContextError::NotAvailable(..)));
    by_url(&contexts, A, at(0)).await.expect("everyone's");
    assert!(contexts.details(&other, A, at(0)).is_some());
    contexts.delete(&other, "id-3", at(0)).await.expect("its own context");
}

#[tokio::test]
async fn deleting_and_reloading_follow_the_clause() {
    let web = Web::with(&[(A, json!({ "a": "https://example.org/old" }))]);
    let contexts = contexts(&web);
    by_url(&contexts, A, at(0)).await.expect("a context");
    web.put(A, json!({ "a": "https://example.org/new" }));
    contexts.reload(&US, A, at(1)).await.expect("reachable");
    let new = by_url(&contexts, A, at(1)).await.expect("a context");
    assert_eq!(new.expand_text("a"), "https://example.org/new");

    web.go_away(true);
    let refused = contexts.reload(&US, A, at(2)).await;
    assert!(matches!(refused, Err(RemoveError::NotAvailable(..))));
    assert!(contexts.details(&US, A, at(2)).is_some(), "a failed reload removes nothing");
    web.go_away(false);
    web.put(A, json!(7));
    let refused = contexts.reload(&US, A, at(2)).await;
    assert!(matches!(refused, Err(RemoveError::NotAvailable(..))));
    by_url(&contexts, A, at(2)).await.expect("the old copy");

    assert_eq!(contexts.reload(&US, "unknown", at(3)).await, Err(RemoveError::NotCached));
    assert_eq!(contexts.delete(&US, "unknown", at(3)).await, Err(RemoveError::Unknown));
    for version in ["1.6", "1.9"] {
        let url = format!("https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v{version}.jsonld");
        assert!(contexts.details(&US, &url, at(3)).is_some());
        assert_eq!(contexts.delete(&US, &url, at(3)).await, Err(RemoveError::Shipped));
        contexts.reload(&US, &url, at(3)).await.expect("built in");
        assert_eq!(contexts.details(&US, &url, at(3)).expect("kept").kind, ContextKind::Cached);
    }
    contexts.delete(&US, A, at(4)).await.expect("cached");
    assert!(contexts.details(&US, A, at(4)).is_none());
    let error = by_url(&contexts, A, at(4)).await.expect_err("now it counts what the host sends");
    assert!(matches!(error, ContextError::Invalid(_)));
}

#[tokio::test]
async fn an_inline_context_gets_an_address_when_one_is_needed() {
    let web = Web::with(&[(A, json!({})), (B, json!({}))]);
    let contexts = contexts(&web);
    let context = inline(&contexts, json!([A, B])).await.expect("a context");
    let url = contexts.address_of(&US, &context, "id-4", at(0)).await.expect("hosted");
    assert_eq!(&*url, "http://localhost:9090/ngsi-ld/v1/jsonldContexts/id-4");
    let again = contexts.address_of(&US, &context, "id-5", at(0)).await.expect("hosted");
    assert_eq!(url, again);
    let implicit = contexts.list(&US, Some(ContextKind::ImplicitlyCreated));
    assert_eq!(implicit.len(), 1);
    assert_eq!(contexts.reload(&US, "id-4", at(0)).await, Err(RemoveError::NotCached));
    assert_eq!(&*contexts.serve(&US, "id-4", at(0)).expect("hosted"), json!([A, B]).to_string());
    let by_its_own = by_url(&contexts, A, at(0)).await.expect("a context");
    let url = contexts.address_of(&US, &by_its_own, "id-6", at(0)).await.expect("its own");
    assert_eq!(&*url, A);
}

#[tokio::test]
async fn contexts_outlast_the_process() {
    let web = Web::with(&[(A, json!({ "a": "https://example.org/#a" }))]);
    let shelf = Arc::new(Memory::default());
    let start = |base: &str| {
        let settings = ContextSettings { base: base.into(), ..ContextSettings::default() };
        Contexts::new(web.clone(), shelf.clone(), settings, at(0))
    };
    let other = TenantId::named("Other").expect("a name");
    let hosted = json!([A, { "h": "https://example.org/#h" }]);
    let before = start("http://localhost:9090");
    before.host(&other, &Document::from_json(&hosted), "id-7", at(1)).await.expect("hosted");
    by_url(&before, A, at(1)).await.expect("a context");
    by_url(&before, CORE_CONTEXT, at(1)).await.expect("built in");
    drop(before);
    web.go_away(true);
    let after = start("https://city.example");
    assert_eq!(after.restore().await, Ok(2));
    let details = after.details(&other, "id-7", at(9_000)).expect("kept");
    assert_eq!(&*details.url, "https://city.example/ngsi-ld/v1/jsonldContexts/id-7");
    assert_eq!(details.created_at, at(1));
    let context = after
        .resolve(&other, ContextSource::Url(&details.url), at(9_000))
        .await
        .expect("from the copy, though it is old and its host away");
    assert_eq!(context.expand_text("a"), "https://example.org/#a");
    assert!(after.details(&US, "id-7", at(0)).is_none());
    after.delete(&other, "id-7", at(9_000)).await.expect("kept");
    after.delete(&US, A, at(9_000)).await.expect("kept");
    assert!(shelf.0.lock().is_empty());
}

#[tokio::test]
async fn compiled_and_cached_contexts_make_room() {
    let web = Arc::new(Web::default());
    let url = |number: i64| format!("https://example.org/{number}");
    let settings = ContextSettings { max_compiled: 5, max_cached: 8, ..ContextSettings::default() };
    let contexts = with(&web, settings);
    for number in 0..20 {
        web.put(&url(number), json!({ format!("t{number}"): "https://example.org/#t" }));
        by_url(&contexts, &url(number), at(number)).await.expect("a context");
        let own = json!({ format!("i{number}"): "https://example.org/#i" });
        inline(&contexts, own).await.expect("a context");
    }
    assert_eq!(contexts.compiled_count(), 5);
    assert!(contexts.list(&US, Some(ContextKind::Cached)).len() <= 8);
    assert_eq!(web.asked(), 20);
    by_url(&contexts, &url(19), at(30)).await.expect("a context");
    assert_eq!(web.asked(), 20);
    by_url(&contexts, &url(0), at(30)).await.expect("a context");
    assert_eq!(web.asked(), 21);

    let settings = ContextSettings { max_terms: 1_000, ..ContextSettings::default() };
    let contexts = with(&web, settings);
    for number in 0..20 {
        by_url(&contexts, &url(number), at(number)).await.expect("a context");
    }
    assert!(contexts.compiled_count() <= 4);
}

#[tokio::test]
async fn the_context_of_the_city_is_hosted_by_every_broker() {
    let web = Arc::new(Web::default());
    let contexts = contexts(&web);
    let url = "http://localhost:9090/ngsi-ld/v1/jsonldContexts/mae-moh";
    let city = by_url(&contexts, url, at(0)).await.expect("hosted");
    let name = city.expand("pm25").expect("a name");
    assert_eq!(name.as_str(), "https://smartdatamodels.org/dataModel.Environment/pm25");
    assert_eq!(city.compact(name), "pm25");
    assert_eq!(contexts.delete(&US, "mae-moh", at(0)).await, Err(RemoveError::Shipped));
    assert_eq!(web.asked(), 0);
}

#[test]
fn what_is_resolved_can_be_awaited_on_any_thread() {
    fn check<T: Send>(_: T) {}
    let contexts = contexts(&Arc::new(Web::default()));
    check(contexts.resolve(&US, ContextSource::Default, at(0)));
}
