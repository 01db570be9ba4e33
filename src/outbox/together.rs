//! What senders of one clinic ask of its database at the same time is asked in one statement: who comes while one is under way
//! has his part in the next. Whoever is alone waits for nobody.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedMutexGuard, oneshot};
use uuid::Uuid;

/// Beyond so many clinics, those at which nobody asks are forgotten.
const REMEMBERED: usize = 1024;

/// Whose turn it is to ask a clinic's database. Kinds of questions that share their turns share its connection: opening one costs
/// more than a hundred messages do. Clones are the same.
#[derive(Clone, Default)]
pub struct Turns(Arc<ByClinic<tokio::sync::Mutex<()>>>);

impl Turns {
    /// Waits for a turn, and has it until what is returned is dropped.
    pub async fn take(&self, clinic_id: Uuid) -> OwnedMutexGuard<()> {
        self.0.of(clinic_id).lock_owned().await
    }
}

/// Questions of one kind, clinic by clinic.
pub struct Together<A, T> {
    lines: ByClinic<Line<A, T>>,
    turns: Turns,
}

/// Who waits, with what.
type Line<A, T> = Mutex<Vec<(A, oneshot::Sender<T>)>>;

impl<A, T> Together<A, T> {
    pub fn new(turns: Turns) -> Self {
        Self { lines: ByClinic::default(), turns }
    }

    /// The answer to one question. `all` answers many, each in its place; whose turn it is calls it for everybody who waits.
    /// `None`: whoever had our question in hand was dropped, and what came of it nobody knows.
    pub async fn ask<F>(
        &self,
        clinic_id: Uuid,
        question: A,
        all: impl FnOnce(Vec<A>) -> F,
    ) -> Option<T>
    where
        F: Future<Output = Vec<T>>,
    {
        let line = self.lines.of(clinic_id);
        let (answer, mut answered) = oneshot::channel();
        lock(&line).push((question, answer));
        let _turn = tokio::select! {
            biased;
            answer = &mut answered => return answer.ok(),
            turn = self.turns.take(clinic_id) => turn,
        };
        // It is our turn: our question still waits, or was answered in this very moment.
        let (questions, answers): (Vec<A>, Vec<_>) = lock(&line).drain(..).unzip();
        if !questions.is_empty() {
            for (answer, told) in answers.into_iter().zip(all(questions).await) {
                let _gone = answer.send(told); // who asked may have gone meanwhile
            }
        }
        answered.await.ok()
    }
}

/// Something for each clinic, while somebody holds it.
struct ByClinic<T>(Mutex<HashMap<Uuid, Arc<T>>>);

impl<T> Default for ByClinic<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Default> ByClinic<T> {
    fn of(&self, clinic_id: Uuid) -> Arc<T> {
        let mut all = lock(&self.0);
        if all.len() >= REMEMBERED && !all.contains_key(&clinic_id) {
            all.retain(|_, one| Arc::strong_count(one) > 1);
        }
        all.entry(clinic_id).or_default().clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing in there panics half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use futures_util::poll;
    use tokio::sync::Notify;

    use super::*;

    const CLINIC: Uuid = Uuid::from_u128(1);

    fn doubled(all: Vec<u32>) -> Vec<u32> {
        all.into_iter().map(|one| one * 2).collect()
    }

    #[tokio::test]
    async fn who_comes_meanwhile_is_answered_with_the_next() {
        let (together, finish) = (Together::new(Turns::default()), Notify::new());
        let batches = Mutex::new(Vec::new());
        let ask = |number: u32| {
            together.ask(CLINIC, number, async |all: Vec<u32>| {
                batches.lock().unwrap().push(all.clone());
                if all.contains(&1) {
                    finish.notified().await;
                }
                doubled(all)
            })
        };
        let first = ask(1);
        tokio::pin!(first);
        assert!(poll!(&mut first).is_pending());
        let others = join_all([2, 3, 4].map(ask));
        tokio::pin!(others);
        assert!(poll!(&mut others).is_pending());

        finish.notify_one();
        let (first, others) = tokio::join!(first, others);

        assert_eq!((first, others), (Some(2), vec![Some(4), Some(6), Some(8)]));
        assert_eq!(*batches.lock().unwrap(), [vec![1], vec![2, 3, 4]]);
    }

    #[tokio::test]
    async fn clinics_do_not_wait_for_each_other() {
        let together = Together::new(Turns::default());
        let hangs = together.ask(CLINIC, 1, async |_| std::future::pending().await);
        tokio::pin!(hangs);
        assert!(poll!(&mut hangs).is_pending());

        let other = together.ask(Uuid::from_u128(2), 4, async |all| doubled(all)).await;

        assert_eq!(other, Some(8));
    }

    #[tokio::test]
    async fn kinds_that_share_their_turns_wait_for_each_other() {
        let turns = Turns::default();
        let (one, other) = (Together::new(turns.clone()), Together::new(turns));
        let hangs = one.ask(CLINIC, 1, async |_| std::future::pending::<Vec<u32>>().await);
        let mut hangs = Box::pin(hangs);
        assert!(poll!(&mut hangs).is_pending());
        let mut waits = Box::pin(other.ask(CLINIC, 4, async |all| doubled(all)));
        assert!(poll!(&mut waits).is_pending());

        drop(hangs);

        assert_eq!(waits.await, Some(8));
    }

    #[tokio::test]
    async fn who_is_dropped_leaves_nobody_waiting() {
        let together: Together<u32, u32> = Together::new(Turns::default());
        let never = async |_: Vec<u32>| std::future::pending().await;
        {
            let dropped = together.ask(CLINIC, 1, never);
            tokio::pin!(dropped);
            assert!(poll!(&mut dropped).is_pending());
        }
        let mut leader = Box::pin(together.ask(CLINIC, 2, never));
        assert!(poll!(&mut leader).is_pending());
        let mut follower = Box::pin(together.ask(CLINIC, 3, async |all| doubled(all)));
        assert!(poll!(&mut follower).is_pending());
        let mut last = Box::pin(together.ask(CLINIC, 4, async |all| doubled(all)));
        assert!(poll!(&mut last).is_pending());

        drop(leader);

        // Theirs was not in his hands.
        assert_eq!((follower.await, last.await), (Some(6), Some(8)));
    }

    #[tokio::test]
    async fn a_question_in_lost_hands_is_told_so() {
        let together: Together<u32, u32> = Together::new(Turns::default());
        let mut first = Box::pin(together.ask(CLINIC, 1, async |_| std::future::pending().await));
        assert!(poll!(&mut first).is_pending());
        let mut leads = Box::pin(together.ask(CLINIC, 2, async |_| std::future::pending().await));
        assert!(poll!(&mut leads).is_pending());
        let mut follows = Box::pin(together.ask(CLINIC, 3, async |all| doubled(all)));
        assert!(poll!(&mut follows).is_pending());
        drop(first);
        assert!(poll!(&mut leads).is_pending()); // has both questions in hand now

        drop(leads);

        assert_eq!(follows.await, None);
    }
}
