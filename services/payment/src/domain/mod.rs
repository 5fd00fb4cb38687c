//! What paying an order means, without I/O: the payment of an order, its attempts and refunds, and the journal.

pub(crate) mod attempt;
pub(crate) mod journal;
pub(crate) mod payment;
pub(crate) mod refund;
