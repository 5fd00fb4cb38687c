//! The distributed engine: MongoDB.
