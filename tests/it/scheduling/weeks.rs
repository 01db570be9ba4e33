//! Random weeks through the API, on a real database: whatever is offered can be booked, whatever is not cannot, a moved visit is at
//! exactly one time, and the claims never lie over each other.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::set_rules;
use crate::support::{Answer, Caller, TestClinic};

#[derive(Clone, Debug)]
enum Deed {
    Book { patient: usize, nth: usize, with_room: bool, overbook: bool },
    Move { visit: usize, nth: usize },
    Cancel { visit: usize },
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let book = (0..2usize, 0..1000usize, any::<bool>(), any::<bool>()).prop_map(
        |(patient, nth, with_room, overbook)| Deed::Book { patient, nth, with_room, overbook },
    );
    let moved = (0..100usize, 0..1000usize).prop_map(|(visit, nth)| Deed::Move { visit, nth });
    let cancel = (0..100usize).prop_map(|visit| Deed::Cancel { visit });
    proptest::collection::vec(prop_oneof![4 => book, 2 => moved, 1 => cancel], 30)
}

/// Two days on one of which the clocks of Berlin change: 2099-03-29.
const DAYS: &str = "from=2099-03-28&to=2099-03-30";

/// Every time at which a visit might be: a grid so fine that slots are on it, all around the clock.
fn moments() -> Vec<String> {
    let from: chrono::DateTime<chrono::Utc> = "2099-03-27T23:00:00Z".parse().unwrap();
    (0..48 * 4).map(|n| nadi::time::show(from + chrono::TimeDelta::minutes(15 * n))).collect()
}

struct Book<'a> {
    clinic: &'a TestClinic,
    desk: Caller,
    room: String,
    visits: Vec<Answer>,
}

impl Book<'_> {
    async fn slots(&self, with_room: bool) -> Vec<String> {
        let room = if with_room { format!("&resource_ids={}", self.room) } else { String::new() };
        let path = format!(
            "/doctors/{}/slots?{DAYS}&location_id={}{room}",
            self.clinic.doctor, self.clinic.location
        );
        let answer = self.desk.get(&path).await.expect(200);
        let items = answer.body["items"].as_array().unwrap();
        items.iter().map(|slot| slot["starts_at"].as_str().unwrap().to_owned()).collect()
    }

    fn visit(&self, patient: usize, at: &str, with_room: bool) -> Value {
        let mut visit = self.clinic.visit_of(self.clinic.patients[patient], at);
        visit["resource_ids"] = if with_room { json!([self.room]) } else { json!([]) };
        visit
    }

    async fn act(&mut self, deed: &Deed) {
        let moments = moments();
        match deed {
            Deed::Book { patient, nth, with_room, overbook } => {
                let at = &moments[nth % moments.len()];
                let mut visit = self.visit(*patient, at, *with_room);
                if *overbook {
                    visit["overbook"] = json!({ "reason": "on purpose" });
                }
                let answer = self.desk.post("/appointments", &visit).await;
                match answer.status.as_u16() {
                    201 => self.visits.push(answer),
                    409 => assert!(!overbook, "{}", answer.text),
                    _ => {
                        answer.expect(422);
                    }
                }
            }
            Deed::Move { visit, nth } if !self.visits.is_empty() => {
                let at = &moments[nth % moments.len()];
                let visit = visit % self.visits.len();
                let standing = &self.visits[visit];
                let mut new = standing.body.clone();
                new["starts_at"] = json!(at);
                let new = json!({
                    "patient_id": new["patient_id"], "doctor_id": new["doctor_id"], "kind": new["kind"], "starts_at": at,
                });
                let path = format!("/appointments/{}", standing.id());
                let answer = self.desk.put(&path, standing.header("etag"), &new).await;
                if answer.status == 200 {
                    self.visits[visit] = answer;
                } else {
                    assert!([409, 422].contains(&answer.status.as_u16()), "{}", answer.text);
                    let still = self.desk.get(&path).await.expect(200);
                    assert_eq!(still.body["starts_at"], standing.body["starts_at"]);
                }
            }
            Deed::Cancel { visit } if !self.visits.is_empty() => {
                let gone = self.visits.remove(visit % self.visits.len());
                self.desk.delete(&format!("/appointments/{}", gone.id())).await.expect(200);
            }
            _ => {}
        }
        self.check_claims().await;
    }

    /// Each visit that stands has its claims, over its own time and once; nobody else has any; no two ordinary ones overlap.
    async fn check_claims(&self) {
        let wrong = "select count(*) from (
            select from appointments a left join claims c on c.appointment_id = a.id
            group by a.id having count(c.*) <> case a.status when 'booked' then 2 + cardinality(a.resource_ids) else 0 end
                             or bool_or(not c.during @> a.during)
            union all
            select from claims a join claims b on a.subject_id = b.subject_id and a.during && b.during
              and (a.appointment_id, a.seat) < (b.appointment_id, b.seat)
            where a.seat = b.seat) as wrong";
        assert_eq!(self.clinic.count(wrong).await, 0);
    }

    /// What is offered is booked, what is not is refused, each in a clinic as it stands.
    async fn check_slots(&self) {
        for with_room in [false, true] {
            let patient = self.clinic.another_patient().await;
            let offered = self.slots(with_room).await;
            let known: BTreeSet<_> = offered.iter().cloned().collect();
            assert_eq!(known.len(), offered.len());
            for at in moments().iter().filter(|at| at.as_str() < "2099-03-29T21:00:00Z") {
                let mut visit = self.visit(0, at, with_room);
                visit["patient_id"] = json!(patient);
                let answer = self.desk.post("/appointments", &visit).await;
                let booked = answer.status == 201;
                assert_eq!(booked, known.contains(at), "{at}: {}", answer.text);
                if booked {
                    let path = format!("/appointments/{}", answer.id());
                    self.desk.delete(&path).await.expect(200);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_night_that_loses_an_hour_all_that_is_offered_can_be_booked_and_nothing_else() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let path = format!("/locations/{}", clinic.location);
    let mut place = admin.get(&path).await.expect(200);
    place.body["time_zone"] = json!("Europe/Berlin");
    let body = json!({ "name": place.body["name"], "time_zone": "Europe/Berlin" });
    admin.put(&path, place.header("etag"), &body).await.expect(200);
    let line = |weekday: i64, from: &str, to: &str| json!({ "location_id": clinic.location, "weekday": weekday, "starts_at": from, "ends_at": to });
    let hours = json!({ "items": [line(6, "20:00", "24:00"), line(7, "01:00", "05:00"), line(7, "09:00", "12:00")] });
    admin.put(&format!("/doctors/{}/availability", clinic.doctor), "*", &hours).await.expect(200);
    let doctor = format!("/doctors/{}", clinic.doctor);
    let mut profile = admin.get(&doctor).await.expect(200);
    profile.body["slot_minutes"] = json!(15); // each of the moments is on the grid
    admin.put(&doctor, profile.header("etag"), &profile.body).await.expect(200);
    set_rules(&clinic, json!({ "max_per_day": 12 })).await;
    let room = json!({ "kind": "room", "name": "Droni", "location_id": clinic.location });
    let room = admin.post("/resources", &room).await.expect(201).id();
    let mut book = Book { clinic: &clinic, desk: clinic.desk().await, room, visits: Vec::new() };
    let mut runner = TestRunner::new(Config::default());
    let deeds = deeds().new_tree(&mut runner).unwrap().current();
    eprintln!("{deeds:?}"); // shown when it fails

    book.check_slots().await;
    for deed in &deeds {
        book.act(deed).await;
    }
    book.check_slots().await;
}
