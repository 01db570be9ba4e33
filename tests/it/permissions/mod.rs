//! Every operation × every role × nobody × somebody from elsewhere. A new operation without a row fails the test, and so
//! does a row without an operation. The rows lie in `rows`, a file for each slice; what requests need is in `scene`.

mod order;
mod rows;
mod scene;

use nadi::auth::Role::{self, *};
use reqwest::Method;
use serde_json::{Value, json};

use self::rows::{AT_A_CLINIC, AT_THE_PLATFORM, CLINIC, PLATFORM, Row};
use self::scene::{Names, Scene};
use crate::accounts::avatars::png;
use crate::support::{Answer, Caller};

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
    request = match body {
        Value::Null => request,
        Value::String(file) if file.contains(',') => {
            request.header("content-type", "text/csv").body(file)
        }
        Value::String(_) => request.header("content-type", "image/png").body(png(8, 8)),
        body => request.json(&body),
    };
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
                // Which code would be right is known to an app alone.
                // There is no factor for which codes could be.
                true if row.path == "/auth/totp/recovery-codes" => {
                    assert_eq!(answer.status, 404, "{}", what(role.as_str(), &answer))
                }
                true if row.path == "/auth/totp/confirm" => {
                    assert_eq!(answer.status, 422, "{}", what(role.as_str(), &answer))
                }
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
    compare(&AT_A_CLINIC.concat(), &nadi::app::clinic_description());
    compare(&AT_THE_PLATFORM.concat(), &nadi::app::platform_description());
    let scene = Scene::new().await;

    let nobody = scene.here.anybody();
    let stranger = scene.elsewhere.admin().await.at(&scene.here.address, &scene.here.host);
    walk(&scene, &AT_A_CLINIC.concat(), CLINIC, &nobody, &stranger).await;

    let nobody = scene.platform.anybody("admin.localhost");
    let stranger = stranger.at(&scene.platform.address, "admin.localhost");
    walk(&scene, &AT_THE_PLATFORM.concat(), PLATFORM, &nobody, &stranger).await;
    let platform_at_clinic =
        scene.platform.super_admin().await.at(&scene.here.address, &scene.here.host);
    assert_eq!(platform_at_clinic.get("/auth/me").await.status, 401);
}
