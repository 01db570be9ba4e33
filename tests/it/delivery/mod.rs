//! From an outbox row to delivered, against providers that answer, refuse and misbehave as the real ones do.

mod fallback;
mod instances;
mod letters;
mod news;
mod presses;
mod settings;
mod wishes;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nadi::ids::ClinicId;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::providers::{
    APP_SECRET, Judged, Msg91Server, PHONE, ProviderServer, TOKEN, Webhook, WhatsappServer,
};
use crate::support::{Options, SmtpServer, TestClinic, TestPlatform, until};

/// Lakshmi's number, in digits.
const LAKSHMI: &str = "919847012345";

/// A platform between providers that are the test's own.
struct Scene {
    platform: TestPlatform,
    clinic: TestClinic,
    meta: WhatsappServer,
    sms: ProviderServer,
    mail: SmtpServer,
}

/// Takes whatever comes in MSG91's shape.
async fn sms_server() -> ProviderServer {
    let count = Arc::new(AtomicUsize::new(0));
    ProviderServer::start(move |call| {
        let id = format!("sms-{}", count.fetch_add(1, Ordering::Relaxed));
        let to = call.json()["recipients"][0]["mobiles"].as_str().unwrap_or_default().to_owned();
        let answer = json!({ "type": "success", "message": id });
        Judged::taken(200, answer, id, to, call.json())
    })
    .await
}

async fn whatsapp_server() -> WhatsappServer {
    let meta = WhatsappServer::start().await;
    meta.knows_code_template("nadi_otp", "en");
    for name in ["booked", "moved", "cancelled", "reply_failed", "reminder_24h", "reminder_2h"] {
        let parameters = if name.starts_with("reminder") || name == "cancelled" { 5 } else { 6 };
        let replies = if ["cancelled", "reply_failed"].contains(&name) { 0 } else { 2 };
        meta.knows_template(&format!("nadi_appointment_{name}"), "en", parameters, replies);
    }
    meta.knows_template("nadi_waitlist_offered", "en", 6, 2);
    meta.knows_template("nadi_waitlist_offer_over", "en", 5, 0);
    meta
}

/// Accounts with all three providers, and a policy that does not keep a test waiting.
fn settings(phone_number_id: &str, token: &str) -> Value {
    json!({
        "whatsapp": {
            "phone_number_id": phone_number_id, "token": token, "app_secret": APP_SECRET,
            "verify_token": "the verify token",
        },
        "sms": { "provider": "msg91", "auth_key": "an auth key of sixteen" },
        "policies": {
            "appointment": {
                "channels": ["whatsapp", "sms", "email"], "accept_seconds": 2, "deliver_seconds": 3,
            },
            "code": { "channels": ["whatsapp", "sms", "email"], "accept_seconds": 3, "deliver_seconds": 12 },
        },
    })
}

impl Scene {
    async fn new() -> Self {
        Self::with(SmtpServer::up()).await
    }

    async fn with(mail: SmtpServer) -> Self {
        Self::set(mail, Vec::new()).await
    }

    /// With further settings of the platform.
    async fn set(mail: SmtpServer, more: Vec<(&'static str, String)>) -> Self {
        let (meta, sms) = (whatsapp_server().await, sms_server().await);
        let base = ("NADI_SMS_BASE_URL", sms.url());
        let settings = [vec![meta.setting(), base, mail.setting()], more].concat();
        let options = Options { settings, no_inbox: true, ..Options::default() };
        let platform = TestPlatform::with(options).await;
        let clinic = platform.clinic("shanti").await;
        clinic.reminds_nobody().await;
        let scene = Self { platform, clinic, meta, sms, mail };
        scene.set_up(&scene.clinic, PHONE, TOKEN).await;
        scene
    }

    async fn set_up(&self, clinic: &TestClinic, phone_number_id: &str, token: &str) {
        let body = settings(phone_number_id, token);
        clinic.admin().await.put("/settings/messaging", "*", &body).await.expect(200);
    }

    /// The n-th booking of somebody; gives its message.
    async fn book(&self, patient: Uuid, n: i64) -> Uuid {
        let at = chrono::DateTime::parse_from_rfc3339("2099-01-05T03:30:00Z").unwrap();
        let at = at + chrono::TimeDelta::days(n);
        let visit = self.clinic.visit_of(patient, &at.to_rfc3339());
        let booked = self.clinic.desk().await.post("/appointments", &visit).await.expect(201);
        sqlx::query_scalar("select id from outbox where subject_id = $1")
            .bind(booked.id().parse::<Uuid>().unwrap())
            .fetch_one(&mut self.clinic.connection().await)
            .await
            .unwrap()
    }

    async fn ask_for_code(&self, clinic: &TestClinic) {
        let asked = json!({ "identifier": format!("+{LAKSHMI}") });
        clinic.anybody().post("/auth/otp/request", &asked).await.expect(202);
    }

    async fn patient_with(&self, phone: &str) -> Uuid {
        let id = nadi::ids::new_uuid();
        sqlx::query("insert into patients (id, full_name, phone, email) values ($1, 'Meera Pillai', $2, $3)")
            .bind(id)
            .bind(phone)
            .bind(format!("{}@mail.example", id.simple()))
            .execute(&mut self.clinic.connection().await)
            .await
            .unwrap();
        id
    }

    async fn status(&self, message: Uuid) -> String {
        sqlx::query_scalar("select status from outbox where id = $1")
            .bind(message)
            .fetch_one(&mut self.clinic.connection().await)
            .await
            .unwrap()
    }

    async fn until_status(&self, message: Uuid, status: &str) {
        let what = format!("the message is {status}");
        until(&what, async || self.status(message).await == status).await;
    }

    async fn newest(&self) -> Uuid {
        sqlx::query_scalar("select id from outbox order by id desc limit 1")
            .fetch_one(&mut self.clinic.connection().await)
            .await
            .unwrap()
    }

    async fn hear(&self, webhook: &Webhook) -> u16 {
        let address = self.platform.address.trim_start_matches("http://");
        let address: SocketAddr = address.parse().unwrap();
        webhook.post(address, &self.clinic.host).await.as_u16()
    }
}
