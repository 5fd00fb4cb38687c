//! Who a process is, and who it talks to.
