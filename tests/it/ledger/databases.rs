//! What the ledger's tests stand on: a central database with one clinic registered, and that clinic's database.

use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;
use uuid::Uuid;

use crate::support::ScratchDatabase;

pub struct Databases {
    pub clinic_id: Uuid,
    pub central: PgConnectOptions,
    pub clinic: PgConnectOptions,
    central_database: ScratchDatabase,
    clinic_database: ScratchDatabase,
}

impl Databases {
    pub async fn new() -> Self {
        let (central, clinic) = (ScratchDatabase::central().await, ScratchDatabase::tenant().await);
        Self {
            clinic_id: register_clinic(&mut central.connect().await).await,
            central: central.options.clone(),
            clinic: clinic.options.clone(),
            central_database: central,
            clinic_database: clinic,
        }
    }

    /// Nobody can connect to the central database, and who was connected is thrown out; or all is well again.
    pub async fn central_answers(&self, answers: bool) {
        self.central_database.answers(answers).await;
    }

    pub async fn central(&self) -> PgConnection {
        self.central_database.connect().await
    }

    pub async fn clinic(&self) -> PgConnection {
        self.clinic_database.connect().await
    }
}

/// One more clinic in the registry, without a database of its own. Its row in the ledger is not made.
pub async fn register_clinic(central: &mut PgConnection) -> Uuid {
    let clinic_id = Uuid::now_v7();
    sqlx::query(
        "insert into clinics (id, slug, name, time_zone, status, server_id, root_key_wrapped)
         select $1, 'c' || replace($1::text, '-', ''), 'Shanti', 'Asia/Kolkata', 'active', id, ''
         from servers",
    )
    .bind(clinic_id)
    .execute(central)
    .await
    .unwrap();
    clinic_id
}
