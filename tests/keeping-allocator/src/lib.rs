//! An allocator for tests that look for secrets in memory that was freed. The system's allocator writes its own pointers over the
//! first 16 bytes of what is freed, so that a short secret is gone whether it was wiped or not. This one leaves all of it as it is.

use std::alloc::{GlobalAlloc, Layout, System};

/// Takes memory from the system and never gives it back. What grows is copied, and the old copy stays, too.
#[derive(Debug)]
pub struct Keeping;

// SAFETY: memory comes from `System`, under the same contract, and is never given out twice.
unsafe impl GlobalAlloc for Keeping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps to the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}
