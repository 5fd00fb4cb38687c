//! The verbs of notification.

pub(crate) mod request_email;
pub(crate) mod retry_delivery;
pub(crate) mod save_template;
