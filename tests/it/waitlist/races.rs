//! Yes and no at once, and from many.

use futures_util::future::join_all;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_is_taken_once_however_often_it_is_said_at_once() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let visit = taken(&clinic, &desk, TEN).await;
    let path = waits(&clinic, &desk, clinic.patients[0], json!({})).await;
    desk.delete(&visit).await.expect(200);
    until("it is offered", async || status(&desk, &path).await == "offered").await;

    let (answers, no) =
        tokio::join!(join_all((0..8).map(|_| accept(&desk, &path))), decline(&desk, &path),);

    let visits: Vec<&Value> = answers
        .iter()
        .filter(|answer| answer.status == 200)
        .map(|answer| &answer.body["id"])
        .collect();
    let booked = clinic.count("select count(*) from appointments where status = 'booked'").await;
    match no.status.as_u16() {
        200 => assert_eq!((visits.len(), booked), (0, 0), "no was first"),
        409 => {
            assert_eq!((visits.len(), booked), (8, 1), "each hears of the same visit");
            assert!(visits.iter().all(|visit| *visit == visits[0]));
        }
        other => panic!("{other}: {}", no.text),
    }
    until_looked(&clinic).await;
    let twice = "select count(*) from claims a join claims b on a.subject_id = b.subject_id and a.during && b.during
                 and (a.appointment_id, a.hold_id) is distinct from (b.appointment_id, b.hold_id)";
    assert_eq!(clinic.count(twice).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_times_freed_at_once_are_each_offered_once_by_two_instances() {
    let (platform, clinic) = TestClinic::new().await;
    let _other = platform.another_instance().await;
    let desk = clinic.desk().await;
    let starts: Vec<String> = (0..6).map(|n| format!("2099-01-05T0{}:30:00Z", 4 + n)).collect();
    let mut visits = Vec::new();
    for at in &starts {
        visits.push(taken(&clinic, &desk, at).await);
    }
    let mut entries = Vec::new();
    for _ in 0..9 {
        let patient = clinic.another_patient().await;
        entries.push(waits(&clinic, &desk, patient, json!({})).await);
    }

    join_all(visits.iter().map(|visit| desk.delete(visit))).await;

    until_looked(&clinic).await;
    let mut offered = Vec::new();
    for (place, path) in entries.iter().enumerate() {
        let entry = entry(&desk, path).await;
        assert_eq!(entry["status"] == "offered", place < 6, "first come first: {place}");
        offered.extend(entry["offer"]["starts_at"].as_str().map(str::to_owned));
    }
    offered.sort();
    assert_eq!(offered, starts, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_runs_out_as_it_is_taken_ends_in_one_way() {
    let (platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    for n in 0..4 {
        let at = format!("2099-02-0{}T04:30:00Z", n + 1);
        let visit = taken(&clinic, &desk, &at).await;
        let path = waits(&clinic, &desk, clinic.patients[0], json!({})).await;
        desk.delete(&visit).await.expect(200);
        until("it is offered", async || status(&desk, &path).await == "offered").await;
        let soon = "update waitlist_offers set until = clock_timestamp() + interval '20 ms' where status = 'open'";
        run(&clinic, soon).await;

        let (answers, ()) = tokio::join!(
            join_all((0..6).map(|_| accept(&desk, &path))),
            clinic.let_it_be_due(&platform, "chore.offer_lapsed"),
        );

        let open = "select count(*) from waitlist_offers where status = 'open'";
        until("it has ended", async || clinic.count(open).await == 0).await;
        let yes = answers.iter().filter(|answer| answer.status == 200).count();
        let booked = entry(&desk, &path).await["appointment_id"].is_string();
        assert_eq!(yes > 0, booked, "whoever was told yes has the visit: {n}");
        assert_eq!(clinic.count("select count(*) from claims where hold_id is not null").await, 0);
        if !booked {
            desk.delete(&path).await.expect(200);
        }
        until_looked(&clinic).await;
    }
}
