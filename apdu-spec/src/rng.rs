//! Randomness as an input, so that one seed replays one run (tests) and the operating system's
//! generator serves everything else.

/// A source of random bytes fit for keys and passwords.
pub trait Rng: Send {
    /// Fills `out` with random bytes.
    fn fill(&mut self, out: &mut [u8]);
}

/// The operating system's generator.
///
/// # Panics
/// [`Rng::fill`] panics if the operating system has no randomness to give: nothing safe can be done
/// without it.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsRng;

impl Rng for OsRng {
    #[allow(clippy::expect_used, reason = "without randomness no secret may be made")]
    fn fill(&mut self, out: &mut [u8]) {
        use rand::TryRng as _;
        rand::rngs::SysRng.try_fill_bytes(out).expect("the operating system gives randomness");
    }
}
