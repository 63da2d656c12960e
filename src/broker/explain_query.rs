//! Not in the specification: how the store finds what a query selects.

use super::{Broker, Call, Error, QueryTexts};
use crate::store::Explanation;

impl Broker {
    /// Says how the store finds the entities of a query, as [`Broker::query_entities`] would ask
    /// it.
    pub async fn explain_query(
        &self,
        call: &Call,
        texts: &QueryTexts,
    ) -> Result<Explanation, Error> {
        let mut plan = self.plan(call, texts)?;
        plan.page = self.page(&texts.page)?;
        Ok(self.store.explain(&call.tenant, &plan, call.now).await?)
    }
}
