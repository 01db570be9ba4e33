//! Where passwords are hashed: on threads of their own, fewer than there are cores, each of which rests for as long as it worked,
//! so that a rush of sign-ins slows little but sign-ins. Realms take turns: a rush at one clinic keeps no other waiting.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;
use uuid::Uuid;

use crate::error::Problem;

/// How long anybody waits for his hash.
const PATIENCE: Duration = Duration::from_secs(5);

/// Of each thread. More than this many could not have their turn in time anyway.
const MOST: usize = 128;

/// Of a thread's share of a busy core, about a third is left; where each service has its share for itself, all of it: hence the rests.
#[cfg(target_os = "linux")]
const NICE: i32 = 5;

/// The threads, and the queue before them.
pub struct Hashers(Arc<Queue>);

struct Queue {
    waiting: Mutex<Waiting>,
    somebody_came: Condvar,
}

/// Who waits, realm by realm.
struct Waiting {
    most: usize,
    /// Realms in which somebody waits, in the order of their turns.
    turns: VecDeque<Uuid>,
    lines: HashMap<Uuid, VecDeque<Box<dyn Job>>>,
    all: usize,
}

/// Something to be hashed for somebody.
trait Job: Send {
    fn is_wanted(&self) -> bool;
    fn run(self: Box<Self>);
}

struct Asked<T, W> {
    work: W,
    answer: oneshot::Sender<T>,
}

impl<T: Send, W: FnOnce() -> T + Send> Job for Asked<T, W> {
    fn is_wanted(&self) -> bool {
        !self.answer.is_closed()
    }

    fn run(self: Box<Self>) {
        let _gone = self.answer.send((self.work)()); // who asked may have gone meanwhile
    }
}

impl Hashers {
    /// As many as leave a core to everything else.
    pub fn beside_the_rest() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, |cores| cores.get());
        Self::new(cores.saturating_sub(1).max(1))
    }

    fn new(threads: usize) -> Self {
        let waiting = Mutex::new(Waiting::of(threads * MOST));
        let queue = Arc::new(Queue { waiting, somebody_came: Condvar::new() });
        for n in 0..threads {
            let queue = queue.clone();
            let work = move || queue.work();
            let named = std::thread::Builder::new().name(format!("hash-{n}"));
            named.spawn(work).expect("a process that starts has a thread to spare");
        }
        Self(queue)
    }

    /// Does some work when it is this realm's turn.
    ///
    /// # Errors
    /// `503 busy`: too many wait, or it took too long.
    pub async fn run<T: Send + 'static>(
        &self,
        realm: Uuid,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let (answer, done) = oneshot::channel();
        self.0.lock().join(realm, Box::new(Asked { work, answer }));
        self.0.somebody_came.notify_one();
        // Who is turned away finds his answer dropped; who gives up drops `done`, and his work is skipped.
        match timeout(PATIENCE, done).await {
            Ok(Ok(done)) => Ok(done),
            _ => Err(Problem::unavailable("busy", "too many are signing in; try again")),
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        // Elsewhere the whole process would become nicer; there the number of threads has to do.
        #[cfg(target_os = "linux")]
        if let Err(error) = rustix::process::nice(NICE) {
            tracing::warn!(%error, "passwords are hashed at the priority of everything else");
        }
        loop {
            let next = self.somebody_came.wait_while(self.lock(), |waiting| waiting.all == 0);
            let job = next.unwrap_or_else(PoisonError::into_inner).next();
            if let Some(job) = job.filter(|job| job.is_wanted()) {
                let began = Instant::now();
                job.run();
                std::thread::sleep(began.elapsed());
            }
        }
    }
}

impl Waiting {
    fn of(most: usize) -> Self {
        Self { most, turns: VecDeque::new(), lines: HashMap::new(), all: 0 }
    }

    /// Joins the realm's line. Where there is no room, the last of the longest line goes: perhaps the one who came.
    fn join(&mut self, realm: Uuid, job: Box<dyn Job>) {
        let line = self.lines.entry(realm).or_default();
        if line.is_empty() {
            self.turns.push_back(realm);
        }
        line.push_back(job);
        self.all += 1;
        if self.all > self.most {
            let longest = self.lines.values_mut().max_by_key(|line| line.len());
            let turned_away = longest.and_then(VecDeque::pop_back);
            self.all -= usize::from(turned_away.is_some());
        }
    }

    /// The first of the realm whose turn it is; the next turn is another's.
    fn next(&mut self) -> Option<Box<dyn Job>> {
        let realm = self.turns.pop_front()?;
        let line = self.lines.get_mut(&realm)?;
        let job = line.pop_front();
        self.all -= usize::from(job.is_some());
        if line.is_empty() {
            self.lines.remove(&realm);
        } else {
            self.turns.push_back(realm);
        }
        job
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Named(&'static str, Arc<Mutex<Vec<&'static str>>>);

    impl Job for Named {
        fn is_wanted(&self) -> bool {
            true
        }

        fn run(self: Box<Self>) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    #[test]
    fn realms_take_turns() {
        let (busy, quiet) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let done = Arc::default();
        let mut waiting = Waiting::of(MOST);
        for (realm, name) in [(busy, "a"), (busy, "b"), (busy, "c"), (quiet, "x"), (quiet, "y")] {
            waiting.join(realm, Box::new(Named(name, Arc::clone(&done))));
        }

        while let Some(job) = waiting.next() {
            job.run();
        }

        assert_eq!(*done.lock().unwrap(), ["a", "x", "b", "y", "c"]);
        assert!(waiting.all == 0 && waiting.lines.is_empty());
    }

    #[test]
    fn where_there_is_no_room_the_longest_line_gives_way() {
        let (busy, quiet) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut waiting = Waiting::of(MOST);
        let done = Arc::default();
        let named = |name| Box::new(Named(name, Arc::clone(&done)));
        for _ in 0..MOST + 100 {
            waiting.join(busy, named("one of many"));
        }

        waiting.join(quiet, named("one of few"));

        assert_eq!(waiting.all, MOST);
        assert_eq!((waiting.lines[&busy].len(), waiting.lines[&quiet].len()), (MOST - 1, 1));
    }

    #[tokio::test]
    async fn who_has_gone_costs_no_work_and_who_is_turned_away_hears_of_it() {
        let hashers = Hashers::new(1);
        let realm = Uuid::from_u128(1);
        let (finish, finished) = std::sync::mpsc::channel::<()>();
        let first = hashers.run(realm, move || finished.recv().is_ok());
        let gone = hashers.run(realm, || -> () { unreachable!("nobody waits for it") });
        tokio::pin!(first);
        assert!(futures_util::poll!(&mut first).is_pending());
        {
            tokio::pin!(gone);
            assert!(futures_util::poll!(gone).is_pending());
        }
        let others = (0..=MOST).map(|n| hashers.run(realm, move || n));
        let others = futures_util::future::join_all(others);

        let (others, ()) = tokio::join!(others, async { finish.send(()).unwrap() });

        assert!(first.await.unwrap());
        let busy = others.iter().filter_map(|other| other.as_ref().err());
        assert!(busy.clone().count() >= 1 && busy.clone().all(|problem| problem.name == "busy"));
        assert!(others[0].is_ok());
    }
}
