//! One thing, or several in order.

/// One thing without a list around it, or several. `Many` may also hold one or none: what was
/// sent as an array stays an array.
///
/// The list is boxed because it is rare: whoever has one thing does not pay for its three words.
#[derive(Debug, Clone)]
#[allow(
    clippy::box_collection,
    reason = "a million entities have one thing for each that has many"
)]
pub enum OneOrMany<T> {
    One(T),
    Many(Box<Vec<T>>),
}

impl<T> OneOrMany<T> {
    /// The things of a list, without the list if it holds only one; None if it holds none.
    pub fn from_vec(mut things: Vec<T>) -> Option<Self> {
        match things.len() {
            0 => None,
            1 => things.pop().map(OneOrMany::One),
            _ => Some(Self::many(things)),
        }
    }

    /// A list, however long.
    pub fn many(things: Vec<T>) -> Self {
        OneOrMany::Many(Box::new(things))
    }

    /// All of them.
    pub fn as_slice(&self) -> &[T] {
        match self {
            OneOrMany::One(thing) => std::slice::from_ref(thing),
            OneOrMany::Many(things) => things,
        }
    }

    /// All of them, to be changed.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        match self {
            OneOrMany::One(thing) => std::slice::from_mut(thing),
            OneOrMany::Many(things) => things,
        }
    }

    /// All of them, as a list.
    pub fn into_vec(self) -> Vec<T> {
        match self {
            OneOrMany::One(thing) => vec![thing],
            OneOrMany::Many(things) => *things,
        }
    }

    /// Adds one at the end.
    pub fn push(&mut self, thing: T) {
        let mut things = std::mem::replace(self, Self::many(Vec::new())).into_vec();
        things.push(thing);
        *self = Self::many(things);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }
}

impl<T: PartialEq> PartialEq for OneOrMany<T> {
    /// One thing equals a list of it: JSON-LD makes no difference.
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}
