//! Who acts, from where, under which request: what a transaction carries, and the audit keeps.

use std::net::IpAddr;

use crate::ids::{AccountId, SessionId};

/// Who acts: somebody signed in, somebody unknown, or the platform itself.
#[derive(Clone, Debug, Default)]
pub struct Actor {
    pub account: Option<AccountId>,
    pub role: Option<&'static str>,
    pub session: Option<SessionId>,
    pub address: Option<IpAddr>,
    pub request_id: Option<String>,
}

impl Actor {
    /// Work that nobody asked for in person: provisioning, workers, the command line.
    pub fn platform() -> Self {
        Self { role: Some("platform"), ..Self::default() }
    }
}
