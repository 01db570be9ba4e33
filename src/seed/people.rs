//! Patients, and the accounts of those who sign in: drawn from a clinic's communities and towns.

use super::dice::{self, Dice};
use super::plan::{SeedPatient, SeedUser};
use super::shapes::People;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use rand::RngExt;

/// When patients came to the clinic for the first time.
pub(super) struct Joining {
    pub today: NaiveDate,
    /// The day of the first appointment that is kept.
    pub window_from: NaiveDate,
    /// How many, at least, were known before it.
    pub known_before: usize,
}

/// Mobile numbers that belong to nobody, and yet pass for what they are.
///
/// India reserves no numbers for fiction. The plan of numbers gives 69 to mobiles, and of it the tables of carriers know
/// 690 and 691 alone, so ours begin with 695 or 696: a demo with a real provider must not write to a stranger.
pub(super) struct Phones {
    block: &'static str,
    next: u64,
    count: u64,
}

impl Phones {
    pub(super) fn new(dice: &mut Dice, block: &'static str) -> Self {
        let count = 10_u64.pow(10 - block.len() as u32);
        Self { block, next: dice.random_range(0..count), count }
    }

    /// A number not given before: a stride that shares no factor with ten visits all before it meets one again.
    pub(super) fn next(&mut self) -> String {
        self.next = (self.next + 618_033) % self.count;
        format!("+91{}{:0width$}", self.block, self.next, width = 10 - self.block.len())
    }
}

/// Patients, the longest known first. The first ones are adults with an account, an e-mail address and a birthday.
pub(super) fn patients(
    dice: &mut Dice,
    phones: &mut Phones,
    people: &People,
    joining: &Joining,
) -> (Vec<SeedPatient>, Vec<SeedUser>) {
    let mut joined = joining_instants(dice, people.patients, joining);
    joined.sort();
    let mut accounts = Vec::new();
    let patients = joined
        .into_iter()
        .enumerate()
        .map(|(index, created_at)| {
            let signs_in = index < people.sign_ins;
            let mut patient = patient(dice, phones, people, joining.today, created_at, index);
            if signs_in {
                let account = account(dice, &patient);
                patient.user_id = Some(account.id);
                accounts.push(account);
            }
            patient
        })
        .collect();
    (patients, accounts)
}

/// Four in five were known before the window; the others joined in it, so that "new this month" has something to count.
fn joining_instants(dice: &mut Dice, count: usize, joining: &Joining) -> Vec<DateTime<Utc>> {
    let known = (count * 4 / 5).max(joining.known_before).min(count);
    let newest = (joining.today - joining.window_from).num_days();
    (0..count)
        .map(|index| {
            let day = if index < known {
                joining.window_from - TimeDelta::days(dice.random_range(1..=900))
            } else {
                joining.today - TimeDelta::days(dice.random_range(1..=newest))
            };
            // Between 9 in the morning and 6 at night in India.
            day.and_time(chrono::NaiveTime::MIN).and_utc()
                + TimeDelta::minutes(dice.random_range(210..750))
        })
        .collect()
}

fn patient(
    dice: &mut Dice,
    phones: &mut Phones,
    people: &People,
    today: NaiveDate,
    created_at: DateTime<Utc>,
    index: usize,
) -> SeedPatient {
    let signs_in = index < people.sign_ins;
    let community = dice::weighted(dice, people.communities);
    let female = dice.random_ratio(55, 100);
    let name = community.name(dice, female);
    let (town, home) = dice::one_of(dice, people.towns);
    let years = if signs_in { (22, 68) } else { dice::weighted(dice, AGES) };
    let age_days = dice.random_range(years.0 * 366..=years.1 * 365);
    let gender = match dice.random_range(0..100) {
        0 => "other",
        1 => "undisclosed",
        _ if female => "female",
        _ => "male",
    };
    let prefers_english = !name.own_script && dice.random_ratio(15, 100);
    SeedPatient {
        id: dice::id(dice, created_at),
        user_id: None,
        full_name: name.written,
        phone: phones.next(),
        // Three in five, spread evenly; the number makes it theirs alone.
        email: (signs_in || index % 5 < 3)
            .then(|| format!("{}{}@{}", name.latin, index + 1, people.mail_domain)),
        // Some never told theirs, but a child's is always asked for.
        date_of_birth: (signs_in || years.1 < 18 || dice.random_ratio(24, 25))
            .then(|| today - TimeDelta::days(age_days)),
        gender,
        language: if prefers_english { "en" } else { community.language },
        address: town.address(dice),
        home,
        created_at,
    }
}

/// Ages in years, first and last, as an outpatient department sees them.
const AGES: &[((i64, i64), u32)] = &[((1, 14), 18), ((18, 39), 27), ((40, 64), 38), ((65, 88), 17)];

fn account(dice: &mut Dice, patient: &SeedPatient) -> SeedUser {
    SeedUser {
        id: dice::id(dice, patient.created_at),
        role: "patient",
        full_name: patient.full_name.clone(),
        email: patient.email.clone(),
        phone: Some(patient.phone.clone()),
        language: patient.language,
        password: None,
        created_at: patient.created_at,
    }
}
