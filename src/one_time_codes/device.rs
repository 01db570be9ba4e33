//! A device that signed in by code is recognised for a year: its requests are counted by themselves, so that whoever asks for
//! codes to somebody's phone all day locks out himself alone. The cookie opens nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use poem::Request;
use poem::http::header;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::model::Identifier;
use crate::crypto::{self, ClinicKeys};
use crate::ids;
use crate::tenancy::Realm;

const NAME: &str = "nadi_device";
const YEAR_SECONDS: u32 = 365 * 24 * 3600;

/// `Set-Cookie` for a device that just signed in with this identifier.
pub fn cookie(realm: &Realm, identifier: &Identifier) -> String {
    let id = ids::new_uuid();
    let value = [id.as_bytes().as_slice(), &mac(&realm.keys, id, identifier)].concat();
    let value = URL_SAFE_NO_PAD.encode(value);
    let secure = if realm.url.starts_with("https:") { "; Secure" } else { "" };
    format!(
        "{NAME}={value}; Path=/api/v1/auth; Max-Age={YEAR_SECONDS}; HttpOnly; SameSite=Strict{secure}"
    )
}

/// The cookies that a request carries under our name.
pub fn carried(request: &Request) -> Vec<String> {
    let cookies = request.headers().get_all(header::COOKIE).iter();
    cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().strip_prefix(NAME)?.strip_prefix('='))
        .take(2)
        .map(str::to_owned)
        .collect()
}

/// The device, if one of these was given to it when it signed in with this identifier.
pub fn recognise(keys: &ClinicKeys, cookies: &[String], identifier: &Identifier) -> Option<Uuid> {
    cookies.iter().find_map(|cookie| {
        let bytes: [u8; 48] = URL_SAFE_NO_PAD.decode(cookie).ok()?.try_into().ok()?;
        let (id, said) = bytes.split_at(16);
        let id = Uuid::from_slice(id).ok()?;
        bool::from(mac(keys, id, identifier).ct_eq(said)).then_some(id)
    })
}

fn mac(keys: &ClinicKeys, id: Uuid, identifier: &Identifier) -> [u8; 32] {
    let whose = identifier.mac(keys, None);
    crypto::mac(&keys.one_time_codes, &[b"device\0".as_slice(), id.as_bytes(), &whose].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::RootKey;

    #[test]
    fn a_device_is_recognised_for_its_own_identifier_at_its_own_clinic() {
        let keys = ClinicKeys::derive(&RootKey::generate());
        let own = Identifier::Phone("+919847012345".into());
        let id = ids::new_uuid();
        let value = [id.as_bytes().as_slice(), &mac(&keys, id, &own)].concat();
        let cookies = vec!["nonsense".to_owned(), URL_SAFE_NO_PAD.encode(&value)];

        assert_eq!(recognise(&keys, &cookies, &own), Some(id));
        let other = Identifier::Phone("+919847054321".into());
        assert_eq!(recognise(&keys, &cookies, &other), None);
        let elsewhere = ClinicKeys::derive(&RootKey::generate());
        assert_eq!(recognise(&elsewhere, &cookies, &own), None);
    }
}
