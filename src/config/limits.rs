//! How much a request may ask for. `/health` lists every limit.

use std::time::Duration;

use super::{ByteSize, section::settings};

settings! {
    /// How much a request may ask for. `/health` lists every limit.
    pub struct Limits = "limits" {
        /// The largest request body, in its unpacked form; larger ones are answered 413. The
        /// biggest entities seen in practice are a few hundred kilobytes of geometry.
        body: ByteSize = ByteSize::mebi(8),
        /// The largest body of a batch operation: ten thousand entities of three kilobytes.
        batch_body: ByteSize = ByteSize::mebi(32),
        /// The most header bytes of a request; more is answered 431.
        headers: ByteSize = ByteSize::kibi(32),
        /// The longest path and query; longer ones are answered 414. Lists of ids are long.
        uri: ByteSize = ByteSize::kibi(32),
        /// How deep JSON may nest. Real entities stay below ten.
        depth: usize = 64,
        /// How many members one JSON object may have.
        members: usize = 4_096,
        /// How many values one JSON body may hold altogether.
        items: usize = 1_000_000,
        /// How many elements a batch operation takes.
        batch: usize = 10_000,
        /// How many bytes of entities a batch operation may make anew by changing parts of them:
        /// a small change makes all of a large entity again, which takes the writer about ten
        /// milliseconds a megabyte. Further elements are answered 400, each by itself.
        batch_rewrites: ByteSize = ByteSize::mebi(256),
        /// How long an identifier may be: of an entity, a dataset, a subscription, and so on; at
        /// most 32KiB.
        identifier: ByteSize = ByteSize::kibi(2),
        /// How many instances (5.2.5: told apart by their datasetId) an attribute may have in one
        /// document; they are compared with each other.
        instances: usize = 1_000,
        /// How many results a page holds when the request does not say.
        page_default: usize = 20,
        /// How many types an entity may have, over all that is written to it; more are answered
        /// 400. Real entities have one, or a few where models refine each other.
        types: usize = 64,
        /// The most results that a page may hold; more is answered 403 TooManyResults.
        page_max: usize = 1_000,
        /// How many terms a query may have; more is answered 403 TooComplexQuery. The types and
        /// patterns of all EntitySelectors of a Query or a Subscription count together.
        query_terms: usize = 512,
        /// How much memory a regular expression may compile to; those of all EntitySelectors of a
        /// Query or a Subscription together eight times that.
        regex: ByteSize = ByteSize::kibi(256),
        /// How many positions a geometry may have.
        vertices: usize = 10_000,
        /// How many levels of linked entities are followed.
        join_level: usize = 10,
        /// How many linked entities `q` may look at to decide on one entity; more is answered 403
        /// TooComplexQuery. Each takes some microseconds, and as many are held in memory.
        query_links: usize = 10_000,
        /// How many linked entities one answer may hold.
        join_entities: usize = 10_000,
        /// How large an answer may be for further linked entities to be put into it; beyond that,
        /// as beyond `join_entities`, Relationships keep their ids alone.
        join_bytes: ByteSize = ByteSize::mebi(64),
        /// How many context sources may be registered in a tenant; each takes about 3 KB of memory.
        registrations: usize = 200_000,
        /// How many entries one registration may have: of its information, entities, names,
        /// operations and pairs, in all. Those who have more entities than that register a type or
        /// a pattern.
        registration_entries: usize = 1_000,
        /// How many instances an answer of the temporal API holds; what is more is cut off at a
        /// common time and answered 206. About 200 bytes each.
        temporal_instances: usize = 20_000,
        /// How many periods with a value an aggregation may have; more is answered 403.
        temporal_periods: usize = 100_000,
        /// How many values distinctCount tells apart, about 16 bytes each.
        temporal_distinct: usize = 1_000_000,
        /// How much memory answers of the temporal API about one entity may take that are kept in
        /// case the same is asked again before anything changes.
        temporal_kept: ByteSize = ByteSize::mebi(32),
        /// How many distinct names (attributes, types, vocabulary) are remembered: each stays in
        /// memory, about 100 bytes, as long as the broker runs.
        names: usize = 4_000_000,
        /// The largest @context document.
        context: ByteSize = ByteSize::mebi(1),
        /// How many documents one @context may draw in.
        context_documents: usize = 32,
        /// How deep @context documents may name each other.
        context_depth: usize = 8,
        /// How many compiled contexts are kept; beyond that the least used makes room.
        context_cache: usize = 1_000,
        /// How many connections are open at once; further ones wait.
        connections: usize = 10_000,
        /// How long a client may take to send the head of a request.
        head_timeout: Duration = Duration::from_secs(10),
        /// How long a client may pause while it sends a body; longer is answered 408.
        body_timeout: Duration = Duration::from_secs(15),
        /// How long an idle connection is kept: longer than the minute that proxies keep theirs,
        /// so that a proxy never sends a request into a closing connection.
        keep_alive: Duration = Duration::from_secs(75),
        /// How long the broker still takes requests after SIGTERM, so that load balancers see
        /// `/ready` answer 503 before the port closes. SIGINT (Ctrl-C) does not wait.
        grace: Duration = Duration::from_secs(2),
        /// How long requests that are being answered may take to end after that.
        drain: Duration = Duration::from_secs(30),
    }
}
