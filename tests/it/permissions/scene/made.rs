//! How each kind of thing is made.

use nadi::auth::Role::{self, *};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Names, Scene};
use crate::support::{Answer, TestClinic};

impl Scene {
    /// A visit that has come so far.
    pub(super) async fn stepped(&self, names: Names) -> String {
        let admin = self.staff(&self.here, ClinicAdmin).await;
        let visit = admin.post("/appointments", &self.visit()).await.expect(201).id();
        let steps: &[&str] = match names {
            Names::CheckedInVisit => &["check-in"],
            Names::StartedVisit => &["check-in", "start"],
            _ => &[],
        };
        for step in steps {
            admin.post(&format!("/appointments/{visit}/{step}"), &Value::Null).await.expect(200);
        }
        if names == Names::CancelledVisit {
            admin.delete(&format!("/appointments/{visit}")).await.expect(200);
        }
        visit
    }

    /// Two visits that were booked as one, on days that nobody else uses.
    pub(super) async fn series_at(&self, clinic: &TestClinic) -> Answer {
        let desk = self.staff(clinic, Receptionist).await;
        desk.post("/appointments/series", &self.series_of(clinic)).await.expect(201)
    }

    pub(super) fn series_of(&self, clinic: &TestClinic) -> Value {
        let day = chrono::NaiveDate::from_ymd_opt(2090, 1, 1).unwrap();
        let day = day + chrono::Days::new(2 * self.next() as u64);
        let mut body = clinic.visit(&format!("{day}T04:30:00Z"));
        body["every_days"] = json!(1);
        body["count"] = json!(2);
        body
    }

    /// With a second factor that nobody has the secret of.
    pub(super) async fn enrolled(
        &self,
        inside: &mut sqlx::PgConnection,
        account: String,
    ) -> String {
        let sql = "insert into second_factors (user_id, secret_cipher, confirmed_at) values ($1, '', now())";
        let id = account.parse::<Uuid>().unwrap();
        sqlx::query(sql).bind(id).execute(inside).await.unwrap();
        account
    }

    pub(super) async fn enrolled_at_the_platform(&self, role: Role) -> String {
        let account = self.platform.platform_account(role).await.account_id.unwrap();
        let sql = "insert into second_factors (user_id, secret_cipher, confirmed_at) values ($1, '', now())";
        let mut conn = self.platform.realm().read().await.unwrap();
        let id = account.parse::<Uuid>().unwrap();
        sqlx::query(sql).bind(id).execute(&mut conn).await.unwrap();
        account
    }

    /// Made by a clinic's own admin.
    pub(super) async fn made_at(&self, clinic: &TestClinic, names: Names) -> String {
        let admin = self.staff(clinic, ClinicAdmin).await;
        let make = async |path: &str, body: Value| admin.post(path, &body).await.expect(201).id();
        match names {
            Names::User => {
                let hand =
                    json!({ "full_name": "A Hand", "role": "therapist", "email": self.email() });
                make("/users", hand).await
            }
            Names::Location => make("/locations", json!({ "name": self.slug() })).await,
            Names::Holiday => {
                make("/holidays", json!({ "first_day": "2098-12-25", "name": self.slug() })).await
            }
            Names::Resource => {
                make("/resources", json!({ "kind": "equipment", "name": self.slug() })).await
            }
            _ => {
                let vaidya = json!({ "full_name": "A Vaidya", "email": self.email() });
                let doctor = make("/doctors", vaidya).await;
                if names == Names::NewDoctor {
                    return doctor;
                }
                if names == Names::ExtraHours {
                    let extra = json!({ "location_id": clinic.location, "day": "2099-03-01", "starts_at": "10:00", "ends_at": "12:00" });
                    let extra = make(&format!("/doctors/{doctor}/extra-hours"), extra).await;
                    return format!("{doctor}/{extra}");
                }
                let away = json!({ "starts_at": "2099-03-01T00:00:00Z", "ends_at": "2099-03-02T00:00:00Z" });
                format!("{doctor}/{}", make(&format!("/doctors/{doctor}/time-off"), away).await)
            }
        }
    }

    /// A patient's place in the waitlist.
    pub(super) async fn waiting(&self, clinic: &TestClinic, patient: usize) -> String {
        let body = json!({ "patient_id": clinic.patients[patient], "doctor_id": clinic.doctor });
        sqlx::query("update waitlist set status = 'withdrawn' where status = 'waiting'")
            .execute(&mut clinic.connection().await)
            .await
            .unwrap();
        self.staff(clinic, Receptionist).await.post("/waitlist", &body).await.expect(201).id()
    }

    /// As if a time had come free for it.
    pub(super) async fn offered(&self) -> String {
        let id = self.waiting(&self.here, 0).await;
        let visit = self.visit();
        // A patient has one at a time.
        for statement in [
            "update waitlist_offers set status = 'lapsed', ended_at = now() where status = 'open'",
            "delete from claims where hold_id is not null",
        ] {
            sqlx::query(statement).execute(&mut self.here.connection().await).await.unwrap();
        }
        for statement in [
            "insert into waitlist_offers (id, waitlist_id, patient_id, doctor_id, location_id, during, until)
             select w.id, w.id, w.patient_id, $2, l.id, tstzrange($3::timestamptz, $3::timestamptz + interval '30 min'),
                    now() + interval '1 hour'
             from waitlist w, (select id from locations order by created_at limit 1) as l where w.id = $1",
            "insert into claims (hold_id, hold_until, subject_id, during)
             select $1, now() + interval '1 hour', $2, tstzrange($3::timestamptz, $3::timestamptz + interval '30 min')",
        ] {
            sqlx::query(statement)
                .bind(id.parse::<Uuid>().unwrap())
                .bind(self.here.doctor)
                .bind(visit["starts_at"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap())
                .execute(&mut self.here.connection().await)
                .await
                .unwrap();
        }
        id
    }

    pub(super) async fn message(&self, clinic: &TestClinic) -> String {
        let id = nadi::ids::new_uuid();
        sqlx::query(
            "insert into outbox (id, purpose, dedupe_key, subject_id, patient_id, due_at, expires_at, status, done_at)
             values ($1, 'appointment.booked', $1::text, $1, $2, now(), now() + interval '1 hour', 'failed', now())",
        )
        .bind(id)
        .bind(clinic.patients[0])
        .execute(&mut clinic.connection().await)
        .await
        .unwrap();
        id.to_string()
    }

    pub(super) async fn claim(&self, visit: &str) {
        sqlx::query(
            "insert into claims (appointment_id, subject_id, during)
             select id, $2, during from appointments where id = $1",
        )
        .bind(visit.parse::<Uuid>().unwrap())
        .bind(self.here.account(Therapist))
        .execute(&mut self.here.connection().await)
        .await
        .unwrap();
    }

    /// A clinic on record, without a database: what the platform does with it needs none.
    pub(super) async fn clinic_of(&self, owner: &str) -> String {
        let slug = self.slug();
        let mut conn = self.platform.realm().read().await.unwrap();
        sqlx::query(
            "insert into clinics (id, slug, name, time_zone, status, server_id, root_key_wrapped, owner_id)
             select $1, $2, 'On record', 'Asia/Kolkata', 'active', id, '', $3 from servers",
        )
        .bind(nadi::ids::new_uuid())
        .bind(&slug)
        .bind(owner.parse::<Uuid>().unwrap())
        .execute(&mut conn)
        .await
        .unwrap();
        slug
    }
}
