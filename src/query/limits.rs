//! How much a query may ask for.

use crate::geo;

/// How deep parentheses and braces may stand within one another.
const NESTING: usize = 32;

/// Bounds on what one query may hold; beyond them it is refused as too complex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Terms, values, names and scopes of one expression. Each is checked against every candidate,
    /// so this bounds the work per entity.
    pub nodes: usize,
    /// Parentheses and braces within one another; parsers call themselves that deep.
    pub nesting: usize,
    /// Characters of one regular expression.
    pub pattern_chars: usize,
    /// Bytes that one regular expression may take when compiled.
    pub pattern_bytes: usize,
    /// How large the geometries of queries may be.
    pub geometry: geo::Limits,
}

impl Limits {
    /// For what was accepted before and is only read again, whatever the limits were then. Nesting
    /// is the same always: it is what parsers bear.
    pub const OF_KEPT: Self = Self {
        nodes: usize::MAX,
        nesting: NESTING,
        pattern_chars: usize::MAX,
        pattern_bytes: 1 << 26,
        geometry: geo::Limits { max_vertices: usize::MAX, max_text: usize::MAX },
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            nodes: 512,
            nesting: NESTING,
            pattern_chars: 1_024,
            pattern_bytes: 256 * 1_024,
            geometry: geo::Limits::default(),
        }
    }
}
