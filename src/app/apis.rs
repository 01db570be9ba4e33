//! Every API there is, and the descriptions of both kinds of host.

use poem_openapi::{OpenApi, OpenApiService};
use serde_json::Value;

use crate::appointments::api::AppointmentsApi;
use crate::appointments::history_api::HistoryApi;
use crate::appointments::reopen_api::ReopenApi;
use crate::appointments::series::api::SeriesApi;
use crate::appointments::steps_api::StepsApi;
use crate::audit::api::AuditApi;
use crate::auth::api::AuthApi;
use crate::auth::email::EmailApi;
use crate::auth::passwords::api::PasswordsApi;
use crate::auth::second_factor::api::SecondFactorApi;
use crate::auth::second_factor::settings::SignInSettingsApi;
use crate::calendar::api::CalendarApi;
use crate::calendar::feed_api::FeedsApi;
use crate::doctors::api::DoctorsApi;
use crate::doctors::extra::api::ExtraHoursApi;
use crate::holidays::api::HolidaysApi;
use crate::http::openapi::{self, Operations};
use crate::imports::api::ImportsApi;
use crate::live::api::LiveApi;
use crate::locations::api::LocationsApi;
use crate::messaging::consents::api::ConsentsApi;
use crate::messaging::sent::api::MessagesApi;
use crate::messaging::settings::api::MessagingSettingsApi;
use crate::messaging::templates::api::TemplatesApi;
use crate::messaging::webhooks;
use crate::one_time_codes::account_status::AccountStatusApi;
use crate::one_time_codes::api::OneTimeCodesApi;
use crate::patients::api::PatientsApi;
use crate::platform::accounts::AccountsApi;
use crate::platform::api::ClinicsApi;
use crate::platform::password_link::PasswordLinksApi;
use crate::platform::second_factors::SecondFactorsApi;
use crate::queue::api::QueueApi;
use crate::queue::display_api::DisplayApi;
use crate::queue::walk_in_api::WalkInsApi;
use crate::resources::api::ResourcesApi;
use crate::respond::api::RespondApi;
use crate::scheduling::api::SchedulingSettingsApi;
use crate::staff::api::StaffApi;
use crate::staff::avatars::api::AvatarsApi;
use crate::staff::preferences::PreferencesApi;
use crate::staff::second_factor::StaffSecondFactorApi;
use crate::staff::sessions::StaffSessionsApi;
use crate::waitlist::api::WaitlistApi;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Signing in, and one's own account: the same on every host.
pub(super) type AccountApis = (AuthApi, PasswordsApi, SecondFactorApi, SignInSettingsApi);

const ACCOUNTS: AccountApis = (AuthApi, PasswordsApi, SecondFactorApi, SignInSettingsApi);

type StaffApis = (StaffApi, StaffSessionsApi, StaffSecondFactorApi, PreferencesApi, AvatarsApi);

type PlacesApis = (LocationsApi, HolidaysApi, ResourcesApi, SchedulingSettingsApi);

pub(super) type ClinicApis = (
    AccountApis,
    EmailApi,
    (OneTimeCodesApi, AccountStatusApi),
    StaffApis,
    PlacesApis,
    (DoctorsApi, ExtraHoursApi),
    PatientsApi,
    (AppointmentsApi, StepsApi, ReopenApi, HistoryApi, RespondApi, SeriesApi, LiveApi),
    (CalendarApi, FeedsApi, ImportsApi),
    (QueueApi, WalkInsApi, DisplayApi, WaitlistApi),
    TemplatesApi,
    AuditApi,
    (MessagingSettingsApi, MessagesApi, ConsentsApi),
);

pub(super) fn clinic_service() -> OpenApiService<ClinicApis, ()> {
    let apis = (
        ACCOUNTS,
        EmailApi,
        (OneTimeCodesApi, AccountStatusApi),
        (StaffApi, StaffSessionsApi, StaffSecondFactorApi, PreferencesApi, AvatarsApi),
        (LocationsApi, HolidaysApi, ResourcesApi, SchedulingSettingsApi),
        (DoctorsApi, ExtraHoursApi),
        PatientsApi,
        (AppointmentsApi, StepsApi, ReopenApi, HistoryApi, RespondApi, SeriesApi, LiveApi),
        (CalendarApi, FeedsApi, ImportsApi),
        (QueueApi, WalkInsApi, DisplayApi, WaitlistApi),
        TemplatesApi,
        AuditApi,
        (MessagingSettingsApi, MessagesApi, ConsentsApi),
    );
    OpenApiService::new(apis, "nadi: a clinic", VERSION).server("/api/v1")
}

type PlatformApis =
    (AccountApis, ClinicsApi, AccountsApi, PasswordLinksApi, SecondFactorsApi, AuditApi);

pub(super) fn platform_service() -> OpenApiService<PlatformApis, ()> {
    let apis = (ACCOUNTS, ClinicsApi, AccountsApi, PasswordLinksApi, SecondFactorsApi, AuditApi);
    OpenApiService::new(apis, "nadi: the platform", VERSION).server("/api/v1")
}

pub(super) fn clinic_operations() -> Operations {
    Operations::of(&ClinicApis::meta(), &webhooks::paths())
}

pub(super) fn platform_operations() -> Operations {
    Operations::of(&PlatformApis::meta(), &Value::Null)
}

/// The description of a clinic's API.
pub fn clinic_description() -> Value {
    let mut description = openapi::complete(&clinic_service().spec());
    if let (Some(paths), Value::Object(webhooks)) =
        (description["paths"].as_object_mut(), webhooks::paths())
    {
        paths.extend(webhooks);
    }
    description
}

/// The description of the platform's API.
pub fn platform_description() -> Value {
    openapi::complete(&platform_service().spec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Routes are judged by what the description is made from, not by the description: they say the same.
    #[test]
    fn what_an_operation_takes_is_what_its_description_says() {
        for (description, operations) in [
            (clinic_description(), clinic_operations()),
            (platform_description(), platform_operations()),
        ] {
            let paths = description["paths"].as_object().unwrap();
            assert!(paths.len() > 10);
            for (path, methods) in paths {
                let asked: Vec<&str> = path
                    .split('/')
                    .map(|part| if part.starts_with('{') { "some" } else { part })
                    .collect();
                let asked = format!("/api/v1{}", asked.join("/"));
                for (method, operation) in methods.as_object().unwrap() {
                    let method = method.to_uppercase();
                    let parameters = operation["parameters"].as_array().unwrap();
                    let takes = operations.takes(&method, &asked);
                    assert_eq!(
                        (takes.query, takes.body, takes.token),
                        (
                            parameters.iter().any(|parameter| parameter["in"] == "query"),
                            operation["requestBody"].is_object(),
                            !operation["security"].as_array().unwrap().is_empty(),
                        ),
                        "{method} {path}"
                    );
                    assert!(operations.allowed(&asked).contains(&method), "{method} {path}");
                }
            }
        }
    }
}
