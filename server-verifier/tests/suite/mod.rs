//! What holds on either store. Whoever includes this has a room `home`, in which the store is made.

mod attacks;
mod bank;
mod books;
mod cancelling;
mod card_keys;
mod ecdsa;
mod lockout;
mod model;
mod moving;
mod panics;
mod policy;
mod profiles;
mod reading;
mod tampering;
mod views;
