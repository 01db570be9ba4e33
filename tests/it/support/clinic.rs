//! A furnished clinic: everything that a day at the desk needs.

use std::collections::HashMap;

use nadi::auth::{Role, token};
use nadi::crypto::ClinicKeys;
use nadi::ids::{AccountId, ClinicId, SessionId};
use nadi::tenancy::roles;
use nadi::time::Clock;
use serde_json::{Value, json};
use sqlx::{ConnectOptions, PgConnection};
use uuid::Uuid;

use super::caller::Caller;
use super::platform::{PASSWORD, TestPlatform, password_hash};
use super::postgres::TestServer;

pub struct TestClinic {
    pub id: ClinicId,
    pub slug: String,
    pub host: String,
    pub address: String,
    pub server: &'static TestServer,
    pub location: Uuid,
    /// Sits every day from 9 to 17, Asia/Kolkata; slots of 30 minutes.
    pub doctor: Uuid,
    /// The first signs in as [`TestClinic::patient`], the second as nobody.
    pub patients: [Uuid; 2],
    staff: HashMap<Role, AccountId>,
    patient_account: AccountId,
    keys: ClinicKeys,
    clock: Clock,
}

const STAFF: [Role; 6] = [
    Role::ClinicAdmin,
    Role::Doctor,
    Role::Receptionist,
    Role::Therapist,
    Role::Pharmacist,
    Role::Accountant,
];

impl TestClinic {
    /// With a platform of its own.
    pub async fn new() -> (TestPlatform, TestClinic) {
        let platform = TestPlatform::new().await;
        let clinic = platform.clinic("shanti").await;
        (platform, clinic)
    }

    pub(super) async fn furnish(platform: &TestPlatform, slug: &str, id: ClinicId) -> Self {
        let mut connection =
            platform.server.provisioning(&roles::database_name(id)).connect().await.unwrap();
        let hash = password_hash();
        let mut staff = HashMap::new();
        for role in STAFF {
            let account = AccountId::new();
            sqlx::query("insert into users (id, role, full_name, email, password_hash) values ($1, $2, $3, $4, $5)")
                .bind(account)
                .bind(role)
                .bind(format!("{} of {slug}", role.as_str()))
                .bind(format!("{}@{slug}.example", role.as_str()))
                .bind(&hash)
                .execute(&mut connection)
                .await
                .unwrap();
            staff.insert(role, account);
        }
        let doctor = staff[&Role::Doctor].0;
        let location: Uuid = sqlx::query_scalar("select id from locations")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        sqlx::query("insert into doctors (id, slot_minutes) values ($1, 30)")
            .bind(doctor)
            .execute(&mut connection)
            .await
            .unwrap();
        sqlx::query(
            "insert into availability (id, doctor_id, location_id, weekday, starts_at, ends_at)
             select gen_random_uuid(), $1, $2, weekday, '09:00', '17:00' from generate_series(1, 7) as weekday",
        )
        .bind(doctor)
        .bind(location)
        .execute(&mut connection)
        .await
        .unwrap();
        let patient_account = AccountId::new();
        sqlx::query("insert into users (id, role, full_name, phone) values ($1, 'patient', 'Lakshmi Menon', '+919847012345')")
            .bind(patient_account)
            .execute(&mut connection)
            .await
            .unwrap();
        let patients = [nadi::ids::new_uuid(), nadi::ids::new_uuid()];
        sqlx::query(
            "insert into patients (id, user_id, full_name, phone, email)
             values ($1, $3, 'Lakshmi Menon', '+919847012345', 'lakshmi@mail.example'),
                    ($2, null, 'Prakash Nair', '+919847054321', 'prakash@mail.example')",
        )
        .bind(patients[0])
        .bind(patients[1])
        .bind(patient_account)
        .execute(&mut connection)
        .await
        .unwrap();
        let row = platform.core.central.strangers_row(slug).await.unwrap().unwrap();
        let root = platform.core.central.master.unwrap(id.0, &row.root_key_wrapped).unwrap();
        Self {
            id,
            slug: slug.into(),
            host: format!("{slug}.localhost"),
            address: platform.address.clone(),
            server: platform.server,
            location,
            doctor,
            patients,
            staff,
            patient_account,
            keys: ClinicKeys::derive(&root),
            clock: platform.clock.clone(),
        }
    }

    pub fn account(&self, role: Role) -> AccountId {
        if role == Role::Patient { self.patient_account } else { self.staff[&role] }
    }

    /// Somebody of a role, signed in.
    pub async fn caller(&self, role: Role) -> Caller {
        let anybody = self.anybody();
        if role != Role::Patient {
            return anybody
                .sign_in(&format!("{}@{}.example", role.as_str(), self.slug), PASSWORD)
                .await;
        }
        // Patients sign in by one-time code, which is another story: this one's session is made by hand.
        let mut connection = self.connection().await;
        let session = SessionId::new();
        sqlx::query("insert into sessions (id, user_id, expires_at) values ($1, $2, now() + interval '1 day')")
            .bind(session)
            .bind(self.patient_account)
            .execute(&mut connection)
            .await
            .unwrap();
        let token = token::issue_with(
            &self.keys,
            self.id.0,
            self.clock.now(),
            self.patient_account,
            session,
        );
        let mut caller = anybody;
        caller.token = Some(token);
        caller.account_id = Some(self.patient_account.to_string());
        caller
    }

    pub async fn desk(&self) -> Caller {
        self.caller(Role::Receptionist).await
    }

    pub async fn admin(&self) -> Caller {
        self.caller(Role::ClinicAdmin).await
    }

    pub async fn patient(&self) -> Caller {
        self.caller(Role::Patient).await
    }

    pub fn anybody(&self) -> Caller {
        Caller::new(&self.address, &self.host, None)
    }

    /// A connection to the clinic's database as superuser: for arranging and for looking, never for acting.
    pub async fn connection(&self) -> PgConnection {
        self.server.superuser(&roles::database_name(self.id)).await
    }

    /// A count that a test wants to see.
    pub async fn count(&self, sql: &'static str) -> i64 {
        let mut connection = self.connection().await;
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
    }

    /// No reminders: for tests that count what lies in the outbox.
    pub async fn reminds_nobody(&self) {
        sqlx::query("update scheduling_rules set reminder_minutes = '{}'")
            .execute(&mut self.connection().await)
            .await
            .unwrap();
    }

    /// Time passes for what of this purpose lies in the clinic's outbox.
    pub async fn let_it_be_due(&self, platform: &TestPlatform, purpose: &str) {
        sqlx::query("update outbox set due_at = now() - interval '1 s' where done_at is null and purpose like $1")
            .bind(purpose)
            .execute(&mut self.connection().await)
            .await
            .unwrap();
        sqlx::query("update wakeups set hints = hints + 1, due_at = now() where clinic_id = $1")
            .bind(self.id)
            .execute(&mut platform.server.superuser(&platform.database).await)
            .await
            .unwrap();
    }

    /// A booking's body.
    pub fn visit(&self, starts_at: &str) -> Value {
        self.visit_of(self.patients[0], starts_at)
    }

    pub fn visit_of(&self, patient: Uuid, starts_at: &str) -> Value {
        json!({
            "patient_id": patient, "doctor_id": self.doctor, "kind": "in_person", "starts_at": starts_at,
        })
    }

    /// Another patient.
    pub async fn another_patient(&self) -> Uuid {
        let id = nadi::ids::new_uuid();
        let mut connection = self.connection().await;
        sqlx::query("insert into patients (id, full_name, email) values ($1, 'Meera Pillai', 'meera@mail.example')")
            .bind(id)
            .execute(&mut connection)
            .await
            .unwrap();
        id
    }
}
