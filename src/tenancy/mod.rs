//! From a Host to one clinic's database, and to no other. Feature code gets a [`Clinic`] from here, never a URL or a pool.

pub mod central;
pub mod directory;
pub mod fleet;
pub mod freshness;
pub mod handshake;
pub mod hinter;
pub mod instances;
pub mod migrate;
pub mod notices;
pub mod pools;
pub mod provision;
pub mod reach;
mod realm;
pub mod registry;
pub mod roles;
pub mod wakeups;

pub use central::Central;
pub use directory::Directory;
pub use provision::Provisioner;
pub use realm::{Clinic, Realm};
