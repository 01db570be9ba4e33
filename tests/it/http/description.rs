//! The OpenAPI description, and the pages that show it.

use reqwest::Method;
use serde_json::Value;

use crate::support::TestClinic;

/// Every `$ref` of a description leads somewhere.
fn follow(value: &Value, whole: &Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(to)) = members.get("$ref") {
                assert!(whole.pointer(to.trim_start_matches('#')).is_some(), "{to} leads nowhere");
            }
            members.values().for_each(|member| follow(member, whole));
        }
        Value::Array(items) => items.iter().for_each(|item| follow(item, whole)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_whole_and_the_pages_need_nobody_else() {
    let (platform, clinic) = TestClinic::new().await;
    for caller in [clinic.anybody(), platform.anybody("admin.localhost")] {
        let description =
            caller.send(caller.raw(Method::GET, "/openapi.json")).await.expect(200).body;
        assert!(
            description["openapi"].as_str().unwrap().starts_with("3."),
            "{}",
            description["openapi"]
        );
        assert_eq!(description["servers"][0]["url"], "/api/v1");
        follow(&description, &description);
        let mut names = Vec::new();
        for (path, methods) in description["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                names.push(operation["operationId"].as_str().unwrap_or(path).to_owned());
                assert!(!operation["responses"].as_object().unwrap().is_empty(), "{method} {path}");
                let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
                let in_path = parameters.iter().filter(|p| p["in"] == "path").count();
                assert_eq!(in_path, path.matches('{').count(), "{method} {path}");
                for parameter in &parameters {
                    assert!(
                        parameter["name"].is_string() && parameter["schema"].is_object(),
                        "{method} {path} {parameter}"
                    );
                }
            }
        }
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "operation ids are unique");

        for page in ["/", "/docs", "/set-password"] {
            let html = caller.send(caller.raw(Method::GET, page)).await.expect(200).text;
            assert!(
                !html.contains("://") && !html.contains("src=\"//"),
                "{page} fetches from elsewhere: {html}"
            );
            assert!(
                !html.contains("<style") && !html.contains("onclick"),
                "{page}: our policy would block it"
            );
            assert!(
                !html.split("<script").skip(1).any(|tag| !tag.trim_start().starts_with("src=")),
                "{page}"
            );
            for asset in html.split(['"']).filter(|part| part.starts_with("/assets/")) {
                caller.send(caller.raw(Method::GET, asset)).await.expect(200);
            }
        }
    }
    let landing = platform.anybody("localhost");
    let html = landing.send(landing.raw(Method::GET, "/")).await.expect(200).text;
    assert!(!html.contains("shanti"), "the base domain names no clinic");
}
