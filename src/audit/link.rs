//! One link of the chain: an HMAC over a row, its number and the link before. No database, clock or network.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::crypto::{self, ClinicKeys};

/// The hash of a link.
pub type Hash = [u8; 32];

/// What the first link follows.
pub const NOTHING: Hash = [0; 32];

/// The key of one log's links. A plain hash would not do: whoever can write the table could make the whole chain anew.
#[derive(Clone)]
pub struct ChainKey([u8; 32]);

impl ChainKey {
    pub fn of(keys: &ClinicKeys) -> Self {
        Self(keys.audit)
    }
}

/// A row of the log, all that is sealed of it. (Not the transaction's number: that changes when a database moves to another
/// server.)
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct LoggedRow {
    pub id: i64,
    pub at: DateTime<Utc>,
    pub request_id: Option<String>,
    pub account_id: Option<Uuid>,
    pub role: Option<String>,
    pub session_id: Option<Uuid>,
    /// As PostgreSQL writes it, its mask included.
    pub address: Option<String>,
    pub action: String,
    pub entity: String,
    pub entity_id: Option<Uuid>,
    pub about_id: Option<Uuid>,
    /// As PostgreSQL writes it: `jsonb` has one form for each value.
    pub details: String,
}

impl ChainKey {
    /// The hash of link `n`.
    pub fn link(&self, before: &Hash, n: i64, sealed_at: DateTime<Utc>, row: &LoggedRow) -> Hash {
        let mut said = Said(b"nadi audit link 1".to_vec());
        said.fixed(before);
        said.number(n);
        said.number(sealed_at.timestamp_micros());
        said.number(row.id);
        said.number(row.at.timestamp_micros());
        said.text(row.request_id.as_deref());
        said.id(row.account_id);
        said.text(row.role.as_deref());
        said.id(row.session_id);
        said.text(row.address.as_deref());
        said.text(Some(&row.action));
        said.text(Some(&row.entity));
        said.id(row.entity_id);
        said.id(row.about_id);
        said.text(Some(&row.details));
        crypto::mac(&self.0, &said.0)
    }
}

/// Bytes that can be read in one way only: what varies in length says how long it is, what may be missing says whether it is.
struct Said(Vec<u8>);

impl Said {
    fn fixed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn number(&mut self, number: i64) {
        self.fixed(&number.to_be_bytes());
    }

    fn text(&mut self, text: Option<&str>) {
        self.fixed(&[u8::from(text.is_some())]);
        if let Some(text) = text {
            self.number(text.len() as i64);
            self.fixed(text.as_bytes());
        }
    }

    fn id(&mut self, id: Option<Uuid>) {
        self.fixed(&[u8::from(id.is_some())]);
        self.fixed(id.unwrap_or_default().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> LoggedRow {
        LoggedRow {
            id: 7,
            at: DateTime::UNIX_EPOCH,
            request_id: Some("ab".into()),
            account_id: Some(Uuid::from_u128(1)),
            role: Some("c".into()),
            session_id: None,
            address: Some("10.0.0.1/32".into()),
            action: "patient.read".into(),
            entity: "patient".into(),
            entity_id: None,
            about_id: Some(Uuid::from_u128(2)),
            details: "{}".into(),
        }
    }

    #[test]
    fn whatever_changes_in_a_row_changes_its_link() {
        let key = ChainKey([7; 32]);
        let edits: [fn(&mut LoggedRow); 15] = [
            |_| {},
            |row| row.id = 8,
            |row| row.at = DateTime::from_timestamp_micros(1).unwrap(),
            |row| row.request_id = None,
            |row| row.request_id = Some(String::new()),
            |row| (row.request_id, row.role) = (Some("a".into()), Some("bc".into())),
            |row| (row.account_id, row.session_id) = (None, row.account_id),
            |row| row.account_id = None,
            |row| row.address = Some("10.0.0.1/24".into()),
            |row| row.action = "patient.rea".into(),
            |row| row.entity = "dpatient".into(),
            |row| row.entity_id = Some(Uuid::nil()),
            |row| row.about_id = None,
            |row| (row.entity_id, row.about_id) = (row.about_id, None),
            |row| row.details = "{\"a\": 1}".into(),
        ];

        let mut links: Vec<Hash> = edits
            .iter()
            .map(|edit| {
                let mut row = row();
                edit(&mut row);
                key.link(&NOTHING, 1, DateTime::UNIX_EPOCH, &row)
            })
            .collect();
        links.push(key.link(&[1; 32], 1, DateTime::UNIX_EPOCH, &row()));
        links.push(key.link(&NOTHING, 2, DateTime::UNIX_EPOCH, &row()));
        links.push(key.link(&NOTHING, 1, DateTime::from_timestamp(1, 0).unwrap(), &row()));
        links.push(ChainKey([8; 32]).link(&NOTHING, 1, DateTime::UNIX_EPOCH, &row()));

        for (i, link) in links.iter().enumerate() {
            assert!(!links[i + 1..].contains(link), "{i}");
        }
    }
}
