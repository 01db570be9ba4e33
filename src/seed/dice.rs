//! Chance that can be repeated: a named generator, one stream for each purpose, and what is drawn from it.

use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};
use uuid::Uuid;

/// Named, because `StdRng` may become another algorithm in another release, and with it everybody's name.
pub(super) type Dice = Xoshiro256PlusPlus;

/// A stream of its own for each clinic and purpose: more appointments must not rename the patients.
pub(super) fn stream(seed: u64, clinic: &str, purpose: &str) -> Dice {
    // FNV-1a: the standard library's hash is not the same in every process.
    let hash = clinic
        .bytes()
        .chain([0])
        .chain(purpose.bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    Dice::seed_from_u64(seed ^ hash)
}

/// A UUIDv7 made at that instant, so that seeded rows sort by age as real ones do.
pub(super) fn id(dice: &mut Dice, made_at: DateTime<Utc>) -> Uuid {
    let mut random = [0; 10];
    dice.fill_bytes(&mut random);
    let millis = u64::try_from(made_at.timestamp_millis()).expect("seeds are made after 1970");
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

/// One of them; each list of ours has at least one.
pub(super) fn one_of<T: Copy>(dice: &mut Dice, list: &[T]) -> T {
    list[dice.random_range(0..list.len())]
}

/// One of them, the heavier the likelier.
pub(super) fn weighted<T: Copy>(dice: &mut Dice, list: &[(T, u32)]) -> T {
    let mut left = dice.random_range(0..list.iter().map(|(_, weight)| weight).sum());
    for (thing, weight) in list {
        if left < *weight {
            return *thing;
        }
        left -= weight;
    }
    unreachable!("what was drawn is below the sum of the weights")
}

/// An instant from the first to the second, in whole minutes; the first when the span is empty.
pub(super) fn between(dice: &mut Dice, from: DateTime<Utc>, to: DateTime<Utc>) -> DateTime<Utc> {
    from + TimeDelta::minutes(dice.random_range(0..=(to - from).num_minutes().max(0)))
}
