//! How context sources that registered themselves are asked and told.

use std::time::Duration;

use super::{ByteSize, section::settings};

settings! {
    /// How context sources that registered themselves are asked and told (4.3.6).
    pub struct Federation = "federation" {
        /// The name of this broker in `Via` headers, by which loops are noticed; each tenant has
        /// another, which begins with it. Made up, and kept in the store, if it is not set.
        alias: Option<String> = None,
        /// How long all sources together may take for one request: whoever asks waits for the
        /// slowest. A registration may ask for less (management.timeout), not for more.
        timeout: Duration = Duration::from_secs(5),
        /// Whether the parts of an entity may lie at several sources where a query does not say
        /// (splitEntities). Then filters are applied to whole entities, for which all candidates
        /// have to be fetched.
        split_entities: bool = false,
        /// Whether an entity that is here says by its types who may know it: a GET by its id then
        /// passes over sources that registered other types. It spares requests where many
        /// register types without ids, and loses what they know of it by another type. A request
        /// that says a type says so itself.
        own_types: bool = false,
        /// The largest answer that is read of a source; more is not taken at all.
        response: ByteSize = ByteSize::mebi(16),
        /// How much memory the answers of all sources may fill together, counted as they came over
        /// the wire, from then until whoever asked is answered: put together they take two to
        /// three times that. One source has half of it at most. Who asks while it is full waits; an
        /// answer that does not fit any more is left out with a warning.
        answers: ByteSize = ByteSize::mebi(128),
        /// Whether sources are asked to compress their answers. It pays where the way to them is
        /// slower than some 100 Mbit/s, and costs both sides more than it saves where it is not.
        compressed: bool = false,
        /// How many entities are taken of one source for one answer.
        entities: usize = 10_000,
        /// How many entities are asked for at once; sources have limits of their own.
        page: usize = 1_000,
        /// How many sources one request is sent to at most; further ones are left out, with a
        /// warning.
        sources: usize = 200,
        /// How many requests to sources are under way at once, for all clients together. Those
        /// that find no room wait, as long as their time allows.
        in_flight: usize = 512,
        /// After how many failures in a row a source is left alone for a moment, if its
        /// registration names no cooldown; 0 means never. A failure is silence, or an answer that
        /// says that the source itself is out of order (500, 503).
        failures: usize = 5,
        /// How long it is left alone then; it doubles with each further failure, up to a minute.
        pause: Duration = Duration::from_secs(1),
        /// How much memory answers fill that may be used again, as registrations allow
        /// (management.cacheDuration).
        cache: ByteSize = ByteSize::mebi(32),
        /// How much memory entities fill that sources told word for word before: they are not read,
        /// checked and written again then. 0 remembers none.
        familiar: ByteSize = ByteSize::mebi(32),
        /// How often what is counted of sources (timesSent, lastSuccess, …) is written down.
        report: Duration = Duration::from_secs(10),
        /// How often it is tried again to plant, change and remove subscriptions at sources that did
        /// not answer; changes here are brought in line at once.
        level: Duration = Duration::from_secs(60),
    }
}
