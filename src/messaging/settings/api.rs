//! `/settings/messaging`

use std::collections::BTreeMap;
use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::accounts::{Setups, webhook_url};
use super::model::{
    Dkim, DnsRecord, Email, EmailState, PoliciesView, ProviderState, Providers, SettingsView, Sms,
    SmsProvider, StateView, Twilio, Whatsapp,
};
use super::request::{DkimFields, EmailFields, SettingsRequest, SmsFields, WhatsappFields};
use super::store::{self, SettingsRow};
use crate::audit::{self, Act};
use crate::auth::May;
use crate::auth::may::ManageMessaging;
use crate::error::{FieldError, Problem};
use crate::http::context::Here;
use crate::http::etag::{ETag, IfMatch};
use crate::http::fields::Fields;
use crate::http::input::Input;
use crate::http::payload::Stored;
use crate::messaging::channels::dkim::{PrivateKey, record_name};
use crate::messaging::channels::guard::AllowList;
use crate::messaging::channels::sms::gateway::{Description, Gateway};
use crate::messaging::channels::smtp::MailServer;
use crate::tenancy::Clinic;

/// How the clinic reaches people.
pub struct MessagingSettingsApi;

#[OpenApi]
impl MessagingSettingsApi {
    /// The clinic's providers and policies
    ///
    /// Credentials are never shown: `state` says which are there, with the last four characters.
    #[oai(path = "/settings/messaging", method = "get", operation_id = "getMessagingSettings")]
    async fn get(
        &self,
        _who: May<ManageMessaging>,
        clinic: Here,
    ) -> Result<Stored<SettingsView>, Problem> {
        let mut conn = clinic.read().await?;
        let row = store::read(&mut conn).await?;
        let providers = opened(&row, &clinic)?;
        Ok(Stored { etag: ETag(row.version), view: view(&row, &providers, &clinic) })
    }

    /// Replace the clinic's providers and policies
    ///
    /// A provider that is left out is removed. A secret that is left out stays, as long as its account is the same.
    #[oai(path = "/settings/messaging", method = "put", operation_id = "putMessagingSettings")]
    async fn put(
        &self,
        who: May<ManageMessaging>,
        clinic: Here,
        setups: Data<&Arc<Setups>>,
        if_match: IfMatch,
        body: Input<SettingsRequest>,
    ) -> Result<Stored<SettingsView>, Problem> {
        let mut tx = clinic.begin(who.actor()).await?;
        let before = store::lock(&mut tx).await?;
        body.accept()?;
        if_match.require(ETag(before.version))?;
        let kept = opened(&before, &clinic)?;
        let allowed = &setups.bases().allowed;
        let asked = body.read_over_with(&view(&before, &kept, &clinic), |fields, asked| {
            providers(asked, &kept, allowed, &mut |at, code, words| note(fields, at, code, words));
        })?;
        let mut new = providers(&asked, &kept, allowed, &mut |_, _, _| {});
        make_keys(&mut new).await?;
        let policies = asked.policies.map(|policies| policies.own()).unwrap_or_default();
        let price = asked.sms_segment_price.as_ref();
        let row = store::put(&mut tx, &clinic.keys, &new, &policies, price).await?;
        let act = Act::new("messaging.configured", "messaging_settings", clinic.id)
            .details(json!({ "changed": changed(&kept, &new), "policies": policies.keys().collect::<Vec<_>>() }));
        audit::record(&mut tx, act).await?;
        tx.commit().await?;
        setups.changed(&clinic).await;
        Ok(Stored { etag: ETag(row.version), view: view(&row, &new, &clinic) })
    }
}

/// A sending domain without a key gets one.
async fn make_keys(providers: &mut Providers) -> Result<(), Problem> {
    let dkim = providers.email.as_mut().and_then(|email| email.dkim.as_mut());
    if let Some(dkim) = dkim.filter(|dkim| dkim.private_key.is_empty()) {
        let made = tokio::task::spawn_blocking(|| PrivateKey::generate().pem()).await;
        dkim.private_key = made.map_err(Problem::internal)?;
    }
    Ok(())
}

fn opened(row: &SettingsRow, clinic: &Clinic) -> Result<Providers, Problem> {
    row.providers(&clinic.keys).map_err(Problem::internal)
}

fn note(fields: &mut Fields, at: &str, code: &'static str, words: &str) {
    fields.note(FieldError::body(at, code, words));
}

/// Which providers are others now: the audit says what was touched, never what it was.
fn changed(before: &Providers, after: &Providers) -> Vec<&'static str> {
    [
        ("whatsapp", before.whatsapp != after.whatsapp),
        ("sms", before.sms != after.sms),
        ("email", before.email != after.email),
    ]
    .into_iter()
    .filter_map(|(name, changed)| changed.then_some(name))
    .collect()
}

type Note<'a> = &'a mut dyn FnMut(&str, &'static str, &str);

/// What is asked for over what is kept.
fn providers(
    asked: &SettingsRequest,
    kept: &Providers,
    allowed: &Arc<AllowList>,
    note: Note<'_>,
) -> Providers {
    let webhook_key = match kept.webhook_key.is_empty() {
        true => crate::crypto::random_token(),
        false => kept.webhook_key.clone(),
    };
    Providers {
        whatsapp: asked
            .whatsapp
            .as_ref()
            .map(|asked| whatsapp(asked, kept.whatsapp.as_ref(), note)),
        sms: asked.sms.as_ref().and_then(|asked| sms(asked, kept.sms.as_ref(), allowed, note)),
        email: asked.email.as_ref().map(|asked| email(asked, kept.email.as_ref(), allowed, note)),
        webhook_key,
    }
}

fn required(given: &Option<String>, kept: Option<&str>, at: &str, note: Note<'_>) -> String {
    match given.as_deref().or(kept) {
        Some(secret) => secret.to_owned(),
        None => {
            note(at, "required", "this field is required");
            String::new()
        }
    }
}

fn whatsapp(asked: &WhatsappFields, kept: Option<&Whatsapp>, note: Note<'_>) -> Whatsapp {
    // Another number is another account: its secrets are not those of the first.
    let kept = kept.filter(|kept| kept.phone_number_id == asked.phone_number_id);
    let kept_token = kept.map(|kept| kept.token.as_str());
    let kept_secret = kept.map(|kept| kept.app_secret.as_str());
    let kept_verify = kept.map(|kept| kept.verify_token.as_str());
    Whatsapp {
        phone_number_id: asked.phone_number_id.clone(),
        waba_id: asked.waba_id.clone().unwrap_or_default(),
        version: asked.version.clone().unwrap_or_else(|| "v23.0".into()),
        token: required(&asked.token, kept_token, "/whatsapp/token", note),
        app_secret: required(&asked.app_secret, kept_secret, "/whatsapp/app_secret", note),
        verify_token: required(&asked.verify_token, kept_verify, "/whatsapp/verify_token", note),
    }
}

fn sms(asked: &SmsFields, kept: Option<&Sms>, allowed: &AllowList, note: Note<'_>) -> Option<Sms> {
    Some(match asked.provider {
        SmsProvider::Msg91 => {
            let kept = match kept {
                Some(Sms::Msg91 { auth_key }) => Some(auth_key.as_str()),
                _ => None,
            };
            Sms::Msg91 { auth_key: required(&asked.auth_key, kept, "/sms/auth_key", note) }
        }
        SmsProvider::Twilio => {
            let kept = match kept {
                Some(Sms::Twilio(kept))
                    if Some(&kept.account_sid) == asked.account_sid.as_ref() =>
                {
                    Some(kept.auth_token.as_str())
                }
                _ => None,
            };
            let account_sid = required(&asked.account_sid, None, "/sms/account_sid", note);
            if asked.from.is_none() && asked.messaging_service_sid.is_none() {
                note("/sms/from", "required", "a number, or a messaging service");
            }
            Sms::Twilio(Twilio {
                account_sid,
                auth_token: required(&asked.auth_token, kept, "/sms/auth_token", note),
                from: asked.from.clone(),
                messaging_service_sid: asked.messaging_service_sid.clone(),
            })
        }
        SmsProvider::Gateway => {
            let Some(gateway) = &asked.gateway else {
                note("/sms/gateway", "required", "this field is required");
                return None;
            };
            let description: Description = match serde_json::from_value(gateway.clone()) {
                Ok(description) => description,
                Err(error) => {
                    note("/sms/gateway", "invalid_format", &error.to_string());
                    return None;
                }
            };
            let secrets = match (&asked.secrets, kept) {
                (None, Some(Sms::Gateway { description: kept, secrets })) => {
                    // In another place, or on another way, whoever wrote the description could read them.
                    if !secrets.is_empty() && !description.asks_as(kept) {
                        note("/sms/secrets", "required", "once more: this is another request");
                        return None;
                    }
                    secrets.clone()
                }
                (None, _) => BTreeMap::new(),
                (Some(Value::Object(given)), _) if given.values().all(Value::is_string) => {
                    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                    given.iter().map(|(name, value)| (name.clone(), text(value))).collect()
                }
                (Some(_), _) => {
                    note("/sms/secrets", "wrong_type", "expected an object of texts");
                    return None;
                }
            };
            let sealed = secrets.iter().map(|(name, value)| (name.clone(), value.clone().into()));
            if let Err(fault) = Gateway::new(description.clone(), sealed.collect(), allowed) {
                note("/sms/gateway", "invalid_value", &fault.to_string());
                return None;
            }
            Sms::Gateway { description: Box::new(description), secrets }
        }
    })
}

fn email(
    asked: &EmailFields,
    kept: Option<&Email>,
    allowed: &Arc<AllowList>,
    note: Note<'_>,
) -> Email {
    let kept_dkim = kept.and_then(|kept| kept.dkim.as_ref());
    let dkim = asked.dkim.as_ref().map(|asked_dkim| {
        let from = asked.from.as_deref().unwrap_or_default();
        let sender = from.rsplit_once('@').map(|(_, domain)| domain.to_lowercase());
        let fits = sender.is_some_and(|sender| {
            sender == asked_dkim.domain || sender.ends_with(&format!(".{}", asked_dkim.domain))
        });
        if !fits {
            note("/email/from", "invalid_value", "an address of the domain that signs");
        }
        dkim(asked_dkim, kept_dkim, note)
    });
    let kept = kept.filter(|_| asked.keeps_server).and_then(|kept| kept.smtp_url.clone());
    if let Some(url) = &asked.smtp_url
        && MailServer::of_clinic(&SecretString::from(url.clone()), allowed.clone()).is_err()
    {
        note(
            "/email/smtp_url",
            "invalid_format",
            "smtps://user:password@host, or smtp://…?tls=required",
        );
    }
    Email {
        smtp_url: asked.smtp_url.clone().or(kept),
        from: asked.from.clone(),
        reply_to: asked.reply_to.clone(),
        dkim,
        bounce_domain: asked.bounce_domain.clone(),
    }
}

/// Without a key where neither one was given nor one is known.
fn dkim(asked: &DkimFields, kept: Option<&Dkim>, note: Note<'_>) -> Dkim {
    // Another name is another key: the record of the first is published under that name alone.
    let same = |kept: &&Dkim| kept.domain == asked.domain && kept.selector == asked.selector;
    let kept = kept.filter(same).map(|kept| kept.private_key.clone());
    let given = asked.private_key.as_deref().map(PrivateKey::read);
    if let Some(Err(error)) = &given {
        note("/email/dkim/private_key", "invalid_format", &error.to_string());
    }
    let given = given.and_then(Result::ok).map(|key| key.pem());
    Dkim {
        domain: asked.domain.clone(),
        selector: asked.selector.clone(),
        private_key: given.or(kept).unwrap_or_default(),
    }
}

/// The last four, where that is little enough of it.
fn ends(secret: &str) -> Option<String> {
    let count = secret.chars().count();
    (count >= 16).then(|| secret.chars().skip(count - 4).collect())
}

fn view(row: &SettingsRow, providers: &Providers, clinic: &Clinic) -> SettingsView {
    let off = || ProviderState { configured: false, key_ends: None, webhook_url: None };
    let whatsapp = providers.whatsapp.as_ref();
    let (sms, sms_state) = match &providers.sms {
        None => (None, off()),
        Some(sms) => {
            let (fields, name, key) = shown(sms);
            let url = webhook_url(&clinic.url, name, &providers.webhook_key);
            let state =
                ProviderState { configured: true, key_ends: ends(key), webhook_url: Some(url) };
            (Some(fields), state)
        }
    };
    SettingsView {
        whatsapp: whatsapp.map(|whatsapp| WhatsappFields {
            phone_number_id: whatsapp.phone_number_id.clone(),
            waba_id: Some(whatsapp.waba_id.clone()).filter(|id| !id.is_empty()),
            version: Some(whatsapp.version.clone()),
            token: None,
            app_secret: None,
            verify_token: None,
        }),
        sms,
        email: providers.email.as_ref().map(|email| EmailFields {
            smtp_url: None,
            keeps_server: true,
            from: email.from.clone(),
            reply_to: email.reply_to.clone(),
            dkim: email.dkim.as_ref().map(|dkim| DkimFields {
                domain: dkim.domain.clone(),
                selector: dkim.selector.clone(),
                private_key: None,
            }),
            bounce_domain: email.bounce_domain.clone(),
        }),
        policies: PoliciesView::of(&row.policies),
        sms_segment_price: row.segment_price(),
        state: StateView {
            whatsapp: whatsapp.map_or_else(off, |whatsapp| ProviderState {
                configured: true,
                key_ends: ends(&whatsapp.token),
                webhook_url: Some(format!("{}/webhooks/whatsapp", clinic.url)),
            }),
            sms: sms_state,
            email: email_state(providers, clinic),
        },
        updated_at: row.updated_at,
    }
}

fn email_state(providers: &Providers, clinic: &Clinic) -> EmailState {
    let email = providers.email.as_ref();
    let at = |path: &str| format!("{}/webhooks/email/{path}", clinic.url);
    let key = Some(&providers.webhook_key).filter(|key| !key.is_empty());
    let record = |dkim: &Dkim| {
        let value = PrivateKey::read(&dkim.private_key).ok()?.record();
        let name = record_name(&dkim.selector, &dkim.domain);
        Some(DnsRecord { kind: "TXT".into(), name, value })
    };
    EmailState {
        configured: email.is_some_and(|email| email.smtp_url.is_some()),
        webhook_url: key.map(|key| at(&format!("generic?key={key}"))),
        bounce_url: key
            .filter(|_| email.is_some_and(|email| email.bounce_domain.is_some()))
            .map(|key| at(&format!("bounces/{key}"))),
        dns_records: email.and_then(|email| record(email.dkim.as_ref()?)).into_iter().collect(),
    }
}

fn shown(sms: &Sms) -> (SmsFields, &'static str, &str) {
    let fields = |provider| SmsFields {
        provider,
        account_sid: None,
        from: None,
        messaging_service_sid: None,
        gateway: None,
        auth_key: None,
        auth_token: None,
        secrets: None,
    };
    match sms {
        Sms::Msg91 { auth_key } => (fields(SmsProvider::Msg91), "msg91", auth_key),
        Sms::Twilio(twilio) => {
            let shown = SmsFields {
                account_sid: Some(twilio.account_sid.clone()),
                from: twilio.from.clone(),
                messaging_service_sid: twilio.messaging_service_sid.clone(),
                ..fields(SmsProvider::Twilio)
            };
            (shown, "twilio", &twilio.auth_token)
        }
        Sms::Gateway { description, .. } => {
            let gateway = serde_json::to_value(description).ok();
            (SmsFields { gateway, ..fields(SmsProvider::Gateway) }, "gateway", "")
        }
    }
}
