//! The items of an array one by one, so that whoever knows one of them already need not read it.

use super::{Document, Duplicates, ParseError, ParseLimits, Reader, place};

/// The items of a JSON array, or the one value that a text is otherwise. Of duplicate keys the last
/// one counts.
pub struct Items<'a, 'l> {
    reader: Reader<'a, 'l>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The one value comes.
    Single,
    /// Items come, if the array does not end at once.
    First,
    /// An item was passed.
    Passed,
    /// An item comes.
    Next,
    /// Nothing may follow.
    End,
}

/// An item that was read.
pub struct Item<'a> {
    pub document: Document<'a>,
    /// As it stands in the text.
    pub bytes: &'a [u8],
    /// How many values it is.
    pub values: usize,
}

impl<'a, 'l> Items<'a, 'l> {
    /// Before the first item.
    pub fn of(bytes: &'a [u8], limits: &'l ParseLimits) -> Result<Self, ParseError> {
        let mut reader = Reader::new(bytes, limits, Duplicates::LastCounts)?;
        reader.skip_space();
        let stage = match reader.peek() {
            Some(b'[') => {
                reader.items += 1;
                reader.open(0)?;
                Stage::First
            }
            _ => Stage::Single,
        };
        Ok(Self { reader, stage })
    }

    /// The text from the next item on; None if there is none any more, and nothing else either.
    pub fn rest(&mut self) -> Result<Option<&'a [u8]>, ParseError> {
        let reader = &mut self.reader;
        reader.skip_space();
        match self.stage {
            Stage::First if reader.peek() == Some(b']') => {
                reader.at += 1;
                self.stage = Stage::End;
            }
            Stage::First => self.stage = Stage::Next,
            Stage::Passed => {
                self.stage = match reader.closes(b']', "expected a comma or ']'")? {
                    true => Stage::End,
                    false => Stage::Next,
                };
            }
            Stage::Single | Stage::Next | Stage::End => {}
        }
        reader.skip_space();
        match (self.stage, reader.peek()) {
            (Stage::End, None) => Ok(None),
            (Stage::End, Some(_)) => Err(reader.not_json("something follows the end")),
            _ => Ok(Some(&reader.bytes[reader.at..])),
        }
    }

    /// Reads the next item, which [`Items::rest`] said there is.
    pub fn read(&mut self) -> Result<Item<'a>, ParseError> {
        let (start, before) = (self.reader.at, self.reader.items);
        let document = self.reader.value(usize::from(self.stage != Stage::Single))?;
        let bytes = &self.reader.bytes[start..self.reader.at];
        self.passed();
        Ok(Item { document, bytes, values: self.reader.items - before })
    }

    /// Passes over the next item, which is known to be so many bytes and values.
    pub fn pass(&mut self, bytes: usize, values: usize) -> Result<(), ParseError> {
        let reader = &mut self.reader;
        reader.items += values;
        if reader.items > reader.limits.max_items {
            let (line, column) = place(reader.bytes, reader.at);
            return Err(ParseError::TooMany { limit: reader.limits.max_items, line, column });
        }
        reader.at = reader.bytes.len().min(reader.at + bytes);
        self.passed();
        Ok(())
    }

    fn passed(&mut self) {
        self.stage = match self.stage {
            Stage::Single => Stage::End,
            _ => Stage::Passed,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all<'a>(text: &'a str, limits: &ParseLimits) -> Result<Vec<Document<'a>>, ParseError> {
        let mut items = Items::of(text.as_bytes(), limits)?;
        let mut all = Vec::new();
        while let Some(rest) = items.rest()? {
            assert!(text.as_bytes().ends_with(rest));
            let item = items.read()?;
            assert!(rest.starts_with(item.bytes));
            all.push(item.document);
        }
        Ok(all)
    }

    #[test]
    fn items_are_read_as_the_whole_is() {
        let limits = ParseLimits { max_depth: 3, max_members: 3, max_items: 9 };
        for text in [
            "[]",
            " [ ] ",
            "[1]",
            "[1,2 , {\"a\":[3]}]",
            "{\"a\":{\"b\":1}}",
            " 7 ",
            "\"x\"",
            "null",
            "",
            " ",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1]]",
            "[1] x",
            "{}{}",
            "{} ,",
            "[[[1]]]",
            "[[[[1]]]]",
            "{\"a\":{\"b\":{\"c\":{}}}}",
            "[1,2,3,4,5,6,7,8]",
            "[1,2,3,4,5,6,7,8,9]",
            "[{\"a\":1,\"a\":2}]",
            "[{\"a\":1,\"b\":2,\"c\":3,\"d\":4}]",
            "]",
        ] {
            let whole = Document::parse_tolerant(text.as_bytes(), &limits);
            let whole = whole.map(|document| match document {
                Document::Array(items) => items,
                single => vec![single],
            });
            assert_eq!(all(text, &limits), whole, "{text:?}");
        }
    }

    #[test]
    fn what_is_passed_is_not_read_and_counts_all_the_same() {
        let limits = ParseLimits { max_items: 5, ..ParseLimits::default() };
        let mut items = Items::of(b"[ {\"a\":1} , 2]", &limits).expect("an array");
        let rest = items.rest().expect("fine").expect("an item");
        assert!(rest.starts_with(b"{\"a\":1}"));
        items.pass(7, 2).expect("few enough");
        assert_eq!(items.rest().expect("fine"), Some(&b"2]"[..]));
        assert_eq!(items.read().expect("a number").bytes, b"2");
        assert!(items.rest().expect("fine").is_none());
        let mut items = Items::of(b"[1,2]", &limits).expect("an array");
        items.rest().expect("fine");
        assert!(items.pass(1, 5).is_err());
    }
}
