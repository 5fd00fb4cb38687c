//! The verbs of auth: what changes users and sessions.

pub(crate) mod change_password;
pub(crate) mod change_profile;
pub(crate) mod create_admin;
pub(crate) mod enter_as_guest;
pub(crate) mod log_in;
pub(crate) mod log_out;
pub(crate) mod refresh_session;
pub(crate) mod register;
pub(crate) mod sweep;
