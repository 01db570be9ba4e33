//! A connection in use. It follows each statement to its end, so that it knows at every moment whether the next caller may
//! have the connection: only if the last use ended cleanly, outside any transaction. There is no way round it but `raw`.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{AssertSqlSafe, Either, Error, Execute, Executor, PgConnection, Postgres};
use sqlx::{SqlSafeStr, SqlStr};

use super::PoolInner;
use super::connect::Link;
use super::statement::{Again, Ask, Rows, is_final};

/// What `expect` says where a type cannot: a `Conn` gives its link up in `drop` alone.
const HELD: &str = "a connection in use has its link";

/// A connection taken from a pool, and given back when dropped. Statements run on `&mut Conn`, as on sqlx's own.
///
/// Transactions go through [`begin_with`](Conn::begin_with), [`commit`](Conn::commit) and [`rollback`](Conn::rollback);
/// a `begin` sent as a statement would not be known of.
pub struct Conn {
    pool: Arc<PoolInner>,
    link: Option<Link>,
    /// The fresh connection, once `link` turned out dead. It runs on `link`'s permit.
    fresh: Option<Link>,
    progress: Progress,
    repeats: Repeats,
}

/// How far the use of a connection has come.
#[derive(Debug, Default)]
pub(super) struct Progress {
    stage: Stage,
    /// It lay idle before, and has not yet answered: its backend may be gone.
    unanswered: bool,
    in_tx: bool,
    /// A statement of this transaction failed. Unless a savepoint caught it, a commit would quietly roll back.
    hurt: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Nothing runs, and nothing is half-read.
    #[default]
    Clean,
    /// A statement runs, or was left half-way.
    Running,
    /// Not to be used again.
    Spoilt,
}

/// When the first statement on a connection that lay idle is sent again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeats {
    /// Whenever the connection is lost: the statement reads, or cannot have been committed.
    Always,
    /// Only if it is sure that the statement was not run: it did not leave, or PostgreSQL said that the session had ended.
    WhenNotRun,
}

impl Conn {
    pub(super) fn idle(pool: Arc<PoolInner>, link: Link) -> Conn {
        let progress = Progress { unanswered: true, ..Progress::default() };
        Conn { pool, link: Some(link), fresh: None, progress, repeats: Repeats::Always }
    }

    /// What follows must not run twice, whatever happens: a lone statement that writes.
    pub fn never_repeat(&mut self) -> &mut Conn {
        self.repeats = Repeats::WhenNotRun;
        self
    }

    /// Begins a transaction and runs `batch` in it (settings, locks; plain SQL without parameters, may be empty), in one
    /// round trip. Sent again on a fresh connection if this one died while it lay idle: nothing was committed.
    pub async fn begin_with(&mut self, batch: &str) -> sqlx::Result<()> {
        if self.progress.in_tx {
            return Err(Error::Configuration("a transaction is open already".into()));
        }
        let begun = self.run(AssertSqlSafe(format!("begin; {batch}")), Repeats::Always).await;
        // Where the batch failed, the transaction is open all the same.
        self.progress.in_tx = true;
        self.progress.hurt = begun.is_err();
        begun
    }

    /// Commits. Fails, rather than roll back and call it a success as a bare `commit` would, if a statement of the
    /// transaction failed and no savepoint caught it.
    pub async fn commit(&mut self) -> sqlx::Result<()> {
        // An aborted transaction refuses the empty select, and the commit behind it is not reached.
        let sql = if self.progress.hurt { "select; commit" } else { "commit" };
        let committed = self.run(sql, Repeats::WhenNotRun).await;
        // A commit that fails in the database (a deferred constraint) has ended the transaction; a refused one has not.
        let ended = match &committed {
            Ok(()) => true,
            Err(Error::Database(error)) => error.code().as_deref() != Some("25P02"),
            Err(_) => false,
        };
        self.leave_tx(ended);
        committed
    }

    pub async fn rollback(&mut self) -> sqlx::Result<()> {
        let rolled_back = self.run("rollback", Repeats::WhenNotRun).await;
        self.leave_tx(rolled_back.is_ok());
        rolled_back
    }

    pub fn in_transaction(&self) -> bool {
        self.progress.in_tx
    }

    /// sqlx's own connection, for what has no other way (`copy`). We cannot see how it is left: it is closed after this use.
    pub fn raw(&mut self) -> &mut PgConnection {
        self.progress.stage = Stage::Spoilt;
        &mut self.settle().conn
    }

    fn leave_tx(&mut self, ended: bool) {
        if ended {
            self.progress.in_tx = false;
            self.progress.hurt = false;
        }
    }

    async fn run(&mut self, sql: impl SqlSafeStr, repeats: Repeats) -> sqlx::Result<()> {
        let mut rows = self.rows(Ask::plain(sql.into_sql_str()), repeats);
        while rows.try_next().await?.is_some() {}
        Ok(())
    }

    /// Starts a statement.
    fn rows(&mut self, ask: Ask, repeats: Repeats) -> Rows<'_> {
        self.settle();
        let Conn { pool, link, fresh, progress, .. } = self;
        let link = link.as_mut().expect(HELD);
        let again = (progress.unanswered && !progress.in_tx).then(|| Again {
            ask: ask.clone(),
            repeats,
            pool,
            pid: link.pid,
            fresh,
        });
        progress.start();
        Rows::new(link.conn.fetch_many(ask), progress, again)
    }

    /// The connection to use: the fresh one, if the other turned out dead.
    fn settle(&mut self) -> &mut Link {
        if let Some(fresh) = self.fresh.take() {
            self.link = Some(fresh);
        }
        self.link.as_mut().expect(HELD)
    }

    /// Takes the connection out, and with it the duty to give it back.
    pub(super) fn take_link(&mut self) -> Option<Link> {
        self.fresh.take().or(self.link.take())
    }

    fn fit(&self) -> bool {
        self.progress.stage == Stage::Clean && !self.progress.in_tx
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        if let Some(link) = self.take_link() {
            self.pool.server.give_back(&self.pool, link, self.fit());
        }
    }
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn").field("progress", &self.progress).finish_non_exhaustive()
    }
}

impl Progress {
    fn start(&mut self) {
        self.stage = match self.stage {
            Stage::Clean => Stage::Running,
            // The statement before was left half-way. sqlx skips what is left of it; we do not hand that on.
            Stage::Running | Stage::Spoilt => Stage::Spoilt,
        };
    }

    pub(super) fn answered(&mut self) {
        self.unanswered = false;
    }

    /// The last statement was read to its end.
    pub(super) fn ended(&mut self) {
        self.unanswered = false;
        if self.stage == Stage::Running {
            self.stage = Stage::Clean;
        }
    }

    /// The last statement failed. An error of the statement is a clean end: after it PostgreSQL is ready for the next.
    pub(super) fn failed(&mut self, error: &Error) {
        match error {
            Error::Database(_) if !is_final(error) => {
                self.hurt |= self.in_tx;
                self.ended();
            }
            // Nothing was sent.
            Error::Encode(_) => self.ended(),
            _ => self.stage = Stage::Spoilt,
        }
    }
}

impl<'c> Executor<'c> for &'c mut Conn {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, sqlx::Result<Either<PgQueryResult, PgRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        match Ask::new(query, self.pool.settings.persistent) {
            Ok(ask) => {
                let repeats = self.repeats;
                self.rows(ask, repeats).boxed()
            }
            Err(error) => stream::once(async { Err(error) }).boxed(),
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let ask = Ask::new(query, self.pool.settings.persistent);
        Box::pin(async move {
            let repeats = self.repeats;
            let mut rows = self.rows(ask?, repeats);
            let mut first = None;
            // To the end, though one row is enough: a deferred constraint speaks last, and the connection is clean only then.
            while let Some(step) = rows.try_next().await? {
                if let (Either::Right(row), None) = (step, &first) {
                    first = Some(row);
                }
            }
            Ok(first)
        })
    }

    fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Vec<PgRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let ask = Ask::new(query, self.pool.settings.persistent);
        Box::pin(async move {
            let repeats = self.repeats;
            let mut steps = self.rows(ask?, repeats);
            let mut rows = Vec::new();
            while let Some(step) = steps.try_next().await? {
                rows.extend(step.right());
            }
            Ok(rows)
        })
    }

    fn execute<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<PgQueryResult>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let ask = Ask::new(query, self.pool.settings.persistent);
        Box::pin(async move {
            let repeats = self.repeats;
            let mut steps = self.rows(ask?, repeats);
            let mut done = PgQueryResult::default();
            while let Some(step) = steps.try_next().await? {
                done.extend(step.left());
            }
            Ok(done)
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            self.settle();
            self.progress.start();
            let prepared = self.settle().conn.prepare_with(sql, parameters).await;
            match &prepared {
                Ok(_) => self.progress.ended(),
                Err(error) => self.progress.failed(error),
            }
            prepared
        })
    }
}
