//! Adding to the history of many entities at once: what an import of years of readings needs, and
//! what the specification has no operation for.

use super::super::{BatchOutcome, Broker, Call, Element, Error};
use crate::jsonld::Document;
use crate::model::{HistoryAction, HistoryWrite};
use crate::represent::Reading;

impl Broker {
    /// Begins the histories of entities or adds to them, in one commit; each has its own outcome,
    /// as by 5.6.11.
    pub async fn batch_evolve(
        &self,
        call: &Call,
        elements: Vec<Element<'_>>,
    ) -> Result<BatchOutcome, Error> {
        let mut outcome = BatchOutcome::default();
        let mut writes = Vec::with_capacity(elements.len());
        for element in elements {
            let own = element.document.get("id").and_then(Document::as_str).map(str::to_owned);
            match self.evolve_write(element) {
                Ok(write) => writes.push(write),
                Err(error) => outcome.failed.push((own, error)),
            }
        }
        let ids: Vec<_> = writes.iter().map(|write| write.id.clone()).collect();
        let changes = self.store.commit_history(&call.tenant, writes, call.now).await?;
        for (id, change) in ids.into_iter().zip(changes) {
            let list = match change {
                Ok(change) if change.created => &mut outcome.created,
                Ok(_) => &mut outcome.changed,
                Err(refusal) => {
                    outcome.failed.push((Some(id.to_string()), refusal.into()));
                    continue;
                }
            };
            list.push(id);
        }
        Ok(outcome)
    }

    fn evolve_write(&self, element: Element<'_>) -> Result<HistoryWrite, Error> {
        let context = element.context?;
        let reader = self.reader_by(&context, Reading::Whole);
        let (id, told) = reader.chronology(&element.document)?;
        let id = id.ok_or_else(|| Error::bad("$.id: the entity has no id: give it a URI"))?;
        if told.types.is_empty() {
            return Err(Error::bad("$.type: the entity has no type: give it one or more"));
        }
        Ok(HistoryWrite { id, action: HistoryAction::Upsert(told) })
    }
}
