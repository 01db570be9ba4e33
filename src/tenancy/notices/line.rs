//! The line on which notices come and go: one connection that listens, speaks, and hears itself speak. It is no pool's, so
//! that nothing else keeps its beats waiting.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::time::{Instant, interval, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{CHANNEL, Notice, Notices};

/// Each instance sends itself (and all others) a beat, so that a dead line is noticed …
const BEAT: Duration = Duration::from_millis(300);
/// … before what it keeps from us is older than we promise: from here on we look for ourselves …
const DOUBT: Duration = Duration::from_millis(900);
/// … and here we give the line up.
const SILENCE: Duration = Duration::from_secs(5);
/// News of all clinics are said together, at most so often.
const NEWS: Duration = Duration::from_millis(50);
/// Between two lines.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a stop waits for what is still to be said.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Notices {
    /// Listens and speaks until told to stop; reconnects by itself.
    pub async fn listen(self, direct: PgConnectOptions, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.hold_a_line(&direct, &stop).await {
                tracing::warn!(%error, "notices do not arrive; looking again by ourselves meanwhile");
            }
            self.freshness.set_hearing(false);
            stop.run_until_cancelled(sleep(PAUSE)).await;
        }
    }

    async fn hold_a_line(
        &self,
        direct: &PgConnectOptions,
        stop: &CancellationToken,
    ) -> sqlx::Result<()> {
        let Some(listener) = stop.run_until_cancelled(connect(direct)).await else { return Ok(()) };
        let mut listener = listener?;
        let mut heard = Instant::now();
        let mut beats = interval(BEAT);
        let mut news_said = Instant::now();
        let mut news_due = None;
        loop {
            let doubts = !self.freshness.is_hearing();
            let patience = heard + if doubts { SILENCE } else { DOUBT };
            tokio::select! {
                biased;
                received = listener.try_recv() => {
                    let notification = received?.ok_or(sqlx::Error::PoolClosed)?;
                    heard = Instant::now();
                    self.freshness.set_hearing(true);
                    if let Some(notice) = Notice::parse(notification.payload()) {
                        self.hear(&notice);
                    }
                }
                () = sleep_until(patience) => match doubts {
                    false => self.freshness.set_hearing(false),
                    true => return Err(sqlx::Error::PoolTimedOut),
                },
                _ = beats.tick() => self.say(&mut listener, Some("beat"), heard).await?,
                () = self.outgoing.asked.notified() => self.say(&mut listener, None, heard).await?,
                () = self.outgoing.rung.notified(), if news_due.is_none() => {
                    news_due = Some(news_said + NEWS);
                }
                () = sleep_until(news_due.unwrap_or(heard)), if news_due.is_some() => {
                    self.say(&mut listener, None, heard).await?;
                    (news_said, news_due) = (Instant::now(), None);
                }
                () = stop.cancelled() => {
                    let last_words = self.say(&mut listener, None, heard);
                    return timeout(LAST_WORDS, last_words).await.unwrap_or(Ok(()));
                }
            }
        }
    }

    /// Says what waits to be said. A line that does not take it in time is doubted meanwhile, and given up in the end.
    async fn say(
        &self,
        listener: &mut PgListener,
        beat: Option<&str>,
        heard: Instant,
    ) -> sqlx::Result<()> {
        let batch = self.outgoing.take();
        let mut payloads = batch.payloads();
        payloads.extend(beat.map(str::to_owned));
        if payloads.is_empty() {
            batch.said();
            return Ok(());
        }
        let statement =
            sqlx::query("select pg_notify($1, payload) from unnest($2::text[]) as payload")
                .bind(CHANNEL)
                .bind(payloads)
                .execute(listener);
        tokio::pin!(statement);
        let said = match timeout_at(heard + DOUBT, &mut statement).await {
            Ok(said) => said,
            Err(_) => {
                self.freshness.set_hearing(false);
                let late = timeout_at(heard + SILENCE, statement).await;
                late.unwrap_or(Err(sqlx::Error::PoolTimedOut))
            }
        };
        said?;
        batch.said();
        Ok(())
    }
}

async fn connect(direct: &PgConnectOptions) -> sqlx::Result<PgListener> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .acquire_timeout(Duration::from_secs(5))
        .connect_with(direct.clone().application_name("nadi listener"))
        .await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    // What is said between two lines is lost, so another one is a fresh start.
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    Ok(listener)
}
