//! Two clinics with somebody of every role, and things for ids to name. A new kind of thing is a name, and how it is made.

mod made;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use nadi::auth::Role::{self, *};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::rows::Row;
use crate::support::{Caller, TestClinic, TestPlatform};

/// What the id in an operation's path names.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Names {
    Nothing,
    Session,
    Patient,
    Visit,
    /// Whose patient is here.
    CheckedInVisit,
    /// Whose patient is being seen.
    StartedVisit,
    CancelledVisit,
    /// Of the first patient.
    Series,
    Doctor,
    /// One without visits, for what would be refused otherwise.
    NewDoctor,
    /// Of a doctor: two ids, `<doctor>/<time off>`.
    TimeOff,
    /// Of a doctor: two ids, `<doctor>/<extra hours>`.
    ExtraHours,
    Holiday,
    Resource,
    User,
    /// One with a second factor.
    Enrolled,
    /// The caller's own account.
    Oneself,
    Location,
    /// By its name, the same at every clinic; the clinic's own words.
    Template,
    Clinic,
    Owner,
    EnrolledOwner,
    EnrolledSuperAdmin,
    /// One that came to nothing, and is of use yet.
    Message,
    /// The first patient's place in the waitlist.
    Waiting,
    /// The same, with a time that is kept.
    Offered,
}

/// What requests need to be good ones: nothing in it is used twice.
pub(super) struct Scene {
    pub(super) platform: TestPlatform,
    pub(super) here: TestClinic,
    pub(super) elsewhere: TestClinic,
    pub(super) count: AtomicUsize,
    /// Who has signed in already, by host and role.
    pub(super) known: Mutex<HashMap<(String, Role), Caller>>,
}

impl Scene {
    pub(super) async fn new() -> Self {
        let platform = TestPlatform::new().await;
        let here = platform.clinic("shanti").await;
        let elsewhere = platform.clinic("arogya").await;
        // One body for all: a patient's own number would have to be sent back with it.
        sqlx::query("update users set phone = null")
            .execute(&mut here.connection().await)
            .await
            .unwrap();
        // Whoever walks in finds the doctor at any hour.
        sqlx::query("update availability set starts_at = '00:00', ends_at = '24:00'")
            .execute(&mut here.connection().await)
            .await
            .unwrap();
        Self { platform, here, elsewhere, count: AtomicUsize::new(0), known: Mutex::default() }
    }

    fn next(&self) -> usize {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn slug(&self) -> String {
        format!("clinic-{}", self.next())
    }

    pub(super) fn email(&self) -> String {
        format!("{}@hands.example", self.slug())
    }

    /// A booking of the first patient, at a time that nobody has yet.
    pub(super) fn visit(&self) -> Value {
        let number = self.next();
        let (day, half_hour) = (number / 16, number % 16);
        let minutes = 3 * 60 + 30 + half_hour * 30; // from 9 in Kolkata
        let date =
            chrono::NaiveDate::from_ymd_opt(2099, 1, 1).unwrap() + chrono::Days::new(day as u64);
        self.here.visit(&format!("{date}T{:02}:{:02}:00Z", minutes / 60, minutes % 60))
    }

    /// Somebody who is here without a booking.
    pub(super) fn walk_in(&self) -> Value {
        json!({
            "patient_id": self.here.patients[0], "doctor_id": self.here.doctor,
            "overbook": { "reason": "here for many things" },
        })
    }

    pub(super) fn hours_file(&self) -> Value {
        json!("doctor,weekday,starts_at,ends_at\ndoctor@shanti.example,1,09:00,12:00\n")
    }

    pub(super) fn visits_file(&self) -> Value {
        let patient = self.here.patients[0];
        json!(format!(
            "patient,doctor,date,time\n{patient},doctor@shanti.example,2099-06-01,10:00\n"
        ))
    }

    /// Somebody of a role; somebody new where the operation ends his session.
    pub(super) async fn caller(&self, role: Role, row: &Row) -> Caller {
        let fresh = row.path.starts_with("/auth/logout") || row.names == Names::Session;
        let at = if fresh { self.next().to_string() } else { self.here.host.clone() };
        let known = self.known.lock().await.get(&(at.clone(), role)).cloned();
        if let Some(caller) = known {
            return caller;
        }
        let caller = match role {
            SuperAdmin | ClinicOwner => self.platform.platform_account(role).await,
            _ => self.here.caller(role).await,
        };
        self.known.lock().await.insert((at, role), caller.clone());
        caller
    }

    /// Of a clinic, to arrange things with.
    async fn staff(&self, clinic: &TestClinic, role: Role) -> Caller {
        let key = (clinic.host.clone(), role);
        let mut known = self.known.lock().await;
        if !known.contains_key(&key) {
            known.insert(key.clone(), clinic.caller(role).await);
        }
        known[&key].clone()
    }

    /// The id of something that this caller may see.
    pub(super) async fn own(&self, names: Names, role: Role, caller: &Caller) -> String {
        match names {
            Names::Nothing => String::new(),
            Names::Session => {
                let me = caller.get("/auth/sessions").await.expect(200);
                me.body["items"][0]["id"].as_str().unwrap().to_owned()
            }
            Names::Patient if role == Patient => self.here.patients[0].to_string(),
            Names::Patient => self.here.another_patient().await.to_string(),
            Names::Visit => {
                let visit = self
                    .staff(&self.here, Receptionist)
                    .await
                    .post("/appointments", &self.visit())
                    .await
                    .expect(201);
                if role == Therapist {
                    self.claim(&visit.id()).await;
                }
                visit.id()
            }
            Names::CheckedInVisit | Names::StartedVisit | Names::CancelledVisit => {
                self.stepped(names).await
            }
            Names::Series => {
                let series = self.series_at(&self.here).await;
                if role == Therapist {
                    for visit in series.body["items"].as_array().unwrap() {
                        self.claim(visit["id"].as_str().unwrap()).await;
                    }
                }
                series.id()
            }
            Names::Oneself => caller.account_id.clone().unwrap(),
            Names::Doctor => self.here.doctor.to_string(),
            Names::NewDoctor
            | Names::TimeOff
            | Names::ExtraHours
            | Names::Holiday
            | Names::Resource
            | Names::User
            | Names::Location => self.made_at(&self.here, names).await,
            Names::Template => {
                let admin = self.staff(&self.here, ClinicAdmin).await;
                let words = json!({ "body": "Dear {given_name}, until {when}!" });
                admin.put("/messages/templates/appointment.booked", "*", &words).await.expect(200);
                "appointment.booked".to_owned()
            }
            Names::Enrolled => {
                let user = self.made_at(&self.here, Names::User).await;
                self.enrolled(&mut self.here.connection().await, user).await
            }
            Names::EnrolledOwner => self.enrolled_at_the_platform(ClinicOwner).await,
            Names::EnrolledSuperAdmin => self.enrolled_at_the_platform(SuperAdmin).await,
            Names::Clinic => self.clinic_of(caller.account_id.as_deref().unwrap()).await,
            Names::Message => self.message(&self.here).await,
            Names::Waiting => self.waiting(&self.here, 0).await,
            Names::Offered => self.offered().await,
            Names::Owner => self.platform.platform_account(ClinicOwner).await.account_id.unwrap(),
        }
    }

    /// The id of the same kind of thing, of another clinic; at the platform, of another owner.
    pub(super) async fn foreign(&self, names: Names) -> String {
        let there = &self.elsewhere;
        match names {
            Names::Nothing => String::new(),
            Names::Session => {
                let somebody = self.staff(there, Receptionist).await;
                let sessions = somebody.get("/auth/sessions").await.expect(200);
                sessions.body["items"][0]["id"].as_str().unwrap().to_owned()
            }
            Names::Patient => there.patients[0].to_string(),
            Names::Visit | Names::CheckedInVisit | Names::StartedVisit | Names::CancelledVisit => {
                let desk = self.staff(there, Receptionist).await;
                let visit = there.visit("2099-06-01T04:30:00Z");
                desk.post_with_key("/appointments", &visit, "the same each time")
                    .await
                    .expect(201)
                    .id()
            }
            Names::Series => self.series_at(there).await.id(),
            Names::Doctor => there.doctor.to_string(),
            Names::Oneself => there.account(Doctor).to_string(),
            Names::NewDoctor
            | Names::TimeOff
            | Names::ExtraHours
            | Names::Holiday
            | Names::Resource
            | Names::User
            | Names::Location => self.made_at(there, names).await,
            Names::Template => "appointment.forgotten".to_owned(),
            Names::Clinic => {
                let other = self.platform.platform_account(ClinicOwner).await;
                self.clinic_of(other.account_id.as_deref().unwrap()).await
            }
            Names::Message => self.message(there).await,
            Names::Waiting | Names::Offered => self.waiting(there, 0).await,
            Names::Enrolled => {
                let user = self.made_at(there, Names::User).await;
                self.enrolled(&mut there.connection().await, user).await
            }
            Names::Owner | Names::EnrolledOwner | Names::EnrolledSuperAdmin => {
                nadi::ids::new_uuid().to_string()
            }
        }
    }

    pub(super) fn series(&self) -> Value {
        self.series_of(&self.here)
    }

    /// The id of another patient's thing here.
    pub(super) async fn of_another_patient(&self, names: Names) -> Option<String> {
        match names {
            Names::Patient => Some(self.here.patients[1].to_string()),
            Names::Oneself => Some(self.here.account(Doctor).to_string()),
            Names::Visit => {
                let mut visit = self.visit();
                visit["patient_id"] = json!(self.here.patients[1]);
                Some(
                    self.staff(&self.here, Receptionist)
                        .await
                        .post("/appointments", &visit)
                        .await
                        .expect(201)
                        .id(),
                )
            }
            Names::Waiting | Names::Offered => Some(self.waiting(&self.here, 1).await),
            _ => None,
        }
    }
}
