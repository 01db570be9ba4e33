//! Faces beside names: what is none is not kept, and what is kept runs nowhere.

use nadi::auth::Role;
use reqwest::Method;

use super::fault;
use crate::support::{Answer, Caller, TestClinic};

/// The head of a PNG of that size, which is all that is looked at.
pub fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    bytes.extend(width.to_be_bytes());
    bytes.extend(height.to_be_bytes());
    bytes.extend(b"\x08\x06\0\0\0");
    bytes
}

async fn put(caller: &Caller, path: &str, content_type: &str, bytes: Vec<u8>) -> Answer {
    let request = caller.request(Method::PUT, path).header("if-match", "*");
    caller.send(request.header("content-type", content_type).body(bytes)).await
}

fn path(clinic: &TestClinic, role: Role) -> String {
    format!("/users/{}/avatar", clinic.account(role))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_shown_as_what_it_is_and_nothing_of_it_runs() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let own = path(&clinic, Role::Receptionist);
    desk.get(&own).await.expect(404);

    let kept = put(&desk, &own, "image/jpeg", png(320, 240)).await.expect(200);

    assert_eq!(kept.text, r#"{"content_type":"image/png","width":320,"height":240}"#);
    let response = desk.request(Method::GET, &own).send().await.unwrap();
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "image/png", "what it is, not what it was said to be");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("content-disposition"), "inline");
    assert_eq!(header("content-security-policy"), "default-src 'none'; sandbox");
    assert_eq!(header("etag"), kept.header("etag"));
    assert_eq!(response.bytes().await.unwrap(), png(320, 240));
    desk.delete(&own).await.expect(204);
    desk.get(&own).await.expect(404);
    desk.delete(&own).await.expect(404);
    let log = "select count(*) from audit_log where action like 'account.avatar_%'";
    assert_eq!(clinic.count(log).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_image_or_too_large_is_refused() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let own = path(&clinic, Role::Receptionist);
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";

    put(&desk, &own, "image/svg+xml", svg.to_vec()).await.expect(415);
    put(&desk, &own, "text/html", png(1, 1)).await.expect(415);
    for (bytes, code) in [
        (svg.to_vec(), "invalid_format"),
        (Vec::new(), "invalid_format"),
        (png(0, 1), "invalid_format"),
        (png(2049, 1), "too_large"),
    ] {
        let refused = put(&desk, &own, "image/png", bytes).await.expect(422);
        assert_eq!(refused.faults(), fault("", code));
    }
    let mut large = png(2048, 2048);
    large.resize(512 * 1024 + 1, 0);
    put(&desk, &own, "image/png", large.clone()).await.expect(413);
    large.pop();
    put(&desk, &own, "image/png", large).await.expect(200);
    let bare = desk.request(Method::PUT, &own).header("content-type", "image/png");
    desk.send(bare.body(png(1, 1))).await.expect(428);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_changes_ones_own_and_an_admin_everybodys() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, desk, patient) =
        (clinic.admin().await, clinic.desk().await, clinic.patient().await);
    let (doctors, patients) = (path(&clinic, Role::Doctor), path(&clinic, Role::Patient));

    put(&desk, &doctors, "image/png", png(8, 8)).await.expect(403);
    put(&admin, &doctors, "image/png", png(8, 8)).await.expect(200);
    put(&patient, &patients, "image/png", png(8, 8)).await.expect(200);

    desk.get(&doctors).await.expect(200);
    desk.get(&patients).await.expect(200);
    patient.get(&patients).await.expect(200);
    patient.get(&doctors).await.expect(404);
    put(&patient, &doctors, "image/png", png(8, 8)).await.expect(404);
    desk.delete(&doctors).await.expect(403);
}
