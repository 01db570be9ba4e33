//! Patients: registering, finding, changing, removing, and repeating safely.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Caller, TestClinic};

async fn names(caller: &Caller, search: &str) -> Vec<String> {
    let query: String =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("search", search).finish();
    let found = caller.get(&format!("/patients?{query}")).await.expect(200);
    let items = found.body["items"].as_array().unwrap();
    items.iter().map(|item| item["full_name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_is_registered_read_replaced_and_removed() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let new = json!({
        "full_name": "  Anjali Varma ", "phone": "098470 11111", "email": "anjali@mail.example",
        "date_of_birth": "1990-02-28", "gender": "female", "language": "ml", "address": "Kochi\nKerala", "notes": "",
    });

    let made = desk.post("/patients", &new).await.expect(201);

    assert_eq!(made.header("location"), format!("/api/v1/patients/{}", made.id()));
    assert_eq!(made.body["full_name"], "Anjali Varma");
    assert_eq!(
        made.body["phone"], "+919847011111",
        "a national form is read by the clinic's country"
    );
    assert!(made.body["number"].as_str().unwrap().starts_with("P-0000"), "{}", made.text);
    let path = format!("/patients/{}", made.id());
    let read = desk.get(&path).await.expect(200);
    assert_eq!((&read.body, read.header("etag")), (&made.body, made.header("etag")));

    // The view sent back unchanged is a good replacement.
    let same = desk.put(&path, read.header("etag"), &read.body).await.expect(200);
    assert_ne!(same.header("etag"), read.header("etag"));
    let mut touched = same.body.clone();
    touched["number"] = json!("P-999999");
    touched["created_at"] = json!("2001-01-01T00:00:00Z");
    touched["colour"] = json!("blue");
    let refused = desk.put(&path, same.header("etag"), &touched).await.expect(422);
    let expected =
        [("/created_at", "read_only"), ("/number", "read_only"), ("/colour", "unknown_field")];
    assert_eq!(refused.faults(), expected.map(|(p, c)| (p.to_owned(), c.to_owned())));

    // Replacing takes away what is left out.
    let weak = format!("W/{}", same.header("etag"));
    let bare = desk.put(&path, &weak, &json!({ "full_name": "Anjali V" })).await.expect(200);
    assert_eq!(bare.body["phone"], Value::Null);
    assert_eq!(bare.body["address"], "");
    desk.put(&path, same.header("etag"), &json!({ "full_name": "Stale" })).await.expect(412);
    let several = format!("\"0\", {}", bare.header("etag"));
    let any = desk.put(&path, &several, &json!({ "full_name": "Anjali" })).await.expect(200);
    desk.put(&path, "*", &json!({ "full_name": "Anjali" })).await.expect(200);

    let stale = desk.request(Method::DELETE, &path).header("if-match", any.header("etag"));
    desk.send(stale).await.expect(412);
    desk.delete(&path).await.expect(204);
    desk.get(&path).await.expect(404);
    desk.delete(&path).await.expect(404);
    desk.put(&path, "*", &json!({ "full_name": "Anjali" })).await.expect(404);
    assert_eq!(names(&desk, "anjali").await, Vec::<String>::new());
    assert_eq!(clinic.count("select count(*) from patients").await, 3, "the record stays");
    let changes =
        "select count(*) from audit_log where entity = 'patient' and action !~ 'read|listed'";
    assert_eq!(clinic.count(changes).await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_with_visits_to_come_stays() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let visit = desk.post("/appointments", &clinic.visit("2099-01-05T04:30:00Z")).await.expect(201);
    let path = format!("/patients/{}", clinic.patients[0]);

    assert_eq!(desk.delete(&path).await.expect(409).problem(), "has-appointments");
    desk.delete(&format!("/appointments/{}", visit.id())).await.expect(200);

    desk.delete(&path).await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_is_found_by_whatever_the_desk_knows() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let mut number = String::new();
    for (name, phone) in [
        ("Sreedevi Namboothiri", "+919895012345"),
        ("लक्ष्मी शर्मा", "+919812345678"),
        ("ലക്ഷ്മി നായർ", "+919847099999"),
        ("सीमा कुलकर्णी", "+919700000003"),
        ("ਗੁਰਪ੍ਰੀਤ ਸਿੰਘ", "+919700000004"),
        ("வெங்கடேசன்", "+919700000005"),
        ("സൗമ്യ", "+919700000006"),
        ("José Álvarez", "+919700000001"),
        ("100% Sure_Thing", "+919700000002"),
    ] {
        let made =
            desk.post("/patients", &json!({ "full_name": name, "phone": phone })).await.expect(201);
        number = made.body["number"].as_str().unwrap().to_owned();
    }

    for (search, expected) in [
        ("sreedevi", "Sreedevi Namboothiri"),
        ("NAMBOO", "Sreedevi Namboothiri"),
        ("Shreedevi", "Sreedevi Namboothiri"),
        ("namboodiri", "Sreedevi Namboothiri"),
        ("lakshmy menon", "Lakshmi Menon"),
        ("शर्मा", "लक्ष्मी शर्मा"),
        ("शर्म", "लक्ष्मी शर्मा"),
        ("ലക്ഷ്മി", "ലക്ഷ്മി നായർ"),
        ("നായര്", "ലക്ഷ്മി നായർ"),
        // As they are spelt in Latin letters, with slips.
        ("sharma", "लक्ष्मी शर्मा"),
        ("Laxmi Sharma", "लक्ष्मी शर्मा"),
        ("lakshmi nair", "ലക്ഷ്മി നായർ"),
        ("seema", "सीमा कुलकर्णी"),
        ("sima kulkarni", "सीमा कुलकर्णी"),
        ("gurpreet singh", "ਗੁਰਪ੍ਰੀਤ ਸਿੰਘ"),
        ("venkatesan", "வெங்கடேசன்"),
        ("soumya", "സൗമ്യ"),
        ("álvarez", "José Álvarez"),
        ("JOSÉ", "José Álvarez"),
        ("jose\u{301}", "José Álvarez"),
        ("100%", "100% Sure_Thing"),
        ("sure_thing", "100% Sure_Thing"),
        ("98950 12345", "Sreedevi Namboothiri"),
        ("+91 98950", "Sreedevi Namboothiri"),
        ("12345678", "लक्ष्मी शर्मा"),
        (&number, "100% Sure_Thing"),
        (&number.to_lowercase().replace("-0000", ""), "100% Sure_Thing"),
    ] {
        let found = names(&desk, search).await;
        assert_eq!(found.first().map(String::as_str), Some(expected), "{search}: {found:?}");
    }
    for nobody in
        ["zzzzqqq", "%", "_", "\\", "P-999999", "000000000000", "'; drop table patients; --"]
    {
        let found = names(&desk, nobody).await;
        let literally = nobody.len() == 1 && found == ["100% Sure_Thing"] && nobody != "\\";
        assert!(found.is_empty() || literally, "{nobody}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_patients_follow_each_other_without_gap_or_repeat() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    for n in 0..7 {
        desk.post(
            "/patients",
            &json!({ "full_name": format!("Menon {n}"), "phone": format!("+91984701000{n}") }),
        )
        .await
        .expect(201);
    }

    for (query, count) in [("", 9), ("search=menon&", 8), ("search=98470&", 9)] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = desk.get(&format!("/patients?{query}limit=2{cursor}")).await.expect(200);
            let items = page.body["items"].as_array().unwrap();
            assert!(items.len() <= 2);
            seen.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
            match page.body["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen.len(), count, "{query}");
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), count, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_registers_once() {
    let (_platform, clinic) = TestClinic::new().await;
    let (desk, admin) = (clinic.desk().await, clinic.admin().await);
    let (anu, binu) = (json!({ "full_name": "Anu" }), json!({ "full_name": "Binu" }));

    let first = desk.post_with_key("/patients", &anu, "key 1").await.expect(201);
    let again = desk.post_with_key("/patients", &anu, "key 1").await.expect(201);

    assert_eq!(first.header("idempotent-replayed"), "");
    assert_eq!(again.header("idempotent-replayed"), "true");
    for header in ["etag", "location", "content-type"] {
        assert_eq!(again.header(header), first.header(header));
    }
    assert_eq!(again.text, first.text);
    let reused = desk.post_with_key("/patients", &binu, "key 1").await.expect(422);
    assert_eq!(reused.problem(), "idempotency-key-reused");
    let admins = admin.post_with_key("/patients", &binu, "key 1").await.expect(201);
    assert_ne!(admins.id(), first.id(), "keys are each account's own");
    desk.post_with_key("/patients", &json!({}), "key 2").await.expect(422);
    desk.post_with_key("/patients", &binu, "key 2").await.expect(201);
    sqlx::query("update idempotency_keys set created_at = created_at - interval '24 hours'")
        .execute(&mut clinic.connection().await)
        .await
        .unwrap();
    let later = desk.post_with_key("/patients", &binu, "key 1").await.expect(201);
    assert_eq!(later.header("idempotent-replayed"), "", "forgotten after a day");
    for bad in ["", "\"\"", &"x".repeat(256)] {
        let refused = desk.post_with_key("/patients", &anu, bad).await.expect(422);
        assert_eq!(refused.faults()[0].0, "Idempotency-Key");
    }
    desk.post_with_key("/patients", &anu, &"x".repeat(255)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_sent_twenty_times_at_once_registers_once() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let body = json!({ "full_name": "Only One" });

    let posts = (0..20).map(|_| desk.post_with_key("/patients", &body, "once"));
    let answers = futures_util::future::join_all(posts).await;

    assert_eq!(clinic.count("select count(*) from patients where full_name = 'Only One'").await, 1);
    let mut first = 0;
    for answer in &answers {
        match answer.status.as_u16() {
            201 if answer.header("idempotent-replayed").is_empty() => first += 1,
            201 => {}
            409 => assert_eq!(answer.problem(), "idempotency-in-progress"),
            other => panic!("{other}: {}", answer.text),
        }
    }
    assert_eq!(first, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_costs_no_connection_and_leaves_its_key_free() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let path = format!("/patients/{}", clinic.patients[0]);
    let mut inside = clinic.connection().await;
    let role = nadi::tenancy::roles::database_name(clinic.id);
    let mut backends = async || -> Vec<i32> {
        sqlx::query_scalar("select pid from pg_stat_activity where usename = $1")
            .bind(&role)
            .fetch_all(&mut inside)
            .await
            .unwrap()
    };
    let before = backends().await;
    assert!(!before.is_empty());

    for n in 0..20 {
        desk.put(&path, "\"99\"", &json!({ "full_name": "Stale" })).await.expect(412);
        let off = json!({ "patient_id": clinic.patients[0], "doctor_id": nadi::ids::new_uuid(), "kind": "video",
            "starts_at": "2099-01-05T04:30:00Z" });
        let key = format!("key {n}");
        desk.post_with_key("/appointments", &off, &key).await.expect(422);
        let booked = desk
            .post_with_key(
                "/appointments",
                &clinic.visit(&format!("2099-01-{:02}T04:30:00Z", n + 5)),
                &key,
            )
            .await;
        booked.expect(201);
    }

    let after = backends().await;
    assert!(before.iter().all(|pid| after.contains(pid)), "{before:?} {after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_changes_what_is_his_and_sees_no_notes() {
    let (_platform, clinic) = TestClinic::new().await;
    let (desk, patient) = (clinic.desk().await, clinic.patient().await);
    let path = format!("/patients/{}", clinic.patients[0]);
    let mut told = desk.get(&path).await.expect(200).body;
    told["notes"] = json!("talks a lot; owes us a visit");
    let noted = desk.put(&path, "*", &told).await.expect(200);

    let own = patient.get(&path).await.expect(200);
    assert_eq!(own.body["notes"], "");
    assert_eq!(patient.get("/patients").await.expect(200).body["items"][0], own.body);
    for (field, value) in
        [("phone", "+919847099999"), ("email", "other@mail.example"), ("notes", "owes nothing")]
    {
        let mut wanted = own.body.clone();
        wanted[field] = json!(value);
        let refused = patient.put(&path, "*", &wanted).await.expect(422);
        assert_eq!(refused.faults(), [(format!("/{field}"), "read_only".to_owned())]);
    }
    let mut moved = own.body.clone();
    moved["address"] = json!("12 Temple Road, Kochi");
    assert_eq!(patient.put(&path, "*", &moved).await.expect(200).body["notes"], "");
    patient.put(&path, "*", &json!({ "full_name": "Lakshmi M" })).await.expect(200);

    let stands = desk.get(&path).await.expect(200).body;
    for field in ["phone", "email", "notes"] {
        assert_eq!(stands[field], noted.body[field], "{field}");
    }
    assert_eq!((&stands["full_name"], &stands["address"]), (&json!("Lakshmi M"), &json!("")));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_booking_slips_past_a_removal() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let path = format!("/patients/{}", clinic.patients[0]);
    for day in 1..10 {
        let visit = clinic.visit(&format!("2099-02-0{day}T04:30:00Z"));

        let (gone, booked) = tokio::join!(desk.delete(&path), desk.post("/appointments", &visit));

        match (gone.status.as_u16(), booked.status.as_u16()) {
            (204, 422) => {
                sqlx::query("update patients set deleted_at = null")
                    .execute(&mut clinic.connection().await)
                    .await
                    .unwrap();
            }
            (409, 201) => {
                desk.delete(&format!("/appointments/{}", booked.id())).await.expect(200);
            }
            other => panic!("{other:?}: {} {}", gone.text, booked.text),
        }
    }
}
