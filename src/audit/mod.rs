//! Who did what and who read what, when, from where. A change's row commits with the change; reads are written in batches
//! within a second; every row becomes a link of a chain within five, so that a row which was changed, removed or added
//! afterwards shows (docs/decisions/0003-the-audit-log-is-sealed-behind-the-writers.md).

pub mod api;
mod link;
mod reads;
mod record;
mod seal;
mod sealer;
mod search;
mod store;
mod verify;

pub use crate::actor::Actor;
pub use link::ChainKey;
pub use reads::{Reads, Seen, Trail};
pub use record::{Act, record, record_as};
pub use seal::{Sealed, seal};
pub use sealer::{Chain, Sealer};
pub use store::known_head;
pub use verify::{Broken, Verdict, verify};
