//! Following a chain from its first link to its last, against the rows it seals and against what central knows of it. Page by
//! page, so that a log of any length fits.

use std::fmt;

use sqlx::PgConnection;

use super::link::{ChainKey, Hash, NOTHING};
use super::store;

/// Links looked at together.
const PAGE: i64 = 1_000;
/// A row that was sealed so much later than it says it was written is worth a look: somebody may have put it there.
const LATE_SECONDS: i64 = 3_600;

/// What is wrong with a chain, at the first link where it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The row is gone.
    RowMissing { n: i64, log_id: i64 },
    /// The row, the link, or their place is not what was sealed.
    Changed { n: i64, log_id: i64 },
    /// A link is gone from the middle.
    LinkMissing { n: i64 },
    /// A row lies among those that are sealed, and was not sealed.
    RowAdded { log_id: i64 },
    /// Central knows a link that is not there: the end was cut off.
    Cut { links: i64, known: i64 },
    /// Central knows another link of this number: the end was cut off and made anew.
    Replaced { n: i64 },
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RowMissing { n, log_id } => {
                write!(f, "row {log_id}, sealed by link {n}, is gone")
            }
            Self::Changed { n, log_id } => {
                write!(f, "row {log_id} is not what link {n} sealed, or the link was changed")
            }
            Self::LinkMissing { n } => write!(f, "link {n} is gone"),
            Self::RowAdded { log_id } => write!(f, "row {log_id} was added among sealed ones"),
            Self::Cut { links, known } => {
                write!(
                    f,
                    "the end is gone: central knows link {known}, the last one here is {links}"
                )
            }
            Self::Replaced { n } => write!(f, "link {n} is not the one that central knows"),
        }
    }
}

/// What following a chain came to.
#[derive(Debug)]
pub struct Verdict {
    /// Links that are good, from the first on.
    pub links: i64,
    pub head: Hash,
    pub broken: Option<Broken>,
    /// Rows that were sealed more than an hour after they say they were written, and the first of them.
    pub late: (i64, Option<i64>),
    /// Rows that wait to be sealed, and how long the oldest has.
    pub waiting: (i64, Option<f64>),
    /// The log has transactions that this server has not reached yet: it was restored from another one.
    pub was_moved: bool,
}

/// Follows a chain. `known` is the link that central knows.
///
/// # Errors
/// The database's.
pub async fn verify(
    conn: &mut PgConnection,
    key: &ChainKey,
    known: Option<(i64, Vec<u8>)>,
) -> sqlx::Result<Verdict> {
    let mut verdict = Verdict {
        links: 0,
        head: NOTHING,
        broken: None,
        late: (0, None),
        waiting: (0, None),
        was_moved: false,
    };
    // Read first: what is sealed while we look is not ours to judge.
    let newest = store::head(&mut *conn).await?;
    let mark = newest.as_ref().map_or(("0", 0), |head| (head.xid.as_str(), head.log_id));
    let last = newest.as_ref().map_or(0, |head| head.n);
    follow(conn, key, last, known.as_ref(), &mut verdict).await?;
    if verdict.broken.is_some() {
        return Ok(verdict);
    }
    if let Some((known, _)) = known.filter(|(n, _)| *n > last) {
        verdict.broken = Some(Broken::Cut { links: last, known });
        return Ok(verdict);
    }
    let (waiting, oldest, was_moved) = store::waiting(conn, mark).await?;
    verdict.waiting = (waiting, oldest);
    verdict.was_moved = was_moved;
    // Each link has its row, and no row has two (its number is in the hash): if there are as many rows, none was added.
    if store::rows_up_to(conn, mark).await? != last
        && let Some(log_id) = store::unlinked(conn, mark).await?
    {
        verdict.broken = Some(Broken::RowAdded { log_id });
    }
    Ok(verdict)
}

async fn follow(
    conn: &mut PgConnection,
    key: &ChainKey,
    last: i64,
    known: Option<&(i64, Vec<u8>)>,
    verdict: &mut Verdict,
) -> sqlx::Result<()> {
    while verdict.links < last {
        let limit = PAGE.min(last - verdict.links);
        let page = store::links_after(conn, verdict.links, limit).await?;
        if page.is_empty() {
            verdict.broken = Some(Broken::LinkMissing { n: verdict.links + 1 });
            return Ok(());
        }
        for link in page {
            let n = verdict.links + 1;
            let log_id = link.log_id;
            verdict.broken = match &link.row {
                _ if link.n != n => Some(Broken::LinkMissing { n }),
                None => Some(Broken::RowMissing { n, log_id }),
                Some(row) => {
                    let hash = key.link(&verdict.head, n, link.sealed_at, row);
                    if hash.as_slice() != link.hash {
                        Some(Broken::Changed { n, log_id })
                    } else if known.is_some_and(|known| known.0 == n && known.1 != hash) {
                        Some(Broken::Replaced { n })
                    } else {
                        if (link.sealed_at - row.at).num_seconds() > LATE_SECONDS {
                            verdict.late = (verdict.late.0 + 1, verdict.late.1.or(Some(log_id)));
                        }
                        (verdict.links, verdict.head) = (n, hash);
                        None
                    }
                }
            };
            if verdict.broken.is_some() {
                return Ok(());
            }
        }
    }
    Ok(())
}
