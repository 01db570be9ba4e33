use proptest::prelude::*;

use super::*;
use crate::messaging::channels::{ErrorClass, Reached};

use Channel::{Email, Sms, Whatsapp};

const NO_REST: fn(Channel) -> Option<Duration> = |_| None;

fn person<'a>(consents: &'a [String], unreachable: &'a [Channel]) -> Person<'a> {
    Person { consents, unreachable, addresses: &Channel::ALL, order: &[] }
}

fn chosen(class: Class, consents: &[&str]) -> Result<Vec<Channel>, &'static str> {
    let consents: Vec<String> = consents.iter().map(|text| (*text).to_owned()).collect();
    choose(class, &class.rule(), &[], &person(&consents, &[]), |_| true)
}

#[test]
fn the_newest_word_on_a_channel_counts() {
    for (class, consents, channels) in [
        (Class::Reminder, &[][..], Ok(vec![Whatsapp, Email, Sms])),
        (Class::Reminder, &["reminders whatsapp false"][..], Ok(vec![Email, Sms])),
        (Class::Reminder, &["service * false"][..], Ok(vec![Whatsapp, Email, Sms])),
        (
            Class::Reminder,
            &["reminders * true", "reminders whatsapp false"][..],
            Ok(vec![Whatsapp, Email, Sms]),
        ),
        (Class::Reminder, &["reminders * f"][..], Err("this person does not want such messages")),
        (
            Class::Code,
            &["service * false", "reminders * false"][..],
            Ok(vec![Whatsapp, Sms, Email]),
        ),
        (Class::Advice, &[][..], Err("this person does not want such messages")),
        (Class::Advice, &["marketing email t"][..], Ok(vec![Email])),
    ] {
        assert_eq!(chosen(class, consents), channels, "{class:?} {consents:?}");
    }
}

#[test]
fn what_somebody_wants_first_comes_first_but_for_codes() {
    let chosen = |class: Class, order: &[Channel]| {
        let person = Person { order, ..person(&[], &[]) };
        choose(class, &class.rule(), &[], &person, |_| true).unwrap()
    };
    for (class, order, channels) in [
        (Class::Reminder, &[Sms][..], vec![Sms, Whatsapp, Email]),
        (Class::Reminder, &[Email, Sms][..], vec![Email, Sms, Whatsapp]),
        (Class::Receipt, &[Sms, Whatsapp][..], vec![Whatsapp, Email]),
        (Class::Code, &[Email][..], vec![Whatsapp, Sms, Email]),
    ] {
        assert_eq!(chosen(class, order), channels, "{class:?} {order:?}");
    }
}

#[test]
fn what_was_asked_for_keeps_the_order_of_the_policy() {
    let rule = Class::Code.rule();
    let everybody = person(&[], &[]);

    assert_eq!(
        choose(Class::Code, &rule, &[Email, Sms], &everybody, |_| true),
        Ok(vec![Sms, Email])
    );
    let without = person(&[], &[Sms]);
    assert_eq!(choose(Class::Code, &rule, &[Email, Sms], &without, |_| true), Ok(vec![Email]));
    assert!(
        choose(Class::Code, &rule, &[Sms], &without, |_| true)
            .unwrap_err()
            .contains("known not to work")
    );
    assert!(
        choose(Class::Code, &rule, &[], &everybody, |_| false).unwrap_err().contains("no provider")
    );
    let off = Rule { enabled: false, ..rule };
    assert!(choose(Class::Code, &off, &[], &everybody, |_| true).is_err());
}

#[test]
fn channels_take_turns_and_begin_again_when_all_had_theirs() {
    let mut progress = Progress::default();
    let channels = [Whatsapp, Sms, Email];
    let next = |progress: &mut Progress| progress.next(Mode::Sequential, &channels, NO_REST);

    assert_eq!(next(&mut progress), Step::Try(vec![Whatsapp]));
    progress.passed.push(Whatsapp);
    assert_eq!(next(&mut progress), Step::Try(vec![Sms]));
    progress.gave_up.push(Sms);
    assert_eq!(next(&mut progress), Step::Try(vec![Email]));
    progress.passed.push(Email);
    assert_eq!(next(&mut progress), Step::Try(vec![Whatsapp]), "another round");
    progress.gave_up.extend([Whatsapp, Email]);
    assert_eq!(next(&mut progress), Step::Nothing);
    progress.accepted.push(Email);
    assert_eq!(next(&mut progress), Step::Enough);
}

#[test]
fn a_resting_channel_is_passed_over_and_waited_for_only_when_no_other_is_left() {
    let rests = |channel: Channel| match channel {
        Whatsapp => Some(Duration::from_secs(15)),
        Sms => Some(Duration::from_secs(5)),
        Email => None,
    };
    let mut progress = Progress::default();

    let first = progress.next(Mode::Sequential, &[Whatsapp, Email], rests);
    assert_eq!(first, Step::Try(vec![Email]));
    let both = progress.next(Mode::Sequential, &[Whatsapp, Sms], rests);
    assert_eq!(both, Step::Pause(Duration::from_secs(5)));
    let all = progress.next(Mode::Parallel, &[Whatsapp, Sms, Email], rests);
    assert_eq!(all, Step::Try(vec![Email]));
}

fn failed(class: ErrorClass, retry_after: Option<u64>) -> Failure {
    Failure::answered(class, None, Some(503), "x").retry_after(retry_after.map(Duration::from_secs))
}

fn turn(has_another: bool) -> Turn {
    Turn {
        tries: 1,
        accept_left: Duration::from_secs(3),
        life_left: Duration::from_secs(300),
        has_another,
        parallel: false,
    }
}

#[test]
fn a_failure_is_answered_by_its_class() {
    use ErrorClass::*;
    for class in [Recipient, Window, Template, OurRequest, SpamLimit, Policy, Refused] {
        assert_eq!(
            after(Class::Code, &failed(class, None), turn(true), 1.0),
            After::GiveUp,
            "{class:?}"
        );
    }
    assert_eq!(after(Class::Code, &failed(Account, None), turn(true), 1.0), After::PassOn);
    assert!(matches!(
        after(Class::Code, &failed(Account, None), turn(false), 1.0),
        After::RetryIn(_)
    ));
    let half_a_second = After::RetryIn(Duration::from_millis(500));
    assert_eq!(after(Class::Code, &failed(Transient, None), turn(true), 1.0), half_a_second);
    let late = failed(Transient, Some(30));
    assert_eq!(after(Class::Code, &late, turn(true), 1.0), After::PassOn);
    assert_eq!(
        after(Class::Code, &late, turn(false), 1.0),
        After::RetryIn(Duration::from_secs(30))
    );
    let absurd = failed(Pace, Some(1_000_000_000));
    assert_eq!(after(Class::Code, &absurd, turn(true), 1.0), After::PassOn);
    assert_eq!(after(Class::Code, &absurd, turn(false), 1.0), After::GiveUp);
    let spent = Turn { tries: 4, ..turn(false) };
    assert_eq!(after(Class::Code, &failed(Transient, None), spent, 1.0), After::GiveUp);
    assert!(matches!(after(Class::Code, &failed(Pace, None), spent, 1.0), After::RetryIn(_)));
    let dropped = Failure::wire(Reached::Perhaps, "too_slow", "x");
    let late = Turn { accept_left: Duration::ZERO, ..turn(true) };
    assert_eq!(after(Class::Code, &dropped, late, 0.5), After::PassOn);
}

fn ends(at: &str, zone: &str) -> Option<String> {
    let quiet = Class::Reminder.rule().quiet.unwrap();
    quiet.ends(at.parse().unwrap(), zone.parse().unwrap()).map(time::show)
}

#[test]
fn quiet_hours_are_those_of_the_readers_zone() {
    for (at, zone, end) in [
        ("2026-11-21T15:29:59Z", "Asia/Kolkata", None),
        ("2026-11-21T15:30:00Z", "Asia/Kolkata", Some("2026-11-22T02:30:00Z")),
        ("2026-11-22T02:29:59Z", "Asia/Kolkata", Some("2026-11-22T02:30:00Z")),
        ("2026-11-22T02:30:00Z", "Asia/Kolkata", None),
        // The night in which Berlin's clocks go back is an hour longer, the other an hour shorter.
        ("2026-10-24T20:00:00Z", "Europe/Berlin", Some("2026-10-25T07:00:00Z")),
        ("2026-03-28T21:00:00Z", "Europe/Berlin", Some("2026-03-29T06:00:00Z")),
    ] {
        assert_eq!(ends(at, zone).as_deref(), end, "{at} {zone}");
    }
}

proptest! {
    #[test]
    fn quiet_ends_when_it_says_and_within_a_day_in_every_zone(
        zone in prop::sample::select(chrono_tz::TZ_VARIANTS.to_vec()), minutes in 0i64..30_000_000,
        from in 0u32..24, hours in 1u32..23,
    ) {
        let quiet = Quiet { from: at(from), to: at((from + hours) % 24) };
        let now = DateTime::from_timestamp(minutes * 60, 0).unwrap();

        if let Some(ends) = quiet.ends(now, zone) {
            prop_assert!(ends >= now && ends - now <= TimeDelta::hours(50), "{ends}");
            prop_assert!(quiet.ends(ends, zone).is_none_or(|again| again >= ends));
        }
    }

    #[test]
    fn no_channel_that_is_over_is_ever_tried_and_somebody_always_has_a_turn(
        gave_up in prop::collection::vec(0usize..3, 0..3), passed in prop::collection::vec(0usize..3, 0..3),
        accepted in prop::collection::vec(0usize..3, 0..2), resting in prop::collection::vec(0usize..3, 0..3),
        parallel: bool,
    ) {
        let of = |places: &[usize]| places.iter().map(|at| Channel::ALL[*at]).collect::<Vec<_>>();
        let (gave_up, accepted, resting) = (of(&gave_up), of(&accepted), of(&resting));
        let mut progress =
            Progress { gave_up: gave_up.clone(), passed: of(&passed), accepted: accepted.clone() };
        let mode = if parallel { Mode::Parallel } else { Mode::Sequential };
        let rests = |channel| resting.contains(&channel).then_some(Duration::from_secs(9));
        let over = |channel: &Channel| gave_up.contains(channel) || accepted.contains(channel);

        match progress.next(mode, &Channel::ALL, rests) {
            Step::Try(channels) => {
                prop_assert!(!channels.is_empty() && !channels.iter().any(over));
                prop_assert!(!channels.iter().any(|channel| resting.contains(channel)));
                prop_assert!(parallel || channels.len() == 1);
            }
            Step::Pause(_) => prop_assert!(Channel::ALL.iter().all(|c| over(c) || resting.contains(c))),
            Step::Enough => prop_assert!(Channel::ALL.iter().all(over) && !accepted.is_empty()),
            Step::Nothing => prop_assert!(Channel::ALL.iter().all(over) && accepted.is_empty()),
        }
    }

    #[test]
    fn a_retry_never_comes_sooner_than_asked_nor_after_its_time_where_another_could_go(
        class in prop::sample::select(Class::ALL.to_vec()), asked in prop::option::of(0u64..1_000),
        tries in 1u32..20, life in 1u64..1_000, chance in 0.0f64..=1.0, another: bool,
    ) {
        let turn = Turn { tries, life_left: Duration::from_secs(life), ..turn(another) };

        if let After::RetryIn(pause) = after(class, &failed(ErrorClass::Transient, asked), turn, chance) {
            prop_assert!(pause >= Duration::from_secs(asked.unwrap_or_default()));
            prop_assert!(!another || pause < turn.accept_left);
        }
    }
}
