//! One statement on its way: what is asked, in a form that can be asked again, and the rows as they come.

use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgDatabaseError, PgQueryResult, PgRow, PgSeverity, PgStatement};
use sqlx::{Either, Error, Execute, Executor, Postgres, SqlStr};

use super::PoolInner;
use super::conn::{Progress, Repeats};
use super::connect::{self, Link};

type Step = sqlx::Result<Either<PgQueryResult, PgRow>>;

/// A statement with its arguments. sqlx gives them away when it sends them; a copy (two small allocations, against a round
/// trip) is kept while the connection may turn out dead.
#[derive(Clone)]
pub(super) struct Ask {
    sql: SqlStr,
    arguments: Option<PgArguments>,
    statement: Option<PgStatement>,
    persistent: bool,
}

impl Ask {
    pub(super) fn new<'q, E>(mut query: E, persistent: bool) -> sqlx::Result<Ask>
    where
        E: Execute<'q, Postgres>,
    {
        let statement = query.statement().cloned();
        let arguments = query.take_arguments().map_err(Error::Encode)?;
        let persistent = persistent && query.persistent();
        Ok(Ask { sql: query.sql(), arguments, statement, persistent })
    }

    /// Without parameters; may be several statements.
    pub(super) fn plain(sql: SqlStr) -> Ask {
        Ask { sql, arguments: None, statement: None, persistent: false }
    }
}

impl Execute<'_, Postgres> for Ask {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.statement.as_ref()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        Ok(self.arguments.take())
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}

/// Did PostgreSQL end the session (a restart, `pg_terminate_backend`)? Said in answer to the first statement since the connection
/// lay idle, it was said before: the statement was not run.
pub(super) fn is_final(error: &Error) -> bool {
    let Error::Database(error) = error else { return false };
    let severity = error.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::severity);
    matches!(severity, Some(PgSeverity::Fatal | PgSeverity::Panic))
        || error.code().is_some_and(|code| code.starts_with("08"))
}

/// How to ask once more, on a fresh connection.
pub(super) struct Again<'e> {
    pub(super) ask: Ask,
    pub(super) repeats: Repeats,
    pub(super) pool: &'e Arc<PoolInner>,
    /// The backend that was lost.
    pub(super) pid: Option<i32>,
    /// Where the fresh connection goes.
    pub(super) fresh: &'e mut Option<Link>,
}

impl<'e> Again<'e> {
    fn helps(&self, error: &Error) -> bool {
        match error {
            // The statement never left whole, so it cannot have been run: `Sync` is its last byte.
            Error::Io(error) if error.kind() == ErrorKind::BrokenPipe => true,
            Error::Io(_) => self.repeats == Repeats::Always,
            _ => is_final(error),
        }
    }

    fn rows(self, lost: Error) -> BoxStream<'e, Step> {
        let Again { ask, pool, pid, fresh, .. } = self;
        let rows = async move {
            if pool.server.refuses(pool.lane) {
                return Err(lost);
            }
            if let (Some(witness), Some(pid)) = (pool.server.witness(), pid) {
                witness.gone(pid).await;
            }
            match connect::open(pool).await {
                Ok(link) => {
                    pool.server.replaced(pool.lane, None);
                    Ok(fresh.insert(link).conn.fetch_many(ask))
                }
                Err(error) => {
                    pool.server.replaced(pool.lane, Some(error));
                    Err(lost)
                }
            }
        };
        stream::once(rows).try_flatten().boxed()
    }
}

/// The rows of a statement. What it sees of them it writes into the connection's progress.
pub(super) struct Rows<'e> {
    steps: BoxStream<'e, Step>,
    progress: &'e mut Progress,
    again: Option<Again<'e>>,
}

impl<'e> Rows<'e> {
    pub(super) fn new(
        steps: BoxStream<'e, Step>,
        progress: &'e mut Progress,
        again: Option<Again<'e>>,
    ) -> Rows<'e> {
        Rows { steps, progress, again }
    }
}

impl Stream for Rows<'_> {
    type Item = Step;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        let this = &mut *self;
        loop {
            match ready!(this.steps.poll_next_unpin(cx)) {
                Some(Ok(step)) => {
                    this.again = None;
                    this.progress.answered();
                    return Poll::Ready(Some(Ok(step)));
                }
                Some(Err(error)) => match this.again.take() {
                    Some(again) if again.helps(&error) => this.steps = again.rows(error),
                    _ => {
                        this.progress.failed(&error);
                        return Poll::Ready(Some(Err(error)));
                    }
                },
                None => {
                    this.progress.ended();
                    return Poll::Ready(None);
                }
            }
        }
    }
}
