//! The verifier as a service, under fire: many clients at once, processes killed, a network that fails.
//!
//! | module | what lives there |
//! |---|---|
//! | [`scene`], [`serve`] | books, people and tokens; a verifier that serves them, in a process of its own |
//! | [`town`] | accounts with cards, and what their holders sign |
//! | [`load`](onetap_conformance::load) | the load generator, which `onetap load` has, too |
//! | [`client`] | a client that repeats its request until it knows |
//! | [`proxy`] | a network that resets, swallows, delays, cuts, repeats and splits |
//! | [`kill`] | the verifier's process killed at any instant |
//! | [`lockout`] | wrong guesses at one account, many at once |
//! | [`stand_in`] | a server that answers and counts, to test the others with |
//! | [`refusals`], [`telling`] | whether times tell what answers do not |
//! | [`usage`] | what a process uses of memory and processors |
//! | [`peer`] | OpenSSL and pgbench, for comparison |

pub mod client;
pub mod kill;
pub mod lockout;
pub mod peer;
pub mod proxy;
pub mod refusals;
pub mod scene;
pub mod serve;
pub mod stand_in;
pub mod telling;
pub mod town;
pub mod usage;

/// Whatever stops a test or a benchmark.
pub type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
