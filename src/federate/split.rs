//! Which part of a write goes where (4.3.6.3, 5.6): what exclusive sources and those that redirect
//! registered goes to them and stays away from here; inclusive sources are given copies of what is
//! left; auxiliary ones are not told.

use std::sync::Arc;

use super::matching::{Leg, Matched};
use super::source::Source;
use crate::model::AttrName;
use crate::represent::registration::{Mode, Operation};

/// A part of a write, and the source it goes to.
#[derive(Debug, Clone)]
pub struct Share {
    pub source: Arc<Source>,
    /// These attributes, or the whole entity.
    pub attributes: Option<Vec<AttrName>>,
    pub sending: Sending,
}

/// Whether a part can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sending {
    /// By this operation.
    By(Operation),
    /// The source does not support it.
    Unsupported,
    /// The request was at the source already.
    Looping,
}

/// A write taken apart.
#[derive(Debug, Clone)]
pub struct Split {
    pub shares: Vec<Share>,
    /// What is left for here.
    pub rest: Rest,
}

/// What is left of a write for here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rest {
    /// All of it.
    Whole,
    /// All but these attributes.
    Without(Vec<AttrName>),
    /// None of it.
    Nothing,
}

impl Rest {
    /// Whether an attribute is left for here.
    pub fn has(&self, name: AttrName) -> bool {
        match self {
            Rest::Whole => true,
            Rest::Without(names) => !names.contains(&name),
            Rest::Nothing => false,
        }
    }
}

impl Share {
    /// Whether the source alone has this part.
    pub fn is_proxied(&self) -> bool {
        self.source.mode().is_proxied()
    }
}

impl Matched {
    /// Takes a write apart that is about these attributes, or about an entity as a whole; any of
    /// the operations would do, the first is best.
    pub fn split(self, attributes: Option<&[AttrName]>, operations: &[Operation]) -> Split {
        let mut split = Splitting { shares: Vec::new(), claims: Claims::default() };
        let legs = one_to_a_source(self.legs);
        for mode in [Mode::Exclusive, Mode::Redirect, Mode::Inclusive] {
            let claimed = split.claims.clone();
            for leg in legs.iter().filter(|leg| leg.source.mode() == mode) {
                split.add(leg, attributes, &claimed, operations);
            }
        }
        for source in self.looping.into_iter().filter(|source| source.mode().is_proxied()) {
            split.shares.push(Share { source, attributes: None, sending: Sending::Looping });
            // Whoever alone has it cannot be reached: nothing of it may come to lie here.
            split.claims.all = true;
        }
        let rest = split.claims.rest(attributes);
        Split { shares: split.shares, rest }
    }
}

struct Splitting {
    shares: Vec<Share>,
    claims: Claims,
}

/// What sources that alone have something lay claim to.
#[derive(Clone, Default)]
struct Claims {
    all: bool,
    names: Vec<AttrName>,
}

impl Splitting {
    fn add(
        &mut self,
        leg: &Leg,
        wanted: Option<&[AttrName]>,
        claimed: &Claims,
        operations: &[Operation],
    ) {
        let Some(attributes) = claimed.leave(leg.attributes.as_deref(), wanted) else { return };
        let source = leg.source.clone();
        let proxied = source.mode().is_proxied();
        let sending = match source.first_of(operations) {
            Some(operation) => Sending::By(operation),
            None if proxied => Sending::Unsupported,
            None => return,
        };
        if proxied {
            match &leg.attributes {
                None => self.claims.all = true,
                Some(names) => self.claims.names.extend_from_slice(names),
            }
        }
        self.shares.push(Share { source, attributes, sending });
    }
}

impl Claims {
    /// What of a part is not claimed: None if nothing is.
    #[expect(clippy::option_option, reason = "no attribute is not the whole entity")]
    fn leave(
        &self,
        part: Option<&[AttrName]>,
        wanted: Option<&[AttrName]>,
    ) -> Option<Option<Vec<AttrName>>> {
        if self.all {
            return None;
        }
        match part.or(wanted) {
            None => Some(None),
            Some(names) => {
                let left: Vec<AttrName> =
                    names.iter().copied().filter(|name| !self.names.contains(name)).collect();
                // An entity without attributes is told of as a whole.
                let empty = left.is_empty() && !names.is_empty();
                (!empty).then_some(Some(left))
            }
        }
    }

    fn rest(&self, wanted: Option<&[AttrName]>) -> Rest {
        let all_claimed = |names: &[AttrName]| {
            !names.is_empty() && names.iter().all(|name| self.names.contains(name))
        };
        match wanted {
            _ if self.all => Rest::Nothing,
            Some(names) if all_claimed(names) => Rest::Nothing,
            _ if self.names.is_empty() => Rest::Whole,
            _ => Rest::Without(self.names.clone()),
        }
    }
}

/// The parts of one source together: it is told once.
fn one_to_a_source(legs: Vec<Leg>) -> Vec<Leg> {
    let mut own: Vec<Leg> = Vec::with_capacity(legs.len());
    for leg in legs {
        match own.iter_mut().find(|other| Arc::ptr_eq(&other.source, &leg.source)) {
            Some(other) => match (&mut other.attributes, leg.attributes) {
                (Some(names), Some(more)) => {
                    let fresh: Vec<AttrName> =
                        more.into_iter().filter(|name| !names.contains(name)).collect();
                    names.extend(fresh);
                }
                (all, _) => *all = None,
            },
            None => own.push(leg),
        }
    }
    own
}
