//! Whom and what a file names: people and places as somebody outside knows them, found by the file at once.

use std::collections::HashMap;

use chrono_tz::Tz;
use uuid::Uuid;

use super::sheet::{Fault, Row};
use crate::error::Problem;
use crate::http::fields;
use crate::ids::{DoctorId, LocationId, PatientId};
use crate::tenancy::pools::Conn;
use crate::time;

/// A clinic's doctors by id and by e-mail, its locations by name.
pub struct Names {
    doctors: HashMap<String, DoctorId>,
    locations: HashMap<String, (LocationId, Tz)>,
    /// By id, number and phone: a family may share one.
    patients: HashMap<String, Vec<PatientId>>,
    country: String,
}

impl Names {
    /// Those of a clinic, and of its patients those that the rows name.
    pub async fn read(conn: &mut Conn, rows: &[Row], country: &str) -> Result<Self, Problem> {
        let doctors: Vec<(DoctorId, String)> = sqlx::query_as(
            "select d.id, lower(u.email) from doctors d join users u on u.id = d.id
             where d.deleted_at is null and u.deleted_at is null",
        )
        .fetch_all(&mut *conn)
        .await?;
        let places: Vec<(LocationId, String, String)> = sqlx::query_as(
            "select id, lower(name), time_zone from locations where deleted_at is null",
        )
        .fetch_all(&mut *conn)
        .await?;
        let mut names = Self {
            doctors: HashMap::new(),
            locations: HashMap::new(),
            patients: HashMap::new(),
            country: country.to_owned(),
        };
        for (id, email) in doctors {
            names.doctors.insert(email, id);
            names.doctors.insert(id.to_string(), id);
        }
        for (id, name, zone) in places {
            let zone = time::zone(&zone)
                .ok_or_else(|| Problem::internal(format!("there is no time zone {zone}")))?;
            names.locations.insert(name, (id, zone));
            names.locations.insert(id.to_string(), (id, zone));
        }
        names.read_patients(conn, rows).await?;
        Ok(names)
    }

    async fn read_patients(&mut self, conn: &mut Conn, rows: &[Row]) -> sqlx::Result<()> {
        let wanted: Vec<Wanted> =
            rows.iter().filter_map(|row| self.wanted(row.cell("patient")?)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let texts = |of: fn(&Wanted) -> Option<&String>| -> Vec<String> {
            wanted.iter().filter_map(of).cloned().collect()
        };
        let ids: Vec<Uuid> = wanted
            .iter()
            .filter_map(|one| if let Wanted::Id(id) = one { Some(*id) } else { None })
            .collect();
        let found: Vec<(PatientId, String, Option<String>)> = sqlx::query_as(
            "select id, number, phone from patients
             where deleted_at is null and (id = any ($1) or number = any ($2) or phone = any ($3))",
        )
        .bind(ids)
        .bind(texts(|one| if let Wanted::Number(number) = one { Some(number) } else { None }))
        .bind(texts(|one| if let Wanted::Phone(phone) = one { Some(phone) } else { None }))
        .fetch_all(conn)
        .await?;
        for (id, number, phone) in found {
            for key in [Some(id.to_string()), Some(number), phone].into_iter().flatten() {
                self.patients.entry(key).or_default().push(id);
            }
        }
        Ok(())
    }

    /// How a cell names a patient.
    fn wanted(&self, cell: &str) -> Option<Wanted> {
        if let Ok(id) = Uuid::try_parse(cell) {
            return Some(Wanted::Id(id));
        }
        let number = cell.to_uppercase();
        if number.starts_with("P-") {
            return Some(Wanted::Number(number));
        }
        let phone = fields::phone(&self.country);
        phone(serde_json::Value::from(cell)).ok().map(Wanted::Phone)
    }

    pub fn doctor(&self, row: &Row, faults: &mut Vec<Fault>) -> Option<DoctorId> {
        let cell = row.required("doctor", faults)?;
        let found = self.doctors.get(&cell.to_lowercase()).copied();
        if found.is_none() {
            let words = "no doctor of this e-mail address or id";
            faults.push(Fault::new(row.number, "doctor", "not_found", words));
        }
        found
    }

    /// A location by its name or id. Where a clinic has but one, it need not be named.
    pub fn location(&self, row: &Row, faults: &mut Vec<Fault>) -> Option<(LocationId, Tz)> {
        let mut all = self.locations.values();
        if let (None, Some(first)) = (row.cell("location"), all.next())
            && all.all(|other| other.0 == first.0)
        {
            return Some(*first);
        }
        let cell = row.required("location", faults)?;
        let found = self.locations.get(&cell.to_lowercase()).copied();
        if found.is_none() {
            let words = "no location of this name or id";
            faults.push(Fault::new(row.number, "location", "not_found", words));
        }
        found
    }

    pub fn patient(&self, row: &Row, faults: &mut Vec<Fault>) -> Option<PatientId> {
        let cell = row.required("patient", faults)?;
        let found = self.wanted(cell).and_then(|wanted| self.patients.get(&wanted.key()));
        let (code, words) = match found.map(Vec::as_slice) {
            Some([one]) => return Some(*one),
            Some([_, ..]) => {
                ("ambiguous", "several patients have this phone number: give a patient number")
            }
            _ => ("not_found", "no patient of this number, phone or id"),
        };
        faults.push(Fault::new(row.number, "patient", code, words));
        None
    }

    pub fn places(&self) -> Vec<LocationId> {
        self.locations.values().map(|(id, _)| *id).collect()
    }
}

/// A patient, as a cell names one.
enum Wanted {
    Id(Uuid),
    Number(String),
    Phone(String),
}

impl Wanted {
    fn key(&self) -> String {
        match self {
            Wanted::Id(id) => id.to_string(),
            Wanted::Number(text) | Wanted::Phone(text) => text.clone(),
        }
    }
}
