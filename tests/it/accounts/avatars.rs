//! Faces beside names: what is none is not kept, what is kept runs nowhere, and what a camera wrote beside it is gone.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use nadi::auth::Role;
use reqwest::Method;
use reqwest::header::HeaderMap;

use super::fault;
use crate::support::{Answer, Caller, TestClinic};

fn written(picture: DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

/// A picture through which something shines.
pub fn png(width: u32, height: u32) -> Vec<u8> {
    let glass = RgbaImage::from_pixel(width, height, Rgba([200, 30, 30, 128]));
    written(glass.into(), ImageFormat::Png)
}

/// The upper half is red, the lower blue.
fn halves(width: u32, height: u32) -> DynamicImage {
    RgbImage::from_fn(width, height, |_, y| {
        if y < height / 2 { Rgb([220, 0, 0]) } else { Rgb([0, 0, 220]) }
    })
    .into()
}

/// The head of a PNG that says to be of that size, before whatever comes.
fn head(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    bytes.extend(width.to_be_bytes());
    bytes.extend(height.to_be_bytes());
    bytes.extend(b"\x08\x06\0\0\0");
    bytes.extend(check_sum(&bytes[12..]).to_be_bytes());
    bytes
}

/// As PNG sums up a chunk (ISO 3309).
fn check_sum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum: u32, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
        })
    })
}

/// A photo as a camera writes it: lying on its side, with the place where it was taken.
fn photo() -> Vec<u8> {
    let plain = written(halves(64, 32), ImageFormat::Jpeg);
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0".to_vec();
    exif.extend(b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"); // to be turned to the right
    exif.extend(b"\x0e\x01\x02\0\x0f\0\0\0\x26\0\0\0\0\0\0\0"); // what is to be seen
    exif.extend(b"Kochi 9.93N 76\0");
    let mut bytes = plain[..2].to_vec();
    bytes.extend(b"\xff\xe1");
    bytes.extend((exif.len() as u16 + 2).to_be_bytes());
    bytes.extend(exif);
    bytes.extend(&plain[2..]);
    bytes
}

async fn put(caller: &Caller, path: &str, content_type: &str, bytes: Vec<u8>) -> Answer {
    let request = caller.request(Method::PUT, path).header("if-match", "*");
    caller.send(request.header("content-type", content_type).body(bytes)).await
}

async fn shown(caller: &Caller, path: &str) -> (HeaderMap, Vec<u8>) {
    let response = caller.request(Method::GET, path).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let headers = response.headers().clone();
    (headers, response.bytes().await.unwrap().to_vec())
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
    let (headers, bytes) = shown(&desk, &own).await;
    let header = |name: &str| headers[name].to_str().unwrap();
    assert_eq!(header("content-type"), "image/png", "what it is, not what it was said to be");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("content-disposition"), "inline");
    assert_eq!(header("content-security-policy"), "default-src 'none'; sandbox");
    assert_eq!(header("etag"), kept.header("etag"));
    let picture = image::load_from_memory(&bytes).unwrap();
    assert_eq!((picture.width(), picture.height()), (320, 240));
    assert_eq!(picture.to_rgba8().get_pixel(7, 7).0[3], 128, "it shines through as before");
    desk.delete(&own).await.expect(204);
    desk.get(&own).await.expect(404);
    desk.delete(&own).await.expect(404);
    let log = "select count(*) from audit_log where action like 'account.avatar_%'";
    assert_eq!(clinic.count(log).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_stands_upright_and_does_not_tell_where_it_was_taken() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let own = path(&clinic, Role::Receptionist);
    let photo = photo();
    assert!(photo.windows(5).any(|five| five == b"Kochi"));

    let kept = put(&desk, &own, "image/jpeg", photo).await.expect(200);

    assert_eq!(kept.text, r#"{"content_type":"image/jpeg","width":32,"height":64}"#);
    let (_, bytes) = shown(&desk, &own).await;
    for trace in [b"Kochi".as_slice(), b"Exif"] {
        assert!(!bytes.windows(trace.len()).any(|part| part == trace), "{trace:?} is gone");
    }
    let upright = image::load_from_memory(&bytes).unwrap().to_rgb8();
    let [left, right] = [upright.get_pixel(4, 32).0, upright.get_pixel(27, 32).0];
    assert!(left[2] > 150 && right[0] > 150, "turned to the right: {left:?} {right:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_is_read_and_what_is_large_is_made_small() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let own = path(&clinic, Role::Receptionist);

    for (format, content_type) in [
        (ImageFormat::Png, "image/png"),
        (ImageFormat::Jpeg, "image/jpeg"),
        (ImageFormat::WebP, "image/webp"),
    ] {
        let kept = put(&desk, &own, content_type, written(halves(2048, 1024), format)).await;
        let kept = kept.expect(200);
        assert_eq!(kept.text, r#"{"content_type":"image/jpeg","width":512,"height":256}"#);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_picture_is_not_sent_it_again() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let own = path(&clinic, Role::Receptionist);
    let tag = put(&desk, &own, "image/png", png(8, 8)).await.expect(200).header("etag").to_owned();
    let asked = async |tag: &str| {
        desk.send(desk.request(Method::GET, &own).header("if-none-match", tag)).await
    };

    let same = asked(&tag).await.expect(304);

    assert_eq!((same.text.as_str(), same.header("etag")), ("", tag.as_str()));
    asked(&format!("\"0\", W/{tag}")).await.expect(304);
    put(&desk, &own, "image/png", png(9, 9)).await.expect(200);
    asked(&tag).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_image_or_too_large_is_refused() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let own = path(&clinic, Role::Receptionist);
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
    // Some thousand bytes that become a hundred million: what it says of itself is looked at before anything is unpacked.
    let bomb = written(image::GrayImage::new(10_000, 10_000).into(), ImageFormat::Png);
    assert!(bomb.len() < 512 * 1024, "{}", bomb.len());
    // The same, which says that it is small.
    let mut liar = head(8, 8);
    liar.extend(&bomb[33..]);

    put(&desk, &own, "image/svg+xml", svg.to_vec()).await.expect(415);
    put(&desk, &own, "text/html", png(1, 1)).await.expect(415);
    for (bytes, code) in [
        (svg.to_vec(), "invalid_format"),
        (Vec::new(), "invalid_format"),
        (head(0, 1), "invalid_format"),
        (head(8, 8), "invalid_format"),
        (png(64, 64)[..60].to_vec(), "invalid_format"),
        (png(2049, 1), "too_large"),
        (bomb, "too_large"),
    ] {
        let refused = put(&desk, &own, "image/png", bytes).await.expect(422);
        assert_eq!(refused.faults(), fault("", code));
    }
    let lied = put(&desk, &own, "image/png", liar).await;
    assert!(lied.status == 422 || lied.body["width"] == 8, "{}", lied.text);
    let mut large = written(halves(2048, 2048), ImageFormat::Jpeg);
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
