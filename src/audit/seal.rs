//! Sealing: rows become links, in the order of their transactions, once no older transaction can still commit. No request
//! touches the head of the chain, so writers never wait for one another here.

use super::link::{ChainKey, Hash, NOTHING};
use super::store::{self, Head};
use crate::tenancy::pools::Conn;

/// Rows in one transaction: short, for another sealer may wait for its turn.
const PAGE: i64 = 500;

/// What one run came to.
#[derive(Debug, Default)]
pub struct Sealed {
    /// The newest link before, and after.
    pub from: Option<Head>,
    pub to: Option<Head>,
    /// Rows are committed that cannot be sealed yet: an older transaction still runs.
    pub waiting: bool,
}

/// Seals all that can be sealed now.
///
/// # Errors
/// The database's. What was sealed before it stays; a page that broke off is as if it had never been.
pub async fn seal(conn: &mut Conn, key: &ChainKey) -> sqlx::Result<Sealed> {
    let mut run: Option<Sealed> = None;
    loop {
        let (before, page) = seal_page(conn, key).await?;
        let so_far = run.get_or_insert_with(|| Sealed { from: before, ..Sealed::default() });
        so_far.to = page.head;
        so_far.waiting = page.waiting;
        if !page.full {
            return Ok(run.expect("set above"));
        }
    }
}

struct Page {
    head: Option<Head>,
    full: bool,
    waiting: bool,
}

/// One transaction: the turn, the head as it is now, the next rows, their links. Gives the head that it found, too.
async fn seal_page(conn: &mut Conn, key: &ChainKey) -> sqlx::Result<(Option<Head>, Page)> {
    conn.begin_with(store::TURN).await?; // before the head is read: who waited must see what the other has done
    let linked = link_rows(conn, key).await;
    match linked {
        Ok(done) => {
            conn.commit().await?;
            Ok(done)
        }
        Err(error) => {
            if let Err(error) = conn.rollback().await {
                tracing::debug!(%error, "a page of seals could not be rolled back; its connection goes");
            }
            Err(error)
        }
    }
}

async fn link_rows(conn: &mut Conn, key: &ChainKey) -> sqlx::Result<(Option<Head>, Page)> {
    let before = store::head(&mut *conn).await?;
    let mark = before.as_ref().map_or(("0", 0), |head| (head.xid.as_str(), head.log_id));
    let rows = store::unsealed(conn, mark, PAGE).await?;
    let full = rows.len() as i64 == PAGE;
    let sealed_at = store::now(conn).await?;
    let (mut n, mut hash) = match &before {
        Some(head) => (head.n, hash_of(&head.hash)?),
        None => (0, NOTHING),
    };
    let mut head = before.clone();
    let mut links = Vec::with_capacity(rows.len());
    for unsealed in rows {
        n += 1;
        hash = key.link(&hash, n, sealed_at, &unsealed.row);
        let (log_id, xid) = (unsealed.row.id, unsealed.xid);
        head = Some(Head { n, hash: hash.to_vec(), log_id, xid: xid.clone() });
        links.push((n, log_id, xid, hash));
    }
    if !links.is_empty() {
        store::add_links(conn, sealed_at, links).await?;
    }
    let mark = head.as_ref().map_or(("0", 0), |head| (head.xid.as_str(), head.log_id));
    let waiting = !full && store::any_waiting(conn, mark).await?;
    Ok((before, Page { head, full, waiting }))
}

fn hash_of(bytes: &[u8]) -> sqlx::Result<Hash> {
    bytes.try_into().map_err(|_| sqlx::Error::Decode("a hash has 32 bytes".into()))
}
