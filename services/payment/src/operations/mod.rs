//! What callers may do with payments, one verb a file.

pub(crate) mod capture_payment;
pub(crate) mod process_payment;
pub(crate) mod refund_payment;
pub(crate) mod validate_payment;
pub(crate) mod void_payment;
