//! `nadi demo`, as a newcomer meets it: from nothing to a booking whose confirmation arrives, and on from there after a kill.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use nadi::embedded::{Cluster, Settings};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::support::{Caller, Process, until};

/// A folder for one demo. Gone with the test, and its PostgreSQL too.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("nadi-it-demo-{name}-{}", std::process::id())))
    }

    fn arguments(&self) -> [&str; 3] {
        ["demo", "--dir", self.0.to_str().unwrap()]
    }

    async fn start(&self) -> Process {
        Process::start(&[], &self.arguments()).await
    }

    fn demo(&self) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.0.join("demo.json")).unwrap()).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let settings = Settings::new(self.0.join("pg"));
        let _ = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(Cluster::destroy(&settings))
        })
        .join();
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

/// Somebody of a role at a clinic, signed in with what the file says.
async fn somebody(demo: &Value, process: &Process, slug: &str, role: &str) -> Caller {
    let clinic = list(&demo["clinics"]).iter().find(|clinic| clinic["slug"] == slug).unwrap();
    let user = list(&clinic["users"]).iter().find(|user| user["role"] == role).unwrap();
    let anybody = Caller::new(&process.address, &format!("{slug}.localhost"), None);
    anybody.sign_in(text(&user["email"]), text(&user["password"])).await
}

async fn started_at(demo: &Value) -> chrono::DateTime<Utc> {
    let mut central = PgConnection::connect(text(&demo["central_database_url"])).await.unwrap();
    sqlx::query_scalar("select pg_postmaster_start_time()").fetch_one(&mut central).await.unwrap()
}

fn assert_says_everything(demo: &Value, process: &Process) {
    let port = process.address.rsplit(':').next().unwrap();
    assert_eq!(demo["platform"]["url"], format!("http://admin.localhost:{port}"));
    assert_eq!(demo["inbox_url"], format!("http://localhost:{port}/inbox"));
    let slugs: Vec<&str> =
        list(&demo["clinics"]).iter().map(|clinic| text(&clinic["slug"])).collect();
    assert_eq!(slugs, ["shanti", "arogya"]);
    for clinic in list(&demo["clinics"]) {
        assert_eq!(clinic["url"], format!("http://{}.localhost:{port}", text(&clinic["slug"])));
        assert!(!text(&clinic["name"]).is_empty());
        let users = list(&clinic["users"]);
        for role in
            ["clinic_admin", "doctor", "receptionist", "therapist", "pharmacist", "accountant"]
        {
            let user = users
                .iter()
                .find(|user| user["role"] == role)
                .unwrap_or_else(|| panic!("no {role}"));
            assert!(
                text(&user["email"]).contains('@') && text(&user["password"]).len() >= 10,
                "{user}"
            );
        }
        let patients = users.iter().filter(|user| user["role"] == "patient");
        let phones: BTreeSet<&str> = patients.map(|user| text(&user["phone"])).collect();
        assert!(phones.len() >= if clinic["slug"] == "shanti" { 8 } else { 1 }, "{phones:?}");
        assert!(phones.iter().all(|phone| phone.starts_with("+91")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_books_and_all_is_still_there_after_a_kill() {
    let scratch = Scratch::new("newcomer");
    let mut process = scratch.start().await;
    let demo = scratch.demo();
    assert!(process.log().contains("nadi is ready."), "{}", process.log());
    assert_says_everything(&demo, &process);
    let mut central = PgConnection::connect(text(&demo["central_database_url"])).await.unwrap();
    let sees_all = "select pg_has_role(current_user, 'pg_read_all_stats', 'usage'), count(*) > 0
                    from pg_stat_activity where datname ^@ 'nadi_' and query <> '<insufficient privilege>'";
    let sees_all: (bool, bool) = sqlx::query_as(sees_all).fetch_one(&mut central).await.unwrap();
    assert_eq!(sees_all, (true, true));
    central.close().await.unwrap();
    let root = Caller::new(&process.address, "admin.localhost", None);
    let root =
        root.sign_in(text(&demo["platform"]["email"]), text(&demo["platform"]["password"])).await;
    assert_eq!(list(&root.get("/clinics").await.expect(200).body["items"]).len(), 2);

    // The desk looks for somebody who has an address of their own, by a part of the name.
    let desk = somebody(&demo, &process, "shanti", "receptionist").await;
    let patients = desk.get("/patients?limit=200").await.expect(200).body;
    let patients = list(&patients["items"]);
    assert!(patients.len() >= 100, "{}", patients.len());
    let addresses: BTreeSet<&str> =
        patients.iter().filter_map(|patient| patient["email"].as_str()).collect();
    assert!(addresses.len() >= 20, "{}", addresses.len());
    let patient = patients.iter().find(|patient| patient["email"].is_string()).unwrap();
    let (name, email) = (text(&patient["full_name"]), text(&patient["email"]));
    let part: String = name.chars().take(name.chars().count() - 1).collect();
    let query =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("search", &part).finish();
    let found = desk.get(&format!("/patients?{query}")).await.expect(200).body;
    assert!(
        list(&found["items"]).iter().any(|other| other["id"] == patient["id"]),
        "{part}: {found}"
    );

    // Books a free slot; nobody gets it twice; the confirmation arrives.
    let visit = free_slot(&desk, patient).await;
    let booked = desk.post("/appointments", &visit).await.expect(201);
    let other = patients.iter().find(|other| other["id"] != patient["id"]).unwrap();
    let mut again = visit.clone();
    again["patient_id"] = other["id"].clone();
    assert_eq!(desk.post("/appointments", &again).await.expect(409).problem(), "slot-taken");
    let inbox = format!("{}.json", text(&demo["inbox_url"]));
    let read = async || -> Vec<Value> {
        let answer = reqwest::get(&inbox).await.unwrap().text().await.unwrap();
        list(&serde_json::from_str::<Value>(&answer).unwrap()["items"]).to_vec()
    };
    until("the confirmation is there", async || {
        read().await.iter().any(|item| item["to"] == email)
    })
    .await;
    let item = read().await.into_iter().find(|item| item["to"] == email).unwrap();
    assert_eq!((text(&item["clinic"]), text(&item["channel"])), ("shanti", "email"));
    let given = name.split_whitespace().next().unwrap();
    assert!(text(&item["body"]).contains(given), "{item}");
    // In the patient's own language: what is the same in all of them is the visit's number.
    assert!(text(&item["body"]).contains(text(&booked.body["number"])), "{item}");
    assert!(!text(&item["subject"]).is_empty() && item["at"].is_string(), "{item}");
    let elsewhere = desk.at(&process.address, "arogya.localhost");
    elsewhere.get("/patients").await.expect(401);

    // Killed and started again, it goes on: on the same PostgreSQL, which never stopped.
    let began = started_at(&demo).await;
    process.kill().await;
    let mut process = scratch.start().await;
    let kept = scratch.demo();
    assert_eq!(started_at(&kept).await, began, "the running server was taken over");
    for (old, new) in list(&demo["clinics"]).iter().zip(list(&kept["clinics"])) {
        assert_eq!(old["users"], new["users"]);
    }
    let desk = desk.at(&process.address, "shanti.localhost");
    let path = format!("/appointments/{}", booked.id());
    assert_eq!(desk.get(&path).await.expect(200).body["starts_at"], visit["starts_at"]);
    let messages = reqwest::get(format!("{}.json", text(&kept["inbox_url"]))).await.unwrap();
    assert!(messages.text().await.unwrap().contains(email), "the inbox outlives the process");

    // Ctrl-C stops everything.
    process.signal(Signal::SIGINT);
    assert_eq!(process.ended().await.code(), Some(0), "{}", process.log());
    let url = text(&kept["central_database_url"]);
    assert!(PgConnection::connect(url).await.is_err(), "PostgreSQL is stopped, too");

    // And `--fresh` begins anew.
    let fresh: Vec<&str> = scratch.arguments().into_iter().chain(["--fresh"]).collect();
    let mut process = Process::start(&[], &fresh).await;
    let demo = scratch.demo();
    let desk = somebody(&demo, &process, "shanti", "receptionist").await;
    desk.get(&path).await.expect(404);
    let messages = reqwest::get(format!("{}.json", text(&demo["inbox_url"]))).await.unwrap();
    assert!(!messages.text().await.unwrap().contains(email));
    process.signal(Signal::SIGTERM);
    assert_eq!(process.ended().await.code(), Some(0), "{}", process.log());
}

/// A booking's body: the first free slot of whichever doctor has one.
async fn free_slot(desk: &Caller, patient: &Value) -> Value {
    let doctors = desk.get("/doctors").await.expect(200).body;
    let day = |days| (Utc::now() + TimeDelta::days(days)).date_naive();
    for doctor in list(&doctors["items"]) {
        let path = format!("/doctors/{}/slots?from={}&to={}", text(&doctor["id"]), day(1), day(8));
        let slots = desk.get(&path).await.expect(200).body;
        if let Some(slot) = list(&slots["items"]).first() {
            return json!({
                "patient_id": patient["id"], "doctor_id": doctor["id"], "kind": "in_person",
                "location_id": slot["location_id"], "starts_at": slot["starts_at"],
            });
        }
    }
    panic!("nobody has a free slot: {doctors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_is_killed_half_way_is_finished_by_the_next() {
    let scratch = Scratch::new("half-way");
    for milliseconds in [700, 900, 1100, 1500] {
        let mut process = Process::launch(&[], &scratch.arguments());
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        process.kill().await;
    }

    let mut process = scratch.start().await;

    let demo = scratch.demo();
    assert_says_everything(&demo, &process);
    for slug in ["shanti", "arogya"] {
        somebody(&demo, &process, slug, "receptionist").await;
    }
    process.signal(Signal::SIGINT);
    assert_eq!(process.ended().await.code(), Some(0), "{}", process.log());
}
