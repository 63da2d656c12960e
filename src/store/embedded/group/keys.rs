//! Keys of what lies in `rest`: wishes for indexes, and records on shelves.

use crate::store::embedded::index::{Sort, Wish};
use crate::store::embedded::names::{Dictionary, Names};

/// The key that remembers an index.
pub(super) fn index_key(tenant: u32, wish: Wish, dictionary: &mut Dictionary) -> Vec<u8> {
    let mut key = tenant.to_be_bytes().to_vec();
    key.extend_from_slice(&dictionary.number(wish.attribute).to_be_bytes());
    key.push(match wish.sort {
        Sort::Values => b'v',
        Sort::Places => b'p',
    });
    key
}

/// The tenant and the index that a key remembers.
pub(in crate::store::embedded) fn read_index_key(key: &[u8], names: &Names) -> Option<(u32, Wish)> {
    let (tenant, rest) = key.split_first_chunk::<4>()?;
    let (attribute, sort) = rest.split_first_chunk::<4>()?;
    let attribute = names.get(u32::from_be_bytes(*attribute).into())?;
    let sort = match sort {
        b"v" => Sort::Values,
        b"p" => Sort::Places,
        _ => return None,
    };
    Some((u32::from_be_bytes(*tenant), Wish { attribute, sort }))
}

/// The key of a record on a shelf.
pub(in crate::store::embedded) fn record_key(
    shelf: &str,
    tenant: Option<u32>,
    key: &str,
) -> Vec<u8> {
    let mut whole = record_prefix(shelf, tenant);
    whole.extend_from_slice(key.as_bytes());
    whole
}

/// What the keys of a shelf begin with.
pub(in crate::store::embedded) fn record_prefix(shelf: &str, tenant: Option<u32>) -> Vec<u8> {
    let mut prefix = shelf.as_bytes().to_vec();
    prefix.push(0);
    match tenant {
        None => prefix.push(0),
        Some(number) => {
            prefix.push(1);
            prefix.extend_from_slice(&number.to_be_bytes());
        }
    }
    prefix
}
