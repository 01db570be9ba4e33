//! `May<Permission>` in an endpoint's signature is its role check: the caller is signed in here, and the role allows it.
//! The name reaches the OpenAPI description (`http/openapi.rs`).

use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;

use poem::http::{StatusCode, header};
use poem::{Request, RequestBody, Result};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::role::{EVERYBODY, Role};
use super::token::Verified;
use super::{Sessions, token};
use crate::audit::{Actor, Seen, Trail};
use crate::error::Problem;
use crate::http::context::Context;
use crate::ids::{AccountId, PatientId, SessionId};
use crate::tenancy::Realm;

/// Something that some roles may do.
pub trait Permission: Send + Sync + 'static {
    /// How the description names it: `appointments.write`.
    const NAME: &'static str;
    const ROLES: &'static [Role];
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $permission:ident = $name:literal: $roles:expr;)+) => {
        $($(#[$doc])*
        pub struct $permission;
        impl Permission for $permission {
            const NAME: &'static str = $name;
            const ROLES: &'static [Role] = $roles;
        })+

        /// Every permission by name, with the roles that have it.
        pub const PERMISSIONS: &[(&str, &[Role])] = &[$(($name, $roles)),+];
    };
}

use Role::{
    Accountant, ClinicAdmin, ClinicOwner, Doctor, Patient, Pharmacist, Receptionist, SuperAdmin,
    Therapist,
};

permissions! {
    /// One's own sessions, wherever one is signed in.
    OwnSession = "session.own": &Role::ALL;
    /// One's own password and second factor. Patients have neither: they sign in by one-time code.
    OwnPassword = "password.own":
        &[ClinicAdmin, Doctor, Receptionist, Therapist, Pharmacist, Accountant, SuperAdmin, ClinicOwner];
    /// Who needs a second factor to do anything here.
    ManageSignIn = "sign_in.manage": &[ClinicAdmin, SuperAdmin];
    /// One's own account, wherever one is signed in.
    OwnAccount = "account.own": &Role::ALL;
    ReadStaff = "staff.read": &[ClinicAdmin, Doctor, Receptionist, Therapist, Pharmacist, Accountant];
    WriteStaff = "staff.write": &[ClinicAdmin];
    /// Doctors' public profiles, locations, hours, slots.
    ReadPlaces = "places.read": EVERYBODY;
    WritePlaces = "places.write": &[ClinicAdmin];
    /// The rules of booking.
    ManageScheduling = "scheduling.manage": &[ClinicAdmin];
    /// A patient sees himself alone.
    ReadPatients = "patients.read": EVERYBODY;
    /// A patient changes himself alone.
    WritePatients = "patients.write": &[ClinicAdmin, Doctor, Receptionist, Patient];
    /// Making and removing patients is the staff's.
    ManagePatients = "patients.manage": &[ClinicAdmin, Doctor, Receptionist];
    /// A therapist and a patient see their own alone.
    ReadAppointments = "appointments.read":
        &[ClinicAdmin, Doctor, Receptionist, Therapist, Accountant, Patient];
    /// A patient books, moves and cancels his own alone.
    WriteAppointments = "appointments.write": &[ClinicAdmin, Doctor, Receptionist, Patient];
    /// A patient sees the own entries alone.
    ReadWaitlist = "waitlist.read": &[ClinicAdmin, Doctor, Receptionist, Accountant, Patient];
    /// What the desk does when somebody comes, or does not.
    ReceivePatients = "appointments.receive": &[ClinicAdmin, Doctor, Receptionist];
    /// A patient sees the own token alone.
    ReadQueue = "queue.read": &[ClinicAdmin, Doctor, Receptionist, Patient];
    /// A doctor sees his own patients alone.
    ConductVisits = "appointments.conduct": &[ClinicAdmin, Doctor];
    /// One's own visits, for a calendar elsewhere.
    OwnCalendar = "calendar.own": &[Doctor, Therapist, Patient];
    /// Many at a time, from a file.
    Import = "imports.run": &[ClinicAdmin];
    ReadTemplates = "templates.read": &[ClinicAdmin];
    WriteTemplates = "templates.write": &[ClinicAdmin];
    /// Who did and who read what.
    ReadAudit = "audit.read": &[ClinicAdmin, SuperAdmin];
    /// Providers, policies, and what became of messages.
    ManageMessaging = "messaging.manage": &[ClinicAdmin];
    ManageClinics = "clinics.manage": &[SuperAdmin, ClinicOwner];
    ManagePlatform = "platform.manage": &[SuperAdmin];
}

/// Somebody signed in: as the session's record says now, not as a token once said.
#[derive(Clone, Debug)]
pub struct Principal {
    pub account: AccountId,
    pub session: SessionId,
    pub role: Role,
    pub full_name: String,
    /// The patient that this account signs in as.
    pub patient: Option<PatientId>,
    pub address: Option<IpAddr>,
    pub request_id: String,
    /// Has to get a second factor before anything else.
    must_enrol: bool,
    trail: Trail,
}

impl Principal {
    pub fn actor(&self) -> Actor {
        Actor {
            account: Some(self.account),
            role: Some(self.role.as_str()),
            session: Some(self.session),
            address: self.address,
            request_id: Some(self.request_id.clone()),
        }
    }

    /// Notes in the audit log what this caller is about to be shown. Every answer with personal data in it says so here, before
    /// it goes out.
    ///
    /// # Errors
    /// When it cannot be noted: then it must not be shown.
    pub async fn saw(&self, what: Seen) -> Result<(), Problem> {
        self.trail.note(self.actor(), what).await
    }

    /// Where this caller has signed in.
    pub fn realm(&self) -> &Arc<Realm> {
        &self.trail.realm
    }

    pub fn is_patient(&self) -> bool {
        self.role == Role::Patient
    }

    /// For a patient: the only patient whose rows may be seen. `None` for staff, who see all.
    ///
    /// # Errors
    /// `403` for a patient's account that no patient belongs to.
    pub fn only_patient(&self) -> Result<Option<PatientId>, Problem> {
        match (self.role, self.patient) {
            (Role::Patient, None) => Err(Problem::forbidden()),
            (Role::Patient, patient) => Ok(patient),
            _ => Ok(None),
        }
    }
}

/// The caller, who has this permission.
pub struct May<P> {
    pub who: Principal,
    permission: PhantomData<fn() -> P>,
}

impl<P> std::ops::Deref for May<P> {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.who
    }
}

/// The bearer token of a request.
pub fn bearer(request: &Request) -> Result<&str, Problem> {
    let value = request
        .headers()
        .get(header::AUTHORIZATION)
        .ok_or_else(|| Problem::unauthenticated("sign in first"))?;
    value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| Problem::unauthenticated("send `Authorization: Bearer <access token>`"))
}

/// Who calls. A token that is none counts against its address: guessing is as expensive as asking without one.
async fn counted_principal(request: &Request, unlimited: bool) -> Result<Principal, Problem> {
    let context = Context::of(request);
    let verified = verified(request);
    let who = match async { principal(context, verified?).await }.await {
        Err(problem) if problem.status == StatusCode::UNAUTHORIZED => {
            if request.headers().contains_key(header::AUTHORIZATION) {
                context.limits.stranger(context.address).await?;
            }
            return Err(problem);
        }
        other => other?,
    };
    if !(unlimited && who.role == SuperAdmin) {
        context.limits.call(context.realm.id, who.account).await?;
    }
    Ok(who)
}

/// What the bearer token of a request says.
fn verified(request: &Request) -> Result<Verified, Problem> {
    token::verify(&Context::of(request).realm, bearer(request)?)
        .ok_or_else(|| Problem::unauthenticated("this access token is not good here, or no longer"))
}

async fn principal(context: &Context, claims: Verified) -> Result<Principal, Problem> {
    let sessions: &Arc<Sessions> = &context.sessions;
    let live = sessions
        .alive(&context.realm, claims.session)
        .await?
        .filter(|live| live.account == claims.account)
        .ok_or_else(|| Problem::unauthenticated("this session has ended"))?;
    Ok(Principal {
        account: live.account,
        session: claims.session,
        role: live.role,
        full_name: live.full_name.clone(),
        patient: live.patient,
        address: context.address,
        request_id: context.request_id.clone(),
        must_enrol: live.must_enrol,
        trail: Trail { realm: context.realm.clone(), reads: context.reads.clone() },
    })
}

fn second_factor_required() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "second-factor-required",
        "your role needs a second factor here: set one up with POST /auth/totp",
    )
}

impl<P: Permission> May<P> {
    /// As with a token, for one who proved in another way which session is his.
    ///
    /// # Errors
    /// `401`, `403`, `429`: as with a token.
    pub async fn of(request: &Request, verified: Verified) -> Result<Self, Problem> {
        let context = Context::of(request);
        let who = principal(context, verified).await?;
        context.limits.call(context.realm.id, who.account).await?;
        Self::granted(who)
    }

    fn granted(who: Principal) -> Result<Self, Problem> {
        if !P::ROLES.contains(&who.role) {
            return Err(Problem::forbidden());
        }
        if who.must_enrol && ![OwnSession::NAME, OwnPassword::NAME].contains(&P::NAME) {
            return Err(second_factor_required());
        }
        Ok(Self { who, permission: PhantomData })
    }
}

impl<'a, P: Permission> ApiExtractor<'a> for May<P> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        registry.create_security_scheme(
            P::NAME,
            MetaSecurityScheme {
                ty: "http",
                description: None,
                name: None,
                key_in: None,
                scheme: Some("bearer"),
                bearer_format: Some("JWT"),
                flows: None,
                openid_connect_url: None,
            },
        );
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![P::NAME]
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        // Provisioning has no limit for the platform itself.
        let who = counted_principal(request, P::NAME == ManageClinics::NAME).await?;
        Ok(Self::granted(who)?)
    }
}
