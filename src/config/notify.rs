//! How notifications are delivered.

use std::time::Duration;

use super::{ByteSize, section::settings};

settings! {
    /// How notifications are delivered.
    pub struct Notify = "notify" {
        /// How many threads match changes with subscriptions and send notifications; 0 means half
        /// of the processors.
        threads: usize = 0,
        /// How many notifications are on their way at once. Half of them may go to receivers that
        /// answer; the other half is for those that are slow, failing or not known yet, so that
        /// these never take the place of the others.
        in_flight: usize = 512,
        /// How many notifications are on their way to one receiver (a host and port) at once, each
        /// of another subscription; to one that is slow or failing it is one.
        per_receiver: usize = 8,
        /// How long it is tried to deliver a notification before it becomes a dead letter.
        retry_for: Duration = Duration::from_secs(3_600),
        /// The pause after a failure; it doubles with each further one.
        retry_first: Duration = Duration::from_secs(1),
        /// The longest pause between two attempts.
        retry_last: Duration = Duration::from_secs(60),
        /// How many changes of different entities go into one notification when a receiver takes
        /// less than there is, so that more than half as many wait; 1 means never more than one.
        combine: usize = 64,
        /// How much memory changes that wait for receivers may fill; more is read again from disk
        /// when its turn comes.
        queue: ByteSize = ByteSize::mebi(64),
        /// How large the log of undelivered changes may grow on disk. Beyond that the oldest become
        /// dead letters, whatever retry_for says.
        log: ByteSize = ByteSize::mebi(1024),
        /// How many of the last changes stay in the log for listeners who come back.
        keep: usize = 1_000,
        /// How many dead letters a tenant keeps; then the oldest are dropped, and said so.
        dead_letters: usize = 10_000,
        /// The longest body that a dead letter keeps; of a longer one only the rest of the letter
        /// is, and it cannot be replayed as it was.
        dead_letter_body: ByteSize = ByteSize::mebi(1),
        /// How many pairs `receiverInfo` may have.
        receiver_info_pairs: usize = 64,
        /// How many bytes they may take: web servers take about twice that by default.
        receiver_info: ByteSize = ByteSize::kibi(4),
        /// How many subscriptions a tenant may have.
        subscriptions: usize = 200_000,
        /// How long an orderly end waits for notifications that are due; later ones follow after
        /// the next start.
        grace: Duration = Duration::from_secs(5),
    }
}
