//! Accounts of those who work at the clinic. Whoever is suspended, demoted or removed is out at once; the clinic always
//! keeps an admin; a doctor whom patients are still to see does not vanish unnoticed.

mod account;
mod affected;
pub mod api;
pub mod avatars;
mod model;
pub mod preferences;
pub mod second_factor;
pub mod sessions;
mod standing;
mod store;

pub use account::{
    Change, Invited, NewAccount, change_account, create_account, lock_account, refused,
};
pub use affected::{Affected, MOST_SHOWN, Resolve, bookings_affected, bookings_of};
pub use model::{AccountStatus, AccountView, StaffRole, drop_shown_once};
pub use standing::remove_account;
