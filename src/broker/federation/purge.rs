//! Purging what sources have (5.6.21).

use crate::egress::Method;
use futures_util::FutureExt;

use super::super::{Broker, Call, Error, Purging, QueryTexts};
use super::Origin;
use super::ask::{Heard, all};
use super::failure::{SourceFailure, Why};
use super::reads::{conditions, keep_held};
use super::writes::failure;
use crate::federate::{About, Draft, Leg, Want};
use crate::model::Held;
use crate::query::EntityPlan;
use crate::represent::registration::{Mode, Operation};

impl Broker {
    /// Has the sources that match purge what they have, or what they are known to hold; tells those
    /// that did not.
    pub(in crate::broker) async fn purge_there(
        &self,
        call: &Call,
        plan: &EntityPlan,
        texts: &QueryTexts,
        purging: &Purging,
        held: Option<&[Held]>,
    ) -> Result<Vec<(Option<String>, Error)>, Error> {
        match call.origin() {
            Some(origin) => {
                Box::pin(self.purge_parts(call, origin, plan, texts, purging, held)).await
            }
            None => Ok(Vec::new()),
        }
    }

    async fn purge_parts(
        &self,
        call: &Call,
        origin: &Origin,
        plan: &EntityPlan,
        texts: &QueryTexts,
        purging: &Purging,
        held: Option<&[Held]>,
    ) -> Result<Vec<(Option<String>, Error)>, Error> {
        let sources = self.source_filter_of(call, texts)?;
        let want = Want {
            select: &plan.select,
            attributes: None,
            about: About::Latest,
            sources: sources.as_ref(),
            geo: plan.geo.as_ref(),
            scope: plan.scope.as_ref(),
            ..Want::default()
        };
        let register = &self.federation.register;
        let mut matched = register.matching(&call.tenant, &want, origin.way(), call.now);
        if let Some(held) = held {
            keep_held(&mut matched, held);
        }
        let able = |leg: &&Leg| leg.source.supports(Operation::PurgeEntity);
        let concerned = matched.legs.iter().filter(|leg| leg.source.mode() != Mode::Auxiliary);
        let (told, refusing): (Vec<&Leg>, Vec<&Leg>) = concerned.partition(able);
        let jobs = told.iter();
        let jobs = jobs
            .map(|leg| self.purge_leg(call, origin, leg, plan, texts, purging).boxed())
            .collect();
        let mut failed: Vec<SourceFailure> = all(jobs).await.into_iter().flatten().collect();
        let proxied = |leg: &&&Leg| leg.source.mode().is_proxied();
        let word = Operation::PurgeEntity.word();
        failed.extend(
            refusing.iter().filter(proxied).map(|leg| failure(&leg.source, Why::Unsupported(word))),
        );
        let looping = matched.looping.iter().filter(|source| source.mode().is_proxied());
        failed.extend(looping.map(|source| failure(source, Why::Loop)));
        Ok(failed.into_iter().map(|failure| (None, failure.into())).collect())
    }

    async fn purge_leg(
        &self,
        call: &Call,
        origin: &Origin,
        leg: &Leg,
        plan: &EntityPlan,
        texts: &QueryTexts,
        purging: &Purging,
    ) -> Option<SourceFailure> {
        let naming = self.naming(call, &leg.source, false).await;
        let name = |term: &String| naming.name(&call.context.expand_text(term));
        let names = |terms: &[String]| terms.iter().map(name).collect::<Vec<_>>().join(",");
        let (keep, drop) = match purging {
            Purging::Entities => (None, None),
            Purging::Keep(terms) => (Some(names(terms)), None),
            Purging::Drop(terms) => (None, Some(names(terms))),
        };
        let mut draft = Draft::new(Method::DELETE, "/entities").selecting(leg, &naming);
        let attrs = plan.attrs.iter().map(|term| naming.name(term.iri())).collect::<Vec<_>>();
        draft = draft.with_some("attrs", (!attrs.is_empty()).then(|| attrs.join(",")));
        draft.params.extend(conditions(plan, texts, &call.context, &naming));
        let draft = draft.with_some("keep", keep).with_some("drop", drop);
        match self.tell(origin, &leg.source, &draft, &naming).await {
            Heard::Reply(reply) | Heard::Kept(reply) => match reply.status {
                // Where there is nothing, nothing is left.
                200..=204 | 404 => None,
                207 => {
                    let why = "it did a part of it".to_owned();
                    Some(failure(&leg.source, Why::of_part(207, "", &why)))
                }
                _ => Some(failure(&leg.source, Why::answered(&reply))),
            },
            Heard::Silence(why) | Heard::TooLarge(why) | Heard::NoRoom(why) => {
                Some(failure(&leg.source, Why::Silent(why)))
            }
        }
    }
}
