//! What a resource is. A therapist's is the account, under the same id: the name is there, and so is whether somebody works here.

use chrono::{DateTime, Utc};
use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};

use crate::http::fields::{self, Fields, Readable};
use crate::http::page::Page;
use crate::ids::{AccountId, LocationId, ResourceId};
use crate::time::shown;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, Enum)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum ResourceKind {
    Room,
    Equipment,
    Therapist,
}

impl ResourceKind {
    pub fn as_str(self) -> &'static str {
        match self {
            ResourceKind::Room => "room",
            ResourceKind::Equipment => "equipment",
            ResourceKind::Therapist => "therapist",
        }
    }
}

/// A resource as the API shows one.
#[derive(Clone, Debug, PartialEq, Serialize, sqlx::FromRow, Object)]
pub struct ResourceView {
    /// Of a therapist: the same as of the account (`/users/{id}`).
    pub id: ResourceId,
    pub kind: ResourceKind,
    /// Of a therapist: the account's.
    pub name: String,
    /// Null: at every location.
    pub location_id: Option<LocationId>,
    /// Of a therapist.
    pub user_id: Option<AccountId>,
    /// Visits at one time.
    pub capacity: i16,
    /// Whether it may be booked: a therapist who is suspended, or works as something else by now, may not.
    pub active: bool,
    #[serde(with = "shown")]
    pub created_at: DateTime<Utc>,
    #[serde(with = "shown")]
    pub updated_at: DateTime<Utc>,
    #[serde(skip)]
    #[oai(skip)]
    pub version: i64,
}

impl ResourceView {
    /// The fields that differ, by name.
    pub fn changes_to(&self, after: &ResourceView) -> Vec<&'static str> {
        [
            ("name", self.name != after.name),
            ("location_id", self.location_id != after.location_id),
            ("capacity", self.capacity != after.capacity),
        ]
        .into_iter()
        .filter_map(|(name, changed)| changed.then_some(name))
        .collect()
    }
}

/// Which resources.
#[derive(Object)]
pub struct ListResources {
    pub kind: Option<ResourceKind>,
    /// Those that are at every location are among them.
    pub location_id: Option<LocationId>,
    /// 1 to 200; 50 unless given.
    limit: Option<i64>,
    cursor: Option<String>,
    #[oai(skip)]
    pub page: Option<Page>,
}

impl Readable for ListResources {
    fn read(fields: &mut Fields) -> Option<Self> {
        let kind = fields.optional("kind", fields::choice);
        let location_id = fields.optional("location_id", fields::id);
        let page = Some(Page::read(fields));
        Some(Self { kind, location_id, limit: None, cursor: None, page })
    }
}

/// What a caller may say of a resource.
#[derive(Clone, Debug, Object)]
pub struct ResourceRequest {
    pub kind: ResourceKind,
    /// Wanted, but for a therapist, who has the account's. No two at a location have the same.
    pub name: Option<String>,
    /// Every one unless given; a room is somewhere.
    pub location_id: Option<LocationId>,
    /// Of a therapist, whose account it is.
    pub user_id: Option<AccountId>,
    /// Visits at one time: 1 to 50; 1 unless given.
    pub capacity: Option<i64>,
}

impl Readable for ResourceRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let kind = fields.required("kind", fields::choice);
        let name = fields.optional("name", fields::line(1, 200));
        let location_id = fields.optional("location_id", fields::id);
        let user_id = fields.optional("user_id", fields::id);
        let capacity = fields.optional("capacity", fields::integer(1, 50));
        let stands = fields.standing("kind", fields::choice);
        if stands.is_some() && kind.is_some() && stands != kind {
            fields.fault("kind", "read_only", "it stays what it is");
        }
        match kind {
            Some(ResourceKind::Therapist) => {
                let own_name = fields.standing("name", fields::line(1, 200));
                if name.is_some() && name != own_name {
                    fields.fault("name", "read_only", "a therapist has the account's name");
                }
                of_the_account(fields, user_id);
            }
            Some(other) => {
                if name.is_none() {
                    fields.fault("name", "required", "this field is required");
                }
                if user_id.is_some() {
                    fields.fault("user_id", "conflicting", "therapists alone have an account");
                }
                if other == ResourceKind::Room && location_id.is_none() {
                    fields.fault("location_id", "required", "a room is somewhere");
                }
            }
            None => {}
        }
        Some(Self { kind: kind?, name, location_id, user_id, capacity })
    }
}

/// A therapist's account must be named, and stays the same.
fn of_the_account(fields: &mut Fields, user_id: Option<AccountId>) {
    let stands: Option<AccountId> = fields.standing("user_id", fields::id);
    match user_id {
        None => fields.fault("user_id", "required", "whose account it is"),
        Some(_) if stands.is_some() && stands != user_id => {
            fields.fault("user_id", "read_only", "it stays the same account's");
        }
        Some(_) => {}
    }
}

impl ResourceRequest {
    pub fn capacity(&self) -> i16 {
        self.capacity.unwrap_or(1) as i16
    }

    /// Kept with the resource: a therapist's name is the account's.
    pub fn own_name(&self) -> Option<&str> {
        self.name.as_deref().filter(|_| self.kind != ResourceKind::Therapist)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn faults(body: Value) -> Vec<(String, &'static str)> {
        let Value::Object(values) = body else { panic!("an object") };
        let now = "2026-11-21T04:30:00Z".parse().unwrap();
        let frame = fields::Frame { now, zone: chrono_tz::Tz::UTC, country: String::new() };
        let mut fields = Fields::of_body(values, frame);
        let _ = ResourceRequest::read(&mut fields);
        fields.finish().into_iter().map(|e| (e.pointer.unwrap_or_default(), e.code)).collect()
    }

    #[test]
    fn each_kind_says_what_it_needs() {
        let (account, location) = (AccountId::new(), LocationId::new());
        for (body, expected) in [
            (json!({ "kind": "room", "name": "Droni 1", "location_id": location }), vec![]),
            (json!({ "kind": "equipment", "name": "ECG" }), vec![]),
            (json!({ "kind": "therapist", "user_id": account }), vec![]),
            (json!({ "kind": "room" }), vec![("/name", "required"), ("/location_id", "required")]),
            (
                json!({ "kind": "equipment", "name": "ECG", "user_id": account, "capacity": 0 }),
                vec![("/capacity", "out_of_range"), ("/user_id", "conflicting")],
            ),
            (
                json!({ "kind": "therapist", "name": "Meena" }),
                vec![("/name", "read_only"), ("/user_id", "required")],
            ),
            (json!({ "kind": "spaceship" }), vec![("/kind", "unknown_value")]),
        ] {
            let expected: Vec<_> =
                expected.into_iter().map(|(at, code)| (at.to_owned(), code)).collect();
            assert_eq!(faults(body.clone()), expected, "{body}");
        }
    }
}
