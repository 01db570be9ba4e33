//! Producers and workers step by step on real connections, in every order that one can be told apart from another, and
//! in many random ones. After each order nothing may be late, and looking must bring everything home.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::GRACE;
use super::stage::{CHANGES, Change, DEATH, LAPSE, Stage, Steps};

/// Every way to mix sequences of these lengths.
fn orders(left: &[usize]) -> Vec<Vec<usize>> {
    if left.iter().all(|steps| *steps == 0) {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for actor in (0..left.len()).filter(|actor| left[*actor] > 0) {
        let mut rest = left.to_vec();
        rest[actor] -= 1;
        for mut order in orders(&rest) {
            order.insert(0, actor);
            all.push(order);
        }
    }
    all
}

#[tokio::test]
async fn one_producer_and_one_worker_in_every_order() {
    let mut stage = Stage::new(1, 1).await;
    let (mut played, mut blocked) = (0, 0);
    for change in CHANGES {
        for order in orders(&[Steps::Fine.of(change), Steps::Fine.of_a_look()]) {
            match stage.play(&[change], &order, Steps::Fine).await {
                true => played += 1,
                false => blocked += 1,
            }
        }
    }
    println!("{played} orders, and {blocked} that cannot be");
    assert_eq!(played + blocked, 5 * 330 + 8);
    assert!(blocked < 100, "{blocked} orders cannot be played");
}

#[tokio::test]
async fn two_producers_and_one_worker_in_every_order() {
    let mut stage = Stage::new(2, 1).await;
    let changes = [Change::PutNow, Change::MoveEarlier];
    let all = orders(&[3, 3, Steps::Coarse.of_a_look()]);
    for order in &all {
        assert!(stage.play(&changes, order, Steps::Coarse).await, "nobody waits for anybody");
    }
    println!("{} orders", all.len());
    assert_eq!(all.len(), 9_240);
}

/// Also with leases that lapse in the middle, so that both workers are at it at once, and with a worker that dies.
async fn random_orders(count: usize) {
    let mut stage = Stage::new(2, 2).await;
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut played = 0;
    for _ in 0..count {
        // With no grace the clinic is due again at once, else after a lapse.
        stage.grace = if random.random() { GRACE } else { Duration::ZERO };
        let changes = [0, 1].map(|_| CHANGES[random.random_range(0..CHANGES.len())]);
        let mut left = [Steps::Fine.of(changes[0]), Steps::Fine.of(changes[1]), 7, 7];
        let mut order = Vec::new();
        while left.iter().any(|steps| *steps > 0) {
            let actor = random.random_range(0..left.len());
            if left[actor] > 0 {
                left[actor] -= 1;
                order.push(actor);
            }
            if random.random_ratio(1, 12) {
                order.push(LAPSE);
            }
            if random.random_ratio(1, 40) {
                order.push(DEATH);
            }
        }
        played += usize::from(stage.play(&changes, &order, Steps::Fine).await);
    }
    println!("{played} of {count} orders played; the others cannot be");
    assert!(played * 10 > count * 9, "{played} of {count} could be played");
}

#[tokio::test]
async fn two_producers_and_two_workers_in_random_orders() {
    random_orders(3_000).await;
}

#[tokio::test]
#[ignore = "takes minutes. Run it when the protocol or its SQL changes"]
async fn two_producers_and_two_workers_in_very_many_random_orders() {
    random_orders(20_000).await;
}

#[tokio::test]
async fn a_lapsed_lease_lets_another_in_at_every_step_and_keeps_the_late_one_out() {
    let mut stage = Stage::new(1, 2).await;
    let other = [2; 7];
    for lapses_after in 1..7 {
        for mut order in orders(&[4, 7]) {
            let own = order.iter().enumerate().filter(|(_, actor)| **actor == 1);
            let at = own.map(|(at, _)| at).nth(lapses_after).expect("a step still to come");
            order.splice(at..at, [LAPSE].into_iter().chain(other));
            assert!(stage.play(&[Change::PutNow], &order, Steps::Fine).await);
        }
    }
}
