//! How sources fared, written down now and then: what is counted changes with every request, and a
//! count that is some seconds old after a crash is good enough.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::{Broker, Error};
use crate::model::{RegistrationId, TenantId, Timestamp};
use crate::represent::subscription::{DeliveryReport, DeliveryStatus};
use crate::store::{Records, Shelf, StoreError};

/// Where the reports of a tenant's sources lie.
const REPORTS: &str = "source-reports";

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    sent: u64,
    failed: u64,
    /// As [`Timestamp::bits`].
    last_success: Option<i64>,
    /// As [`Timestamp::bits`].
    last_failure: Option<i64>,
    ok: Option<bool>,
}

impl Broker {
    fn reports(&self, tenant: &TenantId) -> Records<'_, Kept> {
        Records::on(&*self.store, Shelf::of(tenant, REPORTS))
    }

    /// How often what is counted of sources should be written down.
    pub fn report_interval(&self) -> Duration {
        self.federation.settings.report.max(Duration::from_millis(100))
    }

    /// Writes down how sources fared, as far as that changed.
    pub async fn keep_reports(&self) -> Result<(), Error> {
        for (tenant, source) in self.federation.register.all() {
            let Some(report) = source.health.unwritten() else { continue };
            let bits = |at: Option<Timestamp>| at.map(Timestamp::bits);
            let kept = Kept {
                sent: report.times_sent,
                failed: report.times_failed,
                last_success: bits(report.last_success),
                last_failure: bits(report.last_failure),
                ok: report.status.map(|status| status == DeliveryStatus::Ok),
            };
            self.reports(&tenant).put(source.id(), &kept).await?;
        }
        Ok(())
    }

    /// Reads how sources fared before the last end, and forgets those that are no more.
    pub async fn recall_reports(&self) -> Result<(), Error> {
        for tenant in self.store.tenants().await? {
            let all = match self.reports(&tenant).all().await {
                Err(StoreError::UnknownTenant(_)) => continue,
                all => all?,
            };
            for (id, kept) in all {
                let registration = RegistrationId::from_trusted(&id);
                let Some(source) = self.federation.register.get(&tenant, &registration) else {
                    self.reports(&tenant).take(&id).await?;
                    continue;
                };
                let time = |bits: Option<i64>| bits.map(Timestamp::from_bits);
                source.health.recall(DeliveryReport {
                    times_sent: kept.sent,
                    times_failed: kept.failed,
                    last_notification: None,
                    last_success: time(kept.last_success),
                    last_failure: time(kept.last_failure),
                    status: kept.ok.map(|ok| match ok {
                        true => DeliveryStatus::Ok,
                        false => DeliveryStatus::Failed,
                    }),
                });
            }
        }
        Ok(())
    }
}
