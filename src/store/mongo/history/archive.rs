//! Taking history out, to be put into another store, and putting it in.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::super::Inner;
use super::book::kept;
use super::desk::{Desk, Passage};
use super::edit::{Edit, Scope, edit, read_items};
use super::evolve::some_ids;
use crate::model::{EntityId, TenantId};
use crate::store::history::{Bookmark, archive};
use crate::store::record::Spelling;
use crate::store::{Archive, Archives, StoreError};

/// How many entities are archived at once.
const MANY: usize = 200;

/// How many rows are put down in one transaction, about.
const AT_ONCE: u64 = 20_000;

/// See [`Store::archive`](crate::store::Store::archive).
pub(in crate::store::mongo) async fn archives(
    inner: &Arc<Inner>,
    tenant: &TenantId,
    after: Option<&str>,
    rows: usize,
) -> Result<Archives, StoreError> {
    inner.check_tenant(tenant).await?;
    let (inner, tenant, from) = (inner.clone(), tenant.clone(), Bookmark::read(after));
    let handle = Handle::current();
    let read = tokio::task::spawn_blocking(move || {
        let _passage = Passage::enter(&inner, &handle)?;
        let desk = Desk::reading(&inner, &handle)?;
        read(&desk, &tenant, from, rows.max(1))
    });
    read.await.map_err(|error| StoreError::Broken(error.to_string()))?
}

fn read(
    desk: &Desk,
    tenant: &TenantId,
    from: Option<Bookmark>,
    mut left: usize,
) -> Result<Archives, StoreError> {
    let first = match &from {
        Some(Bookmark { id, within: Some(_) }) => id.clone(),
        Some(Bookmark { id, within: None }) => format!("{id}\0"),
        None => String::new(),
    };
    let (ids, more) = some_ids(desk, tenant, None, &first, MANY)?;
    let mut found = Archives::default();
    let last = ids.last().cloned();
    let items = read_items(desk, tenant, &ids, false)?;
    desk.expect(
        items.iter().flat_map(|item| item.book.in_blocks(tenant, &item.id)).map(|(_, key)| key),
    );
    for item in items {
        let id = item.id.clone();
        let Some((head, tails)) = item.book.into_parts() else { continue };
        let kept = kept(tenant, &id, &head, tails);
        let within = from.as_ref().filter(|from| from.id == id.as_str());
        let within = within.and_then(|from| from.within);
        let whose = (id.clone(), head, &kept[..]);
        let (taken, rest) = archive(desk, Spelling::Own, whose, within, &mut left)?;
        found.archives.push(taken);
        if rest.is_some() || left == 0 {
            found.next = Some(Bookmark { id: id.as_str().to_owned(), within: rest }.write());
            return Ok(found);
        }
    }
    // Beyond the last id that was looked at there may be others.
    let last = last.filter(|_| more.is_some());
    found.next = last.map(|id| Bookmark { id: id.as_str().to_owned(), within: None }.write());
    Ok(found)
}

/// See [`Store::restore`](crate::store::Store::restore).
pub(in crate::store::mongo) async fn restore(
    inner: &Arc<Inner>,
    tenant: &TenantId,
    archives: Vec<Archive>,
) -> Result<(), StoreError> {
    inner.make_tenant(tenant).await?;
    let mut left = archives.into_iter().peekable();
    while left.peek().is_some() {
        let (mut some, mut rows) = (Vec::new(), 0);
        while let Some(next) = left.next_if(|next| some.is_empty() || rows + next.rows() <= AT_ONCE)
        {
            rows += next.rows();
            some.push(next);
        }
        let mut ids: Vec<EntityId> = some.iter().map(|one| one.id.clone()).collect();
        ids.dedup();
        let (tenant, now) = (tenant.clone(), (inner.settings.clock)());
        let scope = Scope { tenant, ids, now, entities: false, locked: false };
        edit(inner, scope, move |edit| some.iter().try_for_each(|one| put(edit, one))).await?;
    }
    Ok(())
}

fn put(edit: &mut Edit<'_>, archive: &Archive) -> Result<(), StoreError> {
    let Archive { id, head, begins, series } = archive;
    if *begins {
        let old = edit.item(id)?.book.head.clone();
        if let Some(old) = old {
            edit.erase(id, &old.lines)?;
        }
        edit.item(id)?.book.begin(head.clone());
    }
    let item = edit.item(id)?;
    item.changed = true;
    for (line, rows) in series {
        let tail = item.book.tail_mut(line);
        for row in 0..rows.len() {
            tail.push(rows.get(row));
        }
    }
    Ok(())
}
