//! Randomness as an input, so that one seed replays one run (tests) and the operating system's
//! generator serves everything else.

/// A source of random bytes fit for keys and passwords.
pub trait Rng: Send {
    /// Fills `out` with random bytes.
    fn fill(&mut self, out: &mut [u8]);
}

/// A generator whose bytes follow from its seed: for rehearsals and tests. No secret of it is one.
#[derive(Debug)]
pub struct SeededRng(rand::rngs::StdRng);

impl SeededRng {
    /// The generator of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        use rand::SeedableRng as _;
        Self(rand::rngs::StdRng::seed_from_u64(seed))
    }
}

impl Rng for SeededRng {
    fn fill(&mut self, out: &mut [u8]) {
        rand::Rng::fill_bytes(&mut self.0, out);
    }
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
