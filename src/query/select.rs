//! Reading a selection of entities with many alternatives: all of them share what one query may
//! cost, and those that differ in nothing but their ids or patterns become one.

use super::pattern::Costs;
use super::{Limits, Pattern, QueryError, Selector};
use crate::model::{EntityId, TypeSelection};

/// How many ids a selector compares one by one; more are put in order and searched.
const FEW_IDS: usize = 16;

/// The alternatives of a selection (5.2.33) while they are read.
#[derive(Debug)]
pub struct Alternatives<'l> {
    parameter: &'static str,
    limits: &'l Limits,
    terms: usize,
    costs: Costs,
    groups: Vec<Group>,
}

/// Alternatives with the same types, told apart by ids or by patterns.
#[derive(Debug)]
struct Group {
    types: Option<TypeSelection>,
    ids: Vec<EntityId>,
    patterns: Vec<Pattern>,
    /// One of them asks for no id.
    any_id: bool,
}

impl<'l> Alternatives<'l> {
    /// None yet; the parameter or member that holds them is named in errors.
    pub fn new(parameter: &'static str, limits: &'l Limits) -> Self {
        Self { parameter, limits, terms: 0, costs: Costs::new(limits), groups: Vec::new() }
    }

    /// Adds one. Ids take precedence over the pattern (5.7.2.4).
    ///
    /// # Errors
    /// If the pattern is none, or if all together would have more types and patterns, or take more
    /// memory, than a query may.
    pub fn add(
        &mut self,
        ids: Vec<EntityId>,
        pattern: Option<&str>,
        types: Option<TypeSelection>,
    ) -> Result<(), QueryError> {
        let named: usize = match &types {
            Some(TypeSelection::Of(alternatives)) => alternatives.iter().map(Vec::len).sum(),
            _ => 1,
        };
        self.terms += usize::max(named, 1) + usize::from(pattern.is_some());
        if self.terms > self.limits.nodes {
            let most = self.limits.nodes;
            let why = format!(
                "its selectors may have at most {most} types and patterns in all here \
                 (limits.query_terms)"
            );
            return Err(QueryError::too_complex(self.parameter, why));
        }
        let pattern = pattern
            .map(|text| Pattern::parse_within("idPattern", text, self.limits, &mut self.costs))
            .transpose()?;
        let group = match self.groups.iter().position(|group| group.types == types) {
            Some(place) => &mut self.groups[place],
            None => {
                let (ids, patterns) = (Vec::new(), Vec::new());
                self.groups.push(Group { types, ids, patterns, any_id: false });
                let last = self.groups.len() - 1;
                &mut self.groups[last]
            }
        };
        group.any_id |= ids.is_empty() && pattern.is_none();
        group.patterns.extend(pattern.filter(|_| ids.is_empty()));
        group.ids.extend(ids);
        Ok(())
    }

    /// All of them.
    pub fn finish(self) -> Vec<Selector> {
        let mut selectors = Vec::with_capacity(self.groups.len());
        for Group { types, mut ids, mut patterns, any_id } in self.groups {
            if any_id {
                selectors.push(Selector { types, ..Selector::default() });
                continue;
            }
            if !ids.is_empty() {
                let ordered = ids.len() > FEW_IDS;
                if ordered {
                    ids.sort_unstable();
                    ids.dedup();
                }
                let types = types.clone();
                selectors.push(Selector { ids, ordered, types, id_pattern: None });
            }
            if let Some(all) = Pattern::any(&patterns, self.limits) {
                patterns = vec![all];
            }
            selectors.extend(patterns.into_iter().map(|pattern| Selector {
                id_pattern: Some(pattern),
                types: types.clone(),
                ..Selector::default()
            }));
        }
        selectors
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::testing::{context, entity};
    use super::super::{ErrorKind, parse_types};
    use super::*;

    fn types(text: &str) -> Option<TypeSelection> {
        Some(parse_types(text, context(), &Limits::default()).expect("types"))
    }

    fn ids(numbers: impl IntoIterator<Item = usize>) -> Vec<EntityId> {
        let id = |number| EntityId::parse(&format!("urn:x:{number}")).expect("a URI");
        numbers.into_iter().map(id).collect()
    }

    #[test]
    fn alternatives_are_bounded_by_the_terms_of_a_query() {
        let limits = Limits { nodes: 8, ..Limits::default() };
        let mut plain = Alternatives::new("entities", &limits);
        for _ in 0..8 {
            plain.add(Vec::new(), None, types("A")).expect("as many as a query may have");
        }
        let error = plain.add(Vec::new(), None, types("A")).expect_err("one too many");
        assert_eq!((error.kind, error.parameter), (ErrorKind::TooComplex, "entities"));
        assert!(error.message.contains("limits.query_terms"), "{error}");

        let mut with_patterns = Alternatives::new("entities", &limits);
        for _ in 0..4 {
            with_patterns.add(Vec::new(), Some("^urn:x"), types("A")).expect("half as many");
        }
        assert!(with_patterns.add(Vec::new(), Some("^urn:x"), types("A")).is_err());

        let mut wide = Alternatives::new("entities", &limits);
        wide.add(Vec::new(), None, types("A,B,(C;D;E)")).expect("five types");
        assert!(wide.add(Vec::new(), None, types("A,B,C,D")).is_err());
    }

    #[test]
    fn patterns_share_one_budget_of_memory() {
        let limits = Limits::default();
        let mut alternatives = Alternatives::new("entities", &limits);
        let mut refused = None;
        for _ in 0..100 {
            // About a hundred kilobytes each: one may be there, not a hundred.
            if let Err(error) = alternatives.add(Vec::new(), Some("(ab{60}){50}"), types("A")) {
                refused = Some(error);
                break;
            }
        }
        let error = refused.expect("a hundred are too many");
        assert_eq!((error.kind, error.parameter), (ErrorKind::TooComplex, "idPattern"));
        assert!(error.message.contains("limits.regex"), "{error}");
    }

    #[test]
    fn many_small_patterns_fit_and_become_one() {
        let limits = Limits::default();
        // Other tests may make the name known meanwhile, and then it is read otherwise.
        let kind = types("A");
        let mut alternatives = Alternatives::new("entities", &limits);
        for number in 0..limits.nodes / 2 {
            let pattern = format!("^urn:x:{number}$");
            alternatives.add(Vec::new(), Some(&pattern), kind.clone()).expect("a small pattern");
        }
        let selectors = alternatives.finish();
        assert_eq!(selectors.len(), 1);
        assert!(selectors[0].has_id(&ids([255])[0]));
        assert!(!selectors[0].has_id(&ids([256])[0]));
    }

    #[test]
    fn many_ids_are_searched_and_not_compared_one_by_one() {
        let limits = Limits::default();
        // Other tests may make the name known meanwhile, and then it is read otherwise.
        let kind = types("A");
        let mut alternatives = Alternatives::new("entities", &limits);
        alternatives.add(ids((0..500).rev()), None, kind.clone()).expect("ids");
        alternatives.add(ids(400..900), Some("nonsense"), kind.clone()).expect("ids");
        let selectors = alternatives.finish();
        assert_eq!((selectors.len(), selectors[0].ids.len()), (1, 900));
        assert!(selectors[0].ordered);
        for (number, expected) in [(0, true), (450, true), (899, true), (900, false)] {
            assert_eq!(selectors[0].has_id(&ids([number])[0]), expected, "{number}");
        }
    }

    proptest! {
        #[test]
        fn what_is_gathered_selects_what_each_would(
            given in prop::collection::vec(
                (
                    prop::collection::vec(0_usize..40, 0..24),
                    prop::option::of(prop::sample::select(vec![
                        "1$", "^urn:x:2", "(?i)X:3", "a|:1[0-9]$", "(?x)5 # five", "[[]",
                    ])),
                    prop::sample::select(vec!["A", "B", "A,B", "*"]),
                ),
                1..8,
            ),
            number in 0_usize..40,
            kind in prop::sample::select(vec!["A", "B", "C"]),
        ) {
            let limits = Limits::default();
            let mut alternatives = Alternatives::new("entities", &limits);
            let mut each = Vec::new();
            for (numbers, pattern, text) in given {
                alternatives.add(ids(numbers.clone()), pattern, types(text)).unwrap();
                let parse = |text| Pattern::parse("idPattern", text, &limits).unwrap();
                each.push(Selector {
                    ids: ids(numbers),
                    id_pattern: pattern.map(parse),
                    types: types(text),
                    ..Selector::default()
                });
            }
            let one = entity(json!({"id": format!("urn:x:{number}"), "type": kind}));
            let expected = each.iter().any(|selector| selector.matches(&one));
            let gathered = alternatives.finish();
            prop_assert_eq!(gathered.iter().any(|selector| selector.matches(&one)), expected);
        }
    }
}
