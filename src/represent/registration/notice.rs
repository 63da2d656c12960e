//! Notifications about sources (5.3.2, 5.11.7).

use std::sync::Arc;

use super::{Registration, Showing};
use crate::model::{TenantId, Timestamp};
use crate::represent::notification::{Notice, Notification};
use crate::represent::subscription::{Accept, Subscription};
use crate::represent::write::{comma, string};

/// Why somebody is told of registrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TriggerReason {
    NewlyMatching,
    Updated,
    NoLongerMatching,
}

impl TriggerReason {
    /// The word in `triggerReason`.
    pub fn word(self) -> &'static str {
        match self {
            TriggerReason::NewlyMatching => "newlyMatching",
            TriggerReason::Updated => "updated",
            TriggerReason::NoLongerMatching => "noLongerMatching",
        }
    }
}

/// A ContextSourceNotification to be written (5.3.2).
#[derive(Debug, Clone, Copy)]
pub struct SourceNotice<'a> {
    pub subscription: &'a Subscription,
    pub tenant: &'a TenantId,
    /// A URI, the same each time the same is told.
    pub id: &'a str,
    pub notified_at: Timestamp,
    pub reason: TriggerReason,
}

impl SourceNotice<'_> {
    /// Writes the notification. Of a registration that matches, what is relevant is told; of one
    /// that does no more, all.
    pub fn write(&self, registrations: &[Arc<Registration>]) -> Notification {
        let subscription = self.subscription;
        let params = &subscription.notification;
        let in_body = params.endpoint.accept == Accept::LdJson;
        let sought = subscription.sought();
        let showing = Showing {
            context: &subscription.context,
            context_in_body: false,
            sys_attrs: params.rendering.sys_attrs,
            only: sought.filter(|_| self.reason != TriggerReason::NoLongerMatching),
        };
        let mut body = Vec::with_capacity(256 + 512 * registrations.len());
        body.extend_from_slice(b"{\"id\":");
        string(&mut body, self.id);
        body.extend_from_slice(b",\"type\":\"ContextSourceNotification\",\"subscriptionId\":");
        string(&mut body, subscription.id.as_str());
        body.extend_from_slice(b",\"notifiedAt\":\"");
        self.notified_at.write_to(&mut body);
        body.extend_from_slice(b"\",\"triggerReason\":");
        string(&mut body, self.reason.word());
        body.extend_from_slice(b",\"data\":[");
        for (place, registration) in registrations.iter().enumerate() {
            if place > 0 {
                comma(&mut body);
            }
            showing.write(&mut body, registration, None);
        }
        body.push(b']');
        if in_body {
            body.extend_from_slice(b",\"@context\":");
            body.extend_from_slice(subscription.context.link().body.as_bytes());
        }
        body.push(b'}');
        let notice = Notice {
            subscription,
            tenant: self.tenant,
            id: self.id,
            notified_at: self.notified_at,
        };
        Notification { body: body.into(), headers: notice.headers(in_body) }
    }
}
