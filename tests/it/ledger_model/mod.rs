//! The wake-up ledger, checked in every state it can reach (docs/architecture.md, the ledger): two producers, two
//! workers, senders that retry, lapse and die, withdrawals, moves, a clinic out of reach, a crash at every step.
//! Each element of the protocol is then left out once, to see that the check would notice.

mod model;
mod search;
mod steps;

use model::{Fault, Flaw, Times, World};

const TIMES: Times =
    Times { grace: 1, clinic_lease: 2, row_lease: 2, future: 2, retry: 1, backoff: 2, bound: 2 };

/// One row and everybody who may take part.
const EVERYBODY: World =
    World { rows: 1, producers: 2, workers: 2, times: TIMES, hints_may_fail: false, flaw: None };

fn holds(world: World) {
    let started = std::time::Instant::now();
    let explored = world.explore(|_| true).unwrap_or_else(|fault| panic!("{fault:?}"));
    let states = explored.count();
    explored.comes_to_rest().unwrap_or_else(|fault| panic!("{fault:?}"));
    println!("{states} states in {:.1?}: {world:?}", started.elapsed());
    assert!(states > 50_000, "a world with {states} states shows nothing");
}

#[test]
fn nothing_is_lost_or_late_and_all_comes_to_rest() {
    holds(EVERYBODY);
}

#[test]
fn two_rows_do_not_hide_each_other() {
    holds(World { rows: 2, producers: 1, ..EVERYBODY });
}

#[test]
#[ignore = "4.7 million states: a minute and a half. Run it when the protocol changes"]
fn two_rows_and_everybody() {
    holds(World { rows: 2, ..EVERYBODY });
}

#[test]
fn a_hint_owed_is_as_good_as_a_hint_while_its_process_lives() {
    holds(World { hints_may_fail: true, workers: 1, ..EVERYBODY });
}

#[test]
fn it_holds_whatever_lasts_longer() {
    let short_leases = Times { grace: 3, clinic_lease: 1, row_lease: 1, future: 3, ..TIMES };
    let long_leases = Times { clinic_lease: 3, row_lease: 3, retry: 2, backoff: 1, ..TIMES };
    for times in [short_leases, long_leases] {
        holds(World { times, producers: 1, ..EVERYBODY });
    }
}

// ── What each element is for ──

fn fails(flaw: Flaw, expected: Fault) {
    let world = World { flaw: Some(flaw), ..EVERYBODY };
    let (fault, trace) = match world.explore(|fault| fault == expected) {
        Err(found) => found,
        Ok(explored) => explored.comes_to_rest().expect_err("the check notices the flaw"),
    };
    println!("{flaw:?}: {fault:?} by {trace}");
    assert_eq!(fault, expected, "{trace}");
}

#[test]
fn without_the_hint_before_commit_a_crash_loses_the_message() {
    fails(Flaw::HintAfterCommit, Fault::Lost);
}

#[test]
fn without_the_gate_a_look_before_the_commit_loses_it() {
    fails(Flaw::NoGate, Fault::Lost);
}

#[test]
fn with_the_hint_before_the_gate_it_is_lost() {
    fails(Flaw::HintBeforeGate, Fault::Lost);
}

#[test]
fn with_the_scan_before_the_gate_it_is_lost() {
    fails(Flaw::ScanBeforeGate, Fault::Lost);
}

#[test]
fn without_comparing_hints_it_is_lost() {
    fails(Flaw::HintsNotCompared, Fault::Lost);
}

#[test]
fn with_hints_read_after_the_gate_it_is_lost() {
    fails(Flaw::HintsReadAfterGate, Fault::Lost);
}

#[test]
fn with_a_scan_that_skips_leased_rows_a_dead_sender_loses_it() {
    fails(Flaw::ScanSkipsLeasedRows, Fault::Lost);
}

#[test]
fn with_a_lease_that_clears_due_at_a_dead_worker_loses_it() {
    fails(Flaw::LeaseClearsDue, Fault::Lost);
}

#[test]
fn without_the_token_two_workers_look_at_once() {
    fails(Flaw::WriteBackWithoutToken, Fault::TwoAtOnce);
}

#[test]
fn without_done_at_on_a_withdrawn_row_looking_never_ends() {
    fails(Flaw::WithdrawnNotDone, Fault::Restless);
}

#[test]
fn with_a_time_bound_in_place_of_the_gate_a_late_commit_is_lost() {
    fails(Flaw::TimeBoundInsteadOfGate, Fault::Lost);
}

// ── Two more that were tried ──

#[test]
fn with_a_scan_that_does_not_age_a_paused_worker_wakes_late() {
    fails(Flaw::NextDoesNotAge, Fault::Late);
}

#[test]
fn with_nothing_next_taken_for_now_looking_never_ends() {
    fails(Flaw::NothingNextIsNow, Fault::Restless);
}
