//! Every operation × every role × nobody × somebody from elsewhere. A new operation without a row here fails the test, and so
//! does a row without an operation.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use nadi::auth::Role::{self, *};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::support::{Answer, Caller, TestClinic, TestPlatform};

/// One operation of a description: who may, and what a good request to it looks like.
struct Row {
    method: &'static str,
    path: &'static str,
    /// Nobody listed: anybody may, signed in or not.
    roles: &'static [Role],
    /// What the id in its path names.
    names: Names,
    body: fn(&Scene) -> Value,
}

#[derive(Clone, Copy, PartialEq)]
enum Names {
    Nothing,
    Session,
    Patient,
    Visit,
    Doctor,
    /// One without visits, for what would be refused otherwise.
    NewDoctor,
    /// Of a doctor: two ids, `<doctor>/<time off>`.
    TimeOff,
    User,
    Location,
    Clinic,
    Owner,
}

const fn row(
    method: &'static str,
    path: &'static str,
    roles: &'static [Role],
    names: Names,
    body: fn(&Scene) -> Value,
) -> Row {
    Row { method, path, roles, names, body }
}

fn nothing(_: &Scene) -> Value {
    Value::Null
}

const ANYBODY: &[Role] = &[];
const CLINIC: &[Role] =
    &[ClinicAdmin, Doctor, Receptionist, Therapist, Pharmacist, Accountant, Patient];
const STAFF: &[Role] = &[ClinicAdmin, Doctor, Receptionist, Therapist, Pharmacist, Accountant];
const DESK: &[Role] = &[ClinicAdmin, Doctor, Receptionist];
const DESK_AND_PATIENT: &[Role] = &[ClinicAdmin, Doctor, Receptionist, Patient];
const PLATFORM: &[Role] = &[SuperAdmin, ClinicOwner];

/// At a clinic's host.
const AT_A_CLINIC: &[Row] = &[
    row(
        "post",
        "/auth/login",
        ANYBODY,
        Names::Nothing,
        |_| json!({ "identifier": "x", "password": "y" }),
    ),
    row("post", "/auth/refresh", ANYBODY, Names::Nothing, |_| json!({ "refresh_token": "x" })),
    row(
        "post",
        "/auth/set-password",
        ANYBODY,
        Names::Nothing,
        |_| json!({ "token": "x", "password": "monsoon harvest lamp" }),
    ),
    row("post", "/auth/logout", &Role::ALL, Names::Nothing, nothing),
    row("post", "/auth/logout-all", &Role::ALL, Names::Nothing, nothing),
    row("get", "/auth/sessions", &Role::ALL, Names::Nothing, nothing),
    row("delete", "/auth/sessions/{id}", &Role::ALL, Names::Session, nothing),
    row("get", "/auth/me", &Role::ALL, Names::Nothing, nothing),
    row("get", "/patients", CLINIC, Names::Nothing, nothing),
    row("post", "/patients", DESK, Names::Nothing, |_| json!({ "full_name": "Anand Kurup" })),
    row("get", "/patients/{id}", CLINIC, Names::Patient, nothing),
    row(
        "put",
        "/patients/{id}",
        DESK_AND_PATIENT,
        Names::Patient,
        |_| json!({ "full_name": "Lakshmi Menon" }),
    ),
    row("delete", "/patients/{id}", DESK, Names::Patient, nothing),
    row(
        "get",
        "/appointments",
        &[ClinicAdmin, Doctor, Receptionist, Therapist, Accountant, Patient],
        Names::Nothing,
        nothing,
    ),
    row("post", "/appointments", DESK_AND_PATIENT, Names::Nothing, Scene::visit),
    row(
        "get",
        "/appointments/{id}",
        &[ClinicAdmin, Doctor, Receptionist, Therapist, Accountant, Patient],
        Names::Visit,
        nothing,
    ),
    row("put", "/appointments/{id}", DESK_AND_PATIENT, Names::Visit, Scene::visit),
    row("delete", "/appointments/{id}", DESK_AND_PATIENT, Names::Visit, nothing),
    row("get", "/doctors/{id}/slots?from=2099-01-05&to=2099-01-06", CLINIC, Names::Doctor, nothing),
    row("get", "/users", STAFF, Names::Nothing, nothing),
    row(
        "post",
        "/users",
        &[ClinicAdmin],
        Names::Nothing,
        |scene| json!({ "full_name": "New Hand", "role": "therapist", "email": scene.email() }),
    ),
    row("get", "/users/me", &Role::ALL, Names::Nothing, nothing),
    row("put", "/users/me", &Role::ALL, Names::Nothing, |_| json!({ "full_name": "Myself" })),
    row("get", "/users/{id}", STAFF, Names::User, nothing),
    row(
        "put",
        "/users/{id}",
        &[ClinicAdmin],
        Names::User,
        |scene| json!({ "full_name": "New Hand", "email": scene.email() }),
    ),
    row(
        "patch",
        "/users/{id}/status",
        &[ClinicAdmin],
        Names::User,
        |_| json!({ "status": "suspended" }),
    ),
    row("delete", "/users/{id}", &[ClinicAdmin], Names::User, nothing),
    row("get", "/locations", CLINIC, Names::Nothing, nothing),
    row(
        "post",
        "/locations",
        &[ClinicAdmin],
        Names::Nothing,
        |scene| json!({ "name": scene.slug() }),
    ),
    row("get", "/locations/{id}", CLINIC, Names::Location, nothing),
    row(
        "put",
        "/locations/{id}",
        &[ClinicAdmin],
        Names::Location,
        |scene| json!({ "name": scene.slug() }),
    ),
    row("delete", "/locations/{id}", &[ClinicAdmin], Names::Location, nothing),
    row("get", "/doctors", CLINIC, Names::Nothing, nothing),
    row(
        "post",
        "/doctors",
        &[ClinicAdmin],
        Names::Nothing,
        |scene| json!({ "full_name": "New Vaidya", "email": scene.email() }),
    ),
    row("get", "/doctors/specializations", CLINIC, Names::Nothing, nothing),
    row("get", "/doctors/{id}", CLINIC, Names::NewDoctor, nothing),
    row(
        "put",
        "/doctors/{id}",
        &[ClinicAdmin],
        Names::NewDoctor,
        |scene| json!({ "full_name": "A Vaidya", "email": scene.email() }),
    ),
    row("delete", "/doctors/{id}", &[ClinicAdmin], Names::NewDoctor, nothing),
    row("get", "/doctors/{id}/availability", CLINIC, Names::Doctor, nothing),
    row(
        "put",
        "/doctors/{id}/availability",
        &[ClinicAdmin],
        Names::NewDoctor,
        |_| json!({ "items": [] }),
    ),
    row("get", "/doctors/{id}/time-off", CLINIC, Names::Doctor, nothing),
    row(
        "post",
        "/doctors/{id}/time-off",
        &[ClinicAdmin],
        Names::NewDoctor,
        |_| json!({ "starts_at": "2099-03-01T00:00:00Z", "ends_at": "2099-03-02T00:00:00Z" }),
    ),
    row("get", "/doctors/{id}/time-off/{time_off_id}", CLINIC, Names::TimeOff, nothing),
    row("delete", "/doctors/{id}/time-off/{time_off_id}", &[ClinicAdmin], Names::TimeOff, nothing),
];

/// At the platform's host.
const AT_THE_PLATFORM: &[Row] = &[
    row(
        "post",
        "/auth/login",
        ANYBODY,
        Names::Nothing,
        |_| json!({ "identifier": "x", "password": "y" }),
    ),
    row("post", "/auth/refresh", ANYBODY, Names::Nothing, |_| json!({ "refresh_token": "x" })),
    row(
        "post",
        "/auth/set-password",
        ANYBODY,
        Names::Nothing,
        |_| json!({ "token": "x", "password": "monsoon harvest lamp" }),
    ),
    row("post", "/auth/logout", &Role::ALL, Names::Nothing, nothing),
    row("post", "/auth/logout-all", &Role::ALL, Names::Nothing, nothing),
    row("get", "/auth/sessions", &Role::ALL, Names::Nothing, nothing),
    row("delete", "/auth/sessions/{id}", &Role::ALL, Names::Session, nothing),
    row("get", "/auth/me", &Role::ALL, Names::Nothing, nothing),
    row("get", "/clinics", PLATFORM, Names::Nothing, nothing),
    row("post", "/clinics", PLATFORM, Names::Nothing, |scene| {
        json!({
            "slug": scene.slug(), "name": "Kerala House", "time_zone": "Asia/Kolkata",
            "admin": { "full_name": "First Admin", "email": "first@kerala.example" },
        })
    }),
    row("get", "/clinics/{slug}", PLATFORM, Names::Clinic, nothing),
    row(
        "put",
        "/clinics/{slug}",
        PLATFORM,
        Names::Clinic,
        |_| json!({ "name": "Kerala House", "time_zone": "Asia/Kolkata" }),
    ),
    row("post", "/clinics/{slug}/suspend", PLATFORM, Names::Clinic, nothing),
    row("post", "/clinics/{slug}/resume", PLATFORM, Names::Clinic, nothing),
    row("post", "/clinics/{slug}/archive", PLATFORM, Names::Clinic, nothing),
    row("get", "/clinic-admins", &[SuperAdmin], Names::Nothing, nothing),
    row(
        "post",
        "/clinic-admins",
        &[SuperAdmin],
        Names::Nothing,
        |scene| json!({ "full_name": "Owner", "email": format!("{}@owners.example", scene.slug()) }),
    ),
    row(
        "patch",
        "/clinic-admins/{id}/status",
        &[SuperAdmin],
        Names::Owner,
        |_| json!({ "status": "suspended" }),
    ),
];

/// What requests need to be good ones: nothing in it is used twice.
struct Scene {
    platform: TestPlatform,
    here: TestClinic,
    elsewhere: TestClinic,
    count: AtomicUsize,
    /// Who has signed in already, by host and role.
    known: Mutex<HashMap<(String, Role), Caller>>,
}

impl Scene {
    fn next(&self) -> usize {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    fn slug(&self) -> String {
        format!("clinic-{}", self.next())
    }

    fn email(&self) -> String {
        format!("{}@hands.example", self.slug())
    }

    /// A booking of the first patient, at a time that nobody has yet.
    fn visit(&self) -> Value {
        let number = self.next();
        let (day, half_hour) = (number / 16, number % 16);
        let minutes = 3 * 60 + 30 + half_hour * 30; // from 9 in Kolkata
        let date =
            chrono::NaiveDate::from_ymd_opt(2099, 1, 1).unwrap() + chrono::Days::new(day as u64);
        self.here.visit(&format!("{date}T{:02}:{:02}:00Z", minutes / 60, minutes % 60))
    }

    /// Somebody of a role; somebody new where the operation ends his session.
    async fn caller(&self, role: Role, row: &Row) -> Caller {
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
    async fn own(&self, names: Names, role: Role, caller: &Caller) -> String {
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
            Names::Doctor => self.here.doctor.to_string(),
            Names::NewDoctor | Names::TimeOff | Names::User | Names::Location => {
                self.made_at(&self.here, names).await
            }
            Names::Clinic => self.clinic_of(caller.account_id.as_deref().unwrap()).await,
            Names::Owner => self.platform.platform_account(ClinicOwner).await.account_id.unwrap(),
        }
    }

    /// The id of the same kind of thing, of another clinic; at the platform, of another owner.
    async fn foreign(&self, names: Names) -> String {
        let there = &self.elsewhere;
        match names {
            Names::Nothing => String::new(),
            Names::Session => {
                let somebody = self.staff(there, Receptionist).await;
                let sessions = somebody.get("/auth/sessions").await.expect(200);
                sessions.body["items"][0]["id"].as_str().unwrap().to_owned()
            }
            Names::Patient => there.patients[0].to_string(),
            Names::Visit => {
                let desk = self.staff(there, Receptionist).await;
                let visit = there.visit("2099-06-01T04:30:00Z");
                desk.post_with_key("/appointments", &visit, "the same each time")
                    .await
                    .expect(201)
                    .id()
            }
            Names::Doctor => there.doctor.to_string(),
            Names::NewDoctor | Names::TimeOff | Names::User | Names::Location => {
                self.made_at(there, names).await
            }
            Names::Clinic => {
                let other = self.platform.platform_account(ClinicOwner).await;
                self.clinic_of(other.account_id.as_deref().unwrap()).await
            }
            Names::Owner => nadi::ids::new_uuid().to_string(),
        }
    }

    /// Made by a clinic's own admin.
    async fn made_at(&self, clinic: &TestClinic, names: Names) -> String {
        let admin = self.staff(clinic, ClinicAdmin).await;
        let make = async |path: &str, body: Value| admin.post(path, &body).await.expect(201).id();
        match names {
            Names::User => {
                let hand =
                    json!({ "full_name": "A Hand", "role": "therapist", "email": self.email() });
                make("/users", hand).await
            }
            Names::Location => make("/locations", json!({ "name": self.slug() })).await,
            _ => {
                let vaidya = json!({ "full_name": "A Vaidya", "email": self.email() });
                let doctor = make("/doctors", vaidya).await;
                if names == Names::NewDoctor {
                    return doctor;
                }
                let away = json!({ "starts_at": "2099-03-01T00:00:00Z", "ends_at": "2099-03-02T00:00:00Z" });
                format!("{doctor}/{}", make(&format!("/doctors/{doctor}/time-off"), away).await)
            }
        }
    }

    /// The id of another patient's thing here.
    async fn of_another_patient(&self, names: Names) -> Option<String> {
        match names {
            Names::Patient => Some(self.here.patients[1].to_string()),
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
            _ => None,
        }
    }

    async fn claim(&self, visit: &str) {
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
    async fn clinic_of(&self, owner: &str) -> String {
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

async fn ask(scene: &Scene, caller: &Caller, row: &Row, id: &str) -> Answer {
    let method = row.method.to_ascii_uppercase().parse::<Method>().unwrap();
    let mut ids = id.split('/');
    let filled = row.path.split('/').map(|part| match part.starts_with('{') {
        true => ids.next().unwrap_or(id), // whoever may not even ask has one id for all
        false => part,
    });
    let path = filled.collect::<Vec<_>>().join("/");
    let mut request = caller.request(method, &path);
    if matches!(row.method, "put" | "patch") {
        request = request.header("if-match", "*");
    }
    let body = (row.body)(scene);
    if !body.is_null() {
        request = request.json(&body);
    }
    caller.send(request).await
}

/// Each row has its operation and each operation its row, and they agree on who may.
fn compare(rows: &[Row], description: &Value) {
    let bare = |row: &Row| (row.method.to_owned(), row.path.split('?').next().unwrap().to_owned());
    let mut undescribed: Vec<_> = rows.iter().map(bare).collect();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let here = (method.clone(), path.clone());
            let row = rows.iter().find(|row| bare(row) == here);
            let row = row.unwrap_or_else(|| panic!("{method} {path} has no row in this test"));
            undescribed.retain(|other| *other != here);
            let roles: Vec<&str> = row.roles.iter().map(|role| role.as_str()).collect();
            let described = operation["x-roles"].as_array().cloned().unwrap_or_default();
            assert_eq!(json!(described), json!(roles), "{method} {path}");
            assert_eq!(operation["security"] == json!([]), roles.is_empty(), "{method} {path}");
        }
    }
    assert!(undescribed.is_empty(), "no such operations: {undescribed:?}");
}

async fn walk(scene: &Scene, rows: &[Row], all: &[Role], nobody: &Caller, stranger: &Caller) {
    for row in rows {
        let what = |who: &str, answer: &Answer| {
            format!("{} {} as {who}: {} {}", row.method, row.path, answer.status, answer.text)
        };
        if row.roles.is_empty() {
            let answer = ask(scene, nobody, row, "").await;
            assert!(
                !["unauthenticated", "forbidden"].contains(&answer.problem())
                    || row.path == "/auth/refresh",
                "{}",
                what("nobody", &answer)
            );
            continue;
        }
        let some_id = nadi::ids::new_uuid().to_string();
        let answer = ask(scene, nobody, row, &some_id).await;
        assert_eq!(answer.status, 401, "{}", what("nobody", &answer));
        assert_eq!(answer.problem(), "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        let answer = ask(scene, stranger, row, &some_id).await;
        assert_eq!(answer.status, 401, "{}", what("somebody from elsewhere", &answer));
        for role in all {
            let caller = scene.caller(*role, row).await;
            let may = row.roles.contains(role);
            if may
                && row.names != Names::Nothing
                && !(row.names == Names::Clinic && *role == SuperAdmin)
            {
                let answer = ask(scene, &caller, row, &scene.foreign(row.names).await).await;
                assert_eq!(answer.status, 404, "another's: {}", what(role.as_str(), &answer));
                assert_eq!(answer.problem(), "not-found");
            }
            if may
                && *role == Patient
                && let Some(id) = scene.of_another_patient(row.names).await
            {
                let answer = ask(scene, &caller, row, &id).await;
                assert_eq!(answer.status, 404, "another patient's: {}", what("patient", &answer));
            }
            let own =
                if may { scene.own(row.names, *role, &caller).await } else { some_id.clone() };
            let answer = ask(scene, &caller, row, &own).await;
            match may {
                true => assert!(answer.status.is_success(), "{}", what(role.as_str(), &answer)),
                false => {
                    assert_eq!(answer.problem(), "forbidden", "{}", what(role.as_str(), &answer))
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_lets_in_its_own_roles_and_nobody_else() {
    compare(AT_A_CLINIC, &nadi::app::clinic_description());
    compare(AT_THE_PLATFORM, &nadi::app::platform_description());
    let platform = TestPlatform::new().await;
    let here = platform.clinic("shanti").await;
    let elsewhere = platform.clinic("arogya").await;
    // One body for all: a patient's own number would have to be sent back with it.
    sqlx::query("update users set phone = null")
        .execute(&mut here.connection().await)
        .await
        .unwrap();
    let scene =
        Scene { platform, here, elsewhere, count: AtomicUsize::new(0), known: Mutex::default() };

    let nobody = scene.here.anybody();
    let stranger = scene.elsewhere.admin().await.at(&scene.here.address, &scene.here.host);
    walk(&scene, AT_A_CLINIC, CLINIC, &nobody, &stranger).await;

    let nobody = scene.platform.anybody("admin.localhost");
    let stranger = stranger.at(&scene.platform.address, "admin.localhost");
    walk(&scene, AT_THE_PLATFORM, PLATFORM, &nobody, &stranger).await;
    let platform_at_clinic =
        scene.platform.super_admin().await.at(&scene.here.address, &scene.here.host);
    assert_eq!(platform_at_clinic.get("/auth/me").await.status, 401);
}
