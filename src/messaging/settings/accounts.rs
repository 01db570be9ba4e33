//! A clinic's settings, ready for use: accounts that can be called and rules that can be followed. Kept for each clinic until
//! its settings change; their version is part of the breakers' keys, so that a change closes them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use secrecy::SecretString;
use url::Url;

use super::model::{Dkim, Policies, Providers, Sms};
use super::store;
use crate::ids::ClinicId;
use crate::messaging::channels::dkim::{PrivateKey, Signer};
use crate::messaging::channels::guard::AllowList;
use crate::messaging::channels::smtp::MailServer;
use crate::messaging::channels::{sms, whatsapp};
use crate::messaging::policy::{Class, Rule};
use crate::tenancy::Clinic;
use crate::tenancy::freshness::{Freshness, Stamp};
use crate::tenancy::notices::{Notice, Notices};
use crate::tenancy::pools::Conn;

/// Where the platform says that providers are.
#[derive(Clone)]
pub struct Bases {
    pub whatsapp: Option<Url>,
    pub sms: Option<Url>,
    /// In a demo nothing leaves the machine unless the platform says where to: its credentials are dummies.
    pub only_named: bool,
    pub allowed: Arc<AllowList>,
    pub mail: Option<Arc<MailServer>>,
}

pub struct WhatsappSetup {
    pub account: whatsapp::Account,
}

/// What makes WhatsApp's webhook genuine, and this clinic's. It is there also where nothing is sent.
pub struct Meta {
    pub phone_number_id: String,
    pub app_secret: SecretString,
    pub verify_token: SecretString,
}

pub struct SmsSetup {
    pub account: sms::Account,
    /// Whether its reports can be told apart from no report.
    pub reports: bool,
}

pub struct Mail {
    pub server: Arc<MailServer>,
    /// The platform's own is one for all clinics.
    pub is_own: bool,
}

/// What a clinic can send by.
pub struct Setup {
    pub version: i64,
    pub whatsapp: Option<WhatsappSetup>,
    pub meta: Option<Meta>,
    pub sms: Option<SmsSetup>,
    pub mail: Option<Mail>,
    pub from: Option<String>,
    pub reply_to: Option<String>,
    /// Signs its letters.
    pub signer: Option<Arc<Signer>>,
    /// The domain to which its letters come back.
    pub bounce_domain: Option<String>,
    pub webhook_key: SecretString,
    rules: BTreeMap<Class, Rule>,
}

impl Setup {
    pub fn rule(&self, class: Class) -> Rule {
        self.rules.get(&class).cloned().unwrap_or_else(|| class.rule())
    }

    /// Where its providers are called, by name.
    pub fn hosts(&self) -> Vec<(&'static str, (String, u16))> {
        let place = |url: &Url| Some((url.host_str()?.to_owned(), url.port_or_known_default()?));
        let whatsapp = self.whatsapp.as_ref().map(|whatsapp| ("WhatsApp", &whatsapp.account.base));
        let sms = self.sms.as_ref().and_then(|sms| match &sms.account {
            sms::Account::Msg91(account) => Some(("MSG91", &account.base)),
            sms::Account::Twilio(account) => Some(("Twilio", &account.base)),
            sms::Account::Gateway(_) => None,
        });
        let named = whatsapp.into_iter().chain(sms);
        named.filter_map(|(name, base)| Some((name, place(base)?))).collect()
    }

    pub fn new(
        version: i64,
        url: &str,
        providers: Providers,
        policies: &Policies,
        bases: &Bases,
    ) -> Self {
        let Providers { whatsapp, sms, email, webhook_key } = providers;
        let base = |named: &Option<Url>, usual: &str| match named {
            Some(named) => Some(named.clone()),
            None if bases.only_named => None,
            None => Url::parse(usual).ok(),
        };
        let meta = whatsapp.as_ref().map(|whatsapp| Meta {
            phone_number_id: whatsapp.phone_number_id.clone(),
            app_secret: whatsapp.app_secret.clone().into(),
            verify_token: whatsapp.verify_token.clone().into(),
        });
        let whatsapp = whatsapp.and_then(|whatsapp| {
            Some(WhatsappSetup {
                account: whatsapp::Account {
                    base: base(&bases.whatsapp, "https://graph.facebook.com")?,
                    version: whatsapp.version,
                    phone_number_id: whatsapp.phone_number_id,
                    token: whatsapp.token.into(),
                },
            })
        });
        let sms = sms.and_then(|sms| of_sms(sms, url, &webhook_key, base, bases));
        let email = email.unwrap_or_default();
        let own = email.smtp_url.and_then(|url| {
            MailServer::of_clinic(&SecretString::from(url), bases.allowed.clone()).ok()
        });
        let mail = match own {
            Some(own) => Some(Mail { server: Arc::new(own), is_own: true }),
            None => bases.mail.clone().map(|server| Mail { server, is_own: false }),
        };
        Self {
            version,
            whatsapp,
            meta,
            sms,
            mail,
            from: email.from,
            reply_to: email.reply_to,
            signer: email.dkim.as_ref().and_then(signer),
            bounce_domain: email.bounce_domain,
            webhook_key: webhook_key.into(),
            rules: policies.iter().map(|(class, policy)| (*class, policy.rule())).collect(),
        }
    }
}

fn of_sms(
    sms: Sms,
    url: &str,
    webhook_key: &str,
    base: impl Fn(&Option<Url>, &str) -> Option<Url>,
    bases: &Bases,
) -> Option<SmsSetup> {
    Some(match sms {
        Sms::Msg91 { auth_key } => SmsSetup {
            account: sms::Account::Msg91(sms::msg91::Account {
                base: base(&bases.sms, "https://control.msg91.com")?,
                auth_key: auth_key.into(),
            }),
            reports: true,
        },
        Sms::Twilio(twilio) => SmsSetup {
            account: sms::Account::Twilio(sms::twilio::Account {
                base: base(&bases.sms, "https://api.twilio.com")?,
                account_sid: twilio.account_sid,
                auth_token: twilio.auth_token.into(),
                sender: match (twilio.messaging_service_sid, twilio.from) {
                    (Some(sid), _) => sms::twilio::Sender::MessagingService(sid),
                    (None, from) => sms::twilio::Sender::Number(from?),
                },
                status_callback: Url::parse(&webhook_url(url, "twilio", webhook_key)).ok(),
            }),
            reports: true,
        },
        Sms::Gateway { description, secrets } => {
            let reports = description.reports.is_some();
            let secrets = secrets.into_iter().map(|(name, value)| (name, value.into())).collect();
            let gateway = sms::gateway::Gateway::new(*description, secrets, &bases.allowed).ok()?;
            SmsSetup { account: sms::Account::Gateway(Box::new(gateway)), reports }
        }
    })
}

fn signer(dkim: &Dkim) -> Option<Arc<Signer>> {
    match PrivateKey::read(&dkim.private_key) {
        Ok(key) => Some(Arc::new(Signer::new(&dkim.selector, &dkim.domain, &key))),
        Err(error) => {
            // It was read when it was saved. A letter without a signature is better than none.
            tracing::error!(domain = %dkim.domain, %error, "a domain's key cannot be used");
            None
        }
    }
}

/// Where an SMS provider sends its reports.
pub fn webhook_url(clinic_url: &str, provider: &str, key: &str) -> String {
    format!("{clinic_url}/webhooks/sms/{provider}/{key}")
}

/// The setups of all clinics that send.
pub struct Setups {
    bases: Bases,
    freshness: Arc<Freshness>,
    notices: Notices,
    setups: Cache<ClinicId, (Stamp, Arc<Setup>)>,
}

impl Setups {
    pub fn new(bases: Bases, freshness: Arc<Freshness>, notices: Notices) -> Self {
        let setups =
            Cache::builder().max_capacity(5_000).time_to_idle(Duration::from_secs(600)).build();
        Self { bases, freshness, notices, setups }
    }

    pub fn bases(&self) -> &Bases {
        &self.bases
    }

    /// A clinic's setup, read again only after a change of the clinic.
    ///
    /// # Errors
    /// The database's.
    pub async fn of(&self, clinic: &Clinic, conn: &mut Conn) -> sqlx::Result<Arc<Setup>> {
        match self.known(clinic).await {
            Some(setup) => Ok(setup),
            None => self.load(clinic, conn).await,
        }
    }

    /// The setup, if it is in memory and stands.
    pub async fn known(&self, clinic: &Clinic) -> Option<Arc<Setup>> {
        let (stamp, setup) = self.setups.get(&clinic.id).await?;
        self.freshness.stands(("clinic", clinic.slug.as_str()), stamp).then_some(setup)
    }

    async fn load(&self, clinic: &Clinic, conn: &mut Conn) -> sqlx::Result<Arc<Setup>> {
        let stamp = self.freshness.stamp(("clinic", clinic.slug.as_str()));
        let row = store::read(conn).await?;
        let providers = row.providers(&clinic.keys).unwrap_or_else(|error| {
            tracing::error!(clinic = %clinic.slug, %error, "the providers' credentials do not open");
            Providers::default()
        });
        let setup =
            Arc::new(Setup::new(row.version, &clinic.url, providers, &row.policies, &self.bases));
        self.setups.insert(clinic.id, (stamp, setup.clone())).await;
        Ok(setup)
    }

    /// Tells every instance that a clinic's settings are others now.
    pub async fn changed(&self, clinic: &Clinic) {
        self.notices.tell(Notice::Clinic(clinic.slug.clone())).await;
    }
}
