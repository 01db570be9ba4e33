//! Every operation × the pairs of faults that it may have: which refusal comes first. An unknown query parameter is among the
//! last, so it stands in for every fault that is told late.

use serde_json::Value;

use super::rows::{AT_A_CLINIC, AT_THE_PLATFORM, Row};
use super::scene::{Names, Scene};
use crate::accounts::avatars::png;
use crate::support::{Answer, Caller};

/// What a request has beside its path.
#[derive(Clone, Copy)]
struct With<'a> {
    unknown_query: bool,
    if_match: Option<&'a str>,
    malformed: bool,
}

const UNKNOWN: With = With { unknown_query: true, if_match: None, malformed: false };

async fn ask(scene: &Scene, caller: &Caller, row: &Row, id: &str, with: With<'_>) -> Answer {
    let mut ids = id.split('/');
    let filled = row.path.split('/').map(|part| match part.starts_with('{') {
        true => ids.next().unwrap_or(id),
        false => part,
    });
    let mut path = filled.collect::<Vec<_>>().join("/");
    if with.unknown_query {
        path += if path.contains('?') { "&colour=blue" } else { "?colour=blue" };
    }
    let mut request = caller.request(row.method.to_ascii_uppercase().parse().unwrap(), &path);
    if let Some(tag) = with.if_match {
        request = request.header("if-match", tag);
    }
    request = match (row.body)(scene) {
        Value::Null => request,
        Value::String(_) => request.header("content-type", "image/png").body(png(8, 8)),
        _ if with.malformed => request.header("content-type", "application/json").body("{"),
        body => request.json(&body),
    };
    caller.send(request).await
}

/// Something that is not there.
fn nothing_of(names: Names) -> String {
    match names {
        Names::Template => "appointment.forgotten".to_owned(),
        Names::Clinic => "no-such-clinic".to_owned(),
        _ => nadi::ids::new_uuid().to_string(),
    }
}

fn honours_tags(description: &Value, row: &Row) -> bool {
    let path = row.path.split('?').next().unwrap();
    let parameters = description["paths"][path][row.method]["parameters"].as_array();
    parameters.into_iter().flatten().any(|parameter| parameter["name"] == "If-Match")
}

#[track_caller]
fn refused(answer: &Answer, row: &Row, what: &str, status: u16) {
    let told = format!("{} {}: {what}: {} {}", row.method, row.path, answer.status, answer.text);
    assert_eq!(answer.status, status, "{told}");
    if status == 422 {
        let last = answer.faults().pop().unwrap_or_default();
        assert_eq!(last, ("colour".to_owned(), "unknown_field".to_owned()), "{told}");
    }
}

async fn walk(scene: &Scene, rows: &[Row], description: &Value, nobody: &Caller) {
    // Links, whose tokens nobody here holds, providers' news and files of cells have their own tests.
    let is_link = |row: &&Row| row.names == Names::Nothing && row.path.contains('{');
    let is_other =
        |row: &&Row| ["/webhooks/", "/imports/"].iter().any(|start| row.path.starts_with(start));
    let others = rows.iter().filter(|row| !is_link(row) && !is_other(row));
    for row in others {
        let (caller, own) = match row.roles.first() {
            None => (nobody.clone(), String::new()),
            Some(role) => {
                let caller = scene.caller(*role, row).await;
                let own = scene.own(row.names, *role, &caller).await;
                (caller, own)
            }
        };
        let ask = async |id: &str, with: With<'_>| ask(scene, &caller, row, id, with).await;
        if row.names != Names::Nothing {
            refused(&ask(&nothing_of(row.names), UNKNOWN).await, row, "presence, query", 404);
        }
        let tags = honours_tags(description, row);
        // A template's query is half of its name, so it is read before anything is looked for.
        let late = row.names != Names::Template;
        if tags && late {
            let stale = With { if_match: Some("\"987654\""), ..UNKNOWN };
            refused(&ask(&own, stale).await, row, "precondition, query", 412);
        }
        let tagged = With { if_match: tags.then_some("*"), ..UNKNOWN };
        if tags && late && matches!(row.method, "put" | "patch") {
            refused(&ask(&own, UNKNOWN).await, row, "no precondition, query", 428);
        }
        let body = (row.body)(scene);
        if body.is_object() && late {
            let malformed = With { malformed: true, ..tagged };
            refused(&ask(&own, malformed).await, row, "malformed, query", 400);
        }
        refused(&ask(&own, tagged).await, row, "query", 422);
        // What needs no thought goes through with nothing wrong; a picture is then there to be asked for. (Who signs out everywhere
        // asks for nothing more.)
        if (body.is_null() && row.method != "get" && !row.path.starts_with("/auth/"))
            || body.is_string()
        {
            let good = With { unknown_query: false, ..tagged };
            let answer = ask(&own, good).await;
            assert!(answer.status.is_success(), "{} {}: {}", row.method, row.path, answer.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_faults_every_operation_tells_the_contracts_first() {
    let scene = Scene::new().await;

    let nobody = scene.here.anybody();
    walk(&scene, &AT_A_CLINIC.concat(), &nadi::app::clinic_description(), &nobody).await;

    let nobody = scene.platform.anybody("admin.localhost");
    walk(&scene, &AT_THE_PLATFORM.concat(), &nadi::app::platform_description(), &nobody).await;
}
