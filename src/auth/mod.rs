//! Who asks, and may they? Passwords, sessions, tokens, roles: the same for clinics and for the platform.

pub mod api;
pub mod email;
pub mod enter;
mod hashing;
pub mod links;
pub mod login;
pub mod may;
pub mod pair;
pub mod password;
pub mod passwords;
pub mod refresh;
pub mod refresh_token;
pub mod refusals;
pub mod role;
pub mod second_factor;
pub mod sessions;
mod store;
pub mod token;
pub mod told;
pub mod tries;

pub use may::{May, Permission, Principal};
pub use role::Role;
pub use sessions::Sessions;
