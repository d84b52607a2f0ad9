//! The operator's console before a real service: what operators see and do, what others may not, and how it is used
//! without a mouse or without seeing it.

mod accessibility;
mod desk;
mod pictures;
mod security;
mod work;
