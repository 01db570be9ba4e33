//! `nadi demo`: from nothing to two clinics that work, on a PostgreSQL of its own; run again, it goes on with the same data.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::{ConnectOptions, Connection, PgConnection};

use super::{Outcome, admin, migrate, output, seed, serve, settings};
use crate::app::{Core, Mode};
use crate::audit::Actor;
use crate::config::{MasterKeyBytes, Settings};
use crate::crypto::{self, ClinicKeys};
use crate::embedded::{self, Cluster};
use crate::ids::ClinicId;
use crate::messaging::channels::Channel;
use crate::messaging::inbox::Inbox;
use crate::messaging::policy::Class;
use crate::messaging::settings::{
    self as messaging_settings, Policies, Policy, Providers, Sms, Whatsapp,
};
use crate::platform;
use crate::platform::model::{ClinicStatus, ClinicView};
use crate::seed::{AROGYA, ClinicShape, Plan, SHANTI};
use crate::tenancy::provision::{NewAdmin, NewClinic};
use crate::tenancy::roles;
use crate::time::Clock;

const CENTRAL: &str = "nadi_central";
const ADMIN_EMAIL: &str = "admin@nadi.example";
const ADMIN_PASSWORD: &str = "nadi-super-admin-demo";

#[derive(Args)]
pub struct Demo {
    /// Start over with new data
    #[arg(long)]
    fresh: bool,
    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = ".nadi")]
    dir: PathBuf,
}

impl Demo {
    pub async fn run(self) -> anyhow::Result<Outcome> {
        let mut settings = settings()?;
        let dir = std::path::absolute(&self.dir)?;
        let postgres = embedded::Settings {
            bin: settings.pg_bin.clone(),
            extra: vec![("max_connections".into(), "200".into())],
            ..embedded::Settings::new(dir.join("pg"))
        };
        if self.fresh {
            Cluster::destroy(&postgres).await?;
            for name in ["inbox.jsonl", "demo.json", "master.key"] {
                remove(&dir.join(name))?;
            }
        }
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        eprintln!("Starting PostgreSQL under {} …", dir.join("pg").display());
        let cluster = Cluster::start(postgres).await?;
        settings.central_database_url = Some(SecretString::from(cluster.url(CENTRAL)));
        settings.central_database_url_direct = None;
        if settings.master_key.is_none() {
            settings.master_key = Some(master_key(&dir.join("master.key"))?);
        }
        let served = self.serve(settings, &cluster, &dir).await;
        cluster.stop().await?;
        served?;
        Ok(Outcome::Done)
    }

    async fn serve(&self, settings: Settings, cluster: &Cluster, dir: &Path) -> anyhow::Result<()> {
        ensure_central(cluster).await?;
        let core = Core::new(settings, Clock::system())?;
        migrate::migrate_central(&core).await?;
        let demo = prepare(&core, cluster, &dir.join("demo.json")).await?;
        let links = demo["clinics"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|clinic| (text(&clinic["name"]), text(&clinic["url"])))
            .chain([
                ("The platform's desk".to_owned(), text(&demo["platform"]["url"])),
                ("Inbox of the demo".to_owned(), text(&demo["inbox_url"])),
            ])
            .collect();
        let inbox = Arc::new(Inbox::new(dir.join("inbox.jsonl")));
        let mode = Mode { inbox: Some(inbox), demo_links: links, only_clinic: None };
        let file = dir.join("demo.json");
        serve::serve(core, mode, Some(Box::new(move || announce(&demo, &file)))).await
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Writes a file that nobody else may read, whole or not at all.
fn write_private(path: &Path, content: &str) -> anyhow::Result<()> {
    use std::io::Write;
    let draft = path.with_extension("draft");
    remove(&draft)?;
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path).with_context(|| format!("cannot write {}", path.display()))
}

/// The demo's own master key: kept, for without it every clinic's keys are lost.
fn master_key(path: &Path) -> anyhow::Result<MasterKeyBytes> {
    if let Ok(kept) = std::fs::read_to_string(path) {
        let bytes = STANDARD.decode(kept.trim()).ok().and_then(|bytes| bytes.try_into().ok());
        return bytes.map(MasterKeyBytes).with_context(|| {
            format!("{} is no master key: `nadi demo --fresh` starts over", path.display())
        });
    }
    let key = crypto::random::<32>();
    write_private(path, &STANDARD.encode(key))?;
    Ok(MasterKeyBytes(key))
}

async fn ensure_central(cluster: &Cluster) -> anyhow::Result<()> {
    let options: sqlx::postgres::PgConnectOptions = cluster.url("postgres").parse()?;
    let mut connection: PgConnection = options.connect().await?;
    let exists: bool =
        sqlx::query_scalar("select exists(select from pg_database where datname = $1)")
            .bind(CENTRAL)
            .fetch_one(&mut connection)
            .await?;
    if !exists {
        let create = format!(
            "create database {CENTRAL} template template0 encoding 'UTF8' locale 'C.UTF-8'"
        );
        match roles::execute(&mut connection, create).await {
            // A killed start left its server working on this very statement: it has just ended.
            Err(error) if roles::is_duplicate(&error) => {}
            other => other?,
        }
    }
    connection.close().await?;
    Ok(())
}

/// Makes what is missing of the demo's clinics and sign-ins, and says where everything is.
async fn prepare(core: &Core, cluster: &Cluster, file: &Path) -> anyhow::Result<Value> {
    // What was made on an earlier day stays as it was: its people are in the file.
    let before: Value = std::fs::read_to_string(file)
        .ok()
        .and_then(|kept| serde_json::from_str(&kept).ok())
        .unwrap_or_default();
    let has_admin: bool = {
        let mut conn = core.central.realm.read().await?;
        sqlx::query_scalar("select exists(select from users where lower(email) = $1)")
            .bind(ADMIN_EMAIL)
            .fetch_one(&mut conn)
            .await?
    };
    if !has_admin {
        admin::create(core, ADMIN_EMAIL, "Demo admin", Some(ADMIN_PASSWORD.into())).await?;
    }
    let mut clinics = Vec::new();
    for (shape, name) in [(&SHANTI, "Shanti Ayurveda Hospital"), (&AROGYA, "Arogya Clinic")] {
        let kept = before["clinics"]
            .as_array()
            .and_then(|clinics| clinics.iter().find(|clinic| clinic["slug"] == shape.slug));
        clinics.push(clinic(core, shape, name, kept).await?);
    }
    let demo = json!({
        "platform": {
            "url": core.central.realm.url, "email": ADMIN_EMAIL, "password": ADMIN_PASSWORD,
        },
        "clinics": clinics,
        "inbox_url": format!("{}/inbox", core.settings.public_url(&core.settings.base_domain)),
        "central_database_url": cluster.url(CENTRAL),
    });
    write_private(file, &serde_json::to_string_pretty(&demo)?)?;
    Ok(demo)
}

/// The clinic of this name, if there is one. Of one that a killed start left half made nothing remains, once its lease has
/// lapsed: it might be at work yet.
async fn finished(core: &Core, slug: &str) -> anyhow::Result<Option<ClinicView>> {
    loop {
        core.provisioner.undo_lapsed().await?;
        let found = platform::clinic(&core.central.realm, slug).await?;
        match &found {
            Some(clinic)
                if matches!(clinic.status, ClinicStatus::Provisioning | ClinicStatus::Deleting) =>
            {
                eprintln!("Waiting for what an earlier start left half made (a minute at most) …");
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
            _ => return Ok(found),
        }
    }
}

/// One clinic of the demo: provisioned and seeded, unless it is there already.
async fn clinic(
    core: &Core,
    shape: &'static ClinicShape,
    name: &str,
    kept: Option<&Value>,
) -> anyhow::Result<Value> {
    let plan = Plan::hospital(shape, seed::SEED, core.clock.now());
    let id = match finished(core, shape.slug).await? {
        Some(clinic) => clinic.id,
        None => {
            eprintln!("Making {name} …");
            let new = NewClinic {
                slug: shape.slug.into(),
                name: name.into(),
                time_zone: shape.time_zone.name().into(),
                language: "en".into(),
                country: "IN".into(),
                state: None,
                admin: NewAdmin {
                    full_name: "Founding admin".into(),
                    email: format!("founder@{}.example", shape.slug),
                    phone: None,
                },
                owner: None,
            };
            core.provisioner.provision(&new, Actor::platform()).await?.id
        }
    };
    let database = roles::database_name(id);
    let mut connection = core.central.home.clone().database(&database).connect().await?;
    let seeded: bool =
        sqlx::query_scalar("select exists(select from doctors)").fetch_one(&mut connection).await?;
    connection.close().await?;
    if !seeded {
        seed::write(core, id, &plan).await?;
    }
    set_up_messaging(core, id, shape.slug).await?;
    let users = match kept {
        Some(kept) if seeded => kept["users"].clone(),
        // Seeded just now; or by a start that was killed before it wrote them down: who signs in is the same every day.
        _ => sign_ins(&plan),
    };
    let host = format!("{}.{}", shape.slug, core.settings.base_domain);
    Ok(json!({
        "slug": shape.slug, "name": name, "url": core.settings.public_url(&host), "users": users,
    }))
}

/// Dummy accounts, so that a base URL is all it takes to send there for real; without one, messages go to the inbox. Set once:
/// whoever changes them keeps what he set.
async fn set_up_messaging(core: &Core, id: ClinicId, slug: &str) -> anyhow::Result<()> {
    let row = core.central.clinic_row(slug).await?.context("the clinic was made just now")?;
    let keys = ClinicKeys::derive(&core.central.master.unwrap(id.0, &row.root_key_wrapped)?);
    let mut connection =
        core.central.home.clone().database(&roles::database_name(id)).connect().await?;
    let phone_number_id = if slug == SHANTI.slug { "100000000000001" } else { "100000000000002" };
    let providers = Providers {
        whatsapp: Some(Whatsapp {
            phone_number_id: phone_number_id.into(),
            waba_id: "200000000000001".into(),
            token: format!("demo-token-{phone_number_id}"),
            app_secret: "demo-app-secret".into(),
            verify_token: "demo-verify-token".into(),
            version: "v23.0".into(),
        }),
        sms: Some(Sms::Msg91 { auth_key: "demo-auth-key".into() }),
        email: None,
        webhook_key: crypto::random_token(),
    };
    // By e-mail first: the demo's patients have addresses, and its inbox shows letters best.
    let email_first = Policy {
        channels: vec![Channel::Email, Channel::Whatsapp, Channel::Sms],
        ..Policy::of(&Class::Appointment.rule())
    };
    let policies = Policies::from([(Class::Appointment, email_first)]);
    messaging_settings::set_up(&mut connection, &keys, &providers, &policies).await?;
    connection.close().await?;
    Ok(())
}

fn sign_ins(plan: &Plan) -> Value {
    let users: Vec<Value> = plan
        .sign_ins()
        .map(|user| {
            json!({
                "role": user.role, "email": user.email, "phone": user.phone, "password": user.password,
            })
        })
        .collect();
    json!(users)
}

fn announce(demo: &Value, file: &Path) {
    println!("\nnadi is ready.\n");
    let mut rows = vec![vec![
        text(&demo["platform"]["url"]),
        "super_admin".into(),
        text(&demo["platform"]["email"]),
        text(&demo["platform"]["password"]),
    ]];
    for clinic in demo["clinics"].as_array().into_iter().flatten() {
        let mut roles = Vec::new();
        for user in clinic["users"].as_array().into_iter().flatten() {
            let role = text(&user["role"]);
            if roles.contains(&role) {
                continue; // one of each is enough here; the file has all
            }
            rows.push(vec![
                text(&clinic["url"]),
                role.clone(),
                user["email"].as_str().or(user["phone"].as_str()).unwrap_or_default().to_owned(),
                user["password"].as_str().unwrap_or("(one-time code)").to_owned(),
            ]);
            roles.push(role);
        }
    }
    output::table(&["ADDRESS", "ROLE", "SIGN IN AS", "PASSWORD"], &rows);
    println!("\nMessages arrive at {}", text(&demo["inbox_url"]));
    println!("All of this is in {}; Ctrl-C stops everything.\n", file.display());
}
